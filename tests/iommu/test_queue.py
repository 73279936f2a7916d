"""The invalidation queue: order, waiting, errors, and bounds."""

from __future__ import annotations

import pytest

from tests.iommu.tables import RW, Tables, command, put, reg, unit_with
from tests.iommu.work import RING, STATUS, QueueOf, reads
from virtlab.interrupts import Msi
from virtlab.iommu.descriptors import DESCRIPTORS, Granularity
from virtlab.iommu.reasons import QueueError
from virtlab.iommu.registers import VtdRegisters

FSTS, ICS, IECTL = VtdRegisters.FSTS, VtdRegisters.ICS, VtdRegisters.IECTL
MESSAGE = Msi(0xFEE0_2000, 0x55)
FAULT_MESSAGE = Msi(0xFEE0_3000, 0x66)
SID, IOVA, OLD, NEW = 0x0118, 0x40_0000, 0x1000, 0x2000


class World:
    """A unit with one page and a queue, and what it sends and tells devices."""

    def __init__(self, size: int = 0, **capabilities: object) -> None:
        self.sent: list[Msi] = []
        self.told: list[tuple[int, int, int]] = []
        self.answers = True
        self.tables = Tables()
        for page in (OLD, NEW):
            self.tables.memory.store(page, 8, page)
        self.entry_at = self.tables.map(self.tables.attach(SID), IOVA, OLD)
        self.unit = unit_with(self.tables, message=self.sent.append, told=self.tell, **capabilities)
        for prefix, message in (("IE", MESSAGE), ("FE", FAULT_MESSAGE)):
            put(self.unit, f"{prefix}ADDR", message.address)
            put(self.unit, f"{prefix}DATA", message.data)
            put(self.unit, f"{prefix}CTL", 0)
        self.queue = QueueOf(self.unit, size=size)

    def tell(self, source_id: int, iova: int, size: int) -> bool:
        self.told.append((source_id, iova, size))
        return self.answers

    @property
    def status(self) -> int:
        return self.tables.memory.load(STATUS, 4)

    def error(self) -> tuple[int, int]:
        """IQE, and why."""
        return (
            FSTS.IQE.get(reg(self.unit, "FSTS")),
            VtdRegisters.IQERCD.IQEI.get(reg(self.unit, "IQERCD")),
        )


# -- 6.5.2.8: wait


def test_a_wait_writes_its_number_when_all_before_it_is_done():
    world = World()
    assert reads(world.unit, SID, IOVA) == OLD
    world.tables.memory.store(world.entry_at, 8, NEW | RW)
    world.queue.iotlb(Granularity.GLOBAL)
    world.queue.wait(0xCAFE, SW=1)
    assert world.status == 0xCAFE
    assert reads(world.unit, SID, IOVA) == NEW
    assert reg(world.unit, "IQH") == reg(world.unit, "IQT") == 32
    assert world.sent == []


def test_a_wait_with_if_sends_the_event_once_until_iwc_is_cleared():
    world = World()
    world.queue.wait(IF=1)
    assert reg(world.unit, "ICS") == 1
    assert world.sent == [MESSAGE]
    world.queue.wait(IF=1)
    assert world.sent == [MESSAGE]
    put(world.unit, "ICS", 1)
    assert reg(world.unit, "ICS") == 0
    world.queue.wait(IF=1)
    assert world.sent == [MESSAGE, MESSAGE]


def test_the_event_waits_for_its_mask_and_lapses_with_iwc():
    world = World()
    put(world.unit, "IECTL", IECTL.IM.mask)
    world.queue.wait(IF=1)
    assert IECTL.IP.get(reg(world.unit, "IECTL")) == 1
    put(world.unit, "IECTL", 0)
    assert world.sent == [MESSAGE]
    put(world.unit, "ICS", 1)
    put(world.unit, "IECTL", IECTL.IM.mask)
    world.queue.wait(IF=1)
    put(world.unit, "ICS", 1)
    assert IECTL.IP.get(reg(world.unit, "IECTL")) == 0
    put(world.unit, "IECTL", 0)
    assert world.sent == [MESSAGE]


def test_a_wait_may_do_both_or_nothing():
    world = World()
    world.queue.wait(7, SW=1, IF=1)
    assert (world.status, world.sent) == (7, [MESSAGE])
    world.queue.wait(8, FN=1)
    assert world.status == 7
    assert world.error()[0] == 0


