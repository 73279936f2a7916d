"""The device's side of a split ring, with a driver that writes by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtio.raw import DATA, TABLE, Raw
from virtlab.errors import GuestError
from virtlab.memory import GuestMemory
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE, SplitRings
from virtlab.virtio.ordering import Order
from virtlab.virtio.split import SplitQueue

EVENTS = frozenset({Feature.RING_EVENT_IDX})
TABLES = frozenset({Feature.RING_INDIRECT_DESC})
ORDER = frozenset({Feature.IN_ORDER})


# -- pop


def test_nothing_is_available_at_first():
    raw = Raw()
    assert raw.queue.pop() is None
    assert raw.queue.available() == 0


def test_pop_gives_chains_in_the_order_of_the_entries():
    raw = Raw()
    raw.chain(16, 32, 1, head=3, writable=2)
    raw.chain(5, head=0)
    assert raw.queue.available() == 2
    assert raw.queue.pop() == Chain(
        3,
        (
            Buffer(DATA + 0x300, 16, False),
            Buffer(DATA + 0x400, 32, True),
            Buffer(DATA + 0x500, 1, True),
        ),
        3,
    )
    assert raw.queue.pop() == Chain(0, (Buffer(DATA, 5, False),), 1)
    assert raw.queue.pop() is None
    assert raw.queue.in_flight == 2


def test_next_without_NEXT_means_nothing():
    """2.7.5: "Next field if flags & NEXT"."""
    raw = Raw()
    raw.desc(0, following=999)
    raw.offer(0)
    assert raw.queue.pop().slots == 1


def test_reserved_flags_mean_nothing():
    raw = Raw()
    raw.desc(0, flags=0xFFF8)
    raw.offer(0)
    assert raw.queue.pop().buffers == (Buffer(DATA, 16, False),)


def test_a_chain_of_the_whole_queue():
    """2.7.5: the queue size is the maximum possible length."""
    raw = Raw(4)
    raw.chain(1, 1, 1, 1)
    assert len(raw.queue.pop().buffers) == 4


def test_peek_takes_nothing_and_looks_at_no_buffer():
    raw = Raw()
    raw.desc(0, addr=0xDEAD0000)
    raw.offer(0)
    before = raw.state()
    assert raw.queue.peek(0).buffers[0].addr == 0xDEAD0000
    assert raw.state() == before


def test_entries_wrap_with_the_ring_and_the_index_at_65536():
    raw = Raw(4)
    raw.queue.enable(raw.rings, base=65534)
    for at in (raw.rings.avail_field("idx"), raw.rings.used_field("idx")):
        raw.ram.store(at, 2, 65534)
    for head in (3, 1, 2, 0):
        raw.chain(8, head=head)
    assert raw.get("avail_idx") == 2
    chains = [raw.queue.pop() for _ in range(4)]
    assert [chain.head for chain in chains] == [3, 1, 2, 0]
    for chain in chains:
        raw.queue.push(chain)
    assert raw.get("idx") == 2
    assert [raw.used(65534 + i)[0] for i in range(4)] == [3, 1, 2, 0]
    assert raw.used(0) == (2, 0)
    raw.queue._check()


# -- indirect tables


def test_an_indirect_table():
    """2.7.5.3: begins at index 0, linked by next; it takes one slot."""
    raw = Raw(features=TABLES)
    raw.desc(0, DATA, 3, NEXT, 2, table=TABLE)
    raw.desc(2, DATA + 8, 5, WRITE, table=TABLE)
    raw.indirect(3)
    assert raw.queue.pop() == Chain(0, (Buffer(DATA, 3, False), Buffer(DATA + 8, 5, True)), 1)


def test_WRITE_of_the_descriptor_that_refers_to_a_table_is_ignored():
    """2.7.5.3.2."""
    raw = Raw(features=TABLES)
    raw.desc(0, DATA, 3, table=TABLE)
    raw.indirect(1, flags=WRITE)
    assert raw.queue.pop().buffers == (Buffer(DATA, 3, False),)


def test_direct_descriptors_may_come_before_a_table():
    """2.7.5.3.2: zero or more, then one that is INDIRECT."""
    raw = Raw(features=TABLES)
    raw.desc(5, DATA, 1, NEXT, 6)
    raw.desc(6, TABLE, 16, INDIRECT)
    raw.desc(0, DATA + 1, 2, WRITE, table=TABLE)
    raw.offer(5)
    assert raw.queue.pop() == Chain(5, (Buffer(DATA, 1, False), Buffer(DATA + 1, 2, True)), 2)


def test_a_long_table_may_hold_a_short_chain():
    raw = Raw(4, features=TABLES)
    raw.desc(0, DATA, 1, NEXT, 200, table=TABLE)
    raw.desc(200, DATA, 1, table=TABLE)
    raw.indirect(201)
    assert len(raw.queue.pop().buffers) == 2


def test_a_table_at_the_last_addresses_is_no_error_of_arithmetic():
    raw = Raw(features=TABLES)
    raw.indirect(1, addr=2**64 - 16)
    with pytest.raises(GuestError, match="no memory there"):
        raw.queue.pop()


# -- push


def test_push_writes_an_element_and_then_the_index():
    raw = Raw()
    raw.chain(16, 100, head=2, writable=1)
    chain = raw.queue.pop()
    assert chain.write(raw.ram, b"answer") == 6
    seen = []
    raw.queue.barrier = lambda point: seen.append((point, raw.get("idx"), raw.used(0)))
    raw.queue.push(chain, 6)
    assert seen == [(Order.ELEMENT_THEN_USED_IDX, 0, (2, 6))]
    assert raw.get("idx") == 1
    assert raw.queue.in_flight == 0


def test_len_is_at_most_what_32_bits_say():
    """2.7.8.2: the device may have written more than `len` bytes."""
    raw = Raw()
    raw.chain(8)
    raw.queue.pop()
    largest = Chain(0, (Buffer(0, 2**32 - 1, True), Buffer(0, 1, True)), 2)
    raw.queue.push(largest, 2**32)
    assert raw.used(0) == (0, 2**32 - 1)


def test_chains_may_come_back_in_any_order():
    raw = Raw()
    for head in (0, 1, 2):
        raw.chain(8, head=head, writable=1)
    chains = [raw.queue.pop() for _ in range(3)]
    for i in (1, 2, 0):
        raw.queue.push(chains[i], i)
    assert [raw.used(i) for i in range(3)] == [(1, 1), (2, 2), (0, 0)]


def test_in_order_one_element_stands_for_a_batch():
    """2.7.9: at the first one's offset; the index moves by the size of the batch."""
    raw = Raw(features=ORDER)
    for head in range(5):
        raw.chain(8, head=head, writable=1)
    chains = [raw.queue.pop() for _ in range(5)]
    raw.queue.push(chains[2], 4, count=3)
    assert (raw.used(0), raw.used(1), raw.get("idx")) == ((2, 4), (0, 0), 3)
    raw.queue.push(chains[4], 8, count=2)
    assert (raw.used(3), raw.get("idx")) == ((4, 8), 5)
    assert raw.queue.in_flight == 0


