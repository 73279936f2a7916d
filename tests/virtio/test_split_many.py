"""The plural calls of a split queue: what a batch takes, where it ends, and what it leaves."""

import numpy as np
import pytest

from tests.virtio.split_pair import BUFFERS, RING, TABLES, Pair
from virtlab.errors import DmaFault, GuestError
from virtlab.memory import PAGE, GuestMemory
from virtlab.virtio import split_many
from virtlab.virtio.batch import Batch
from virtlab.virtio.chain import Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings, packer
from virtlab.virtio.ordering import Order
from virtlab.virtio.split import SplitQueue

IN_ORDER = frozenset({Feature.IN_ORDER})
EVENTS = frozenset({Feature.RING_EVENT_IDX})
TABLES_TOO = frozenset({Feature.RING_INDIRECT_DESC})


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Arrays for one chain too."""
    monkeypatch.setattr(split_many, "FEW", 1)


def singles(pair, heads, at=BUFFERS, length=16, flags=0):
    """A chain of one descriptor at each of `heads`, offered."""
    for i, head in enumerate(heads):
        pair.desc(head, at + 64 * i, length, flags)
    pair.offer(*heads)


def take(pair):
    """Both pop all, and both give it all back complete."""
    chains, batch, why = pair.pop_all()
    assert why is None
    pair.push_all(chains, batch, np.array([chain.writable for chain in chains], np.int64))
    return batch


# -- taking


def test_one_descriptor_a_chain():
    pair = Pair(8)
    singles(pair, range(8), flags=WRITE)
    batch = take(pair)
    assert batch.heads.tolist() == list(range(8))
    assert batch.slots.tolist() == [1] * 8
    assert batch.offset.tolist() == [BUFFERS + 64 * i for i in range(8)]
    assert batch.length.tolist() == [16] * 8
    assert batch.write.all()


def test_nothing_there_and_no_queue():
    pair = Pair(8)
    queue = pair.vector.queue
    assert len(queue.pop_many()) == 0
    queue.push_many(queue.pop_many())
    queue.push_many([])
    queue.reset()
    assert len(queue.pop_many()) == 0


def test_few_long_chains_among_many_short_ones():
    """The long ones are walked by a loop: a step of all chains for one descriptor is dear."""
    pair = Pair(64, TABLES_TOO)
    for i in range(8):
        pair.desc(i, BUFFERS + i, 1)
    order = [*range(9, 63, 2), *range(10, 63, 2)]
    for i, head in enumerate(order):
        pair.desc(head, BUFFERS, 2, NEXT if i < len(order) - 1 else 0, [*order, 0][i + 1])
    pair.desc(8, BUFFERS, 2, NEXT, order[0])
    pair.offer(0, 1, 8, 2, 3)
    assert np.diff(take(pair).starts).tolist() == [1, 1, 55, 1, 1]


def test_a_limit():
    pair = Pair(8)
    singles(pair, range(8))
    queue = pair.vector.queue
    assert [len(queue.pop_many(n)) for n in (0, 3, 1, 9)] == [0, 3, 1, 4]
    with pytest.raises(ValueError, match="0 or more, not -1"):
        queue.pop_many(-1)


def test_a_batch_needs_memory_that_is_one_array():
    class Elsewhere:
        read = write = view = None

    queue = SplitQueue(Elsewhere())
    with pytest.raises(TypeError, match="`Flat`"):
        queue.pop_many()


@pytest.mark.parametrize("size", [1, 2, 8, 64])
@pytest.mark.parametrize("base", [0, 1, 65535])
def test_round_the_end_of_ring_table_and_count(size, base):
    """The entries begin at `base`, the heads in the middle of the table."""
    pair = Pair(size, base=base)
    heads = [(size // 2 + i) % size for i in range(size)]
    for lap in range(3):
        for head in heads:
            pair.desc(head, BUFFERS + head + lap, 1 + head % 7)
        pair.offer(*heads)
        assert take(pair).heads.tolist() == heads
    assert pair.vector.queue.used == base + 3 * size


def test_the_largest_queue():
    """32768 entries, round the end of everything, against what a driver wrote by arrays."""
    size, base = 32768, 65000
    ram, rings = GuestMemory(1 << 21), SplitRings.placed(RING, 32768)
    queue = SplitQueue(ram)
    queue.enable(rings, base=base)
    desc, avail, _ = (ram.view(*part) for part in rings.parts)
    table, ring = desc.view(DESC), avail[4:-2].view(np.uint16)
    numbers = np.arange(size)
    table["len"] = 1 + numbers % 7
    heads = (numbers + 77) % size
    ring[(base + numbers) % size] = heads
    for lap in range(1, 4):
        table["addr"] = 0x100000 + numbers + lap
        ram.store(rings.avail_field("idx"), 2, base + lap * size)
        batch = queue.pop_many()
        assert np.array_equal(batch.heads, heads)
        assert np.array_equal(batch.offset, table["addr"][heads])
        assert np.array_equal(batch.length, table["len"][heads])
        queue.push_many(batch)
        elements = ram.view(rings.used_at(0), 8 * size).view(np.uint64)
        assert np.array_equal(elements[(base + numbers) % size], heads)
        assert ram.load(rings.used_field("idx"), 2) == (base + lap * size) % 65536
        queue._check()


def test_few_chains_are_taken_one_by_one(monkeypatch):
    monkeypatch.setattr(split_many, "FEW", 5)
    monkeypatch.setattr(split_many.SplitMany, "_take", None)
    pair = Pair(8)
    singles(pair, range(4))
    assert len(take(pair)) == 4


def test_mixed_lengths_and_tables():
    pair = Pair(8, TABLES_TOO)
    pair.desc(4, BUFFERS, 7, NEXT, 2)
    pair.desc(2, BUFFERS + 8, 8, WRITE)
    for i in range(3):
        pair.desc(i, BUFFERS + 100 * i, 10 + i, NEXT if i < 2 else WRITE, i + 1, table=TABLES)
    pair.desc(7, BUFFERS, 1, NEXT, 0)
    pair.desc(0, TABLES, 48, INDIRECT | WRITE)
    pair.desc(1, BUFFERS, 3)
    pair.desc(3, TABLES + 16, 32, INDIRECT)
    pair.desc(0, BUFFERS + 1, 9, NEXT, 1, table=TABLES + 1000)
    pair.desc(1, BUFFERS + 2, 9, WRITE, table=TABLES + 1000)
    pair.offer(4, 7, 1)
    batch = take(pair)
    assert batch.slots.tolist() == [2, 2, 1]
    assert batch.starts.tolist() == [0, 2, 6, 7]
    pair.desc(3, TABLES + 1000, 32, INDIRECT)
    pair.offer(3, 7, 3)
    assert take(pair).length.tolist() == [9, 9, 1, 10, 11, 12, 9, 9]


@pytest.mark.parametrize("tables", [False, True])
def test_chains_that_loop_through_each_other_do_not_multiply(tables):
    """64 heads of one chain of 64: 4096 pieces are taken, no more than 4 * 64 at once."""
    pair = Pair(64, TABLES_TOO)
    for i in range(64):
        last = i == 63
        pair.desc(i, BUFFERS, 1, 0 if last else NEXT, i + 1, table=TABLES if tables else None)
    if tables:
        pair.desc(0, TABLES, 64 * 16, INDIRECT)
    pair.offer(*[0] * 64)
    chains, _ = pair.pop_scalar()
    batches, _ = pair.pop_vector()
    assert len(batches) >= 16
    assert all(len(batch.offset) <= 4 * 64 for batch in batches)
    assert np.array_equal(Batch.joined(batches).offset, Batch.of(chains, pair.scalar.ram).offset)


# -- refusals


def test_the_batch_ends_before_a_chain_that_breaks_a_rule():
    pair = Pair(8)
    singles(pair, range(8))
    pair.desc(5, BUFFERS, 0)
    queue = pair.vector.queue
    assert queue.pop_many().heads.tolist() == [0, 1, 2, 3, 4]
    for _ in range(2):
        with pytest.raises(GuestError, match="0 bytes") as caught:
            queue.pop_many()
        assert caught.value.spec == "virtio 1.3 2.7.13.1"
        assert queue.last_avail == 5
    pair.desc(5, BUFFERS, 1)
    assert queue.pop_many().heads.tolist() == [5, 6, 7]


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("the ring's own", (0x7FFF, 2)),
        ("none", (2**64 - 8, 8)),
        ("above all", (2**63, 1)),
        ("too long", (BUFFERS, 2**32 - 1)),
        ("the table", (RING, 1, WRITE)),
        ("the used ring", (RING + 16 * 8 + 40, 1, WRITE)),
        ("a loop", (BUFFERS, 1, NEXT, 6)),
        ("out of range", (BUFFERS, 1, NEXT, 8)),
        ("no feature", (TABLES, 16, INDIRECT)),
        ("readable last", (BUFFERS, 1, WRITE | NEXT, 7)),
    ],
)
@pytest.mark.parametrize("where", [0, 6])
def test_each_wrong_descriptor(place, fields, where):
    """Both refuse it in the same words, alone and behind others."""
    pair = Pair(8)
    for i in range(8):
        pair.desc(i, BUFFERS, 16)
    pair.desc(6, *fields)
    pair.offer(*range(6 - where, 8))
    chains, _, why = pair.pop_all()
    assert len(chains) == where
    assert why is not None


@pytest.mark.parametrize(
    ("says", "fields", "entries"),
    [
        ("of 0 bytes", (TABLES, 0, INDIRECT), []),
        ("of 17 bytes", (TABLES, 17, INDIRECT), [(BUFFERS, 1, 0, 0)]),
        ("INDIRECT and NEXT", (TABLES, 16, INDIRECT | NEXT), [(BUFFERS, 1, 0, 0)]),
        ("passes the last", (2**64 - 16, 32, INDIRECT), []),
        ("no memory", (0x9000, 16, INDIRECT), []),
        ("in an indirect table", (TABLES, 16, INDIRECT), [(TABLES, 16, INDIRECT, 0)]),
        ("in an indirect table", (TABLES, 32, INDIRECT), [(TABLES, 16, INDIRECT | NEXT, 1)]),
        ("in a table of 1", (TABLES, 16, INDIRECT), [(BUFFERS, 1, NEXT, 1)]),
        ("back to itself", (TABLES, 32, INDIRECT), [(BUFFERS, 1, NEXT, 1), (BUFFERS, 1, NEXT, 0)]),
        (
            "longer than the queue's 8",
            (TABLES, 160, INDIRECT),
            [(BUFFERS, 1, NEXT * (i < 8), i + 1) for i in range(10)],
        ),
        (
            "behind a writable one",
            (TABLES, 32, INDIRECT),
            [(BUFFERS, 1, NEXT | WRITE, 1), (BUFFERS, 1, 0, 0)],
        ),
    ],
)
@pytest.mark.parametrize("where", [0, 2, 6])
def test_each_wrong_table(says, fields, entries, where):
    """Among chains of one, and behind a chain whose table is right."""
    pair = Pair(8, TABLES_TOO)
    for i in range(8):
        pair.desc(i, BUFFERS, 16)
    pair.desc(1, TABLES + 0x800, 32, INDIRECT)
    pair.desc(0, BUFFERS, 1, NEXT, 1, table=TABLES + 0x800)
    pair.desc(1, BUFFERS, 1, WRITE, 0, table=TABLES + 0x800)
    for i, entry in enumerate(entries):
        pair.desc(i, *entry, table=TABLES)
    pair.desc(where, *fields)
    pair.offer(*range(8))
    chains, _, why = pair.pop_all()
    assert len(chains) == where
    assert says in why[0]


def refused(pair, taken, says):
    chains, _, why = pair.pop_all()
    assert len(chains) == taken
    assert says in why[0]


def test_a_table_without_the_feature():
    pair = Pair(8)
    pair.desc(0, BUFFERS, 1, table=TABLES)
    pair.desc(0, TABLES, 16, INDIRECT)
    pair.offer(0)
    refused(pair, 0, "without the feature")


def test_a_table_in_the_middle_of_neighbours():
    pair = Pair(8, TABLES_TOO)
    for i in range(4):
        pair.desc(i, BUFFERS, 16, NEXT * (i % 2 == 0), i + 1)
    pair.desc(2, TABLES, 16, INDIRECT | NEXT, 3)
    pair.offer(0, 2)
    refused(pair, 1, "INDIRECT and NEXT")


def test_a_chain_that_ends_before_the_next_begins():
    """As many descriptors go on as if each chain ended where the next begins."""
    pair = Pair(8)
    for i, flags in enumerate((0, NEXT, NEXT, 0)):
        pair.desc(i, BUFFERS, 16, flags, i + 1)
    pair.offer(0, 2)
    assert take(pair).slots.tolist() == [1, 2]


def test_what_lies_behind_the_table_is_no_descriptor():
    """Here the available ring would make a good one: 16 bytes at 0x10000."""
    pair = Pair(8)
    pair.desc(0, BUFFERS, 1, NEXT, 8)
    pair.store(pair.rings.avail_at(2), 16)
    pair.offer(0)
    refused(pair, 0, "descriptor 8 in a table of 8")


ORDERED = IN_ORDER | TABLES_TOO


def test_in_order_each_descriptor_is_followed_by_its_neighbour():
    """In the ring 0 follows the last; in a table nothing does. Else the chain is refused."""
    for first, then, right in ((6, 7, True), (7, 0, True), (5, 7, False), (7, 6, False)):
        pair = Pair(8, ORDERED)
        pair.desc(2, BUFFERS, 1)
        pair.desc(first, BUFFERS, 1, NEXT, then)
        pair.desc(then, BUFFERS, 1)
        pair.offer(2, first, 2)
        chains, _, why = pair.pop_all()
        assert (len(chains), why is None) == ((3, True) if right else (1, False))
    for then, right in ((1, True), (2, False)):
        pair = Pair(8, ORDERED)
        pair.desc(0, TABLES, 48, INDIRECT)
        for i in range(3):
            pair.desc(i, BUFFERS, 1, 0 if i else NEXT, then, table=TABLES)
        pair.offer(0, 0)
        chains, _, why = pair.pop_all()
        assert (len(chains), why is None) == ((2, True) if right else (0, False))


def test_a_table_that_makes_the_chain_too_long():
    """Seven in the ring, of which one refers to a table of three."""
    pair = Pair(8, TABLES_TOO)
    for i in range(3):
        pair.desc(i, BUFFERS, 1, NEXT * (i < 2), i + 1, table=TABLES)
    for i in range(7):
        pair.desc(i, BUFFERS, 1, NEXT * (i < 6), i + 1)
    pair.desc(6, TABLES, 48, INDIRECT)
    pair.desc(7, BUFFERS, 1)
    pair.offer(7, 0)
    chains, _, why = pair.pop_all()
    assert len(chains) == 1
    assert "9 descriptors, in a queue of 8" in why[0]


@pytest.mark.parametrize("head", [8, 65535])
@pytest.mark.parametrize("where", [0, 2, 7])
def test_a_head_that_is_none(head, where):
    pair = Pair(8)
    for i in range(8):
        pair.desc(i, BUFFERS, 16)
    heads = [0, 3, 1, 5, 4, 6, 7, 2]
    heads[where] = head
    pair.offer(*heads)
    chains, _, why = pair.pop_all()
    assert len(chains) == where
    assert f"head {head} in a queue of 8" in why[0]


def test_more_bytes_than_a_chain_may_have():
    """Memory of 3 GiB, of which nothing is touched."""
    pair = Pair(8, regions=[(0, 3 << 30)])
    pair.scalar.ram.bytes  # noqa: B018
    for head in (0, 2, 4):
        pair.desc(head, BUFFERS, (2 << 30) - (head < 4), NEXT, head + 1)
        pair.desc(head + 1, BUFFERS, (2 << 30) + (head > 2))
    queue = pair.vector.queue
    pair.offer(0, 2, 4)
    assert len(queue.pop_many()) == 2
    with pytest.raises(GuestError, match="a chain of"):
        queue.pop_many()


@pytest.mark.parametrize("nowhere", [0x3000, 2**63])
def test_a_part_of_the_queue_that_is_no_memory(nowhere):
    for missing in range(3):
        ram = GuestMemory([(0, 0x2000), (0x4000, 0x2000)])
        parts = [0x1000, 0x1100, 0x1200]
        parts[missing] = nowhere
        queue = SplitQueue(ram)
        queue.enable(SplitRings(8, *parts))
        ram.write(0x1000, packer(DESC).pack(0x4000, 8, 0, 0))
        ram.store(0x1102, 2, 1)
        if missing < 2:
            with pytest.raises(GuestError, match="no memory there"):
                queue.pop_many()
            continue
        batch = queue.pop_many()
        with pytest.raises(GuestError, match="no memory there"):
            queue.push_many(batch)
        assert (queue.last_avail, queue.used) == (1, 0)


# -- what was seen before


def changes(pair, *steps):
    """After a few equal rounds each of `steps` changes something, and the batch shows it."""
    for step in [*[lambda: None] * 3, *steps]:
        step()
        pair.offer(*range(8))
        take(pair)


def test_what_changed_since_is_seen():
    pair = Pair(8, regions=[(0, 0x8000), (0x10000, 0x4000)])
    for i in range(8):
        pair.desc(i, BUFFERS + 64 * i, 16)
    again = [lambda: None] * 10
    changes(
        pair,
        lambda: pair.desc(3, BUFFERS + 5, 16),
        *again,
        lambda: pair.desc(4, BUFFERS + 5, 17),
        lambda: pair.desc(0, BUFFERS, 16, WRITE),
        *again,
        lambda: pair.desc(2, 0x10000, 16),  # in another region: no window has both
        *again,
        lambda: pair.desc(5, RING + 0x3000, 16, WRITE),
    )


def test_other_heads_at_the_same_place():
    pair = Pair(8)
    for i in range(8):
        pair.desc(i, BUFFERS + 64 * i, 16)
    orders = [[0, 1, 2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 0, 1, 2, 3], [7, 6, 5, 4, 3, 2, 1, 0]]
    for heads in orders * 4:
        pair.offer(*heads)
        assert take(pair).heads.tolist() == heads


def test_heads_that_are_no_neighbours_any_more():
    """Equal descriptors lie where the neighbours were. They are not those of the chains."""
    pair = Pair(8)
    for i in range(8):
        pair.desc(i, BUFFERS, 16)
    for heads in [[0, 1, 2, 3]] * 4 + [[7, 5, 6, 4]] * 40:
        pair.offer(*heads)
        take(pair)
    pair.desc(5, BUFFERS + 5, 16)
    pair.offer(7, 5, 6, 4)
    assert take(pair).offset.tolist() == [BUFFERS, BUFFERS + 5, BUFFERS, BUFFERS]


def test_another_number_of_chains_at_the_same_place():
    pair = Pair(8)
    for count in (8, 8, 3, 5, 4, 4, 8, 1, 7, 8):
        singles(pair, range(count))
        take(pair)
    remembered(pair.vector.queue._many)


def remembered(many):
    """No more is kept than a few times what the queue has."""
    assert many._kept == sum(seen.size for seen in many.seen.values()) <= 4 * 8


def test_not_every_place_is_remembered():
    """Batches of seven in a ring of eight begin at another place each time."""
    pair = Pair(8)
    for _ in range(16):
        singles(pair, range(7))
        take(pair)
        remembered(pair.vector.queue._many)


class Moving(GuestMemory):
    """Memory that lies elsewhere after `move`, as behind a remapper: 0x1000 bytes further on."""

    shift = 0

    def move(self):
        self.bytes[0x1000:] = self.bytes[:-0x1000].copy()
        self.shift += 0x1000
        self.generation += 1

    def offset(self, gpa, length=1, write=False):
        return super().offset(gpa + self.shift, length, write)

    def offset_many(self, gpas, lengths, write=None):
        return super().offset_many(gpas + self.shift, lengths, write)


def test_another_map_of_memory():
    """All that was seen is forgotten: the same iovas are elsewhere now."""
    ram = Moving(0x20000)
    queue = SplitQueue(ram)
    rings = SplitRings.placed(RING, 8)
    queue.enable(rings)
    for i in range(8):
        ram.write(rings.desc_at(i), packer(DESC).pack(BUFFERS + i, 1, 0, 0))
        ram.store(rings.avail_at(i), 2, i)
    for lap in range(1, 4):
        ram.store(rings.avail_field("idx"), 2, 8 * lap)
        batch = queue.pop_many()
        assert batch.offset[0] == BUFFERS + ram.shift
        ram.move()
        queue.push_many(batch)
        assert ram.load(rings.used_field("idx"), 2) == 8 * lap


class Changing(GuestMemory):
    """A guest that rewrites its table as soon as the device asks where a buffer is."""

    def __init__(self, rings):
        super().__init__(0x10000)
        self.rings = rings

    def strike(self):
        for i in range(8):
            self.bytes[self.rings.desc_at(i) : self.rings.desc_at(i) + 16] = 0xFF

    def offset_many(self, gpas, lengths, write=None):
        if gpas.min() >= BUFFERS:
            self.strike()
        return super().offset_many(gpas, lengths, write)


@pytest.mark.parametrize("chained", [False, True])
def test_what_is_used_is_what_was_checked(chained):
    rings = SplitRings.placed(RING, 8)
    ram = Changing(rings)
    queue = SplitQueue(ram)
    queue.enable(rings)
    for i in range(8):
        flags = NEXT if chained and not i % 2 else 0
        ram.write(rings.desc_at(i), packer(DESC).pack(BUFFERS + i, 5, flags, i + 1))
    heads = range(0, 8, 1 + chained)
    for i, head in enumerate(heads):
        ram.store(rings.avail_at(i), 2, head)
    ram.store(rings.avail_field("idx"), 2, len(heads))
    batch = queue.pop_many()
    assert batch.offset.tolist() == [BUFFERS + i for i in range(8)]
    assert batch.length.tolist() == [5] * 8
    assert not batch.write.any()


class Pages(GuestMemory):
    """Behind a remapper: iova pages lie in memory in an order of their own."""

    order = (3, 1, 2, 0, 7, 6, 5, 4)

    def offset(self, gpa, length=1, write=False):
        page, inside = divmod(gpa, PAGE)
        end = (gpa + length - 1) // PAGE
        if end >= len(self.order) or any(
            self.order[page + i] != self.order[page] + i for i in range(end - page + 1)
        ):
            raise DmaFault("not in one piece", gpa, length)
        return self.order[page] * PAGE + inside

    def offset_many(self, gpas, lengths, write=None):
        found = []
        for gpa, length in zip(gpas.tolist(), lengths.tolist(), strict=True):
            try:
                found.append(self.offset(gpa, length) if gpa >= 0 else -1)
            except DmaFault:
                found.append(-1)
        return np.array(found, np.int64)

    def view(self, gpa, length, write=False):
        start = self.offset(gpa, length)
        return self.bytes[start : start + length]

    def read(self, gpa, length):
        return self.view(gpa, length).tobytes()

    def write(self, gpa, data):
        self.view(gpa, len(data))[:] = np.frombuffer(bytes(data), np.uint8)

    def store(self, gpa, size, value):
        self.write(gpa, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))


def test_a_buffer_that_lies_in_several_places():
    """It is several pieces, and the batch goes on behind it."""
    ram = Pages(8 * PAGE)
    queue = SplitQueue(ram)
    rings = SplitRings.placed(RING, 8)
    queue.enable(rings)
    lengths = [16, 16, PAGE, 16, 16]
    for i, length in enumerate(lengths):
        ram.write(rings.desc_at(i), packer(DESC).pack(4 * PAGE + 0x800, length, WRITE, 0))
        ram.store(rings.avail_at(i), 2, i)
    ram.store(rings.avail_field("idx"), 2, 5)
    batch = queue.pop_many()
    assert np.diff(batch.starts).tolist() == [1, 1, 2, 1, 1]
    assert batch.writable().tolist() == lengths
    at = 7 * PAGE + 0x800, 6 * PAGE
    assert batch.offset[2:4].tolist() == list(at)
    queue.push_many(batch, batch.writable())
    assert queue.used == 5
    ram.store(rings.avail_at(5), 2, 2)
    ram.write(rings.desc_at(2), packer(DESC).pack(8 * PAGE, 1, 0, 0))
    ram.store(rings.avail_at(6), 2, 2)
    ram.store(rings.avail_field("idx"), 2, 7)
    with pytest.raises(GuestError, match="in one piece"):
        queue.pop_many()


@pytest.mark.parametrize("features", [frozenset(), IN_ORDER])
def test_a_ring_that_lies_in_several_places(features):
    """Its table is in two pages far apart: all goes one by one, and leaves the same."""
    ram = Pages(8 * PAGE)
    queue = SplitQueue(ram)
    rings = SplitRings(8, 4 * PAGE - 64, RING, RING + 0x800)
    queue.enable(rings, features)
    for i in range(8):
        ram.write(rings.desc_at(i), packer(DESC).pack(PAGE * 2, 16, WRITE, 0))
        ram.store(rings.avail_at(i), 2, i)
    for lap in (8, 16):
        ram.store(rings.avail_field("idx"), 2, lap)
        batch = queue.pop_many()
        assert batch.heads.tolist() == list(range(8))
        queue.push_many(batch, [16, 16, 3, 16, 16, 16, 16, 16] if lap == 8 else 0)
        assert ram.read(rings.used_field("idx"), 2) == lap.to_bytes(2, "little")
    elements = np.frombuffer(ram.read(rings.used_at(0), 64), np.uint32).reshape(-1, 2)
    assert elements[2].tolist() == [2, 0]


# -- notifications and order


def points(pair):
    """Where the vector side calls its barrier."""
    called = []
    pair.vector.queue.barrier = called.append
    return called


def test_the_barriers_of_a_batch():
    pair = Pair(8, EVENTS)
    called = points(pair)
    singles(pair, range(8))
    take(pair)
    assert called == [
        Order.AVAIL_IDX_THEN_ENTRY,
        Order.AVAIL_EVENT_THEN_IDX,
        Order.ELEMENT_THEN_USED_IDX,
    ]


def test_elements_are_complete_before_the_index_says_so():
    pair = Pair(8)
    ram, rings = pair.vector.ram, pair.rings
    seen = []

    def look(point):
        if point == Order.ELEMENT_THEN_USED_IDX:
            elements = ram.read(rings.used_at(0), 64)
            seen.append((elements, ram.load(rings.used_field("idx"), 2)))

    singles(pair, range(8))
    pair.vector.queue.barrier = look
    take(pair)
    assert seen == [(b"".join(i.to_bytes(8, "little") for i in range(8)), 0)]


@pytest.mark.parametrize("listening", [True, False])
def test_a_batch_asks_for_a_ring_once(listening):
    pair = Pair(8, EVENTS)
    if not listening:
        for side in (pair.scalar, pair.vector):
            side.queue.disable_notify()
    singles(pair, range(6))
    take(pair)
    asked = pair.vector.ram.load(pair.rings.used_field("avail_event"), 2)
    assert asked == (6 if listening else 65535)


# -- giving back


def used(pair, position):
    at = pair.rings.used_at(position)
    return pair.vector.ram.load(at, 4), pair.vector.ram.load(at + 4, 4)


def test_in_order_one_element_stands_for_all():
    pair = Pair(8, IN_ORDER)
    for _ in range(3):
        singles(pair, range(8))
        take(pair)
    assert used(pair, 0) == (7, 0)
    assert used(pair, 1) == (0, 0)


def test_in_order_an_element_for_each_run_of_complete_chains():
    """A run ends with the chain that was not written completely, or with the last."""
    pair = Pair(8, IN_ORDER)
    singles(pair, range(8), flags=WRITE)
    chains, batch, _ = pair.pop_all()
    pair.push_all(chains, batch, np.array([16, 16, 5, 16, 0, 16, 16, 16]))
    assert [used(pair, i) for i in (0, 3, 5)] == [(2, 5), (4, 0), (7, 16)]
    assert [used(pair, i) for i in (1, 2, 4, 6, 7)] == [(0, 0)] * 5


def test_in_order_nothing_written_where_there_is_room():
    pair = Pair(8, IN_ORDER)
    singles(pair, range(8), flags=WRITE)
    chains, batch, _ = pair.pop_all()
    for side, call in ((pair.scalar, None), (pair.vector, batch)):
        if call is not None:
            side.queue.push_many(call)
            continue
        for chain in chains:
            side.queue.push(chain)
    pair.check()


def test_written_as_one_number_for_all():
    pair = Pair(8)
    singles(pair, range(4), flags=WRITE)
    _, batch, _ = pair.pop_all()
    pair.vector.queue.push_many(batch, 9)
    assert [used(pair, i) for i in range(4)] == [(i, 9) for i in range(4)]


def test_what_an_element_cannot_say():
    """2**32 bytes were written; `len` says as much as it can."""
    pair = Pair(8, regions=[(0, 3 << 30)])
    pair.desc(0, BUFFERS, 2 << 30, WRITE | NEXT, 1)
    pair.desc(1, BUFFERS, 2 << 30, WRITE)
    pair.offer(0)
    batch = pair.vector.queue.pop_many()
    pair.vector.queue.push_many(batch, batch.writable())
    assert used(pair, 0) == (0, 2**32 - 1)


@pytest.mark.parametrize(
    ("features", "heads", "written", "says"),
    [
        ((), [0, 1, 2, 3, 0], 0, "4 chains are in flight: cannot give 5 back"),
        ((), [0, 8], 0, "from 0 to 7"),
        ((), [0, -1], 0, "from 0 to 7"),
        ((), [0.5], 0, "whole numbers"),
        ((), [[0, 1]], 0, "in one row"),
        ((), [0, 1], [1, 2, 3], "one whole number of bytes, or 2"),
        ((), [0, 1], 0.5, "whole number"),
        ((), [0, 1], [0, -1], "4294967295 writable bytes, not -1"),
        ((), [0, 1], [0, 2**32], "not 4294967296"),
        ((), "batch", [16, 16, 17, 16], "the chain has 16 writable bytes, not 17"),
        ((), "batch", 17, "not 17"),
        ((), "batch", -1, "not -1"),
        (IN_ORDER, [0, 2], 0, "chain 1 is next, not 2"),
        (IN_ORDER, [1], 0, "chain 0 is next, not 1"),
        (IN_ORDER, [0, 1], [16, 17], "16 writable bytes, not 17"),
        (IN_ORDER, "batch", [16, 16, 16, -1], "not -1"),
    ],
)
def test_a_push_that_may_not_be(features, heads, written, says):
    """Nothing is given back, not even what was right in it."""
    pair = Pair(8, frozenset(features))
    singles(pair, range(4), flags=WRITE)
    batch = pair.vector.queue.pop_many()
    before = pair.vector.state()
    with pytest.raises(ValueError, match=says):
        pair.vector.queue.push_many(batch if heads == "batch" else heads, written)
    assert pair.vector.state() == before


def test_batches_are_given_back_in_any_order():
    pair = Pair(8)
    singles(pair, range(8), flags=WRITE)
    queue = pair.vector.queue
    one, two = queue.pop_many(4), queue.pop_many(4)
    queue.push_many(two, 1)
    queue.push_many(one, np.array([2, 3, 4, 5]))
    expected = [(4, 1), (5, 1), (6, 1), (7, 1), (0, 2), (1, 3), (2, 4), (3, 5)]
    assert [used(pair, i) for i in range(8)] == expected


def test_scalar_and_plural_calls_mix():
    pair = Pair(8, IN_ORDER)
    queue = pair.vector.queue
    for _ in range(5):
        singles(pair, range(8), flags=WRITE)
        first = queue.pop()
        batch = queue.pop_many()
        assert isinstance(first, Chain)
        assert len(batch) == 7
        queue.push(first, 16)
        queue.push_many(batch, 16)
        queue._check()
        assert queue.in_flight == 0
