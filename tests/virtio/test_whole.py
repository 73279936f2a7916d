"""`WHOLE`: a batch goes back with all that may be written written, as so many bytes would say."""

import numpy as np
import pytest

from virtlab.memory import GuestMemory
from virtlab.virtio.batch import WHOLE
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, NEXT, WRITE, SplitRings, packer
from virtlab.virtio.ordering import no_barrier
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import AVAIL, PACKED_DESC, USED, PackedRings, wrap_at
from virtlab.virtio.split import SplitQueue

RING, BUFFERS, MEMORY = 0x1000, 0x8000, 0x20000
ORDERED = frozenset({Feature.IN_ORDER})
FEATURES = [frozenset(), ORDERED]

CUTS = [[(16, 0), (512, WRITE), (1, WRITE)], [(16, 0)], [(64, WRITE)]]
"""Chains of three kinds: `(bytes, flag)` of each piece."""


class Split:
    """A split queue and its driver, which offers chains one behind the other in the table."""

    def __init__(self, size, features):
        self.ram, self.size, self.at, self.head = GuestMemory(MEMORY), size, 0, 0
        self.rings = SplitRings.placed(RING, size)
        self.queue = SplitQueue(self.ram)
        self.queue.enable(self.rings, features)

    def offer(self, chains):
        for pieces in chains:
            self.ram.store(self.rings.avail_at(self.at), 2, self.head)
            self.at += 1
            for number, (length, flag) in enumerate(pieces):
                last = number == len(pieces) - 1
                index, self.head = self.head, (self.head + 1) % self.size
                flags = flag | (0 if last else NEXT)
                record = packer(DESC).pack(BUFFERS + 64 * index, length, flags, self.head)
                self.ram.write(self.rings.desc + index * DESC.itemsize, record)
        self.ram.store(self.rings.avail_field("idx"), 2, self.at)


class Packed:
    """The same in a packed ring; the id of a list is the slot where it begins."""

    def __init__(self, size, features):
        self.ram, self.size, self.at = GuestMemory(MEMORY), size, 0
        self.rings = PackedRings.placed(RING, size)
        self.queue = PackedQueue(self.ram)
        self.queue.enable(self.rings, features)

    def offer(self, chains):
        for pieces in chains:
            ident = self.at % self.size
            for number, (length, flag) in enumerate(pieces):
                bits = AVAIL if wrap_at(self.at, self.size) else USED
                flags = flag | bits | (0 if number == len(pieces) - 1 else NEXT)
                gpa = BUFFERS + 64 * (self.at % self.size)
                record = packer(PACKED_DESC).pack(gpa, length, ident, flags)
                self.ram.write(self.rings.desc_at(self.at), record)
                self.at += 1


RINGS = [Split, Packed]


def both(kind, features, batches, size=64, give=None):
    """Two queues that get the same: one gives batches back by `WHOLE`, the other by numbers."""
    sides = kind(size, features), kind(size, features)
    give = give or (lambda queue, batch: queue.push_many(batch, WHOLE))
    for chains in batches:
        for side in sides:
            side.offer(chains)
        mine, theirs = (side.queue.pop_many() for side in sides)
        assert len(mine) == len(theirs) == len(chains)
        give(sides[0].queue, mine)
        sides[1].queue.push_many(theirs.heads.copy(), theirs.writable())
        for side in sides:
            side.queue._check()
        assert sides[0].ram.bytes.tobytes() == sides[1].ram.bytes.tobytes()
        assert sides[0].queue.used == sides[1].queue.used


@pytest.mark.parametrize("n", [1, 4, 5, 16])
@pytest.mark.parametrize("cut", range(len(CUTS)))
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("kind", RINGS)
def test_as_the_bytes_of_each_would_say(kind, features, cut, n):
    """Lap after lap, round the end of the ring, first seen and seen before."""
    both(kind, features, [[CUTS[cut]] * n] * 30)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("kind", RINGS)
