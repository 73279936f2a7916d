"""Fault records, read while devices go on to fault."""

import pytest

from tests.guest.vtd_units import ALL, attached
from tests.oracles.vtd_worlds import Ours
from virtlab.errors import DmaFault
from virtlab.guest import vtd_faults
from virtlab.iommu.registers import VtdRegisters

FSTS = VtdRegisters.FSTS
ACCESSES = 24
FIRST = 0x0400


class Meanwhile:
    """A Cpu around `cpu`; before access number `at`, from 1, `do` happens."""

    def __init__(self, cpu, at, do):
        self.cpu, self.left, self.do = cpu, at, do

    def _count(self):
        self.left -= 1
        if self.left == 0:
            self.do()

    def load(self, gpa, size=4):
        self._count()
        return self.cpu.load(gpa, size)

    def store(self, gpa, value, size=4):
        self._count()
        self.cpu.store(gpa, value, size)


def faulty(count, records=4):
    """A unit with `count` faults, its driver, and a way to make more.

    Each is of another device, and at another page: those of one device may collapse (7.2.1).
    """
    world = Ours(ALL._replace(records=records))
    vtd, _ = attached(world)
    numbers = iter(range(0x100))

    def fault(n=1):
        for _ in range(n):
            number = next(numbers)
            with pytest.raises(DmaFault):
                world.unit.dma_for(FIRST + number).write(number << 12, b"x")

    fault(count)
    return vtd, fault


@pytest.mark.parametrize("before", [0, 1, 3, 4])
@pytest.mark.parametrize("at", range(1, ACCESSES))
def test_a_fault_at_any_moment_is_read_once_and_whole(before, at):
    """A record is two loads: whoever looks at F last joins halves of two moments."""
    vtd, fault = faulty(before)
    vtd.faults.registers.cpu = Meanwhile(vtd.cpu, at, fault)
    found = vtd.faults.read()
    vtd.faults.registers.cpu = vtd.cpu
    later = vtd.faults.read()
    seen = [(each.source_id - FIRST, each.iova >> 12) for each in found + later]
    assert seen == [(n, n) for n in range(len(seen))]
    assert before <= len(seen) <= before + 1
    assert not FSTS.PPF.get(vtd.registers.get(FSTS))


def test_the_reading_goes_on_over_records_that_are_filled_again():
    """Else PPF would stay 1, and no event would come any more (7.3)."""
    vtd, fault = faulty(4)
    vtd.faults.registers.cpu = Meanwhile(vtd.cpu, 10, lambda: fault(2))
    assert len(vtd.faults.read()) == 6
    assert not FSTS.PPF.get(vtd.registers.get(FSTS))


class Restless(Meanwhile):
    """After each store comes another fault."""

    def store(self, gpa, value, size=4):
        self.cpu.store(gpa, value, size)
        self.do()


def test_a_device_that_never_stops_does_not_keep_the_driver(monkeypatch):
    monkeypatch.setattr(vtd_faults, "MOST", 50)
    vtd, fault = faulty(4)
    vtd.faults.registers.cpu = Restless(vtd.cpu, 0, fault)
    assert len(vtd.faults.read()) == 50
