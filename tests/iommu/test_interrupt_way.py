"""The whole way: a device or an input, the remapping unit, the local APICs, the EOI back."""

import random

import pytest

from virtlab.devices.ioapic import FIRST_ENTRY, IoApic
from virtlab.devices.lapic import ApicBus, Lapic, LapicRegisters
from virtlab.interrupts import Interrupt, Msi
from virtlab.iommu.interrupt_remapping import CHECK_ID
from virtlab.iommu.layouts import (
    DST_XAPIC,
    FAULT_RECORD,
    FI_INDEX,
    IRTE,
    IRTE_POSTED,
    REQUEST_ADDRESS,
)
from virtlab.iommu.posted import PostedDescriptor
from virtlab.iommu.registers import FAULT_OFFSET, VtdRegisters
from virtlab.iommu.vtd import VtdUnit
from virtlab.memory import GuestMemory

TABLE, DESCRIPTOR, SIZE = 0x4000, 0x6040, 7
DISK, IO_APIC = 0x0018, 0xF0F8
LEVEL = 1 << 15
GCMD = VtdRegisters.GCMD


class Machine:
    """Two processors, an I/O APIC and a remapping unit between them, wired as on a board."""

    def __init__(self):
        self.memory = GuestMemory(0x8000)
        self.lapics = [Lapic(n, eoi=self._ended) for n in range(2)]
        for lapic in self.lapics:
            lapic.write(LapicRegisters.SVR.offset, 4, 0x1FF)
        self.unit = VtdUnit(self.memory, message=ApicBus(self.lapics).message)
        self.ioapic = IoApic(lambda msi: self.unit.remap(IO_APIC, msi))

    def _ended(self, vector):
        self.ioapic.eoi(vector)

    def enable(self):
        """IRTA, SIRTP, IRE, as a driver does it."""
        self.unit.write(VtdRegisters.IRTA.offset, 8, TABLE | SIZE)
        self.unit.write(GCMD.offset, 4, GCMD.SIRTP.mask)
        self.unit.write(GCMD.offset, 4, GCMD.IRE.mask)

    def put(self, index, vector, processor, sid, level=0):
        entry = IRTE.pack(P=1, V=vector, TM=level, SID=sid, SVT=CHECK_ID)
        self.memory.store(TABLE + 16 * index, 16, DST_XAPIC.put(entry, processor))

    def fault(self):
        """The first fault record: reason, source id, index."""
        record = self.unit.read(FAULT_OFFSET, 8) | self.unit.read(FAULT_OFFSET + 8, 8) << 64
        return FAULT_RECORD.FR.get(record), FAULT_RECORD.SID.get(record), FI_INDEX.get(record)


def request(index):
    return Msi(REQUEST_ADDRESS.pack(FEE=0xFEE, FORMAT=1, HANDLE=index), 0)


@pytest.fixture
def machine():
    made = Machine()
    made.enable()
    return made


def test_without_remapping_a_device_names_any_vector_of_any_processor():
    machine = Machine()
    machine.unit.remap(DISK, Interrupt(0xEE, destination=1).message())
    assert machine.lapics[1].acknowledge() == 0xEE


def test_with_remapping_the_entry_names_them(machine):
    machine.put(5, 0x41, 1, DISK)
    machine.unit.remap(DISK, request(5))
    assert [lapic.pending for lapic in machine.lapics] == [False, True]
    assert machine.lapics[1].acknowledge() == 0x41


def test_a_device_that_names_a_vector_itself_is_blocked_and_recorded(machine):
    machine.unit.remap(DISK, Interrupt(0xEE, destination=1).message())
    assert not any(lapic.pending for lapic in machine.lapics)
    assert machine.fault() == (0x25, DISK, 0)


def test_another_device_cannot_use_the_entry(machine):
    machine.put(5, 0x41, 1, DISK)
    machine.unit.remap(0x0320, request(5))
    assert not any(lapic.pending for lapic in machine.lapics)
    assert machine.fault() == (0x26, 0x0320, 5)


def test_a_level_goes_through_the_unit_and_its_eoi_comes_back(machine):
    """VT-d 5.1.5.1: the I/O APIC's entry has the handle, and the vector for the EOI."""
    machine.put(9, 0x51, 0, IO_APIC, level=1)
    for index, half in ((FIRST_ENTRY + 7, 9 << 17 | 1 << 16), (FIRST_ENTRY + 6, 0x51 | LEVEL)):
        machine.ioapic.write(0x00, 4, index)
        machine.ioapic.write(0x10, 4, half)
    lapic = machine.lapics[0]
    machine.ioapic.lines[3].set(True)
    for up in (True, False):
        assert lapic.acknowledge() == 0x51
        machine.ioapic.lines[3].set(up)
        lapic.write(LapicRegisters.EOI.offset, 4, 0)
    assert not lapic.pending
    assert not lapic.vectors.isr


def test_a_posted_interrupt_and_its_notification(machine):
    descriptor = PostedDescriptor(machine.memory, DESCRIPTOR)
    descriptor.start(0xF2, 1)
    entry = IRTE_POSTED.pack(P=1, IM=1, VV=0x61, PDAL=DESCRIPTOR >> 6, SID=DISK, SVT=CHECK_ID)
    machine.memory.store(TABLE + 16 * 5, 16, entry)
    for _ in range(3):
        machine.unit.remap(DISK, request(5))
    assert machine.lapics[1].acknowledge() == 0xF2
    assert not machine.lapics[1].pending
    assert descriptor.sync() == 1 << 0x61


def isolation(count):
    """`count` messages of every shape; each vector that arrives is its sender's own."""
    rng, machine = random.Random(9), Machine()
    machine.enable()
    owners = [rng.randrange(1 << 16) for _ in range(256)]
    for index, owner in enumerate(owners):
        machine.put(index, rng.randrange(16, 256), owner & 1, owner)
    arrived, remapper = 0, machine.unit.interrupts
    requests = [request(index) for index in range(300)]
    for _ in range(count):
        index = rng.randrange(300)
        sid = owners[index % 256] ^ (1 << rng.randrange(16) if rng.random() < 0.7 else 0)
        address, data = requests[index]
        if rng.random() < 0.2:
            address, data = address ^ 1 << rng.randrange(32), rng.getrandbits(rng.choice([8, 32]))
        outcome = remapper.decide(sid, Msi(address, data))
        if outcome.message is not None:
            arrived += 1
            assert owners[outcome.interrupt_index] == sid
    return arrived


@pytest.mark.volume
def test_no_source_id_reaches_a_vector_of_another():
    assert isolation(20_000) > 4_000


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_million_messages_reach_no_vector_of_another():
    assert isolation(1_000_000) > 200_000