def test_who_hears_the_event_may_ring_the_doorbell():
    """The message arrives inside the queue's own run: the queue goes on, each descriptor once."""
    world = World()
    world.unit.queue.event.send = lambda msi: world.queue.wait(9, SW=1)
    world.queue.wait(IF=1)
    assert world.status == 9
    assert reg(world.unit, "IQH") == reg(world.unit, "IQT") == 32
    assert sum(world.unit.queue.done.values()) == 2


def test_one_write_takes_one_lap_however_often_the_doorbell_rings():
    """Whoever hears the event clears it and adds the next wait: it would go on for ever."""
    world = World()

    def hear(msi: Msi) -> None:
        put(world.unit, "ICS", 1)
        world.queue.wait(IF=1)

    world.unit.queue.event.send = hear
    world.queue.wait(IF=1)
    assert sum(world.unit.queue.done.values()) == 256


# -- 6.5.2.5: device TLBs


@pytest.mark.parametrize(
    ("iova", "several", "told"),
    [
        (0x5000, False, (0x5000, 0x1000)),
        (0x4000, True, (0x4000, 0x2000)),
        (0x5000, True, (0x4000, 0x4000)),
        (0x3000, True, (0x0000, 0x8000)),
        (0x7000, True, (0x0000, 0x10000)),
        (0x7FFF_FFFF_FFFF_F000, True, (0, 1 << 64)),
        (0xFFFF_FFFF_FFFF_F000, True, (0, 1 << 65)),
    ],
)
def test_a_device_is_told_what_to_forget(iova, several, told):
    """ATS 1.1, table 2-4: the lowest 0 of the address says how many pages."""
    world = World()
    world.queue.device(SID, iova, several)
    assert world.told == [(SID, *told)]


def test_a_device_that_does_not_answer_stops_the_queue():
    world = World()
    world.answers = False
    at = world.queue.device(SID, 0x5000)
    world.queue.wait(1, SW=1)
    assert FSTS.ITE.get(reg(world.unit, "FSTS")) == 1
    assert VtdRegisters.IQERCD.ITESID.get(reg(world.unit, "IQERCD")) == SID
    assert reg(world.unit, "IQH") == at + 16
    assert (world.status, world.sent) == (0, [FAULT_MESSAGE])
    put(world.unit, "FSTS", FSTS.ITE.mask)
    assert world.status == 1


def test_a_unit_without_device_tlbs_does_not_know_the_descriptor():
    world = World(device_tlb=False)
    world.queue.device(SID, 0x5000)
    assert world.error() == (1, QueueError.TYPE_INVALID)
    assert world.told == []


def test_a_unit_without_a_hook_has_devices_without_tlbs():
    tables = Tables()
    unit = unit_with(tables)
    QueueOf(unit).device(SID, 0x5000)
    assert reg(unit, "FSTS") == 0


# -- 6.5.2.7: interrupt entries


@pytest.mark.parametrize(
    ("request_of", "left"),
    [
        ({}, set()),
        ({"selective": True, "index": 5}, {0, 4, 6, 7, 8}),
        ({"selective": True, "index": 5, "mask": 1}, {0, 6, 7, 8}),
        ({"selective": True, "index": 4, "mask": 2}, {0, 8}),
    ],
)
def test_interrupt_entries_are_forgotten(request_of, left):
    world = World()
    world.unit.interrupts.cache.update(dict.fromkeys((0, 4, 5, 6, 7, 8), 1))
    world.queue.entries(**request_of)
    assert set(world.unit.interrupts.cache) == left


# -- 6.5.2.10: errors


@pytest.mark.parametrize(
    ("descriptor", "why"),
    [
        (0, QueueError.TYPE_INVALID),
        *[(kind, QueueError.TYPE_INVALID) for kind in range(6, 16)],
        (1 | 1 << 9 | 1 << 4, QueueError.TYPE_INVALID),  # a type has bits 11:9 as well
        (1, QueueError.RESERVED),  # granularity 0
        (2, QueueError.RESERVED),
        (2 | 3 << 4 | 19 << 64, QueueError.RESERVED),  # AM beyond MAMV
        (5 | 1 << 7 | 1 << 5, QueueError.RESERVED),  # PD without page requests
    ],
)
def test_a_wrong_descriptor_stops_the_queue_where_it_stands(descriptor, why):
    world = World()
    world.queue.wait(1, SW=1)
    at = world.queue.add(descriptor)
    world.queue.wait(2, SW=1)
    assert world.error() == (1, why)
    assert reg(world.unit, "IQH") == at == 16
    assert world.status == 1
    assert world.sent == [FAULT_MESSAGE]


