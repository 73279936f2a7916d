"""Longer chains that come again: the walk is not repeated, and whatever changed is seen."""

import os
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from tests.virtio.split_pair import BUFFERS, RING, TABLES, Pair, random_chain
from virtlab.errors import GuestError
from virtlab.memory import GuestMemory
from virtlab.virtio import split_longer, split_many
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings, packer
from virtlab.virtio.split import SplitQueue

IN_ORDER = frozenset({Feature.IN_ORDER})
TABLES_TOO = frozenset({Feature.RING_INDIRECT_DESC})
LENGTHS = (1, 2, 3, 2)  # of four chains: together they fill a queue of eight
PARTS = 50 if os.environ.get("VIRTLAB_SLOW") == "1" else 3

_pack = packer(DESC).pack


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Arrays for one chain too."""
    monkeypatch.setattr(split_many, "FEW", 1)


@pytest.fixture
def walks(monkeypatch):
    """How many heads each walk was asked for."""
    asked, walk = [], split_many.walk_many

    def noted(place, heads):
        asked.append(len(heads))
        return walk(place, heads)

    monkeypatch.setattr(split_many, "walk_many", noted)
    return asked


def chains(pair, lengths=LENGTHS, begin=0, at=BUFFERS):
    """Chains of these lengths, neighbours from descriptor `begin` on: their heads."""
    ends = np.cumsum(lengths).tolist()
    for start, end in pairwise([0, *ends]):
        for i in range(start, end):
            last = i == end - 1
            flags = (WRITE if last else 0) | (0 if last else NEXT)
            following = (begin + i + 1) % pair.size
            pair.desc((begin + i) % pair.size, at + 64 * i, 16 + i, flags, following)
    return [(begin + end - length) % pair.size for end, length in zip(ends, lengths, strict=True)]


def tables(pair, order=range(4), entries=3, at=BUFFERS):
    """A chain at each head of `order` that is a table of its own: its place follows its head."""
    for head in order:
        table = TABLES + 64 * head
        for i in range(entries):
            flags = WRITE if i == entries - 1 else NEXT
            pair.desc(i, at + 0x100 * head + 32 * i, 8 + i, flags, i + 1, table=table)
        pair.desc(head, table, entries * DESC.itemsize, INDIRECT)
    return list(order)


def lap(pair, heads):
    """The driver offers these; both sides take them, and give them back complete."""
    pair.offer(*heads)
    taken, batch, why = pair.pop_all()
    pair.push_all(taken, batch, np.array([chain.writable for chain in taken], np.int64))
    return why


# -- what is known again


@pytest.mark.parametrize("features", [frozenset(), IN_ORDER])
@pytest.mark.parametrize("base", [0, 3, 65534])
@pytest.mark.parametrize("begin", [0, 5])
def test_neighbours_are_walked_once(walks, features, base, begin):
    """Wherever ring and table end; with the same addresses, and with others in each lap."""
    pair = Pair(8, features, base)
    for turn in (0, 0, 0, 1, 2, 3, 3, 3):
        assert lap(pair, chains(pair, begin=begin, at=BUFFERS + 0x100 * turn)) is None
        # Where the entries lie otherwise, half a ring further on, it is walked once more.
        assert len(walks) <= 2
    assert pair.vector.queue._many.seen


def test_tables_are_walked_once(walks):
    pair = Pair(8, TABLES_TOO)
    for turn in range(8):
        assert lap(pair, tables(pair, range(8), at=BUFFERS + 7 * turn)) is None
    assert walks == [8]


def test_tables_in_another_order(walks):
    """The heads are others, and so are the tables; what they say is of the same kind."""
    pair = Pair(8, TABLES_TOO)
    for order in ([0, 1, 2, 3, 4, 5, 6, 7], [3, 1, 4, 0, 5, 2, 7, 6], [7, 6, 5, 4, 3, 2, 1, 0]):
        for _ in range(2):
            assert lap(pair, tables(pair, order)) is None
    assert walks == [8]


def test_tables_of_other_lengths(walks, monkeypatch):
    monkeypatch.setattr(split_many, "VAIN", 0)
    pair = Pair(8, TABLES_TOO)
    for entries in (3, 3, 2, 2, 3, 1, 1):
        assert lap(pair, tables(pair, range(8), entries)) is None
    assert walks == [8] * 4


def test_after_a_change_a_few_walks_are_not_remembered(walks):
    """The first that is remembered is the one after them; then it is known again."""
    pair = Pair(8)
    for lengths in [LENGTHS] * 3 + [(2, 1, 3, 2)] * (split_many.VAIN + 5):
        assert lap(pair, chains(pair, lengths)) is None
    # Four chains in a ring of eight have two places. Both see the change, and both learn again.
    assert len(walks) == 2 + (1 + split_many.VAIN) + 2


# -- what has changed


def straight_ring(pair):
    return chains(pair, (1, 2, 3, 2))


def table_ring(pair):
    return tables(pair, range(4))


CHANGES = {
    "an address": lambda pair: pair.desc(1, BUFFERS + 5, 17, NEXT, 2),
    "an address in another region": lambda pair: pair.desc(1, 0x10000, 17, NEXT, 2),
    "an address that is no memory": lambda pair: pair.desc(1, 0x9000, 17, NEXT, 2),
    "an address at the very end": lambda pair: pair.desc(1, 2**64 - 8, 17, NEXT, 2),
    "a buffer that ends behind memory": lambda pair: pair.desc(1, 0x8000 - 16, 17, NEXT, 2),
    "a write over the queue": lambda pair: pair.desc(7, RING + 16, 23, WRITE),
    "a read of the queue": lambda pair: pair.desc(1, RING + 16, 17, NEXT, 2),
    "a length": lambda pair: pair.desc(1, BUFFERS, 18, NEXT, 2),
    "no length": lambda pair: pair.desc(1, BUFFERS, 0, NEXT, 2),
    "what goes on": lambda pair: pair.desc(0, BUFFERS, 16, NEXT, 1),
    "what ends": lambda pair: pair.desc(1, BUFFERS, 17, 0, 2),
    "where it goes on": lambda pair: pair.desc(1, BUFFERS, 17, NEXT, 4),
    "a loop": lambda pair: pair.desc(2, BUFFERS, 17, NEXT, 1),
    "a kind": lambda pair: pair.desc(1, BUFFERS, 17, NEXT | WRITE, 2),
    "a table": lambda pair: pair.desc(0, BUFFERS, 16, INDIRECT),
}


@pytest.mark.parametrize("pause", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_descriptor_is_seen(change, pause):
    """Where bytes are compared, and where the compare pauses because they had changed."""
    pair = Pair(8)
    for turn in range(6):
        assert lap(pair, chains(pair, at=BUFFERS + (64 * turn if pause else 0))) is None
    heads = chains(pair)
    CHANGES[change](pair)
    lap(pair, heads)
    if pair.vector.queue.in_flight == 0 and not pair.vector.queue.available():
        assert lap(pair, chains(pair)) is None


@pytest.mark.parametrize("heads", [[0, 1, 3, 5], [1, 0, 3, 6], [0, 1, 3, 8], [0, 1, 3, 65535]])
def test_another_head_is_seen(heads):
    pair = Pair(8)
    for _ in range(5):
        assert lap(pair, chains(pair)) is None
    lap(pair, heads)


TABLE_CHANGES = {
    "an address": lambda pair: pair.desc(1, BUFFERS + 5, 9, NEXT, 2, table=TABLES + 64),
    "no memory": lambda pair: pair.desc(1, 0x9000, 9, NEXT, 2, table=TABLES + 64),
    "a length": lambda pair: pair.desc(1, BUFFERS, 10, NEXT, 2, table=TABLES + 64),
    "the order": lambda pair: pair.desc(1, BUFFERS, 9, NEXT, 0, table=TABLES + 64),
    "a kind": lambda pair: pair.desc(0, BUFFERS, 8, NEXT | WRITE, 1, table=TABLES + 64),
    "another table": lambda pair: pair.desc(1, BUFFERS, 9, INDIRECT, 2, table=TABLES + 64),
    "over the queue": lambda pair: pair.desc(2, RING, 10, WRITE, 3, table=TABLES + 64),
    "where it is": lambda pair: pair.desc(1, TABLES + 128, 48, INDIRECT),
    "nowhere": lambda pair: pair.desc(1, 0x9000, 48, INDIRECT),
    "half outside": lambda pair: pair.desc(1, 0x8000 - 32, 48, INDIRECT),
    "its length": lambda pair: pair.desc(1, TABLES + 64, 32, INDIRECT),
    "no table": lambda pair: pair.desc(1, BUFFERS, 48),
    "more than a table": lambda pair: pair.desc(1, TABLES + 64, 48, INDIRECT | NEXT, 2),
    "in another region": lambda pair: pair.desc(1, 0x10000, 48, INDIRECT),
}


@pytest.mark.parametrize("change", TABLE_CHANGES)
def test_a_changed_table_is_seen(change):
    """The descriptor that refers to it may be the same as before."""
    pair = Pair(8, TABLES_TOO)
    for _ in range(5):
        assert lap(pair, tables(pair)) is None
    for i in range(3):
        pair.desc(i, BUFFERS, 1, NEXT if i < 2 else 0, i + 1, table=0x10000)
    heads = tables(pair)
    TABLE_CHANGES[change](pair)
    lap(pair, heads)


def test_a_table_that_leaves_its_region():
    """What lies behind its first part in the flat memory is another region, and fits."""
    pair = Pair(8, TABLES_TOO)
    for turn in range(5):
        heads = tables(pair)
        for i, gpa in enumerate((0x7FE0, 0x7FF0, 0x10000)):
            pair.desc(0, BUFFERS, 8 + i, NEXT if i < 2 else WRITE, i + 1, table=gpa)
        if turn == 4:
            pair.desc(1, 0x7FE0, 48, INDIRECT)
            assert "no memory" in lap(pair, heads)[0]
        else:
            assert lap(pair, heads) is None


class Changing(GuestMemory):
    """A guest that rewrites what `spoil` names as soon as the device asks where a buffer is."""

    spoil: tuple[tuple[int, int], ...] = ()

    def offset_many(self, gpas, lengths, write=None):
        if len(gpas) and gpas.min() >= BUFFERS:
            for start, end in self.spoil:
                self.bytes[start:end] = 0xFF
        return super().offset_many(gpas, lengths, write)


@pytest.mark.parametrize("indirect", [False, True])
@pytest.mark.parametrize("pause", [0, 5])
def test_what_is_used_is_what_was_checked(indirect, pause):
    ram, rings = Changing(0x10000), SplitRings.placed(RING, 8)
    queue = SplitQueue(ram)
    queue.enable(rings, TABLES_TOO)
    place, count = (TABLES, 4) if indirect else (rings.desc, 8)

    def offer(at):
        for i in range(8):
            flags = 0 if i % 2 else NEXT
            ram.write(place + 16 * i, _pack(at + i, 5, flags, 1 if indirect else i + 1))
        for i in range(4):
            if indirect:
                ram.write(rings.desc_at(i), _pack(TABLES + 32 * i, 32, INDIRECT, 0))
            ram.store(rings.avail_at(queue.last_avail + i), 2, i if indirect else 2 * i)
        ram.store(rings.avail_field("idx"), 2, queue.last_avail + 4)

    for turn in range(4):
        offer(BUFFERS + turn)
        queue.push_many(queue.pop_many())
    offer(0xFF00)  # so far off that it has to be looked up
    ram.spoil = ((place, place + 16 * 8), (rings.avail_at(0), rings.avail_at(8)))
    for seen in queue._many.seen.values():
        seen._pause = pause
        assert seen.size == 8
    batch = queue.pop_many()
    assert ram.bytes[place] == 0xFF
    assert batch.offset.tolist() == [0xFF00 + i for i in range(8)]
    assert batch.length.tolist() == [5] * 8
    assert batch.heads.tolist() == (list(range(count)) if indirect else [0, 2, 4, 6])


def test_a_table_that_jumps_is_walked_each_time():
    """0, 2, 1; then, in the order of the table, the words that were read in that order."""
    pair = Pair(8, TABLES_TOO)
    jumps, others = [(NEXT, 2), (0, 0), (NEXT, 1)], [(NEXT, 2), (NEXT, 1), (0, 0)]
    for words in (jumps, jumps, others, jumps):
        for head in range(4):
            for i, (flags, following) in enumerate(words):
                pair.desc(i, BUFFERS + 64 * i, 8, flags, following, table=TABLES + 64 * head)
            pair.desc(head, TABLES + 64 * head, 48, INDIRECT)
        assert lap(pair, range(4)) is None


@pytest.mark.parametrize("indirect", [False, True])
def test_a_batch_that_ended_before_a_wrong_chain(indirect):
    """The same two chains come again, without a wrong one behind them."""
    pair = Pair(8, TABLES_TOO)
    offered = tables if indirect else chains
    for turn in range(6):
        heads = offered(pair)
        two = pair.rings.avail_at(2) if not turn else None
        pair.offer(*heads[: 2 if turn else 4])
        if two:
            spoilt = (TABLES + 64 * 2) if indirect else pair.rings.desc_at(3)
            pair.write(spoilt + 8, bytes(4))
            queues = [side.queue for side in (pair.scalar, pair.vector)]
            batch = queues[1].pop_many()
            assert batch.heads.tolist() == heads[:2]
            queues[1].push_many(batch)
            for _ in range(2):
                queues[0].push(queues[0].pop())
            offered(pair)
            lap(pair, [])
            assert queues[1].last_avail == 4
        else:
            lap(pair, [])
        while pair.idx % 8:
            lap(pair, heads[:1])


def test_a_last_chain_of_many_descriptors():
    """Its end is not guessed: but it is found, and it is the same each time."""
    pair = Pair(128)
    for turn in range(4):
        assert lap(pair, chains(pair, (1, 3, 80), at=0x10000 + turn)) is None


# -- where batches lie


def test_a_batch_moves_with_the_entries(walks):
    """Three chains in a ring of eight begin at another entry each time."""
    pair = Pair(8)
    for turn in range(20):
        assert lap(pair, chains(pair, (1, 2, 3), at=BUFFERS + turn)) is None
        assert len(pair.vector.queue._many.seen) == 1
    assert walks == [3]


def test_tables_move_too(walks):
    pair = Pair(8, TABLES_TOO)
    for turn in range(20):
        assert lap(pair, tables(pair, (2, 1, 0), at=BUFFERS + turn)) is None
        assert len(pair.vector.queue._many.seen) == 1
    assert walks == [3]


def test_single_chains_move_too():
    pair = Pair(8)
    for turn in range(20):
        order = (0, 1, 2) if turn < 10 else (5, 1, 3)
        for head in order:
            pair.desc(head, BUFFERS + 64 * head + turn, 16)
        assert lap(pair, order) is None
        # Other heads: it stayed, and there are new ones.
        assert turn > 9 or len(pair.vector.queue._many.seen) == 1


ONE, OTHER = [0, 1, 3], [3, 1, 0]
"""Three chains of a ring of eight, in two orders; between them come other numbers of chains."""

REST = {5: [4, 5, 6, 7, 0], 2: [6, 7]}


@pytest.mark.parametrize("lengths", [(1, 2, 1, 1, 1, 1, 1), (1,) * 8])
@pytest.mark.parametrize(
    "heads",
    [
        # It is asked to move, and stays. What it saw elsewhere counts for nothing at its own place.
        (ONE, REST[5], ONE, OTHER, REST[2], OTHER, REST[5], OTHER),
        # It has moved. What is at its old place counts for nothing any more.
        (ONE, ONE, REST[2], ONE, OTHER, REST[2], OTHER, ONE),
    ],
)
def test_a_batch_belongs_to_one_place(lengths, heads):
    pair = Pair(8)
    chains(pair, lengths)
    for some in heads:
        assert lap(pair, some) is None


def test_a_batch_stays_where_other_heads_are(walks):
    pair = Pair(8)
    chains(pair, (1, 2, 1, 1, 1, 1, 1))
    for some in (ONE, OTHER, REST[2], ONE):
        assert lap(pair, some) is None
    assert walks == [3, 3, 2]


@pytest.mark.parametrize("lengths", [(1, 2, 3, 2), (1,) * 8])
def test_what_was_refused_is_refused_again(lengths):
    """It is not what was right before, however often it is looked at."""
    pair = Pair(8)
    for _ in range(4):
        assert lap(pair, chains(pair, lengths)) is None
    heads = chains(pair, lengths)
    pair.write(pair.rings.desc_at(0) + 8, bytes(4))
    pair.offer(*heads)
    for _ in range(20):
        assert pair.pop_all()[2] is not None


def test_a_batch_that_is_held_does_not_move():
    """The same heads again, before they were given back: the first batch is as it was."""
    pair = Pair(16)
    queue = pair.vector.queue
    for _ in range(2):
        pair.offer(*chains(pair, (1, 2, 2)))
        one = queue.pop_many()
        expected = one.offset.tolist()
        pair.offer(*chains(pair, (1, 2, 2), at=BUFFERS + 0x400))
        two = queue.pop_many()
        assert one.offset.tolist() == expected == [offset - 0x400 for offset in two.offset.tolist()]
        queue.push_many(one)
        queue.push_many(two)


def test_each_place_has_its_own_where_places_come_again(walks):
    """Two batches a lap, of the same heads: neither takes the other's place."""
    pair = Pair(8)
    for _ in range(5):
        assert lap(pair, chains(pair)) is None
        assert lap(pair, chains(pair)) is None
    assert walks == [4, 4]
    assert len(pair.vector.queue._many.seen) == 2


