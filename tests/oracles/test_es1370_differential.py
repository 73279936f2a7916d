"""Our ES1370 against QEMU's: every register, access by access; then what each of them plays.

The random accesses meet a paused QEMU: its timers stand still, and so does our clock, so that
channels may be switched on without a sample moving. What moves is compared in the second part,
where one driver plays on both, and QEMU writes what it plays to a file.
"""

import random
import struct

import numpy as np
import pytest

from tests.needs import needs_qemu
from tests.oracles.differential import Deviation, ask, explain, run_both, tell
from tests.pci.rig import Rig
from virtlab.backends.speaker import Format
from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.devices.es1370 import (
    CHANNELS,
    DAC1,
    DAC2,
    LENGTH,
    Es1370,
    Es1370Function,
    Es1370Registers,
    ports_of,
)
from virtlab.guest.es1370 import Es1370Driver
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.hosts.remote import QtestMachine
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory

ACCESSES = 12_000
QUIET = ["-audiodev", "none,id=a", "-device", "ES1370,audiodev=a,addr=5"]
UART, PAGE = Es1370Registers.UART.offset, Es1370Registers.MEMORY_PAGE.offset
WORDS = sorted({ports_of(reg)[1] for reg in Es1370Registers.registers})
OFF_CENTRE = np.int16(256)
"""QEMU's mixer takes 127 for the middle of 8 bits: one step higher, and 255 wraps to the lowest.

In a WAV file, and so in ours, the middle is 128 (Microsoft, RIFF WAVE, "data format of samples").
"""
PAGES = [0xC, 0xC, 0xC, 0xD, 0xD]


def base_of(cpu):
    return find(enumerate_pci(cpu), 0x1274, 0x5000).bar(0)


@pytest.fixture
def qemu():
    with QtestMachine("q35", QUIET, paused=True) as machine:
        machine.base = base_of(machine)
        yield machine


@pytest.fixture
def ports(qemu):
    """Our card on a port bus of its own, at the ports where QEMU's is."""
    space = AddressSpace("port", 16, max_size=4)
    space.card = Es1370(IrqLine("es1370"), GuestMemory(1 << 16), Clock())
    space.map(qemu.base, LENGTH, space.card, "es1370", width=4)
    return space


def accesses(rng, count, base):
    """Longwords that are read and written; parts of one that are read; now and then a new page."""
    made = []
    while len(made) < count:
        size = rng.choice([4, 4, 4, 4, 2, 1])
        offset = rng.choice(WORDS) if rng.random() < 0.9 else rng.randrange(0, LENGTH, 4)
        if rng.random() < 0.1:
            made.append(tell(base + PAGE, rng.choice(PAGES) | rng.randrange(16) << 4, 1))
        elif size == 4 and rng.random() < 0.5:
            page = offset == PAGE and rng.random() < 0.9
            made.append(tell(base + offset, rng.choice(PAGES) if page else rng.getrandbits(32), 4))
        else:
            made.append(ask(base + offset + rng.randrange(0, 4, size), size))
    return made


def deviations(base):
    """The reviewed places where the two differ."""
    offset = lambda pair: pair.access.address - base  # noqa: E731
    page = lambda pair: pair.state["MEMORY_PAGE"]  # noqa: E731
    return (
        Deviation(
            "the UART answers",
            "AudioPCI 97 Rev 1.1, UART: TXRDY is 1 while the transmitter is empty",
            lambda pair, before: offset(pair) & ~3 == UART,
        ),
        Deviation(
            "a byte or word at its own offset",
            "AudioPCI 97 Rev 1.1, 4.1: registers have byte, word and longword format",
            lambda pair, before: offset(pair) & 3 != 0,
        ),
        Deviation(
            "the two open longwords beside the ADC's registers are memory",
            "AudioPCI 97 Rev 1.1, 4.11",
            lambda pair, before: page(pair) == 0xD and offset(pair) & ~3 in (0x38, 0x3C),
        ),
    )


@needs_qemu
def test_seeded_random_accesses_agree(qemu, ports):
    sent = accesses(random.Random(1370), ACCESSES, qemu.base)
    pairs = run_both(qemu, ports, {}, sent, ports.card.peek)
    reads = sum(not pair.access.write for pair in pairs)
    explained = explain(pairs, deviations(qemu.base))
    assert reads - sum(explained.values()) > ACCESSES / 3


