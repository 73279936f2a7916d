"""A driver that breaks the rules: refused with its clause, in one order, and nothing has moved."""

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
    MEMORY,
    NEXT,
    RING,
    TABLE,
    USED,
    WRITE,
    CountingDma,
    ReadOnly,
    Ring,
)
from virtlab.errors import DmaFault, GuestError
from virtlab.virtio.features import Feature
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PackedRings

READ = (BUFFERS, 16, 0)
IN = (BUFFERS, 16, WRITE)
LAST = (1 << 64) - 16


def refusal(ring, call=None):
    """The `GuestError` of `call`, which has changed nothing."""
    before = ring.state()
    with pytest.raises(GuestError) as caught:
        (call or ring.queue.pop)()
    assert ring.state() == before
    ring.queue._check()
    return caught.value


def direct(*pieces):
    return lambda ring: ring.give(*pieces)


def indirect(*entries):
    return lambda ring: ring.give((*ring.table(*entries), INDIRECT))


def table_of(length, addr=TABLE, flags=0):
    return direct((addr, length, INDIRECT | flags))


def partial(ring):
    """The second descriptor of a list is as the ring began."""
    ring.desc(0, flags=AVAIL | NEXT)
    ring.desc(1, flags=0)


def used_in_a_list(ring):
    ring.desc(0, flags=AVAIL | NEXT)
    ring.desc(1, flags=AVAIL | USED)


def wrong_lap(ring):
    """A list round the end whose last descriptor has the wrap counter of the first."""
    ring.at = 7
    for _ in range(7):
        ring.give(READ)
    ring.queue.enable(ring.rings, ring.queue.features, base=7)
    ring.desc(7, flags=AVAIL | NEXT)
    ring.desc(0, flags=AVAIL)


def available_again(ring):
    """All slots are in flight, and the driver marks the first for the next lap."""
    ring.give(*[READ] * 8)
    ring.queue.pop()
    ring.desc(0, flags=USED)


def over_those_in_flight(ring):
    ring.give(*[READ] * 6)
    ring.queue.pop()
    ring.desc(6, flags=AVAIL | NEXT)
    ring.desc(7, flags=AVAIL | NEXT)
    ring.desc(0, flags=USED)


def same_id(ring):
    ring.give(READ, ident=4)
    ring.give(READ, READ, ident=4)
    ring.queue.pop()