def test_what_is_kept_is_bounded_by_the_pieces_of_its_batches():
    """A few chains that name whole tables again and again cost no more than many short ones."""
    pair = Pair(16, TABLES_TOO)
    for i in range(16):
        pair.desc(i, BUFFERS, 1, NEXT if i < 15 else 0, i + 1, table=TABLES)
    for turn in range(40):
        heads = [0, 1, 2] if turn % 2 else [3, 4]
        for head in heads:
            pair.desc(head, TABLES, 16 * DESC.itemsize, INDIRECT)
        assert lap(pair, heads) is None
        many = pair.vector.queue._many
        assert many._kept == sum(seen.size for seen in many.seen.values()) <= 4 * 16


def test_another_queue_at_the_same_place_begins_anew(walks):
    """Reset and enabled again, without indirect tables: what was right is refused."""
    pair = Pair(8, TABLES_TOO)
    for _ in range(3):
        assert lap(pair, tables(pair)) is None
    queue = pair.vector.queue
    queue.enable(pair.rings, frozenset(), base=pair.idx)
    pair.offer(*tables(pair))
    with pytest.raises(GuestError, match="INDIRECT"):
        queue.pop_many()


def test_another_map_of_memory_begins_anew():
    """The same addresses are elsewhere, or nowhere."""
    ram, rings = GuestMemory([(0, 0x8000), (0x10000, 0x4000)]), SplitRings.placed(RING, 8)
    queue = SplitQueue(ram)
    queue.enable(rings)
    for i in range(8):
        ram.write(rings.desc_at(i), _pack(BUFFERS + i, 5, 0 if i % 2 else NEXT, i + 1))
    for turn in range(4):
        for i in range(4):
            ram.store(rings.avail_at(4 * turn + i), 2, 2 * i)
        ram.store(rings.avail_field("idx"), 2, 4 * turn + 4)
        before = dict(queue._many.seen) if queue._many else {}
        queue.push_many(queue.pop_many())
        ram.generation += 1
        assert not set(map(id, queue._many.seen.values())) & set(map(id, before.values()))