def test_chains_of_many_kinds(kind, features):
    rng = np.random.default_rng(4)
    batches = [[CUTS[k] for k in rng.integers(0, 3, rng.integers(1, 20))] for _ in range(60)]
    both(kind, features, batches)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("kind", RINGS)
def test_a_copy_of_the_batch_and_the_first_of_it(kind, features):
    """What is not the very batch that was taken is checked as ever."""

    def give(queue, batch):
        queue.push_many(batch.first(5), WHOLE)
        rest = batch.copy()
        queue.push_many(rest.heads[5:], rest.writable()[5:])

    # In order these are two used elements, and not one.
    both(kind, frozenset(), [[CUTS[0]] * 12] * 10, give=give)
    both(
        kind,
        features,
        [[CUTS[0]] * 12] * 10,
        give=lambda queue, batch: queue.push_many(batch.copy(), WHOLE),
    )


@pytest.mark.parametrize("kind", RINGS)
def test_in_order_it_is_one_used_element(kind):
    """2.7.9, 2.8.8: buffers that were skipped are written completely."""
    side = kind(64, ORDERED)
    for _ in range(4):
        side.offer([CUTS[0]] * 16)
        batch = side.queue.pop_many()
        head, at = int(batch.heads[-1]), side.queue.used
        side.queue.push_many(batch, WHOLE)
        if kind is Split:
            element = side.ram.read(side.rings.used_at(at), 8)
            assert element == head.to_bytes(4, "little") + (513).to_bytes(4, "little")
        else:
            used = side.ram.read(side.rings.desc_at(at) + 8, 8)
            assert used[:6] == (513).to_bytes(4, "little") + head.to_bytes(2, "little")
            assert int.from_bytes(used[6:], "little") & WRITE


@pytest.mark.parametrize("kind", RINGS)
def test_bare_heads_do_not_say_what_may_be_written(kind):
    side = kind(64, frozenset())
    side.offer([CUTS[0]] * 8)
    heads = side.queue.pop_many().heads.copy()
    with pytest.raises(ValueError, match="only of a batch"):
        side.queue.push_many(heads, WHOLE)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("kind", RINGS)
@pytest.mark.parametrize("which", ["all less", "some less", "one none", "last whole", "all none"])
def test_any_bytes_as_so_many_push(kind, features, which):
    """A batch as it was taken, with an array, against one `push` for each chain."""
    n, room = 16, 64
    written = np.full(n, room, np.int64)
    match which:
        case "all less":
            written[:] = np.arange(n) + 1
        case "some less":
            written[::3] = 9
        case "one none":
            written[:] = 7
            written[4] = 0
        case "last whole":
            written[:-1] = 3
        case "all none":
            written[:] = 0
    one, other = kind(64, features), kind(64, features)
    for _ in range(12):
        one.offer([CUTS[2]] * n)
        other.offer([CUTS[2]] * n)
        one.queue.push_many(one.queue.pop_many(), written)
        chains = [other.queue.pop() for _ in range(n)]
        begin = 0
        for at, (chain, size) in enumerate(zip(chains, written.tolist(), strict=True)):
            # In order one element stands for all up to the next that is not complete.
            if features and size == room and at < n - 1:
                continue
            other.queue.push(chain, size, at + 1 - begin)
            begin = at + 1
        one.queue._check()
        assert one.ram.bytes.tobytes() == other.ram.bytes.tobytes()


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("kind", RINGS)
@pytest.mark.parametrize("wrong", [65, -1])
def test_more_than_there_is_room_for_is_refused_before_anything_is_stored(kind, features, wrong):
    side = kind(64, features)
    for lap in range(6):
        side.offer([CUTS[2]] * 16)
        batch, before = side.queue.pop_many(), side.ram.bytes.tobytes()
        written = np.full(16, 7, np.int64)
        written[lap] = wrong
        with pytest.raises(ValueError, match="has 64 writable bytes"):
            side.queue.push_many(batch, written)
        assert side.ram.bytes.tobytes() == before
        side.queue.push_many(batch, WHOLE)