@pytest.mark.parametrize(
    ("features", "which", "written", "count", "says"),
    [
        (frozenset(), 0, 9, 1, "8 writable bytes, not 9"),
        (frozenset(), 0, -1, 1, "8 writable bytes, not -1"),
        (frozenset(), 0, 0, 0, "2 chains are in flight: cannot give 0 back"),
        (frozenset(), 0, 0, 3, "2 chains are in flight: cannot give 3 back"),
        (frozenset(), 1, 0, 2, "only in order"),
        (ORDER, 1, 0, 1, "in order, chain 4 is next, not 6"),
        (ORDER, 0, 0, 2, "in order, chain 6 is next, not 4"),
    ],
)
def test_a_device_that_gives_back_what_it_must_not(features, which, written, count, says):
    raw = Raw(features=features)
    raw.chain(8, head=4, writable=1)
    raw.chain(8, head=6, writable=1)
    chains = [raw.queue.pop(), raw.queue.pop()]
    before = raw.state()
    with pytest.raises(ValueError, match=says):
        raw.queue.push(chains[which], written, count)
    assert raw.state() == before


def test_what_was_given_back_is_gone():
    raw = Raw()
    raw.chain(8)
    chain = raw.queue.pop()
    raw.queue.push(chain)
    with pytest.raises(ValueError, match="0 chains are in flight"):
        raw.queue.push(chain)


# -- notifications to the driver


def used_one(raw):
    head = raw.queue.last_avail % raw.rings.size
    raw.chain(8, head=head)
    raw.queue.push(raw.queue.pop())


@pytest.mark.parametrize(("flags", "wanted"), [(0, True), (1, False), (2, True), (3, False)])
def test_flags_decide_without_EVENT_IDX(flags, wanted):
    """2.7.7.2: 0, the device must notify; 1, it should not; and `used_event` is ignored."""
    raw = Raw()
    raw.set_avail("flags", flags)
    raw.set_avail("used_event", 0x7777)
    used_one(raw)
    assert raw.queue.notify() == wanted
    assert raw.interrupts == wanted


def test_with_EVENT_IDX_flags_are_ignored_and_one_entry_decides():
    """2.7.7.2: exactly when idx, as the element was placed, was `used_event`."""
    raw = Raw(4, EVENTS)
    raw.set_avail("flags", 1)
    raw.set_avail("used_event", 2)
    told = []
    for _ in range(5):
        used_one(raw)
        told.append(raw.queue.notify())
    assert told == [False, False, True, False, False]