# -- both ways agree


def flip(pair, random, heads):
    """One byte of the entries, the descriptors or the tables is another."""
    at, count = random.choice(
        [
            (pair.rings.desc, 16 * pair.size),
            (pair.rings.desc, 16 * pair.size),
            (TABLES, 6 * 16 * pair.size),
        ]
    )
    place = at + random.randrange(count)
    pair.write(place, bytes([pair.scalar.ram.load(place, 1) ^ 1 << random.randrange(8)]))
    if random.random() < 0.1:
        heads[random.randrange(len(heads))] = random.randrange(pair.size + 1)


def agree(seed):
    """Laps of the same chains, and in some of them a bit that is another."""
    random = Random(seed)
    features = {one for one in (*TABLES_TOO, *IN_ORDER) if random.random() < 0.5}
    size = random.choice((4, 8, 16))
    pair = Pair(size, features, random.choice((0, 5, 65533)))
    free, heads = size, []
    whole = random.random() < 0.5  # every chain a table
    turn = random.randrange(size)
    while free:
        count = 1 if whole else random.randint(1, min(3, free))
        slots = [(turn + size - free + i) % size for i in range(count)]
        indirect = Feature.RING_INDIRECT_DESC in features and (whole or random.random() < 0.1)
        if indirect and whole:
            tables(pair, slots, random.randint(1, 3), BUFFERS + random.randrange(64))
        else:
            random_chain(pair, random, slots, indirect, 0)
        heads.append(slots[0])
        free -= count
    for _ in range(random.randint(3, 8)):
        if random.random() < 0.3:
            flip(pair, random, heads)
        if lap(pair, heads) is not None:
            return


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "part", [pytest.param(n, marks=pytest.mark.volume if n >= 1 else ()) for n in range(PARTS)]
)
def test_scalar_and_vector_agree_in_later_laps(monkeypatch, part):
    monkeypatch.setattr(split_many, "VAIN", 0)
    hits = dict.fromkeys((split_longer.Straight, split_longer.Tables), 0)
    for kind in hits:
        for way in ("read", "again"):

            def noting(self, *how, kind=kind, real=getattr(kind, way)):
                found = real(self, *how)
                hits[kind] += found
                return found

            monkeypatch.setattr(kind, way, noting)
    for seed in range(part * 400, (part + 1) * 400):
        try:
            agree(seed)
        except Exception as error:
            raise AssertionError(f"ring {seed}: {error}") from error
    assert min(hits.values()) > 100, hits