@needs_qemu
def test_deviation_a_part_of_a_register_is_written_alone(qemu, ports):
    """4.1: "written in byte word or longword format". QEMU takes the byte for all four."""
    for space in (qemu, ports):
        out = qemu.out if space is qemu else lambda at, value, size: ports.write(at, size, value)
        out(qemu.base + 0x24, 0x1234, 4)
        out(qemu.base + 0x24, 0x56, 1)
    assert qemu.inp(qemu.base + 0x24, 2) == 0x0056
    assert ports.read(qemu.base + 0x24, 2) == 0x1256


# -- what they play


FORMATS = [Format(bits, channels) for bits in (8, 16) for channels in (1, 2)]


def heard(path):
    """The samples in QEMU's file, (n, 2) int16. Its header is finished when QEMU ends."""
    data = path.read_bytes()
    assert struct.unpack_from("<HHI", data, 20) == (1, 2, struct.unpack_from("<I", data, 24)[0])
    return np.frombuffer(data[44 : 44 + (len(data) - 44) // 4 * 4], "<i2").reshape(-1, 2)


def play_on_qemu(path, samples, rate, format, voice, half):
    """The driver on QEMU, asleep between interrupts; what QEMU's file has."""
    sink = f"wav,id=a,path={path},out.frequency={rate}"
    with QtestMachine("q35", ["-audiodev", sink, "-device", "ES1370,audiodev=a"]) as machine:
        function = find(enumerate_pci(machine), 0x1274, 0x5000)
        pics = Pics(machine)
        pics.remap()
        pics.unmask(function.line)
        driver = Es1370Driver(machine, function.bar(0), voice, pics, function.line)
        interrupts = driver.play(samples, 0x10000, rate, format, half)
    return interrupts, heard(path)


def play_on_ours(samples, rate, format, voice, half):
    """The same driver on our card."""
    rig = Rig()
    card = rig.bus.plug(Es1370Function(rig.cpu.clock), 5)
    driver = Es1370Driver(rig.cpu, base_of(rig.cpu), voice)
    interrupts = driver.play(samples, 0x10000, rate, format, half)
    return interrupts, card.speaker.samples()


def check_same(tmp_path, format, voice, rate, half, parts):
    """Play `parts` halves of noise, then two of silence: QEMU's mixer drops what it holds at last.

    At its own rate a voice passes that mixer unchanged, so every sample of the noise must be there.
    """
    noise = random.Random(7).randbytes(parts * half)
    samples = noise + format.silence * 2 * half
    path = tmp_path / "sound.wav"
    their_interrupts, theirs = play_on_qemu(path, samples, rate, format, voice, half)
    our_interrupts, ours = play_on_ours(samples, rate, format, voice, half)
    assert our_interrupts == their_interrupts == parts + 2
    played = parts * half // format.width
    expected = np.repeat(ours, 3 - format.channels, axis=1)[:played]
    if format.bits == 8:
        expected = expected + OFF_CENTRE
    assert expected.tobytes() == theirs[:played].tobytes()


@needs_qemu
@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize(("voice", "rate"), [(DAC1, 22050), (DAC2, 44100)], ids=str)
def test_every_format_sounds_the_same(tmp_path, format, voice, rate):
    """One half of 50 ms, so that nobody has to be in time for the samples to be right."""
    check_same(tmp_path, format, voice, rate, rate // 80 * 4 * format.width, 1)


@needs_qemu
def test_one_driver_fills_two_halves_on_both(tmp_path):
    """A quarter of a second is the time to fill a half in; five halves of different noise."""
    check_same(tmp_path, Format(16, 2), DAC2, 44100, 44100, 5)


@needs_qemu
def test_the_function_says_the_same(qemu):
    """Identity, class, subsystem, pin, and how long a burst it wants."""
    rig = Rig()
    rig.bus.plug(Es1370Function(rig.cpu.clock), 5)
    answers = []
    for cpu in (rig.cpu, qemu):
        row = []
        for at in (0x00, 0x08, 0x2C):
            cpu.out(0xCF8, 0x8000_0000 | 5 << 11 | at, 4)
            row.append(cpu.inp(0xCFC, 4))
        cpu.out(0xCF8, 0x8000_0000 | 5 << 11 | 0x3C, 4)
        row.append(cpu.inp(0xCFC, 4) >> 8)
        answers.append(row)
    assert answers[0] == answers[1]


def test_every_channel_has_its_bits():
    masks = [mask for layout in CHANNELS for mask in (layout.enable.mask, layout.pause.mask)]
    assert len(set(masks)) == len(masks)
