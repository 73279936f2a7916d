"""Rings: when one starts, stops and goes on, and what is said of it meanwhile."""

from __future__ import annotations

import os

import pytest

from tests.virtio.vhost_user.world import state
from virtlab.virtio.features import Feature, to_bits
from virtlab.virtio.vhost_user.layouts import (
    NOFD,
    U64,
    VRING_ADDR,
    Request,
)
from virtlab.virtio.vhost_user.messages import pack


def test_a_ring_starts_with_its_first_kick(make):
    """Stopped: the back-end must not process the ring at all."""
    world = make()
    assert not world.back_end.running
    world.say(kick=False)
    world.front.pump()
    assert world.heard() is None
    world.front.notify(0, 0)
    assert world.heard() == b"hello"
    assert [ring.queue is not None for ring in world.back_end.rings] == [True, False]
    assert world.kinds == ["kick", "start", "pop", "push", "call"]


def test_a_ring_without_a_doorbell_is_looked_at(make):
    world = make()
    world.front.tell(Request.SET_VRING_KICK, pack(U64, NOFD))
    assert world.back_end.polled
    world.say(kick=False)
    world.front.pump()
    assert world.heard() == b"hello"
    assert world.back_end.statistics.kicks == 0
    assert world.back_end.statistics.polled == 1


def test_the_flag_and_the_descriptor_say_the_same(make):
    world = make(start=False)
    event = os.eventfd(0)
    for request in (Request.SET_VRING_KICK, Request.SET_VRING_CALL, Request.SET_VRING_ERR):
        assert "the flag says otherwise" in world.fails(request, pack(U64, NOFD), [event])
        assert "the flag says otherwise" in world.fails(request, pack(U64, 0))
    os.close(event)


def test_a_disabled_ring_waits(make):
    world = make(device={"queue_sizes": (8, 16)})
    world.front.tell(Request.SET_VRING_ENABLE, state(0, 0))
    world.say()
    assert world.heard() is None
    world.front.tell(Request.SET_VRING_ENABLE, state(0, 1))
    assert world.heard() == b"hello"
    assert "enabled with 2" in world.fails(Request.SET_VRING_ENABLE, state(0, 2))
    world.front.tell(Request.RESET_OWNER)
    world.say()
    assert world.heard() is None


def test_without_protocol_features_a_ring_is_enabled_from_the_start(make):
    world = make()
    word = to_bits(world.driver.features)
    world.front.stop_ring(0)
    world.front.tell(Request.SET_FEATURES, pack(U64, word))
    world.front.tell(Request.SET_VRING_ENABLE, state(0, 0))
    world.front.tell(Request.SET_VRING_KICK, pack(U64, 0), [world.front.rings[0].kick])
    world.say()
    assert world.heard() == b"hello"


@pytest.mark.parametrize("without", [{Feature.RING_PACKED}, set()], ids=["split", "packed"])
def test_the_base_says_where_a_ring_goes_on(make, without):
    world = make(without)
    for number in range(11):
        world.say(bytes([number]))
        assert world.heard() == bytes([number])
    base = world.front.stop_ring(0)
    # 11 chains of one ring of 8: split counts on, packed has slot and wrap counter, twice.
    assert base == (11 if without else _packed_base(world))
    world.front.start_ring(0, base)
    world.say(b"again")
    assert world.heard() == b"again"


def _packed_base(world):
    used = world.driver.queues[0].rings.size
    assert used == 8
    return 3 | 3 << 16


def test_only_the_used_half_of_a_packed_base_may_be_missing(make):
    """Older front-ends give 16 bits: both positions are the same then."""
    world = make(set())
    for number in range(3):
        world.say(bytes([number]))
        world.heard()
    base = world.front.stop_ring(0)
    assert base == 0x8003_8003
    world.front.start_ring(0, base & 0xFFFF)
    world.say(b"again")
    assert world.heard() == b"again"


def test_a_split_ring_goes_on_where_its_used_ring_is(make):
    """The base of a front-end may count chains that were taken and never used: they are served."""
    world = make()
    world.say()
    world.heard()
    assert world.front.stop_ring(0) == 1
    world.say(b"lost", kick=False)
    world.front.start_ring(0, 2)
    world.front.notify(0, 0)
    assert world.heard() == b"lost"


def test_a_ring_can_be_stopped_that_never_ran(make):
    world = make()
    world.front.tell(Request.SET_VRING_BASE, state(0, 77))
    assert world.front.stop_ring(0) == 77
    assert "stop" not in world.kinds


def test_stopping_makes_the_device_forget(make):
    world = make()
    world.say()
    world.front.stop_ring(0)
    assert world.device.queue_resets == [0]


def test_a_running_ring_is_not_set_up(make):
    world = make()
    world.say()
    ring = world.front.rings[0]
    place = [world.front.user(area) for area in ring.areas]
    same = pack(VRING_ADDR, 0, 0, place[0], place[2], place[1], 0)
    moved = pack(VRING_ADDR, 0, 0, place[0] + 64, place[2], place[1], 0)
    world.front.tell(Request.SET_VRING_ADDR, same)
    assert "which runs" in world.fails(Request.SET_VRING_ADDR, moved)
    assert "which runs" in world.fails(Request.SET_VRING_NUM, state(0, 8))
    assert "which runs" in world.fails(Request.SET_VRING_BASE, state(0, 8))


@pytest.mark.parametrize("size", [0, 9, 16, 1 << 31])
def test_a_ring_has_at_most_its_largest_size(make, size):
    world = make(start=False)
    assert "where 8 is the largest" in world.fails(Request.SET_VRING_NUM, state(0, size))


def test_no_such_ring(make):
    world = make(start=False)
    for request in (Request.SET_VRING_NUM, Request.SET_VRING_BASE, Request.SET_VRING_ENABLE):
        assert "ring 2, where there are 2" in world.fails(request, state(2, 1))
    assert "ring 255" in world.fails(Request.SET_VRING_KICK, pack(U64, 255 | NOFD))
    assert "ring 7" in world.fails(Request.SET_VRING_ADDR, pack(VRING_ADDR, 7, 0, 0, 0, 0, 0))
    assert "ring 5" in world.ends(Request.GET_VRING_BASE, state(5, 0))


def test_a_device_that_has_news_in_the_middle_of_its_work(make):
    """One ring at a time: what it says of another one waits its turn."""
    world = make()
    world.say(b"one", index=1)
    assert world.heard(1) == b"one"
    world.device.interfere = lambda: world.device.arrived(1)
    world.say(b"two", index=1, kick=False)
    world.say(b"two")
    assert world.device.calls[-3:] == [0, 1, 1]
    # News for a ring that there is not is no news.
    world.device.arrived(99)
    assert world.device.calls[-1] == 1
