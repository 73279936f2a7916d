"""Two split queues over two equal memories: one is served call by call, the other by the batch.

    memory   0x0000 .. 0x8000   rings, buffers, tables        0x10000 .. 0x14000   more buffers

`random_ring` fills both with the same chains, most of them honest, and breaks some of them. The
memories and the queues must stay equal whatever is done.
"""

from __future__ import annotations

from random import Random

import numpy as np

from virtlab.errors import GuestError
from virtlab.memory import GuestMemory
from virtlab.virtio.batch import Batch
from virtlab.virtio.chain import Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings, packer
from virtlab.virtio.split import SplitQueue

REGIONS = [(0, 0x8000), (0x10000, 0x4000)]
RING, TABLES, BUFFERS = 0x1000, 0x3000, 0x5000
FIELDS = ("heads", "slots", "starts", "offset", "length", "write")
COUNTS = ("last_avail", "used", "signalled", "listening")
STATE = ("counts", "order", "room", "memory")
OPTIONAL = (Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX, Feature.IN_ORDER)

_pack = packer(DESC).pack


class Side:
    """One memory and one queue, with the points at which it called its barrier."""

    def __init__(self, rings, features, base, regions=REGIONS):
        self.ram = GuestMemory(regions)
        self.queue = SplitQueue(self.ram)
        self.queue.enable(rings, features, base)

    def state(self):
        """All that must be equal on both sides."""
        queue = self.queue
        counts = [getattr(queue, name) for name in COUNTS]
        return counts, queue._order.tolist(), queue._room.tolist(), self.ram.bytes.tobytes()


