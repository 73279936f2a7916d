"""The device's side of a packed ring, clause by clause."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtio.packed_ring import (
    ALL,
    AVAIL,
    BUFFERS,
    EXACT,
    INDIRECT,
    INDIRECT_ONLY,
    NEXT,
    ORDERED,
    RING,
    USED,
    WRITE,
    CountingDma,
    Ring,
)
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import (
    DISABLE,
    ENABLE,
    EVENT_DESC,
    PackedOrder,
    PackedRings,
    to_word,
)

READ = (BUFFERS, 16, 0)
IN = (BUFFERS + 0x100, 512, WRITE)


# -- taking


def test_an_empty_ring_has_nothing():
    ring = Ring()
    assert ring.queue.pop() is None
    assert not ring.queue.available()


def test_one_descriptor_is_a_list():
    ring = Ring()
    ring.give(READ, ident=5)
    assert ring.queue.available()
    assert ring.queue.pop() == Chain(5, (Buffer(BUFFERS, 16, False),), 1)
    assert ring.queue.pop() is None


def test_a_list_has_its_id_in_the_last_descriptor():
    """2.8.6: the id of the others means nothing."""
    ring = Ring()
    ring.desc(0, BUFFERS, 16, 111, AVAIL | NEXT)
    ring.desc(1, BUFFERS, 16, 222, AVAIL | NEXT)
    ring.desc(2, BUFFERS + 16, 8, 6, AVAIL | WRITE)
    chain = ring.queue.pop()
    assert (chain.head, chain.slots) == (6, 3)
    assert [buffer.write for buffer in chain.buffers] == [False, False, True]


def test_an_indirect_table_takes_one_slot():
    """2.8.7."""
    ring = Ring(features=INDIRECT_ONLY)
    ring.give((*ring.table(READ, READ, IN), INDIRECT), ident=2)
    chain = ring.queue.pop()
    assert (chain.head, chain.slots, len(chain.buffers)) == (2, 1, 3)
    assert (chain.readable, chain.writable) == (32, 512)


@pytest.mark.parametrize("ignored", [NEXT, INDIRECT, NEXT | INDIRECT, AVAIL | USED, 0xFFFD])
def test_flags_in_a_table_are_ignored_but_for_write(ignored):
    """2.8.7: WRITE is the only valid one; the others, and the id, are ignored by the device."""
    ring = Ring(features=INDIRECT_ONLY)
    ring.give(
        (*ring.table((BUFFERS, 4, ignored), (BUFFERS, 4, WRITE | ignored)), INDIRECT), ident=1
    )
    assert ring.queue.pop() == Chain(1, (Buffer(BUFFERS, 4, False), Buffer(BUFFERS, 4, True)), 1)


def test_write_beside_indirect_is_ignored():
    """2.8.7."""
    ring = Ring(features=INDIRECT_ONLY)
    ring.give((*ring.table(READ), INDIRECT | WRITE))
    assert ring.queue.pop().buffers == (Buffer(BUFFERS, 16, False),)


def test_direct_and_indirect_lists_may_be_mixed_in_a_ring():
    """2.8.5."""
    ring = Ring(features=INDIRECT_ONLY)
    ring.give((*ring.table(READ, IN), INDIRECT), ident=0)
    ring.give(READ, IN, ident=1)
    assert [ring.queue.pop().slots, ring.queue.pop().slots] == [1, 2]


def test_a_list_may_go_round_the_end_of_the_ring():
    """2.8.1: the wrap counter flips there, in the middle of the list."""
    ring = Ring(size=3)
    ring.give(READ, READ, ident=0)
    ring.queue.push(ring.queue.pop())
    ring.give(READ, READ, IN, ident=1)
    assert ring.found(2)[3] == AVAIL | NEXT
    assert ring.found(0)[3] == USED | NEXT
    chain = ring.queue.pop()
    assert (chain.head, chain.slots) == (1, 3)
    ring.queue.push(chain, 9)
    assert ring.found(2)[1:] == (9, 1, AVAIL | USED | WRITE)
    assert (ring.queue.used, ring.queue.last_avail) == (5, 5)


def test_what_is_left_of_the_last_lap_is_not_available():
    ring = Ring(size=2)
    for ident in range(7):
        ring.give(READ, ident=ident)
        chain = ring.queue.pop()
        assert chain.head == ident
        assert ring.queue.pop() is None  # the other slot: an earlier lap
        ring.queue.push(chain)
        assert ring.queue.pop() is None


@given(st.integers(1, 9), st.integers(0, 40), st.data())
def test_any_size_works_from_any_position(size, base, data):
    ring = Ring(size, base=base, ram=CountingDma(0x9000))
    for ident in range(6):
        pieces = data.draw(st.integers(1, size))
        ring.give(*[READ] * pieces, ident=ident)
        chain = ring.queue.pop()
        assert (chain.head, chain.slots) == (ident, pieces)
        ring.queue.push(chain)
        ring.queue._check()
    assert ring.queue.used == ring.at


def test_the_largest_ring():
    ring = Ring(1 << 15, base=(1 << 15) - 1, ram=CountingDma(1 << 20))
    ring.give((0xF0000, 1, 0), (0xF0000, 1, 0), ident=65535)
    assert ring.queue.pop().head == 65535


# -- looking


def test_peek_takes_nothing():
    ring = Ring()
    ring.give(READ, READ, ident=3)
    ring.give(READ, ident=4)
    before = ring.state()
    assert [ring.queue.peek(0).head, ring.queue.peek(2).head, ring.queue.peek(3)] == [3, 4, None]
    assert ring.state() == before


def test_peek_sees_lists_in_flight():
    ring = Ring()
    ring.give(READ, ident=3)
    ring.give(READ, ident=4)
    ring.queue.pop()
    assert ring.queue.peek(ring.queue.used).head == 3


# -- giving back


def test_a_used_descriptor_has_length_id_and_flags():
    """2.8.4: `len` is what was written, `addr` is unused. 2.8.3: WRITE says that it was."""
    ring = Ring()
    ring.give(READ, IN, ident=7)
    ring.queue.push(ring.queue.pop(), 100)
    assert ring.found(0) == (BUFFERS, 100, 7, AVAIL | USED | WRITE)
    assert ring.queue.used == 2


def test_where_nothing_was_written_write_is_off():
    """2.8.3."""
    ring = Ring()
    ring.give(IN, ident=7)
    ring.queue.push(ring.queue.pop(), 0)
    assert ring.found(0)[1:] == (0, 7, AVAIL | USED)


def test_in_the_second_lap_both_bits_are_zero():
    ring = Ring(size=1)
    for expected in (AVAIL | USED, 0, AVAIL | USED):
        ring.give(READ)
        ring.queue.push(ring.queue.pop())
        assert ring.found(0)[3] == expected


def test_out_of_order_the_used_descriptors_are_written_in_ring_order():
    """2.8.2: each where the one before ended; 2.8.6: then so many slots are skipped."""
    ring = Ring()
    ring.give(READ, READ, ident=0)
    ring.give(READ, ident=1)
    first, second = ring.queue.pop(), ring.queue.pop()
    ring.queue.push(second)
    assert (ring.found(0)[2], ring.queue.used) == (1, 1)
    ring.queue.push(first)
    assert (ring.found(1)[2], ring.queue.used) == (0, 3)


def test_in_order_one_used_descriptor_stands_for_a_batch():
    """2.8.8: the id of the last, at the place of the first; the rest is skipped."""
    ring = Ring(features=ORDERED)
    for ident in (4, 5, 6):
        ring.give(READ, IN, ident=ident)
    chains = [ring.queue.pop() for _ in range(3)]
    ring.queue.push(chains[1], 3, count=2)
    assert ring.found(0)[1:] == (3, 5, AVAIL | USED | WRITE)
    assert ring.found(2)[3] == AVAIL | NEXT  # nothing was written there
    assert (ring.queue.used, ring.queue.in_flight) == (4, 1)
    ring.queue.push(chains[2])
    assert ring.found(4)[2] == 6


def test_four_gigabytes_do_not_fit_into_the_used_length():
    """2.8.13: 32 bits. To tell less than was written is allowed."""
    ring = Ring()
    ring.give(IN)
    huge = ring.queue.pop()._replace(buffers=(Buffer(0, 1 << 32, True),))
    ring.queue.push(huge, 1 << 32)
    assert ring.found(0)[1] == 0xFFFF_FFFF


def mistakes():
    chain = Chain(1, (Buffer(0, 4, True),), 1)
    return [
        (frozenset(), chain, 0, 1, "no list of 1 with id 1 is in flight"),
        (frozenset(), Chain(0, (), 2), 0, 1, "no list of 2 with id 0"),
        (frozenset(), None, 17, 1, "has 16 writable bytes, not 17"),
        (frozenset(), None, -1, 1, "not -1"),
        (frozenset(), None, 0, 0, "cannot give 0 back"),
        (frozenset(), None, 0, 3, "2 lists are in flight"),
        (frozenset(), None, 0, 2, "only in order"),
        (ORDERED, None, 0, 2, "in order, list 9 is next, not 0"),
    ]


@pytest.mark.parametrize(("features", "chain", "written", "count", "says"), mistakes())
def test_a_device_that_gives_back_what_it_does_not_have(features, chain, written, count, says):
    ring = Ring(features=features)
    ring.give((BUFFERS, 16, WRITE), ident=0)
    ring.give((BUFFERS, 16, WRITE), ident=9)
    mine = ring.queue.pop()
    ring.queue.pop()
    before = ring.state()
    with pytest.raises(ValueError, match=says):
        ring.queue.push(chain or mine, written, count)
    assert ring.state() == before


def test_nothing_can_be_given_back_twice():
    ring = Ring()
    ring.give(READ)
    chain = ring.queue.pop()
    ring.queue.push(chain)
    with pytest.raises(ValueError, match="0 lists are in flight"):
        ring.queue.push(chain)


# -- telling the driver


def used(ring, slots=1):
    """The device uses one list of so many slots."""
    ring.give(*[READ] * slots)
    ring.queue.push(ring.queue.pop())


@pytest.mark.parametrize(("flags", "told"), [(ENABLE, True), (DISABLE, False)])
def test_the_driver_may_be_left_alone(flags, told):
    """2.8.10."""
    ring = Ring()
    ring.event(0, flags)
    used(ring)
    assert ring.queue.notify() is told
    assert len(ring.interrupts) == told


def test_nothing_new_is_no_event():
    ring = Ring()
    assert not ring.queue.notify()
    used(ring)
    assert ring.queue.notify()
    assert not ring.queue.notify()
    assert len(ring.interrupts) == 1


def test_only_the_descriptor_that_was_asked_for():
    """2.8.10: offset and wrap counter."""
    ring = Ring(size=5, features=EXACT)
    ring.event(to_word(6, 5), EVENT_DESC)
    told = []
    for _ in range(8):
        used(ring)
        told.append(ring.queue.notify())
    assert told == [False] * 6 + [True, False]


def test_a_list_over_the_threshold_counts():
    ring = Ring(size=8, features=EXACT)
    ring.event(to_word(2, 8), EVENT_DESC)
    used(ring, slots=4)
    assert ring.queue.should_notify()


def test_more_than_two_laps_without_asking_have_passed_everything():
    ring = Ring(size=3, features=EXACT)
    ring.event(to_word(0, 3), EVENT_DESC)
    ring.queue.signalled = 0
    for _ in range(7):
        used(ring)
    assert ring.queue.should_notify()


def test_event_suppression_is_read_in_one_piece():
    ring = Ring(features=EXACT)
    used(ring)
    ring.ram.reads.clear()
    ring.queue.should_notify()
    assert ring.ram.reads == [(ring.rings.driver, 4)]


# -- listening to the driver


def wish(ring):
    raw = ring.ram.load(ring.rings.device, 4)
    return raw & 0xFFFF, raw >> 16


def test_without_event_idx_a_device_says_yes_or_no():
    ring = Ring()
    ring.queue.disable_notify()
    assert wish(ring) == (0, DISABLE)
    assert not ring.queue.listening
    assert ring.queue.enable_notify()
    assert wish(ring) == (0, ENABLE)
    assert ring.queue.listening


def test_with_event_idx_it_asks_for_the_next_descriptor():
    ring = Ring(size=3, features=EXACT)
    ring.give(READ, READ)
    ring.queue.pop()
    assert wish(ring) == (to_word(2, 3), EVENT_DESC)
    ring.queue.disable_notify()
    assert wish(ring) == (0, DISABLE)
    ring.give(READ, ident=1)
    ring.queue.pop()
    assert wish(ring) == (0, DISABLE)  # who does not listen does not ask
    assert ring.queue.enable_notify()
    assert wish(ring) == (0x0000, EVENT_DESC)  # slot 0 with wrap counter 0


def test_who_listens_again_looks_once_more():
    ring = Ring()
    ring.queue.disable_notify()
    ring.give(READ)
    assert ring.queue.enable_notify() is False
    ring.queue.pop()
    assert ring.queue.enable_notify() is True


# -- order


def test_the_points_of_order_lie_between_the_right_accesses():
    """2.8.21.1.1, 2.8.21.3.1, 2.8.22: each as a barrier between two accesses of the device."""
    log = []
    ram = CountingDma()
    ring = Ring(features=EXACT, ram=ram, barrier=lambda point: log.append(point))
    ram.after_read = lambda iova, length: log.append(("read", iova, length))
    put = ram.write
    ram.write = lambda iova, data: (log.append(("write", iova, len(data))), put(iova, data))
    ring.give((BUFFERS, 16, 0), ident=3)
    chain = ring.queue.pop()
    ring.queue.push(chain)
    ring.queue.should_notify()
    ring.queue.enable_notify()
    device, driver = ring.rings.device, ring.rings.driver
    assert log == [
        ("read", RING + 14, 2),
        PackedOrder.FLAGS_THEN_REST,
        ("read", RING, 14),
        ("write", device, 4),
        ("write", RING + 8, 6),
        PackedOrder.REST_THEN_USED_FLAGS,
        ("write", RING + 14, 2),
        PackedOrder.USED_FLAGS_THEN_DRIVER_EVENT,
        ("read", driver, 4),
        ("write", device, 4),
        PackedOrder.DEVICE_EVENT_THEN_FLAGS,
        ("read", RING + 16 + 14, 2),
    ]


# -- reset


def test_a_queue_is_dead_until_it_is_enabled():
    queue = PackedQueue(CountingDma())
    assert queue.pop() is None
    assert not queue.available()
    assert not queue.notify()
    queue.disable_notify()
    assert queue.enable_notify() is True
    assert queue.dma.reads == queue.dma.writes == []
    with pytest.raises(ValueError, match="0 lists are in flight"):
        queue.push(Chain(0, (), 1))


def test_reset_forgets_everything():
    """2.6.1.1.1: no more requests, no notification, the default state."""
    ring = Ring(features=ALL)
    ring.give(READ)
    ring.give(READ, ident=1)
    ring.queue.push(ring.queue.pop())
    ring.queue.pop()
    ring.queue.reset()
    ring.queue._check()
    assert ring.queue.pop() is None
    assert not ring.queue.notify()
    assert (ring.queue.size, ring.queue.in_flight, ring.queue.ready) == (0, 0, False)
    ring.ram.bytes[:] = 0
    ring.queue.enable(PackedRings.placed(RING, 3), EXACT)
    ring.at = 0
    ring.rings = ring.queue.rings
    ring.give(READ, ident=1)
    assert ring.queue.pop().head == 1


def test_a_queue_goes_on_where_another_left_off():
    ring = Ring(size=3)
    for ident in range(4):
        ring.give(READ, ident=ident)
        ring.queue.push(ring.queue.pop())
    ring.give(READ, ident=9)
    other = PackedQueue(ring.ram)
    other.enable(ring.rings, base=4)
    assert other.pop().head == 9


def test_nobody_need_be_told():
    queue = PackedQueue(CountingDma())
    assert queue.interrupt() is None
