"""A driver that breaks the rules: each breach refused with its clause, and nothing moved by it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtio.raw import DATA, MEMORY, RING, TABLE, Raw
from virtlab.errors import DmaFault, GuestError
from virtlab.memory import GuestMemory
from virtlab.virtio.chain import Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, packer

TABLES = frozenset({Feature.RING_INDIRECT_DESC})
ORDER = frozenset({Feature.IN_ORDER, Feature.RING_INDIRECT_DESC})
CHAPTER = "virtio 1.3 2.7"


def refused(raw, spec, says=""):
    """`pop` is refused with clause `spec`, twice, and the queue is as it was."""
    before = raw.state()
    for _ in range(2):
        with pytest.raises(GuestError, match=says) as caught:
            raw.queue.pop()
        assert caught.value.spec == CHAPTER + spec
        assert raw.state() == before
        raw.queue._check()


# -- the available ring


@pytest.mark.parametrize("idx", [9, 0x7FFF, 0xFFFF])
def test_the_index_jumps(idx):
    raw = Raw(8)
    raw.offer(idx=idx)
    refused(raw, ".6.1", f"jumped by {idx}, with 0 of 8")
    with pytest.raises(GuestError):
        raw.queue.enable_notify()


def test_the_index_runs_backwards():
    raw = Raw(8)
    raw.chain(8)
    raw.queue.push(raw.queue.pop())
    raw.offer(idx=0)
    refused(raw, ".6.1", "jumped by 65535")


def test_more_buffers_than_the_queue_holds_those_in_flight_counted():
    raw = Raw(2)
    raw.chain(8, head=0)
    raw.chain(8, head=1)
    chain = raw.queue.pop()
    raw.offer(0)
    refused(raw, ".6.1", "jumped by 2, with 1 of 2 in flight")
    raw.queue.push(chain)
    assert raw.queue.pop().head == 1


@pytest.mark.parametrize("head", [8, 0x7FFF, 0xFFFF])
def test_a_head_out_of_range(head):
    raw = Raw(8)
    raw.offer(head)
    refused(raw, ".6", f"head {head} in a queue of 8")


# -- the chain


@pytest.mark.parametrize("following", [8, 0xFFFF])
def test_next_out_of_range(following):
    raw = Raw(8)
    raw.desc(0, flags=NEXT, following=following)
    raw.offer(0)
    refused(raw, ".5", f"descriptor {following} in a table of 8")


@pytest.mark.parametrize("loop", [1, 2, 7, 8])
def test_a_chain_that_comes_back_to_itself(loop):
    raw = Raw(8)
    for i in range(8):
        raw.desc(i, flags=NEXT, following=(i + 1) % loop)
    raw.offer(0)
    refused(raw, ".5.2", "comes back to itself")


def test_out_of_range_at_the_very_end_is_not_called_a_loop():
    raw = Raw(2)
    raw.desc(0, flags=NEXT, following=1)
    raw.desc(1, flags=NEXT, following=2)
    raw.offer(0)
    refused(raw, ".5", "descriptor 2 in a table of 2")


def test_a_loop_among_large_buffers_is_still_a_loop():
    """The structure is looked at before the sum of the lengths."""
    raw = Raw(8)
    raw.desc(0, length=2**32 - 1, flags=NEXT, following=0)
    raw.offer(0)
    refused(raw, ".5.2", "comes back to itself")


# -- indirect tables


def test_a_table_without_the_feature():
    raw = Raw()
    raw.desc(0, DATA, 3, table=TABLE)
    raw.indirect(1)
    refused(raw, ".5.3.1", "without the feature")


def test_a_table_in_a_table():
    raw = Raw(features=TABLES)
    raw.desc(0, TABLE, 16, INDIRECT, table=TABLE)
    raw.indirect(1)
    refused(raw, ".5.3.1", "in an indirect table")


def test_a_table_and_NEXT():
    raw = Raw(features=TABLES)
    raw.desc(0, DATA, 3, table=TABLE)
    raw.indirect(1, flags=NEXT)
    refused(raw, ".5.3.1", "INDIRECT and NEXT")


@pytest.mark.parametrize("length", [0, 1, 8, 15, 17, 31, 2**32 - 1])
def test_a_table_of_no_whole_descriptors(length):
    raw = Raw(features=TABLES)
    raw.desc(0, TABLE, length, INDIRECT)
    raw.offer(0)
    refused(raw, ".5.3", f"an indirect table of {length} bytes")


def test_next_out_of_the_table():
    raw = Raw(features=TABLES)
    raw.desc(0, DATA, 3, NEXT, 2, table=TABLE)
    raw.indirect(2)
    refused(raw, ".5", "descriptor 2 in a table of 2")


@pytest.mark.parametrize("entries", [1, 3, 8])
def test_a_loop_in_a_table(entries):
    raw = Raw(features=TABLES)
    for i in range(entries):
        raw.desc(i, DATA, 3, NEXT, 0, table=TABLE)
    raw.indirect(entries)
    refused(raw, ".5.2", "comes back to itself")


def test_a_table_with_a_chain_longer_than_the_queue():
    raw = Raw(4, features=TABLES)
    for i in range(5):
        raw.desc(i, DATA, 3, NEXT if i < 4 else 0, i + 1, table=TABLE)
    raw.indirect(5)
    refused(raw, ".5.3.1", "longer than the queue's 4")


def test_a_table_that_makes_the_chain_longer_than_the_queue():
    raw = Raw(4, features=TABLES)
    raw.desc(0, DATA, 1, NEXT, 1)
    raw.desc(1, TABLE, 64, INDIRECT)
    for i in range(4):
        raw.desc(i, DATA, 3, NEXT if i < 3 else 0, i + 1, table=TABLE)
    raw.offer(0)
    refused(raw, ".5.3.1", "5 descriptors, in a queue of 4")


def test_a_table_that_passes_the_last_address():
    raw = Raw(features=TABLES)
    raw.indirect(2, addr=2**64 - 16)
    refused(raw, ".5", "passes the last address")


def test_a_ring_that_is_its_own_table():
    """The descriptor table read as the indirect table: its first entry is INDIRECT itself."""
    raw = Raw(features=TABLES)
    raw.indirect(8, addr=RING)
    refused(raw, ".5.3.1", "in an indirect table")


def test_the_first_breach_of_a_table_counts():
    """In this order: the feature, NEXT, the length, the address."""
    raw = Raw()
    raw.desc(0, 2**64 - 1, 17, INDIRECT | NEXT)
    raw.offer(0)
    refused(raw, ".5.3.1", "without the feature")
    raw.queue.enable(raw.rings, TABLES)
    refused(raw, ".5.3.1", "INDIRECT and NEXT")
    raw.desc(0, 2**64 - 1, 17, INDIRECT)
    refused(raw, ".5.3", "of 17 bytes")
    raw.desc(0, 2**64 - 1, 16, INDIRECT)
    refused(raw, ".5", "passes the last address")
    raw.desc(0, 2**64 - 16, 16, INDIRECT)
    refused(raw, ".5", "no memory there")


# -- in order


@pytest.mark.parametrize(("index", "following"), [(0, 2), (0, 0), (7, 1), (3, 2)])
def test_in_order_a_chain_takes_neighbours(index, following):
    """2.7.5.2: x is followed by x + 1, the last by 0."""
    raw = Raw(8, ORDER)
    raw.desc(index, flags=NEXT, following=following)
    raw.offer(index)
    refused(raw, ".5.2", f"next is {following}, in order it is {(index + 1) % 8}")


def test_in_order_0_follows_the_last():
    raw = Raw(8, ORDER)
    raw.desc(7, flags=NEXT, following=0)
    raw.desc(0)
    raw.offer(7)
    assert raw.queue.pop().slots == 2


@pytest.mark.parametrize("following", [0, 2])
def test_in_order_a_table_is_read_from_front_to_back(following):
    """2.7.5.3.1: 1 after the first, 2 after the second."""
    raw = Raw(8, ORDER)
    raw.desc(0, flags=NEXT, following=following, table=TABLE)
    raw.indirect(3)
    refused(raw, ".5.3.1", f"next is {following}, in order it is 1")


# -- the buffers


@pytest.mark.parametrize(
    ("addr", "length", "flags", "spec", "says"),
    [
        (DATA, 0, 0, ".13.1", "0 bytes"),
        (DATA, 0, WRITE, ".13.1", "0 bytes"),
        (2**64 - 1, 2, 0, ".5", "passes the last address"),
        (2**64 - 16, 2**32 - 1, WRITE, ".5", "passes the last address"),
        (2**64 - 16, 16, 0, ".5", "no memory there"),
        (MEMORY, 1, 0, ".5", "no memory there"),
        (MEMORY - 15, 16, WRITE, ".5", "no memory there"),
        (DATA, 2**31, 0, ".5", "no memory there"),
        (RING, 16, WRITE, "", "over the queue"),
        (RING - 1, 2, WRITE, "", "over the queue"),
    ],
)
def test_a_buffer_that_may_not_be(addr, length, flags, spec, says):
    raw = Raw()
    raw.desc(0, flags=NEXT, following=1)
    raw.desc(1, addr, length, flags)
    raw.offer(0)
    refused(raw, spec, says)


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("end", [0, 1])
def test_no_byte_of_the_queue_is_a_buffer_to_write(part, end):
    raw = Raw(8)
    start, length = raw.rings.parts[part]
    raw.desc(0, start + end * (length - 1), 1, WRITE)
    raw.offer(0)
    refused(raw, "", "over the queue")
    raw.desc(0, start + end * (length - 1), 1)
    assert raw.queue.pop().readable == 1


def test_a_readable_buffer_behind_a_writable_one():
    raw = Raw()
    raw.desc(0, flags=WRITE | NEXT, following=1)
    raw.desc(1)
    raw.offer(0)
    refused(raw, ".4.2", "behind a writable")


def test_more_than_4_GiB_in_all():
    raw = Raw(4)
    for i, length in enumerate((2**31, 2**31, 1)):
        raw.desc(i, 0, length, NEXT if i < 2 else 0, i + 1)
    raw.offer(0)
    refused(raw, ".5.2", "0x100000001 bytes")


# -- memory that goes away


class Holes:
    """Memory in which reads or writes of some addresses fault; it counts both."""

    def __init__(self, ram):
        self.ram = ram
        self.reads: list[tuple[int, int]] = []
        self.bad_read = self.bad_write = range(0)
        self.change = None

    def read(self, iova, length):
        if iova in self.bad_read:
            raise DmaFault("not yours", iova, length)
        self.reads.append((iova, length))
        data = self.ram.read(iova, length)
        if self.change:
            self.change(iova, length)
        return data

    def write(self, iova, data):
        if iova in self.bad_write:
            raise DmaFault("not yours", iova, len(data))
        self.ram.write(iova, data)

    def view(self, iova, length, write=False):
        return self.ram.view(iova, length, write)


def rig(features=frozenset()):
    raw = Raw(8, features, Holes)
    raw.chain(16, 16, writable=1)
    return raw, raw.queue.dma


@pytest.mark.parametrize(("part", "spec"), [(0, ".5"), (1, "")])
def test_a_part_that_cannot_be_read(part, spec):
    raw, dma = rig()
    start, length = raw.rings.parts[part]
    dma.bad_read = range(start, start + length)
    refused(raw, spec, "not yours")


def test_a_table_that_cannot_be_read():
    raw = Raw(8, TABLES, Holes)
    raw.indirect(1)
    raw.queue.dma.bad_read = range(TABLE, TABLE + 16)
    refused(raw, ".5", "not yours")


def test_a_threshold_that_cannot_be_written():
    """The wish to be rung for is written before the chain is taken."""
    raw, dma = rig({Feature.RING_EVENT_IDX})
    dma.bad_write = [raw.rings.used_field("avail_event")]
    refused(raw, "", "not yours")


@pytest.mark.parametrize("field", ["ring", "idx"])
def test_a_used_ring_that_cannot_be_written(field):
    """The index in memory does not move, and the chain stays in flight."""
    raw, dma = rig()
    chain = raw.queue.pop()
    dma.bad_write = [raw.rings.used_field(field)]
    counts, idx = raw.state()[0], raw.get("idx")
    with pytest.raises(GuestError, match="not yours") as caught:
        raw.queue.push(chain, 1)
    assert caught.value.spec == "virtio 1.3 2.7"
    assert (raw.state()[0], raw.get("idx")) == (counts, idx)
    dma.bad_write = range(0)
    raw.queue.push(chain, 1)
    assert raw.used(0) == (0, 1)


@pytest.mark.parametrize("features", [frozenset(), frozenset({Feature.RING_EVENT_IDX})])
def test_a_threshold_that_cannot_be_read(features):
    raw, dma = rig(features)
    raw.queue.push(raw.queue.pop())
    start, length = raw.rings.parts[1]
    dma.bad_read = range(start, start + length)
    before = raw.state()
    with pytest.raises(GuestError, match="not yours"):
        raw.queue.notify()
    assert raw.state() == before
    dma.bad_read = range(0)
    assert raw.queue.notify()


@pytest.mark.parametrize("features", [frozenset(), frozenset({Feature.RING_EVENT_IDX})])
@pytest.mark.parametrize("call", ["disable_notify", "enable_notify"])
def test_a_wish_that_cannot_be_written(features, call):
    raw, dma = rig(features)
    dma.bad_write = [raw.rings.used_field("flags"), raw.rings.used_field("avail_event")]
    before = raw.state()
    with pytest.raises(GuestError, match="not yours"):
        getattr(raw.queue, call)()
    assert raw.state() == before


# -- a table that changes while it is read


def test_every_word_is_read_once():
    raw = Raw(8, TABLES, Holes)
    raw.desc(2, DATA, 1, NEXT, 4)
    raw.desc(4, TABLE, 32, INDIRECT)
    raw.desc(0, DATA, 1, NEXT, 1, table=TABLE)
    raw.desc(1, DATA, 1, table=TABLE)
    raw.offer(2)
    raw.queue.pop()
    rings = raw.rings
    assert raw.queue.dma.reads == [
        (rings.avail_field("idx"), 2),
        (rings.avail_at(0), 2),
        (rings.desc_at(2), 16),
        (rings.desc_at(4), 16),
        (TABLE, 32),
    ]


def test_what_the_guest_changes_behind_the_read_changes_nothing():
    """After each read the guest makes what was read as bad as it can."""
    raw, dma = rig()
    worst = packer(DESC).pack(2**64 - 1, 0, NEXT | INDIRECT | WRITE, 0xFFFF)
    dma.change = lambda iova, length: raw.ram.write(
        iova, worst[:length] if length > 2 else b"\xff\xff"
    )
    chain = raw.queue.pop()
    assert [tuple(buffer) for buffer in chain.buffers] == [
        (DATA, 16, False),
        (DATA + 0x100, 16, True),
    ]
    assert chain.head == 0
    dma.change = None
    raw.queue.push(chain, 16)
    assert raw.used(0) == (0, 16)


# -- any guest at all


small = st.integers(0, 9)
places = st.sampled_from([DATA, DATA + 8, TABLE, RING, RING + 64, MEMORY - 8, 2**64 - 8])
lengths = st.sampled_from([0, 1, 8, 16, 32, 48, 64, 256, 2**31, 2**32 - 1])
descriptors = st.lists(
    st.tuples(places, lengths, st.integers(0, 7), small), min_size=16, max_size=16
)


@given(
    table=descriptors,
    inside=descriptors,
    entries=st.lists(small, min_size=8, max_size=8),
    idx=st.integers(0, 9) | st.integers(0, 0xFFFF),
    optional=st.sets(st.sampled_from(sorted(ORDER | {Feature.RING_EVENT_IDX}))),
)
def test_pop_gives_a_chain_that_keeps_the_rules_or_refuses_and_changes_nothing(
    table, inside, entries, idx, optional
):
    raw = Raw(8, optional, Holes)
    for i in range(8):
        raw.desc(i, *table[i])
    for i, fields in enumerate(inside):
        raw.desc(i, *fields, table=TABLE)
    raw.offer(*entries, idx=idx)
    for _ in range(9):
        before, raw.queue.dma.reads = raw.state(), []
        chain = pop_or_clause(raw.queue)
        raw.queue._check()
        assert len(raw.queue.dma.reads) <= 2 + 2 * 8
        if not isinstance(chain, Chain):
            assert chain is None or chain.startswith(CHAPTER)
            assert raw.state() == before
            break
        sound(raw, chain)


def pop_or_clause(queue):
    """What `pop` gives, or the clause by which it refuses."""
    try:
        return queue.pop()
    except GuestError as error:
        return error.spec


def sound(raw, chain):
    """The rules, said once more in another way."""
    writes = [buffer.write for buffer in chain.buffers]
    assert writes == sorted(writes)
    assert 1 <= len(chain.buffers) <= 8
    assert 1 <= chain.slots <= 8
    assert chain.readable + chain.writable <= 2**32
    for addr, length, write in chain.buffers:
        assert length > 0
        assert addr + length <= MEMORY
        assert (
            not write
            or addr >= raw.rings.end
            or addr + length <= RING
            or not any(
                start < addr + length and addr < start + size for start, size in raw.rings.parts
            )
        )


def test_random_bytes_never_raise_anything_else():
    """The whole ring is noise, drawn from a fixed seed, and the memory is small."""
    noise = np.random.default_rng(7)
    outcomes = {"chain": 0, "refused": 0}
    for _ in range(300):
        raw = Raw(8, TABLES)
        start, length = raw.rings.parts[0]
        raw.ram.write(start, noise.integers(0, 256, length, np.uint8).tobytes())
        table = raw.ram.view(start, length).view(DESC)
        table["addr"] &= 0x1FFFF
        table["len"] &= 0xFF
        table["next"] &= 7
        raw.offer(int(noise.integers(0, 8)))
        got = pop_or_clause(raw.queue)
        outcomes["chain" if isinstance(got, Chain) else "refused"] += 1
    assert min(outcomes.values()) > 20, outcomes


def test_the_memory_is_the_only_thing_asked():
    """A queue works over any `Dma`; plain memory is one."""
    assert isinstance(Raw().queue.dma, GuestMemory)