def test_a_batch_is_told_of_once_if_the_entry_is_in_it():
    raw = Raw(8, EVENTS)
    raw.set_avail("used_event", 2)
    for _ in range(4):
        used_one(raw)
    assert raw.queue.should_notify()
    assert not raw.queue.should_notify()
    for _ in range(3):
        used_one(raw)
    assert not raw.queue.should_notify()


def test_nothing_pushed_is_nothing_told():
    raw = Raw()
    assert not raw.queue.notify()
    raw.chain(8)
    raw.queue.pop()
    assert not raw.queue.notify()


@pytest.mark.parametrize("extra", [0, 1])
def test_more_than_all_entries_pass_every_threshold(extra):
    """After 65536 elements 16 bits look as if nothing happened, but entry 9 has passed."""
    raw = Raw(8, EVENTS)
    raw.set_avail("used_event", 9)
    raw.queue.used = raw.queue.last_avail = 65536 + extra
    assert raw.queue.should_notify()


def test_65535_elements_pass_all_entries_but_one():
    raw = Raw(8, EVENTS)
    raw.set_avail("used_event", 65535)
    raw.queue.used = raw.queue.last_avail = 65535
    assert not raw.queue.should_notify()


# -- notifications from the driver


def test_without_EVENT_IDX_the_device_says_so_by_its_flag():
    """2.7.10.2: 0 or 1."""
    raw = Raw()
    raw.queue.disable_notify()
    assert raw.get("flags") == 1
    assert raw.queue.enable_notify()
    assert raw.get("flags") == 0
    assert raw.get("avail_event") == 0
    raw.chain(8)
    raw.queue.pop()
    assert raw.get("avail_event") == 0


def test_with_EVENT_IDX_the_device_asks_for_the_next_entry_and_leaves_flags_alone():
    """2.7.10.2: flags stays 0."""
    raw = Raw(8, EVENTS)
    for head in range(3):
        raw.chain(8, head=head)
    asked = []
    for _ in range(3):
        raw.queue.pop()
        asked.append(raw.get("avail_event"))
    assert asked == [1, 2, 3]
    raw.queue.disable_notify()
    assert raw.get("avail_event") == 2
    raw.chain(8, head=3)
    raw.queue.pop()
    assert raw.get("avail_event") == 2
    assert raw.queue.enable_notify()
    assert raw.get("avail_event") == 4
    raw.chain(8, head=4)
    raw.queue.pop()
    assert raw.get("avail_event") == 5
    assert raw.get("flags") == 0


@pytest.mark.parametrize("features", [frozenset(), EVENTS])
def test_what_came_while_it_did_not_listen_is_not_missed(features):
    raw = Raw(8, features)
    raw.queue.disable_notify()
    raw.chain(8)
    assert not raw.queue.enable_notify()
    raw.queue.pop()
    assert raw.queue.enable_notify()


@pytest.mark.parametrize("features", [frozenset(), EVENTS])
def test_the_wish_is_written_before_the_last_look(features):
    """At the barrier the wish is in memory, and a chain that comes there is still seen."""
    raw = Raw(8, features)
    raw.queue.disable_notify()

    def barrier(point):
        assert point == Order.AVAIL_EVENT_THEN_IDX
        assert (raw.get("flags"), raw.get("avail_event")) == (0, 0)
        raw.chain(8)

    raw.queue.barrier = barrier
    assert not raw.queue.enable_notify()


def test_the_points_of_a_round():
    raw = Raw(8, EVENTS)
    points = []
    raw.queue.barrier = points.append
    raw.chain(8)
    raw.queue.push(raw.queue.pop())
    raw.queue.notify()
    assert points == [
        Order.AVAIL_IDX_THEN_ENTRY,
        Order.AVAIL_EVENT_THEN_IDX,
        Order.ELEMENT_THEN_USED_IDX,
        Order.USED_IDX_THEN_EVENT,
    ]


# -- configuration


def test_a_new_queue_is_not_ready():
    queue = SplitQueue(GuestMemory(4096))
    assert queue.pop() is None
    assert not queue.notify()
    queue.disable_notify()
    assert queue.enable_notify()
    assert queue.size == 0
    queue._check()


def test_after_a_reset_nothing_is_executed_and_nobody_told():
    """2.6.1.1.1."""
    raw = Raw()
    raw.chain(8, head=0)
    raw.chain(8, head=1)
    chain = raw.queue.pop()
    raw.queue.push(chain)
    second = raw.queue.pop()
    raw.queue.reset()
    before = raw.ram.bytes.tobytes()
    assert raw.queue.pop() is None
    assert not raw.queue.notify()
    raw.queue.disable_notify()
    with pytest.raises(ValueError, match="0 chains are in flight"):
        raw.queue.push(second)
    assert raw.ram.bytes.tobytes() == before
    assert raw.interrupts == 0


