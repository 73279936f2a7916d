"""Our display against QEMU's bochs-display: registers, memory, and the picture that is seen.

QEMU's own picture comes from its `screendump`. The driver also drives QEMU's VGA, which checks
what is written to it.
"""

import random

import numpy as np
import pytest

from tests.needs import needs_qemu, require
from tests.pci.rig import Rig
from virtlab.devices.display import (
    BIG_ENDIAN,
    LITTLE_ENDIAN,
    BochsDisplayFunction,
    DispiRegisters,
)
from virtlab.guest.display import DisplayDriver
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.hosts.remote import QtestMachine
from virtlab.trace import Access

ACCESSES = 12_000
VRAM = 4 << 20
WORDS = [reg for reg in DispiRegisters.registers if reg.width == 2]
ORDER = DispiRegisters.BYTE_ORDER.offset
BOCHS = "bochs-display,id=d,addr=5,vgamem=4M,edid=off"


def bars_of(cpu):
    found = find(enumerate_pci(cpu), 0x1234, 0x1111)
    return found.bar(0), found.bar(2)


class Theirs:
    """QEMU with one display."""

    def __init__(self, device):
        self.cpu = QtestMachine("q35", ["-device", device])
        self.memory, self.registers = bars_of(self.cpu)
        self.driver = DisplayDriver(self.cpu, self.memory, self.registers)

    def pixels(self, folder):
        """What QEMU shows: its `screendump` is a PPM file, each line padded to 4 bytes."""
        path = folder / "screen.ppm"
        self.cpu.qmp("screendump", filename=str(path), device="d")
        kind, size, depth, data = path.read_bytes().split(b"\n", 3)
        width, height = map(int, size.split())
        assert (kind, depth) == (b"P6", b"255")
        lines = np.frombuffer(data, np.uint8).reshape(height, -1)[:, : width * 3]
        return lines.reshape(height, width, 3)


class Ours:
    """A machine of ours with one display."""

    def __init__(self):
        rig = Rig()
        self.function = rig.bus.plug(BochsDisplayFunction(VRAM), 5)
        self.cpu = rig.cpu
        self.memory, self.registers = bars_of(self.cpu)
        self.driver = DisplayDriver(self.cpu, self.memory, self.registers)

    def pixels(self, folder):
        return self.function.screen.pixels()


@pytest.fixture
def theirs():
    require("QEMU")
    made = Theirs(BOCHS)
    yield made
    made.cpu.close()


@pytest.fixture
def ours():
    return Ours()


# -- access by access


def accesses(rng, count):
    """`(in memory, Access)`: words and pairs of registers, and memory in every size.

    Bytes of a register are the deviation below. A byte order that is none is written, too.
    """
    made = []
    while len(made) < count:
        write, size = rng.random() < 0.5, rng.choice([1, 2, 4, 8])
        value = rng.choice([0, 1, 32, 64, rng.getrandbits(64)]) & (1 << 8 * size) - 1
        if rng.random() < 0.4:
            near = rng.choice([0, 0x1000, VRAM - 0x20]) + rng.randrange(0x18)
            made.append((True, Access(0, write, "memory", near, size, value)))
        elif rng.random() < 0.1:
            order = rng.choice([LITTLE_ENDIAN, BIG_ENDIAN, value & 0xFFFF_FFFF])
            made.append((False, Access(0, write, "memory", ORDER - rng.choice([0, 4]), 4, order)))
        else:
            offset = rng.choice(WORDS).offset
            size = 4 if size == 4 and offset % 4 == 0 and offset < 0x514 else 2
            value &= (1 << 8 * size) - 1
            made.append((False, Access(0, write, "memory", offset, size, value)))
    return made


@needs_qemu
def test_seeded_random_accesses_agree(theirs, ours):
    sent = accesses(random.Random(1111), ACCESSES)
    at = lambda machine, inside: machine.memory if inside else machine.registers  # noqa: E731
    asked = [each._replace(address=at(theirs, inside) + each.address) for inside, each in sent]
    answers, compared = theirs.cpu.pipeline(asked), 0
    for (inside, access), answer in zip(sent, answers, strict=True):
        gpa = at(ours, inside) + access.address
        if access.write:
            ours.cpu.store(gpa, access.value, access.size)
        else:
            compared += 1
            value = ours.cpu.load(gpa, access.size)
            assert value == answer.value, f"{access}: ours {value:#x}, QEMU's {answer.value:#x}"
    assert compared > ACCESSES / 3