class Pair:
    """A scalar and a vector side, and a driver that writes the same to both."""

    def __init__(self, size, features=frozenset(), base=0, regions=REGIONS):
        self.size, self.features = size, frozenset(features)
        self.rings = SplitRings.placed(RING, size)
        self.scalar = Side(self.rings, self.features, base, regions)
        self.vector = Side(self.rings, self.features, base, regions)
        self.idx = base
        for field in ("idx",):
            self.store(self.rings.avail_field(field), base)
            self.store(self.rings.used_field(field), base)

    # -- the driver

    def write(self, gpa, data):
        for side in (self.scalar, self.vector):
            side.ram.write(gpa, data)

    def store(self, gpa, value, size=2):
        self.write(gpa, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def desc(self, index, addr, length, flags=0, following=0, table=None):
        at = self.rings.desc if table is None else table
        self.write(at + index * DESC.itemsize, _pack(addr, length, flags, following))

    def offer(self, *heads, jump=0):
        """Heads into the next entries; then the index, which may `jump` further."""
        for head in heads:
            self.store(self.rings.avail_at(self.idx), head)
            self.idx += 1
        self.store(self.rings.avail_field("idx"), self.idx + jump)

    # -- the device

    def pop_all(self, limit=None):
        """Both take all there is: the chains, and what both refused, or None."""
        chains, why = self.pop_scalar()
        batches, other = self.pop_vector(limit)
        assert other == why, (other, why)
        expected = Batch.of(chains, self.scalar.ram)
        found = Batch.joined(batches) if batches else Batch.of((), self.vector.ram)
        for name in FIELDS:
            mine, theirs = getattr(found, name), getattr(expected, name)
            assert mine.dtype == theirs.dtype, name
            assert np.array_equal(mine, theirs), (name, mine, theirs)
        self.check()
        return chains, found, why

    def pop_scalar(self):
        chains: list[Chain] = []
        try:
            while (chain := self.scalar.queue.pop()) is not None:
                chains.append(chain)
        except GuestError as error:
            return chains, (str(error), error.spec)
        return chains, None

    def pop_vector(self, limit=None):
        batches: list[Batch] = []
        try:
            while len(batch := self.vector.queue.pop_many(limit)):
                assert limit is None or len(batch) <= limit
                batches.append(batch.copy())
        except GuestError as error:
            return batches, (str(error), error.spec)
        return batches, None

    def push_all(self, chains, heads, written):
        """Both give chains back; in order, one scalar element for each run of complete ones."""
        run = 0
        for chain, length in zip(chains, written, strict=True):
            run += 1
            in_order = Feature.IN_ORDER in self.features
            if in_order and length == chain.writable and chain is not chains[-1]:
                continue
            self.scalar.queue.push(chain, int(length), run)
            run = 0
        self.vector.queue.push_many(heads, written)
        self.check()

    def check(self):
        """Both sides are equal and sound."""
        for what, one, other in zip(STATE, self.scalar.state(), self.vector.state(), strict=True):
            assert one == other, what
        self.scalar.queue._check()
        self.vector.queue._check()


# -- random rings


def random_pair(random: Random) -> Pair:
    """A queue of a random size, with random features, that begins at a random count."""
    size = random.choice((1, 2, 4, 8, 8, 8, 16, 16, 32, 64 if random.random() < 0.3 else 8))
    features = frozenset(feature for feature in OPTIONAL if random.random() < 0.4)
    return Pair(size, features, random.choice((0, 0, 1, size - 1, 65530, 65535)))


def random_round(pair: Pair, random: Random, hostile: float) -> None:
    """The driver fills some of the ring: what is in flight stays as it is."""
    size, features = pair.size, pair.features
    tables = Feature.RING_INDIRECT_DESC in features
    in_order = Feature.IN_ORDER in features
    free = list(range(size))
    style = random.choice(("straight", "straight", "shuffled"))
    longest = random.choice((1, 1, 3, 5))
    if style == "shuffled" and not in_order:
        random.shuffle(free)
    elif random.random() < 0.5:
        turn = random.randrange(size)
        free = free[turn:] + free[:turn]
    heads = []
    while free and random.random() < 0.95:
        count = min(len(free), random.randint(1, longest))
        slots, free = free[:count], free[count:]
        indirect = tables and random.random() < 0.4
        random_chain(pair, random, slots, indirect, hostile)
        heads.append(slots[0])
    jump = 0
    if random.random() < hostile:
        heads = [random.choice((head, size, 65535, random.randrange(size))) for head in heads]
    if random.random() < hostile / 2:
        jump = random.choice((1, size, -1, 0x7FFF))
    pair.offer(*heads, jump=jump)


def random_chain(pair, random, slots, indirect, hostile):
    """One chain at `slots`; with `indirect` the last of them refers to a table."""
    own = slots[:-1] if indirect else slots
    inside = random.randint(1, 4) if indirect else 0
    kinds = sorted(random.random() < 0.5 for _ in range(len(own) + inside))
    for i, slot in enumerate(own):
        last = i == len(slots) - 1
        following = 0 if last else slots[i + 1]
        flags = WRITE * kinds[i] | (0 if last else NEXT)
        pair.desc(slot, *broken(pair, random, flags, following, hostile))
    if indirect:
        entries = inside + random.choice((0, 0, 0, 2))
        at = TABLES + slots[-1] * 6 * DESC.itemsize + random.choice((0, 0, 8, 3))
        for i in range(inside):
            last = i == inside - 1
            flags = WRITE * kinds[len(own) + i] | (0 if last else NEXT)
            fields = broken(pair, random, flags, 0 if last else i + 1, hostile)
            pair.desc(i, *fields, table=at)
        length = entries * DESC.itemsize
        flags = INDIRECT
        if random.random() < hostile:
            length = random.choice((0, 15, 17, 1 << 20, 2**32 - 16))
        if random.random() < hostile:
            flags |= random.choice((NEXT, WRITE))
        if random.random() < hostile:
            at = random.choice((2**64 - 16, 0x7FF0, RING, 0x9000))
        pair.desc(slots[-1], at, length, flags)


def broken(pair, random, flags, following, hostile):
    """The fields of a descriptor: mostly honest, else with one of them wrong."""
    addr = BUFFERS + random.randrange(0x1000)
    if random.random() < 0.1:
        addr = 0x10000 + random.randrange(0x3000)
    length = random.choice((1, 16, 512))
    if random.random() < hostile:
        match random.randrange(5):
            case 0:
                addr = random.choice(
                    (RING, RING + 16 * pair.size, 0x7FFF, 0x8000, 2**63, 2**64 - 1, 0xFFF)
                )
            case 1:
                length = random.choice((0, 2**32 - 1, 0x4000, 0x1000))
            case 2:
                following = random.choice((pair.size, 65535, random.randrange(pair.size)))
            case 3:
                flags ^= random.choice((NEXT, WRITE, INDIRECT, 8))
            case _:
                flags, following = flags | NEXT, random.randrange(pair.size)
    return addr, length, flags, following


def agree(seed: int) -> None:
    """A few rounds of one random ring. `AssertionError` where the two sides differ."""
    random = Random(seed)
    pair = random_pair(random)
    hostile = random.choice((0, 0, 0.02, 0.1))
    limit = random.choice((None, None, None, 1, 3, 7))
    for turn in range(random.randint(1, 4)):
        if not turn or random.random() < 0.6:
            random_round(pair, random, hostile)
        else:  # the same again, as far as there is room
            count = pair.size - pair.scalar.queue.in_flight
            entries = [
                pair.scalar.ram.load(pair.rings.avail_at(pair.idx + i), 2) for i in range(count)
            ]
            pair.offer(*entries)
        chains, batch, why = pair.pop_all(limit)
        if why is None and pair.scalar.queue.available():
            raise AssertionError("something was left")
        give_back(pair, random, chains, batch)
        if why is not None:
            return


def give_back(pair, random, chains, batch):
    """All of them, or the first few, complete or not, in order or not."""
    if not chains:
        return
    part = random.choice((1, 1, 0.5, 0))
    written = [
        chain.writable if random.random() < part else random.randint(0, chain.writable)
        for chain in chains
    ]
    if random.random() < 0.3 and not any(chain.writable for chain in chains):
        pair.push_all(chains, batch, np.zeros(len(chains), np.int64))
        return
    heads = batch if random.random() < 0.5 else batch.heads
    if Feature.IN_ORDER not in pair.features and random.random() < 0.5:
        order = list(range(len(chains)))
        random.shuffle(order)
        chains = [chains[i] for i in order]
        written = [written[i] for i in order]
        heads = batch.heads[order]
    pair.push_all(chains, heads, np.array(written, np.int64))
    pair.scalar.queue.signalled = pair.vector.queue.signalled = pair.scalar.queue.used