def test_enabled_again_it_begins_at_entry_0_elsewhere_with_another_size():
    """2.6.1.2: as in the initialization, perhaps with other parameters."""
    raw = Raw(8)
    raw.chain(8)
    raw.queue.push(raw.queue.pop())
    raw.queue.disable_notify()
    raw.queue.reset()
    raw.rings = SplitRings.placed(0x3000, 2)
    raw.queue.enable(raw.rings)
    raw.chain(4, head=1)
    assert raw.queue.pop().head == 1
    assert raw.queue.listening


def test_enabled_without_a_reset_it_begins_anew_all_the_same():
    raw = Raw(8, ORDER | EVENTS)
    raw.chain(8)
    raw.queue.pop()
    raw.queue.disable_notify()
    raw.queue.enable(raw.rings, EVENTS)
    assert raw.queue.listening
    assert raw.queue.in_flight == 0
    assert raw.queue.features == EVENTS
    assert raw.queue.available() == 1


def test_the_interrupt_may_be_nobodys():
    raw = Raw()
    raw.queue = SplitQueue(raw.ram)
    raw.queue.enable(raw.rings)
    used_one(raw)
    assert raw.queue.notify()


@given(power=st.integers(0, 15))
def test_every_size_that_is_a_power_of_two(power):
    size = 1 << power
    queue = SplitQueue(GuestMemory(4096))
    queue.enable(SplitRings.placed(0x1000, size))
    assert queue.size == size


def test_the_largest_queue_is_filled_and_emptied():
    """2.7: 32768 entries; a 16-bit index still tells full from empty."""
    size = 32768
    ram = GuestMemory(2 << 20)
    rings = SplitRings.placed(0, size)
    queue = SplitQueue(ram)
    queue.enable(rings)
    table = ram.view(rings.desc, 16 * size).view("<u8").reshape(size, 2)
    table[:] = (0x180000, 8)
    ram.view(rings.avail_field("ring"), 2 * size).view("<u2")[:] = range(size)
    for lap in (1, 2):
        ram.store(rings.avail_field("idx"), 2, lap * size)
        assert queue.available() == size
        chain = queue.pop()
        assert queue.available() == size - 1
        queue.last_avail += size - 1
        assert queue.available() == 0
        queue.used = queue.last_avail - 1
        queue.push(chain)
        assert ram.load(rings.used_field("idx"), 2) == lap * size % 65536


A, B = 0x1000, 0x8000


@pytest.mark.parametrize(
    ("rings", "spec"),
    [
        (SplitRings(0, A, B, B + 64), "virtio 1.3 2.7"),
        (SplitRings(3, A, B, B + 64), "virtio 1.3 2.7"),
        (SplitRings(65536, 0, 1 << 24, 2 << 24), "virtio 1.3 2.7"),
        (SplitRings(-4, A, B, B + 64), "virtio 1.3 2.7"),
        (SplitRings(4, A + 8, B, B + 64), "virtio 1.3 2.7.1"),
        (SplitRings(4, A, B + 1, B + 64), "virtio 1.3 2.7.1"),
        (SplitRings(4, A, B, B + 66), "virtio 1.3 2.7.1"),
        (SplitRings(4, 2**64 - 32, B, B + 64), "virtio 1.3 2.7"),
        (SplitRings(4, A, 2**64 - 4, B), "virtio 1.3 2.7"),
        (SplitRings(4, A, B, 2**64 - 4), "virtio 1.3 2.7"),
        (SplitRings(4, A, A + 62, B), "virtio 1.3 2.7"),
        (SplitRings(4, A, B, A + 60), "virtio 1.3 2.7"),
        (SplitRings(4, A, B, B + 12), "virtio 1.3 2.7"),
    ],
)
def test_where_a_queue_may_not_lie(rings, spec):
    raw = Raw()
    raw.chain(8)
    raw.queue.pop()
    before = raw.state()
    with pytest.raises(GuestError) as caught:
        raw.queue.enable(rings)
    assert caught.value.spec == spec
    assert raw.state() == before


def test_a_part_may_end_with_the_last_address():
    queue = SplitQueue(GuestMemory(4096))
    queue.enable(SplitRings(4, 2**64 - 64, A, B))
    assert queue.ready


def test_parts_may_touch():
    queue = SplitQueue(GuestMemory(4096))
    queue.enable(SplitRings(4, A, A + 64, A + 80))
    queue.enable(SplitRings(1, A + 32, A + 24, A))
    assert queue.ready