CASES = {
    "a list that never ends": (direct(*[READ] * 7, (BUFFERS, 16, NEXT)), "after 8", "2.8.17"),
    "a list over those in flight": (over_those_in_flight, "after 2 descr", "2.8.17"),
    "all in flight, and one more": (available_again, "not used", "2.8.16"),
    "a list that is not all there": (partial, "slot 1 in a list", "2.8.17"),
    "a used descriptor in a list": (used_in_a_list, "slot 1 in a list", "2.8.17"),
    "the lap of the first, not its own": (wrong_lap, "slot 0 in a list", "2.8.17"),
    "INDIRECT and NEXT": (direct((TABLE, 16, INDIRECT), READ), "INDIRECT in a list", "2.8.19"),
    "INDIRECT at the end": (direct(READ, (TABLE, 16, INDIRECT)), "INDIRECT in a list", "2.8.19"),
    "a table of nothing": (table_of(0), "0 bytes", "2.8.7"),
    "a table and a half": (table_of(24), "24 bytes", "2.8.7"),
    "a table past the last address": (table_of(32, LAST), "last address", "2.8.13"),
    "a table larger than the queue": (table_of(16 * 9), "9 descriptors", "2.8.17"),
    "a huge table": (table_of(0xFFFF_FFF0), "in a queue of 8", "2.8.17"),
    "a table that is not memory": (table_of(32, MEMORY - 16), "no memory", "2.8.13"),
    "no bytes": (direct(READ, (BUFFERS, 0, 0)), "0 bytes", "2.8.4"),
    "no bytes in a table": (indirect(READ, (BUFFERS, 0, 0)), "0 bytes", "2.8.4"),
    "past the last address": (direct((LAST, 17, 0)), "last address", "2.8.13"),
    "readable behind writable": (direct(IN, READ), "readable buffer", "2.8.17"),
    "the same in a table": (indirect(READ, IN, READ), "readable buffer", "2.8.17"),
    "over the ring": (direct((RING + 127, 1, WRITE)), "over the queue", "2.8"),
    "over the events": (direct((RING + 128, 8, WRITE)), "over the queue", "2.8"),
    "more than 2**32 bytes": (direct((0, 0xFFFF_FFFF, 0), (0, 2, 0)), "chain of", "2.8.13"),
    "an id in flight": (same_id, "buffer id 4 is in flight", "2.8.21.1"),
    "a buffer that is not memory": (direct((MEMORY - 8, 9, 0)), "no memory", "2.8.13"),
    "not memory, to write": (direct(READ, (1 << 40, 1, WRITE)), "no memory", "2.8.13"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused_with_its_clause_and_nothing_moves(name):
    bad, says, clause = CASES[name]
    ring = Ring(size=8, features=INDIRECT_ONLY)
    bad(ring)
    error = refusal(ring)
    assert says in error.why
    assert error.spec == f"virtio 1.3 {clause}"
    assert str(refusal(ring)) == str(error)  # and so again: nothing was taken


@pytest.mark.parametrize("features", [frozenset(), EXACT])
def test_indirect_has_to_be_negotiated(features):
    """2.8.19."""
    ring = Ring(features=features)
    ring.give((*ring.table(READ), INDIRECT))
    error = refusal(ring)
    assert (error.why, error.spec) == ("INDIRECT without the feature", "virtio 1.3 2.8.19")


def test_a_buffer_may_end_at_the_last_address_of_memory():
    ring = Ring()
    ring.give((MEMORY - 8, 8, WRITE))
    assert ring.queue.pop().writable == 8


def test_a_driver_may_read_its_own_ring():
    """A readable buffer over the ring harms nobody but the driver."""
    ring = Ring()
    ring.give((RING, 16, 0))
    raw = bytes(ring.ram.bytes[RING : RING + 16])
    assert ring.queue.pop().read(ring.ram) == raw


def test_a_table_that_lies_in_the_ring_is_read_as_it_stands():
    """The table is the descriptor that refers to it: read again, as a table of one buffer."""
    ring = Ring(features=INDIRECT_ONLY)
    ring.give((RING, 16, INDIRECT))
    assert ring.queue.pop().buffers[0].addr == RING


ORDER = [
    ("a descriptor again", "2.8.16"),
    ("a list that is not there", "2.8.17"),
    ("INDIRECT without the feature", "2.8.19"),
    ("INDIRECT in a list", "2.8.19"),
    ("a table of 24 bytes", "2.8.7"),
    ("a buffer of 0 bytes", "2.8.4"),
    ("an id in flight", "2.8.21.1"),
    ("not memory", "2.8.13"),
]


def with_mistakes_from(first):
    """A ring that breaks every rule from the number `first` of `ORDER` on, as far as it can."""
    ring = Ring(size=4, features=frozenset() if first <= 2 else INDIRECT_ONLY)
    in_flight = 4 if first == 0 else 1
    ring.give(*[READ] * in_flight, ident=1)
    ring.queue.pop()
    at = in_flight
    next_one = NEXT if first <= 3 else 0
    kind = INDIRECT if first <= 4 else 0
    length = {5: 0}.get(first, 24)
    ident = 1 if first <= 6 else 2
    bits = AVAIL if at < 4 else USED
    ring.desc(at % 4, MEMORY - 8, length, ident, bits | next_one | kind)
    if next_one:
        flags = 0 if first <= 1 else AVAIL
        ring.desc((at + 1) % 4, MEMORY - 8, 24, ident, flags)
    return ring


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_of_many_mistakes_the_first_in_order_is_named(first):
    assert refusal(with_mistakes_from(first)).spec == f"virtio 1.3 {ORDER[first][1]}"


def test_more_than_one_kind_of_mistake_in_the_buffers():
    """Buffer by buffer, and for each: bytes, address, order, queue, total."""
    ring = Ring(features=INDIRECT_ONLY)
    ring.give(IN, (LAST, 17, 0))
    assert refusal(ring).spec == "virtio 1.3 2.8.13"
    ring = Ring(features=INDIRECT_ONLY)
    ring.give(IN, (RING, 16, 0))
    assert refusal(ring).spec == "virtio 1.3 2.8.17"


# -- one fetch


def test_each_byte_of_a_list_is_read_once():
    ring = Ring(size=8)
    ring.give(READ, READ, IN, ident=3)
    ring.queue.pop()
    assert ring.ram.times() == dict.fromkeys(range(RING, RING + 48), 1)


def test_each_byte_of_a_table_is_read_once():
    ring = Ring(size=8, features=INDIRECT_ONLY)
    ring.give((*ring.table(READ, READ, IN), INDIRECT))
    ring.queue.pop()
    expected = [*range(RING, RING + 16), *range(TABLE, TABLE + 48)]
    assert ring.ram.times() == dict.fromkeys(expected, 1)


@pytest.mark.parametrize("at", [RING, RING + 16, TABLE])
def test_a_table_changed_while_it_is_read_changes_nothing(at):
    """The driver spoils each descriptor as soon as it was read; the chain is of what was read."""
    ring = Ring(size=8, features=INDIRECT_ONLY)
    if at == TABLE:
        ring.give((*ring.table(READ, IN), INDIRECT))
    else:
        ring.give(READ, IN)
    expected = ring.queue.peek(0)

    def spoil(iova, length):
        if length > 2:
            ring.ram.bytes[iova : iova + length] = 0xFF

    ring.ram.after_read = spoil
    assert ring.queue.pop() == expected
    assert ring.ram.bytes[at] == 0xFF


def test_flags_that_change_after_the_first_look_are_not_looked_at_again():
    """Available without NEXT at first; then, while the rest is read, NEXT and INDIRECT."""
    ring = Ring(size=8)
    ring.give(IN, ident=2)

    def change(iova, length):
        if iova == RING + 14:
            ring.desc(0, BUFFERS, 16, 2, AVAIL | NEXT | INDIRECT)

    ring.ram.after_read = change
    chain = ring.queue.pop()
    assert (chain.slots, chain.writable) == (1, 16)


# -- where the queue lies


@pytest.mark.parametrize(
    ("rings", "says", "clause"),
    [
        (PackedRings(0, 0, 0x100, 0x104), "a packed queue of 0", "2.8"),
        (PackedRings(32769, 0, 0x90000, 0x90004), "a packed queue of 32769", "2.8"),
        (PackedRings(4, 8, 0x100, 0x104), "descriptor ring is at 0x8", "2.8.11"),
        (PackedRings(4, 0, 0x102, 0x104), "driver's event suppression is at 0x102", "2.8.11"),
        (PackedRings(4, 0, 0x100, 0x106), "device's event suppression is at 0x106", "2.8.11"),
        (PackedRings(4, LAST, 0x100, 0x104), "descriptor ring passes", "2.8"),
        (PackedRings(4, 0, 0x100, 1 << 64), "device's event suppression passes", "2.8"),
        (PackedRings(4, 0x40, 0x40, 0x104), "overlap", "2.8"),
        (PackedRings(4, 0x40, 0x104, 0x7C), "overlap", "2.8"),
        (PackedRings(4, 0x40, 0x104, 0x104), "overlap", "2.8"),
    ],
)
def test_a_queue_that_may_not_lie_there(rings, says, clause):
    ring = Ring(features=ALL)
    ring.give(READ)
    ring.queue.pop()
    error = refusal(ring, lambda: ring.queue.enable(rings))
    assert says in error.why
    assert error.spec == f"virtio 1.3 {clause}"


@pytest.mark.parametrize("size", [1, 3, 100, 32768])
def test_any_size_up_to_the_largest(size):
    queue = PackedQueue(CountingDma())
    queue.enable(PackedRings.placed(0, size))
    assert queue.size == size


# -- memory that is not there


def behind_memory(**parts):
    """A queue of 2 of which some parts are at addresses where nothing is."""
    ring = Ring(size=2, features=EXACT)
    ring.rings = ring.rings._replace(**parts)
    ring.queue.enable(ring.rings, EXACT)
    return ring


@pytest.mark.parametrize("name", ["pop", "available"])
def test_a_ring_that_is_not_memory(name):
    ring = behind_memory(desc=1 << 40)
    assert "no memory" in refusal(ring, getattr(ring.queue, name)).why


@pytest.mark.parametrize("name", ["pop", "disable_notify", "enable_notify"])
def test_the_devices_events_are_not_memory(name):
    ring = behind_memory(device=1 << 40)
    ring.give(READ)
    assert "no memory" in refusal(ring, getattr(ring.queue, name)).why


def test_the_drivers_events_are_not_memory():
    ring = behind_memory(driver=1 << 40)
    ring.give(READ)
    ring.queue.push(ring.queue.pop())
    assert "no memory" in refusal(ring, ring.queue.notify).why
    assert ring.interrupts == []


def test_a_list_whose_end_is_not_memory():
    ring = Ring(size=2, ram=CountingDma(0x3000))
    ring.rings = PackedRings(2, 0x2FF0, 0x100, 0x104)
    ring.queue.enable(ring.rings)
    ring.ram.bytes[0x2FFE] = AVAIL | NEXT
    ring.ram.bytes[0x2FF8] = 1
    assert "no memory" in refusal(ring).why


@pytest.mark.parametrize("limit", [RING + 8, RING + 14])
def test_a_ring_that_may_not_be_written(limit):
    """Neither half of a used descriptor, nor its flags alone, moves the queue."""
    ring = Ring(ram=ReadOnly(MEMORY))
    ring.give(IN, ident=1)
    chain = ring.queue.pop()
    ring.ram.limit = limit
    taken = ring.queue.used, ring.queue.in_flight, ring.found(0)[3]
    with pytest.raises(GuestError, match="read only"):
        ring.queue.push(chain, 4)
    assert (ring.queue.used, ring.queue.in_flight, ring.found(0)[3]) == taken
    ring.ram.limit = MEMORY
    ring.queue.push(chain, 4)
    assert ring.found(0)[1:3] == (4, 1)


# -- any bytes at all

flags = st.builds(
    lambda bits, more: bits | more,
    st.sampled_from([AVAIL, USED, AVAIL, USED, 0, AVAIL | USED]),
    st.sampled_from([0, NEXT, WRITE, NEXT | WRITE, INDIRECT, INDIRECT | NEXT, 0x7F78, 0xFFFF]),
)
addresses = st.sampled_from(
    [BUFFERS, RING, RING + 64, TABLE, 0, MEMORY - 16, MEMORY, LAST, (1 << 64) - 1]
)
sizes_of_buffers = st.sampled_from([0, 1, 15, 16, 32, 48, 160, 4096, 1 << 31, 0xFFFF_FFFF])
descriptors = st.tuples(addresses, sizes_of_buffers, st.integers(0, 3), flags)


def pop(queue):
    """A chain and a clause; no chain where there is none, or where it is refused."""
    try:
        return queue.pop(), "virtio 1.3 2.8"
    except GuestError as error:
        return None, error.spec


@given(
    st.integers(1, 9),
    st.integers(0, 20),
    st.lists(descriptors, min_size=1, max_size=12),
    st.lists(descriptors, max_size=10),
    st.sets(st.sampled_from(sorted(ALL))),
    st.integers(0, 0xFFFF_FFFF),
)
def test_whatever_a_driver_writes_is_a_list_or_a_refusal(size, base, ring_of, table, some, event):
    """No other exception, no change by a refusal, no byte of the ring read twice, no long loop."""
    ring = Ring(size, frozenset(some), base=base)
    ring.table(*[(addr, length, bits) for addr, length, _, bits in table])
    ring.ram.store(ring.rings.driver, 4, event)
    for number, (addr, length, ident, bits) in enumerate(ring_of):
        ring.desc((base + number) % size, addr, length, ident, bits)
    for _ in range(size + 2):
        ring.ram.reads.clear()
        before = ring.state()
        chain, clause = pop(ring.queue)
        assert clause.startswith("virtio 1.3 2.8")
        assert chain or ring.state() == before
        own = [n for at, n in ring.ram.times().items() if RING <= at < RING + 16 * size]
        most = 2 if Feature.RING_INDIRECT_DESC in some else 1  # a table may lie in the ring
        assert max(own, default=0) <= most
        assert sum(length for _, length in ring.ram.reads) <= 32 * size
        ring.queue._check()
        if chain is None:
            break
        assert 1 <= chain.slots <= size
        assert 1 <= len(chain.buffers) <= size
        if ring.queue.in_flight > 1 and not some:
            ring.queue.push(chain, chain.writable)
            ring.queue.notify()


def test_dma_faults_never_leave_the_queue():
    """The transport catches one type."""
    assert not issubclass(GuestError, DmaFault)
    ring = behind_memory(desc=1 << 40)
    with pytest.raises(GuestError) as caught:
        ring.queue.pop()
    assert isinstance(caught.value.__cause__, DmaFault)
