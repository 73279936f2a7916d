"""Our IDE controller and QEMU's piix3-ide, side by side, with the same disks behind both.

QEMU's disk answers when its file has. So after each command `settle` waits until it has, and then
both must say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from tests.devices.ata.rig import SECTORS, AtaRig, image
from tests.needs import require
from virtlab.backends.disk import Disk
from virtlab.devices.ata import PRD, Label
from virtlab.devices.ata.registers import (
    ABRT,
    BSY,
    DEVICE,
    ERROR,
    EXTENDED,
    IDNF,
    BusMasterRegisters,
    Command,
)
from virtlab.guest.ata import PRIMARY
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.hosts.remote import QtestMachine
from virtlab.trace import Access

IDE, CONTROL = PRIMARY.command, PRIMARY.control
BMICOM, BMISTA, BMIDTP = (reg.offset for reg in BusMasterRegisters.registers)
START, TO_MEMORY = 0x01, 0x08
ACTIVE, FAILED, INTERRUPT = 0x01, 0x02, 0x04
NIEN, SRST, HOB = 0x02, 0x04, 0x80
TABLE, BUFFERS, BUFFERS_END = 0x8000, 0x10000, 0xA0000
"""Memory that a test uses: a region table, and everything behind it."""

READ_DMA = (Command.READ_DMA, Command.READ_DMA_EXT)
WRITE_DMA = (Command.WRITE_DMA, Command.WRITE_DMA_EXT)


class Pair:
    """Both machines. `same` compares one read; `accesses` counts what was compared."""

    def __init__(self, machine, images):
        self.theirs = machine
        self.rig = AtaRig(*(Disk.of(each) for each in images))
        self.ours = self.rig.cpu
        self.channel = self.rig.ide.channels[0]
        for number, drive in enumerate(self.channel.drives, 1):
            drive.label = Label("QEMU HARDDISK", f"QM0000{number}", "2.5+")
        self.base = find(enumerate_pci(machine), 0x8086, 0x7010).bar(4)
        self.accesses = 0
        self.history = []
        self.up = set()
        self.excused = 0
        machine.command("irq_intercept_in ioapic")

    def out(self, port, value, size=1):
        for cpu, base in ((self.ours, self.rig.bar), (self.theirs, self.base)):
            cpu.out(port + base if port < 16 else port, value, size)

    def both(self, port, size=1):
        return (
            self.ours.inp(port + self.rig.bar if port < 16 else port, size),
            self.theirs.inp(port + self.base if port < 16 else port, size),
        )

    def same(self, port, size=1, but=0):
        """Read `port`; the bus master's ports are below 16. Bits of `but` may differ."""
        ours, theirs = self.both(port, size)
        self.accesses += 1
        place = f"after {self.history}, port {port:#x}/{size}"
        assert (ours ^ theirs) & ~but == 0, f"{place}: ours {ours:#x}, QEMU's {theirs:#x}"
        return ours

    def same_data(self, sizes):
        """Read DATA, in accesses of these sizes. QEMU gets them in one message."""
        asked = [Access(0, False, "port", IDE, size, 0) for size in sizes]
        theirs = [access.value for access in self.theirs.pipeline(asked)]
        assert [self.ours.inp(IDE, size) for size in sizes] == theirs, self.history
        self.accesses += len(sizes)

    def out_data(self, words):
        """Write DATA: pairs `(value, size)`."""
        self.theirs.pipeline(Access(0, True, "port", IDE, size, value) for value, size in words)
        for value, size in words:
            self.ours.out(IDE, value, size)

    def settle(self, but=0):
        """Until QEMU has done what it does in the background."""
        for _ in range(20_000):
            if not self.theirs.inp(CONTROL) & (BSY | but):
                return
        pytest.fail("QEMU's drive stays busy")

    def their_irq(self):
        """Whether QEMU's line is up."""
        self.theirs.settle()
        while self.theirs.irqs:
            change = self.theirs.irqs.popleft()
            (self.up.add if change.level else self.up.discard)(change.line)
        return PRIMARY.irq in self.up

    def same_interrupt(self):
        self.accesses += 1
        assert self.channel.irq.level == self.their_irq(), self.history

    def look(self, but=0):
        """Everything that can be read. STATUS, last, takes the interrupt back."""
        self.same_interrupt()
        self.not_found()
        for register in (2, 3, 4, 5, 6):
            self.same(IDE + register)
        self.same(CONTROL)
        self.same(BMISTA, but=but)
        self.same(BMICOM)
        self.same(BMIDTP, 4)
        self.same(IDE + 7)
        self.same_interrupt()

    def not_found(self):
        """A sector that is not there: IDNF here, ABRT there; and our registers name it.

        Registers that may differ now are written, so that the rest of the run can be compared.
        """
        ours, theirs = self.both(IDE + ERROR.offset)
        self.accesses += 1
        if (ours, theirs) == (IDNF, ABRT):
            self.excused += 1
            self.same(CONTROL)
            for register in (3, 4, 5) * 2:
                self.out(IDE + register, 1)
            self.out(IDE + 6, DEVICE.reset | DEVICE.DEV.put(0, self.channel.unit))
        else:
            assert ours == theirs, f"{self.history}: ERROR {ours:#x}, QEMU's {theirs:#x}"

    def reset(self):
        """A software reset; QEMU's also sets the blocks of READ MULTIPLE back, so both get that."""
        self.out(CONTROL, SRST)
        self.settle()
        self.out(CONTROL, 0)
        for cpu in (self.ours, self.theirs):
            cpu.inp(IDE + 7)
        self.out(BMISTA, INTERRUPT)
        for device in (0xF0, 0xE0):
            self.command(Command.SET_MULTIPLE_MODE, count=16, device=device)
            self.look()

    def command(self, code, sector=0, count=1, device=0xE0, feature=0):
        """All registers, and the command; 48 bits for those that have them."""
        self.out(IDE + 6, device | (sector >> 24 & 15 if code not in EXTENDED else 0))
        self.out(IDE + 1, feature)
        for shift in (24, 0) if code in EXTENDED else (0,):
            self.out(IDE + 2, count >> (8 if shift else 0) & 0xFF)
            for n in range(3):
                self.out(IDE + 3 + n, sector >> shift + 8 * n & 0xFF)
        self.history = [*self.history[-5:], f"{code:#04x} {sector}+{count} {device:#04x}"]
        self.out(IDE + 7, code)
        self.settle()

    def write_memory(self, gpa, data):
        for cpu in (self.ours, self.theirs):
            cpu.write(gpa, data)

    def same_memory(self):
        ours = self.ours.read(TABLE, BUFFERS_END - TABLE)
        assert ours == self.theirs.read(TABLE, BUFFERS_END - TABLE), self.history


@contextmanager
def both_machines(path, images=None) -> Iterator[Pair]:
    """Both, with `images` in their drives: two disks, of 4 and 2 MiB. `paths` are QEMU's files."""
    require("QEMU")
    images = images or [image(SECTORS, 7), image(SECTORS // 2, 8)]
    extra, paths = [], []
    for number, data in enumerate(images):
        paths.append(path / f"disk{number}.img")
        paths[-1].write_bytes(data)
        drive = f"if=ide,index={number},format=raw,file={paths[-1]},cache=writeback"
        extra += ["-drive", drive]
    with QtestMachine("pc", extra) as machine:
        made = Pair(machine, images)
        made.paths = paths
        yield made


def prd_entries(entries):
    """A table, entry by entry: `(base, count, flags)`."""
    return np.array(entries, PRD).tobytes()