@pytest.mark.parametrize("kind", DESCRIPTORS)
def test_every_reserved_bit_is_an_error(kind):
    layout = DESCRIPTORS[kind]
    good = kind | (1 << 4 if "G" in layout.fields else 0)
    for bit in range(128):
        if layout.reserved_mask >> bit & 1:
            world = World()
            world.queue.add(good | 1 << bit)
            assert world.error() == (1, QueueError.RESERVED), bit
    world = World()
    world.queue.add(good)
    assert world.error()[0] == 0


def test_the_queue_goes_on_when_iqe_is_cleared():
    """Software mends the descriptor first, as Linux does."""
    world = World()
    at = world.queue.add(0xF)
    world.queue.wait(2, SW=1)
    world.tables.memory.store(RING + at, 16, 5 | 1 << 5 | 1 << 32 | STATUS << 64)
    assert world.status == 0
    put(world.unit, "FSTS", FSTS.IQE.mask)
    assert world.status == 2
    assert reg(world.unit, "FSTS") == 0


def test_a_descriptor_that_stays_wrong_stops_it_again():
    world = World()
    world.queue.add(0xF)
    put(world.unit, "FSTS", FSTS.IQE.mask)
    assert world.error() == (1, QueueError.TYPE_INVALID)
    assert world.sent == [FAULT_MESSAGE, FAULT_MESSAGE]


def test_a_ring_that_is_not_in_memory_is_an_error():
    world = World()
    command(world.unit, "QIE", False)
    put(world.unit, "IQA", 0x4000_0000)
    put(world.unit, "IQT", 0)
    command(world.unit, "QIE")
    put(world.unit, "IQT", 16)
    assert world.error() == (1, QueueError.FETCH)


def test_a_status_that_is_not_in_memory_is_an_error():
    world = World()
    world.queue.wait(1, status=0x4000_0000, SW=1)
    assert world.error() == (1, QueueError.UNKNOWN)


def test_address_bits_that_the_host_has_not_are_ignored():
    world = World(host_width=30)
    world.queue.wait(5, status=STATUS | 1 << 30 | 1 << 63, SW=1)
    assert world.status == 5


def test_a_tail_beyond_the_ring_is_an_error():
    world = World()
    put(world.unit, "IQT", 4096)
    assert world.error() == (1, QueueError.TAIL_INVALID)
    bigger = World(size=1)
    for _ in range(257):
        bigger.queue.wait()
    assert bigger.error()[0] == 0


def test_a_ring_made_smaller_under_the_head():
    world = World(size=1)
    for _ in range(257):
        world.queue.wait()
    put(world.unit, "IQA", RING)
    put(world.unit, "IQT", 0)
    assert reg(world.unit, "IQH") == 0
    assert world.error()[0] == 0


# -- the ring


def test_the_ring_goes_round():
    world = World()
    for number in range(600):
        world.queue.wait(number, SW=1)
        assert world.status == number
    assert reg(world.unit, "IQH") == 600 * 16 % 4096


def test_one_write_takes_many_descriptors():
    world = World()
    wait = 5 | 1 << 5 | STATUS << 64
    for number in range(255):
        world.tables.memory.store(RING + 16 * number, 16, wait | number << 32)
    put(world.unit, "IQT", 255 * 16)
    assert world.status == 254


def test_disabled_it_takes_nothing_and_begins_anew():
    world = World()
    world.queue.wait(1, SW=1)
    command(world.unit, "QIE", False)
    assert reg(world.unit, "IQH") == 0
    world.queue.wait(2, SW=1)
    assert world.status == 1
    assert reg(world.unit, "IQH") == 0
    command(world.unit, "QIE")
    assert world.status == 2


def test_wide_descriptors_need_scalable_mode():
    world = World()
    put(world.unit, "IQA", RING | 1 << 11)
    assert reg(world.unit, "IQA") == RING