@needs_qemu
def test_deviation_a_byte_of_a_register(theirs, ours):
    """Registers are words, so no clause. QEMU gives the low byte twice, and takes one as a word."""
    for machine in (theirs, ours):
        machine.cpu.store(machine.registers + 0x502, 0x1234, 2)
    assert theirs.cpu.load(theirs.registers + 0x503, 1) == 0x34
    assert ours.cpu.load(ours.registers + 0x503, 1) == 0x12
    for machine in (theirs, ours):
        machine.cpu.store(machine.registers + 0x502, 0x56, 1)
    assert theirs.cpu.load(theirs.registers + 0x502, 2) == 0x0056
    assert ours.cpu.load(ours.registers + 0x502, 2) == 0x1256


@needs_qemu
def test_the_function_says_the_same(theirs, ours):
    """Identity, class and revision, subsystem, pin; what of BAR 0 and BAR 2 can be written."""
    answers = []
    for machine in (theirs, ours):
        row = []
        for at in (0x00, 0x08, 0x2C, 0x3C, 0x10, 0x18):
            machine.cpu.out(0xCF8, 0x8000_0000 | 5 << 11 | at, 4)
            if at in (0x10, 0x18):
                machine.cpu.out(0xCFC, 0xFFFF_FFFF, 4)
            row.append(machine.cpu.inp(0xCFC, 4))
        answers.append(row)
    assert answers[0] == answers[1]


# -- what is seen


@needs_qemu
@pytest.mark.parametrize("bits", [16, 32])
def test_one_driver_draws_the_same_picture_on_both(theirs, ours, tmp_path, bits):
    """An image, a rectangle, wide lines, and a picture that begins in the middle of them.

    QEMU is asked in between, for it notices a new mode only when somebody looks.
    """
    image = np.random.default_rng(bits).integers(0, 256, (20, 30, 3), np.uint8)
    for step in range(3):
        seen = []
        for machine in (theirs, ours):
            if step == 0:
                machine.driver.set_mode(70, 64, bits, virtual_width=100)
                machine.driver.fill(5, 6, 8, 9, (200, 100, 50))
            elif step == 1:
                machine.driver.blit(60, 44, image)
                machine.driver.pan(21, 3)
            else:
                machine.driver.set_mode(64, 80, bits)
            seen.append(machine.pixels(tmp_path))
        assert seen[0].shape == seen[1].shape
        assert (seen[0] == seen[1]).all()
        assert seen[1].any()


@needs_qemu
def test_big_endian_pixels_agree(theirs, ours, tmp_path):
    seen = []
    for machine in (theirs, ours):
        machine.driver.set_mode(64, 64)
        machine.driver.fill(0, 0, 64, 1, (1, 2, 3))
        machine.driver.put(DispiRegisters.BYTE_ORDER, BIG_ENDIAN)
        seen.append(machine.pixels(tmp_path))
    assert (seen[0] == seen[1]).all()


@needs_qemu
@pytest.mark.parametrize("device", ["secondary-vga,id=d,addr=5", "VGA,id=d,addr=5"])
def test_the_driver_drives_a_vga_too(ours, tmp_path, device):
    """Another device of QEMU's, which checks and rounds what is written to it."""
    theirs = Theirs(device)
    try:
        seen = []
        for machine in (theirs, ours):
            assert machine.driver.detect()
            machine.driver.set_mode(80, 64, virtual_width=160)
            machine.driver.fill(0, 0, 80, 64, (0, 0, 99))
            machine.driver.fill(79, 63, 2, 2, (255, 128, 1))
            machine.driver.pan(8, 1)
            seen.append(machine.pixels(tmp_path))
        assert (seen[0] == seen[1]).all()
    finally:
        theirs.cpu.close()
