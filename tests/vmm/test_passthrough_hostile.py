"""A guest that writes whatever it likes into the function it was given: nobody else notices."""

import random

import numpy as np
import pytest

from tests.vmm.passthrough_rig import EDU, NET, Rig, leaves
from virtlab.guest.msi import MsiDriver
from virtlab.guest.msix import MsixDriver
from virtlab.interrupts import Interrupt
from virtlab.iommu.layouts import IRTE
from virtlab.memory import PAGE
from virtlab.pci.config import Type0

ODD = (0, 0x4, 0x8, 0xC, 0x1000, 0xFF000, 0x10, 1 << 32)
"""Bits of a message's address: another processor, a logical one, a hint, the remappable format."""

INTERESTING = (0, 0xFEE0_0000, 0xC000_0000, 0xC010_0000, 0xFDFF_F000, 0xFED9_0000, 0x10_0000)


class Attack:
    """A guest with edu and a VF, and the neighbour whose things must stay as they are."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.rig = Rig()
        self.vm, self.other = self.rig.vm("hostile"), self.rig.vm("neighbour")
        self.rig.give(self.rig.host.edu, self.vm)
        self.rig.give(1, self.vm, posted=True)
        self.rig.give(2, self.other, posted=True)
        self.other.boot()
        self.net = self.other.net()
        self.vm.boot()
        self.edu, self.vf = self.vm.find(EDU).place, self.vm.find(NET).place
        self.msix = MsixDriver(self.vm.cpu, self.vm.access, self.vm.find(NET))
        self.msi = MsiDriver(self.vm.access, self.edu)
        self.own = {self.rig.host.edu.source_id, self.rig.host.net.virtual[0].source_id}
        self.spans = [
            (bar.address, bar.address + bar.size)
            for found in (self.rig.found(self.rig.host.edu), self.rig.virtual[0])
            for bar in found.bars
        ]
        self.table = self.rig.virtual[0].bar(1)
        self.bars = self.rig.host.edu.header.BAR0, self.rig.host.edu2.header.BAR0
        self.frames = set(self.vm.vm.ram.frames.values())
        self.theirs = self.neighbour()
        self.seen = {"mapped": set(), "entries": []}

    def neighbour(self):
        """All that the neighbour has: its pages, its context, its interrupt entries."""
        entries = [entry for entry in self.entries() if IRTE.SID.get(entry) not in self.own]
        source = self.rig.host.net.virtual[1].source_id
        return leaves(self.other.vm.tables), self.rig.kernel.vtd.root.entry(source), entries

    def entries(self):
        """The interrupt-remapping entries that are present, from the host's memory."""
        table = self.rig.host.ram.view(self.rig.kernel.vtd.interrupts.gpa, PAGE).view("<u8")
        present = np.flatnonzero(table[::2] & 1).tolist()
        return [int(table[2 * n]) | int(table[2 * n + 1]) << 64 for n in present]

    def value(self):
        rng = self.rng
        some = rng.choice(INTERESTING) | rng.getrandbits(rng.choice([1, 4, 12, 20]))
        return rng.choice([some, rng.getrandbits(32), 0xFFFF_FFFF, 1 << rng.randrange(32)])

    def bar(self, index):
        """Where the guest has a BAR of the VF now."""
        return self.vm.access.read(self.vf, Type0.BAR0.offset + 4 * index, 4) & ~0xF

    def step(self):
        """One write: a BAR, a command, any byte of configuration, a vector, a register."""
        rng, vm = self.rng, self.vm
        place = rng.choice([self.edu, self.vf])
        match rng.randrange(8):
            case 0:
                vm.access.write(place, Type0.BAR0.offset + 4 * rng.randrange(6), 4, self.value())
            case 1:
                vm.access.write(place, 4, 2, rng.getrandbits(16) | rng.choice([0, 6, 7, 7]))
            case 2:
                size = rng.choice([1, 2, 4])
                at = rng.choice([0x34, 0x84, 0x88, 0x94, 0x9A, 0xC8, rng.randrange(0x110)]) & -size
                vm.access.write(place, at, size, self.value() & (1 << 8 * size) - 1)
            case 3:
                gpa = self.bar(1) + rng.choice([rng.randrange(48), rng.randrange(0x1000)])
                vm.cpu.store(gpa, self.value(), rng.choice([1, 2, 4, 8]))
            case 4:
                vm.cpu.store(self.bar(1) + 16 * rng.randrange(3), 0xFEE0_0000 | rng.choice(ODD), 8)
                vm.cpu.store(self.bar(1) + 16 * rng.randrange(3) + 8, rng.getrandbits(12), 8)
            case 5:
                vm.cpu.store(self.bar(4) + 2 * rng.randrange(0x2000), self.value(), 2)
            case 6:
                vm.cpu.load(self.value() & 0xFFFF_FFFF, rng.choice([1, 2, 4, 8]))
            case 7:
                self.revive()

    def revive(self):
        """Let both functions work again, so that there is something to go wrong."""
        at = 0x10_0000 * self.rng.randrange(64)
        for place, bars in ((self.edu, (0,)), (self.vf, (1, 4))):
            for index in bars:
                gpa = 0xC000_0000 + at + 0x10_0000 * index
                self.vm.access.write(place, Type0.BAR0.offset + 4 * index, 4, gpa)
            self.vm.access.write(place, 4, 2, 6)
        self.vm.access.write(self.vf, self.msix.at + 2, 2, 0x8000)
        self.msi.enable(*Interrupt(self.rng.randrange(256)).message())

    def check(self):
        """Its EPT has its RAM and its own registers only; its entries are its own."""
        for gpa, hpa, size in leaves(self.vm.vm.tables):
            if hpa not in self.frames:
                self.seen["mapped"].add((gpa, hpa))
            if hpa not in self.frames and not 0xFEE0_1000 <= hpa < 0xFEE4_1000:
                assert any(low <= hpa and hpa + size <= high for low, high in self.spans)
                assert not self.table & -PAGE <= hpa < self.table + PAGE
                assert gpa >= 0xC000_0000
        assert self.neighbour() == self.theirs
        mine = {IRTE.SID.get(entry) for entry in self.entries()} - {
            self.rig.host.net.virtual[1].source_id
        }
        assert mine <= self.own
        self.seen["entries"] += mine
        assert (self.rig.host.edu.header.BAR0, self.rig.host.edu2.header.BAR0) == self.bars


def attack(seed, writes, every):
    """So many writes, looked at after every few. Gives what was seen on the way."""
    made = Attack(seed)
    for n in range(writes):
        made.step()
        if n % every == 0:
            made.check()
    made.check()
    return made.seen


def test_random_writes_reach_nobody_else():
    seen = attack(seed=1, writes=1_000, every=4)
    assert len(seen["mapped"]) > 1000
    assert len(seen["entries"]) > 100


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(2, 6))
def test_forty_thousand_random_writes_reach_nobody_else(seed):
    seen = attack(seed, writes=10_000, every=20)
    assert len(seen["mapped"]) > 10_000
    assert len(seen["entries"]) > 500
