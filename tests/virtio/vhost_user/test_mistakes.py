"""A driver that does wrong, and memory that goes away: the ring breaks, and nothing else."""

from __future__ import annotations

import os

import pytest

from tests.descriptors import fd_count
from tests.virtio.vhost_user.world import state
from virtlab.virtio.features import Feature
from virtlab.virtio.vhost_user.layouts import (
    MEMORY,
    NOFD,
    REGION,
    SINGLE_REGION,
    U64,
    VRING_ADDR,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.messages import pack
from virtlab.virtio.vhost_user.session import PROTOCOL

F = ProtocolFeature


def test_a_guests_mistake_stops_the_ring_and_no_other(make):
    world = make()
    world.say(index=1)
    assert world.heard(1) == b"hello"
    rings = world.driver.queues[0].rings
    world.front.ram.store(rings.avail + 2, 2, 500)
    world.front.notify(0, 0)
    assert world.events[-1].kind == "error"
    assert "jumped by 500" in world.events[-1].note
    assert os.eventfd_read(world.front.rings[0].err) == 1
    assert world.driver.needs_reset
    assert world.back_end.statistics.errors == 1
    # It is not looked at any more, however often the driver rings.
    world.front.notify(0, 0)
    assert world.back_end.statistics.errors == 1
    world.say(index=1)
    assert world.heard(1) == b"hello"
    # Stopped and started it goes on.
    world.front.ram.store(rings.avail + 2, 2, 0)
    world.front.stop_ring(0)
    world.front.start_ring(0, 0)
    world.say()
    assert world.heard() == b"hello"


def test_what_was_used_before_a_mistake_is_told(make):
    """The chains in front of the bad one have been answered, and the driver hears of them."""
    world = make()
    world.say(kick=False)
    rings = world.driver.queues[0].rings
    world.front.ram.store(rings.avail_at(1), 2, 0xFFFF)
    world.front.ram.store(rings.avail_field("idx"), 2, 2)
    world.front.notify(0, 0)
    assert world.heard() == b"hello"
    assert world.kinds[-3:] == ["push", "error", "call"]
    assert world.front.interrupts() == 1


@pytest.mark.parametrize("part", ["desc", "avail", "used"])
def test_a_ring_beyond_the_memory(make, part):
    world = make()
    ring = world.front.rings[0]
    areas = dict(zip(("desc", "avail", "used"), ring.areas, strict=True))
    places = {name: world.front.user(gpa) for name, gpa in areas.items()}
    places[part] = 0x1000
    world.front.tell(
        Request.SET_VRING_ADDR,
        pack(VRING_ADDR, 0, 0, places["desc"], places["used"], places["avail"], 0),
    )
    world.front.notify(0, 0)
    assert world.events[-1].kind == "error"
    assert "in no region" in world.events[-1].note
    assert world.back_end.rings[0].queue is None


def test_a_ring_that_no_ring_may_be(make):
    """Parts that overlap, or are not aligned: as with registers, a driver's mistake."""
    world = make()
    place = world.front.user(world.front.rings[0].areas[0])
    for wrong in ((place, place, place), (place + 1, place + 256, place + 512)):
        world.front.tell(
            Request.SET_VRING_ADDR, pack(VRING_ADDR, 0, 0, wrong[0], wrong[1], wrong[2], 0)
        )
        world.front.notify(0, 0)
        assert world.events[-1].kind == "error"
        world.front.stop_ring(0)


def test_a_ring_that_is_kicked_before_it_has_a_place_starts_later(make):
    world = make(start=False)
    world.front.tell(Request.SET_VRING_KICK, pack(U64, NOFD))
    world.front.tell(Request.SET_VRING_ENABLE, state(0, 1))
    assert not world.back_end.running
    assert not world.events
    world.start()
    world.front.tell(Request.SET_VRING_KICK, pack(U64, NOFD))
    assert world.back_end.running


def test_a_packed_ring_that_goes_on_beyond_its_end(make):
    world = make(set())
    world.front.tell(Request.SET_VRING_BASE, state(0, 0x0009_0009))
    world.front.notify(0, 0)
    assert "goes on at 0x9" in world.events[-1].note


def test_memory_that_is_taken_away_under_a_ring(make):
    world = make()
    world.say()
    assert world.heard() == b"hello"
    for row in world.front.table()[1:]:
        world.front.tell(Request.REM_MEM_REG, pack(SINGLE_REGION, 0, *row))
    assert world.events[-1].kind == "error"
    assert "taken away" in world.events[-1].note
    world.front.notify(0, 0)
    assert world.back_end.statistics.errors == 1


def test_a_memory_table_that_puts_a_ring_elsewhere(make):
    world = make(protocol=PROTOCOL - {F.CONFIGURE_MEM_SLOTS})
    world.say()
    rows = [(start, size, user ^ (1 << 40), at) for start, size, user, at in world.front.table()]
    payload = pack(MEMORY, len(rows), 0) + b"".join(pack(REGION, *row) for row in rows)
    world.front.tell(Request.SET_MEM_TABLE, payload, [world.front.ram_fd] * len(rows))
    assert "taken away" in world.events[-1].note


def test_the_same_memory_table_once_more_changes_nothing(make):
    """A front-end sends it again when memory is plugged in."""
    world = make(protocol=PROTOCOL - {F.CONFIGURE_MEM_SLOTS})
    for number in range(20):
        world.front.share()
        world.say(bytes([number]))
        assert world.heard() == bytes([number])
    assert world.back_end.statistics.errors == 0


def test_a_memory_table_that_does_not_add_up(make):
    world = make(start=False)
    row = pack(REGION, *world.front.table()[0])
    fd = world.front.ram_fd
    for payload, fds in (
        (pack(MEMORY, 2, 0) + row, [fd, fd]),
        (pack(MEMORY, 2, 0) + row + row, [fd]),
        (pack(MEMORY, 0, 0), [fd]),
        (pack(MEMORY, 1, 0) + row[:-1], [fd]),
    ):
        assert "descriptors" in world.fails(Request.SET_MEM_TABLE, payload, fds)
    # What is behind the regions that count is not looked at.
    world.front.tell(Request.SET_MEM_TABLE, pack(MEMORY, 1, 0) + row + row, [fd])
    assert len(world.back_end.memory.shapes) == 1


def test_memory_slots(make):
    world = make(start=False)
    assert world.front.ask(Request.GET_MAX_MEM_SLOTS).value == 32
    row = world.front.table()[0]
    world.front.tell(Request.ADD_MEM_REG, pack(SINGLE_REGION, 0, *row), [world.front.ram_fd])
    assert "overlap" in world.fails(
        Request.ADD_MEM_REG, pack(SINGLE_REGION, 0, *row), [world.front.ram_fd]
    )
    before = fd_count()
    # A descriptor with REM_MEM_REG: the back-end MUST close it without using it otherwise.
    world.front.tell(Request.REM_MEM_REG, pack(SINGLE_REGION, 0, *row), [world.front.ram_fd])
    assert fd_count() == before
    assert world.back_end.memory.size == 0
    assert "no region" in world.fails(Request.REM_MEM_REG, pack(SINGLE_REGION, 0, *row))


def test_the_memory_of_a_ring_may_vanish_while_it_is_served(make):
    """The device's last look at the ring finds nothing: the ring breaks, and nothing else."""
    world = make({Feature.RING_PACKED, Feature.RING_EVENT_IDX})
    world.say()
    world.heard()

    def interfere():
        world.back_end.rings[0].queue.rings = world.driver.queues[0].rings._replace(avail=1 << 40)

    world.device.interfere = interfere
    world.say()
    assert world.kinds[-1] == "error"
    assert world.back_end.rings[0].broken