def test_a_queue_with_barriers_gives_the_same():
    """Where the driver runs meanwhile, a packed run is not looked for by one compare."""
    points = []
    plain, watched = Packed(64, frozenset()), Packed(64, frozenset())
    assert plain.queue.barrier is no_barrier
    watched.queue.barrier = points.append
    for _ in range(12):
        for side in (plain, watched):
            side.offer([CUTS[0]] * 12)
            side.queue.push_many(side.queue.pop_many(), WHOLE)
        assert plain.ram.bytes.tobytes() == watched.ram.bytes.tobytes()
    assert points


@pytest.mark.parametrize("kind", RINGS)
def test_a_batch_of_a_lap_ago_is_not_what_is_in_flight(kind):
    """Misuse of a device's: it took others meanwhile, one by one, and gives the old ones back."""
    side = kind(16, ORDERED)
    side.offer([CUTS[1]] * 16)
    batch = side.queue.pop_many()
    side.queue.push_many(batch, WHOLE)
    # Now each chain has two descriptors, so that others are the heads.
    side.offer([[(16, 0), (32, WRITE)]] * 8)
    taken = [side.queue.pop() for _ in range(8)]
    before = side.ram.bytes.tobytes()
    for written in (WHOLE, 0):
        with pytest.raises(ValueError, match=r"in flight|is next"):
            side.queue.push_many(batch, written)
    side.offer([])
    assert side.ram.bytes.tobytes() == before
    side.queue.push(taken[-1], 32, 8)
    side.queue._check()


def test_in_order_what_was_seen_a_lap_ago_is_compared_with_what_was_taken():
    """As many, and at the same place of the ring."""
    side = Split(16, ORDERED)
    side.offer([CUTS[1]] * 16)
    batch = side.queue.pop_many(8)
    side.queue.push_many(batch, WHOLE)
    side.queue.push_many(side.queue.pop_many(8), WHOLE)
    side.offer([[(16, 0), (32, WRITE)]] * 8)
    others = [side.queue.pop() for _ in range(8)]
    with pytest.raises(ValueError, match="in order, chain 2 is next, not 1"):
        side.queue.push_many(batch, WHOLE)
    side.queue.push(others[-1], 32, 8)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("kind", RINGS)
def test_a_batch_that_goes_round_the_end_of_the_ring_comes_again(kind, features):
    """Three quarters of a ring each time: at four places, of which two go round the end."""
    side, found = kind(64, features), {}
    for lap in range(40):
        side.offer([CUTS[0]] * 16)
        batch = side.queue.pop_many()
        assert len(batch) == 16
        found.setdefault(lap % 4, []).append(batch)
        side.queue.push_many(batch, WHOLE)
    for batches in found.values():
        assert batches[-1] is batches[-2]


@pytest.mark.parametrize("cut", [0, 1])
def test_the_same_chains_at_other_entries_are_the_same_batch(cut):
    """A driver that has the same descriptors free each time, in batches that fit no ring evenly."""
    side, batches = Split(64, frozenset()), []
    for _ in range(20):
        side.head = 0
        side.offer([CUTS[cut]] * 7)
        batches.append(side.queue.pop_many())
        assert batches[-1].heads.tolist() == [n * len(CUTS[cut]) for n in range(7)]
        side.queue.push_many(batches[-1], WHOLE)
    assert batches[-1] is batches[-2]
    batches[-1].note = "a note"
    side.head = 0
    side.offer([CUTS[cut]] * 7)
    assert side.queue.pop_many().note == "a note"
    side.queue.push_many(batches[-1], WHOLE)
    side.head = 0
    side.offer([CUTS[cut]] * 7)
    # Another address: whatever object it is, nothing is known of it.
    side.ram.store(side.rings.desc, 8, 0x10000)
    batch = side.queue.pop_many()
    assert batch.note is None
    assert batch.offset[0] == 0x10000
