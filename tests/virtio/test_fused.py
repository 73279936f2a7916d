"""Many queues served at once: what each queue would say and leave if it were served alone."""

import os
from contextlib import nullcontext, suppress
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from tests.virtio.model import MemoryCpu
from virtlab.errors import GuestError
from virtlab.guest.virtqueue import DeviceBroken, QueueFull, Tables
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.fused import FusedSplit
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings, packer
from virtlab.virtio.ordering import Order
from virtlab.virtio.split import SplitQueue

RINGS, STEP, TABLES, BUFFERS, MEMORY = 0x1000, 0x800, 0x8000, 0xA000, 0xC000
ENTRIES = 3
OPTIONAL = (Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX, Feature.IN_ORDER)
RUNS = 2000 if os.environ.get("VIRTLAB_SLOW") == "1" else 120


class World:
    """Queues that lie at equal steps, each with its driver, and all that was said."""

    def __init__(self, count=3, size=8, features=frozenset(), step=STEP, start=0):
        self.ram = GuestMemory([(0x1000, MEMORY - 0x1000)])
        self.rings = [SplitRings.placed(RINGS + step * k, size) for k in range(count)]
        self.said = []
        self.drivers, self.queues = [], []
        for k, rings in enumerate(self.rings):
            tables = Tables(TABLES + 0x300 * k, ENTRIES)
            driver = SplitDriver(MemoryCpu(self.ram), rings, features, tables=tables)
            driver.added = driver.exposed = driver.last_used = driver._batch_end = start
            for field in (rings.avail_field("idx"), rings.used_field("idx")):
                self.ram.store(field, 2, start)
            queue = SplitQueue(
                self.ram,
                lambda k=k: self.said.append((k, "interrupt")),
                lambda point, k=k: self.said.append((k, point)),
            )
            queue.enable(rings, features, start)
            self.drivers.append(driver)
            self.queues.append(queue)
        self.fused = FusedSplit(self.queues)

    def add(self, k, *pieces, kick=True):
        """A buffer of `(gpa, length, write)` on queue `k`."""
        out = [piece[:2] for piece in pieces if not piece[2]]
        self.drivers[k].add_buf(out, [piece[:2] for piece in pieces if piece[2]], None)
        if kick:
            self.drivers[k].kick()

    def desc(self, k, index, addr=BUFFERS, length=16, flags=0, following=0):
        self.ram.write(
            self.rings[k].desc_at(index), packer(DESC).pack(addr, length, flags, following)
        )

    def state(self):
        """Of all queues, and of the memory."""
        names = ("last_avail", "used", "signalled", "listening", "ready")
        counts = [[getattr(queue, name) for name in names] for queue in self.queues]
        books = [(queue._order.tolist(), queue._room.tolist()) for queue in self.queues]
        return counts, books, self.ram.bytes.tobytes()


def chains(batch):
    """What it says, chain by chain."""
    columns = (batch.offset.tolist(), batch.length.tolist(), batch.write.tolist())
    pieces = list(zip(*columns, strict=True))
    parts = [pieces[a:b] for a, b in pairwise(batch.starts.tolist())]
    return list(zip(batch.heads.tolist(), batch.slots.tolist(), parts, strict=True))


def by_queue(popped):
    """The chains of each queue that gave some, and the words about each that was refused."""
    found = {k: str(error) for k, error in popped.refused}
    for k, chain in zip(popped.queue.tolist(), chains(popped.batch), strict=True):
        found.setdefault(k, []).append(chain)
    return found


# -- each as if it were alone


class Twins:
    """The same work on two worlds: in one the queues are fused, in the other each is alone."""

    def __init__(self, random):
        self.random = random
        self.size, self.count = 1 << random.randrange(5), random.randint(1, 5)
        self.features = frozenset(f for f in OPTIONAL if random.random() < 0.5)
        start = random.choice([0, 65534])
        made = [World(self.count, self.size, self.features, STEP, start) for _ in range(2)]
        self.fused, self.alone = self.worlds = made
        self.taken = []
        self.shape = random.choice([[1], [2], [3], [1, 2, 3], [1, 1, 1, 1, 1, 4]])
        self.spoilt = False

    def run(self, steps, lies):
        moves = [self.add, self.add, self.serve, self.serve, self.get, self.ask]
        for _ in range(steps):
            self.random.choice([*moves, self.lie] if lies else moves)()
            assert self.fused.state() == self.alone.state()
            for queue in self.fused.queues:
                queue._check()

    def add(self):
        for k in range(self.count):
            for _ in range(self.random.randint(0, self.size)):
                pieces = self.pieces()
                try:
                    for world in self.worlds:
                        world.add(k, *pieces, kick=False)
                except QueueFull:
                    break
            if self.random.random() < 0.8:
                assert self.fused.drivers[k].kick() == self.alone.drivers[k].kick()

    def pieces(self):
        n = min(self.random.choice(self.shape), self.size)
        readable = self.random.randint(0, n)
        spots = [self.random.randrange(BUFFERS, MEMORY - 64) for _ in range(n)]
        return [(gpa, self.random.randint(1, 64), i >= readable) for i, gpa in enumerate(spots)]

    def serve(self):
        limit = self.random.choice([None, None, 1, self.random.randint(0, self.size)])
        popped = self.fused.fused.pop_many(limit)
        expected = {}
        for k, queue in enumerate(self.alone.queues):
            try:
                batch = queue.pop_many(limit)
            except GuestError as error:
                expected[k] = str(error)
                continue
            if len(batch):
                expected[k] = chains(batch)
        found = by_queue(popped)
        assert found == expected
        assert self.spoilt or not popped.refused
        rooms = popped.batch.writable().tolist()
        self.taken += list(
            zip(popped.queue.tolist(), popped.batch.heads.tolist(), rooms, strict=True)
        )
        self.give_back()

    def give_back(self):
        """In order the oldest of each, else any; sometimes not all that could be written."""
        random, back = self.random, self.taken
        if Feature.IN_ORDER not in self.features:
            random.shuffle(back)
        count = random.randint(0, len(back))
        back, self.taken = back[:count], back[count:]
        written = [room if random.random() < 0.7 else random.randint(0, room) for *_, room in back]
        which, heads = [k for k, *_ in back], [head for _, head, _ in back]
        self.fused.fused.push_many(which, heads, written)
        for k, queue in enumerate(self.alone.queues):
            mine = [i for i in range(count) if which[i] == k]
            queue.push_many([heads[i] for i in mine], [written[i] for i in mine])
        told = self.fused.fused.notify_many().tolist()
        assert told == [queue.notify() for queue in self.alone.queues]

    def get(self):
        for k in range(self.count):
            for world in self.worlds:
                # A driver whose ring was spoilt may not understand what comes back.
                with suppress(DeviceBroken) if self.spoilt else nullcontext():
                    world.drivers[k].get_bufs()

    def ask(self):
        """Either side goes to sleep, or wakes."""
        k = self.random.randrange(self.count)
        side, name = self.random.choice(
            [("queues", "disable_notify"), ("queues", "enable_notify"), ("drivers", "disable_cb")]
        )
        if self.spoilt:
            return
        answers = [getattr(getattr(world, side)[k], name)() for world in self.worlds]
        assert answers[0] == answers[1]

    def lie(self):
        """A driver writes what it must not, into the rings of one queue."""
        self.spoilt, choice, below = True, self.random.choice, self.random.randrange
        k, index = below(self.count), below(self.size)
        rings = self.fused.rings[k]
        addr = choice([BUFFERS, 2**64 - 8, MEMORY - 8, rings.used, rings.desc, RINGS - 8])
        length = choice([0, 16, 32, 2**32 - 1])
        flags = choice([0, NEXT, WRITE, INDIRECT, NEXT | WRITE, NEXT | INDIRECT])
        following = choice([below(self.size), index, (index + 1) % self.size, self.size, 0xFFFF])
        head, jump = choice([below(self.size), 0xFFFF]), choice([0, 0, 0, 1, 2 * self.size])
        position = self.fused.queues[k].last_avail
        for world in self.worlds:
            world.desc(k, index, addr, length, flags, following)
            if jump:
                world.ram.store(rings.avail_at(position), 2, head)
                at = rings.avail_field("idx")
                world.ram.store(at, 2, world.ram.load(at, 2) + jump)


@pytest.mark.volume
@pytest.mark.parametrize("lies", [False, True], ids=["honest", "hostile"])
def test_fused_queues_are_queues_served_alone(lies):
    """Chains, refusals, memory, counts and interrupts, over random work."""
    for seed in range(RUNS):
        Twins(Random(f"{lies} {seed}")).run(20, lies)


# -- together


def alone_is_forbidden(world):
    """From now on no queue may be served by itself."""
    for queue in world.queues:
        queue.pop_many = queue.push_many = queue.notify = None


@pytest.mark.parametrize("features", [frozenset(), frozenset(OPTIONAL)])
@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("count", [1, 4])
def test_plain_chains_are_served_together(features, each, count):
    """One descriptor a chain, or more, if all have as many."""
    world = World(count, 8, features - {Feature.RING_INDIRECT_DESC})
    alone_is_forbidden(world)
    for _ in range(5):
        for k in range(count):
            for _ in range(8 // each - k % 2):
                world.add(k, *[(BUFFERS + i, 16 + i, i == each - 1) for i in range(each)])
        popped = world.fused.pop_many()
        assert np.bincount(popped.queue).tolist() == [8 // each - k % 2 for k in range(count)]
        assert popped.batch.slots.tolist() == [each] * len(popped.batch)
        world.fused.push_many(popped.queue, popped.batch.heads, popped.batch.writable())
        assert world.fused.notify_many().all()
        for driver in world.drivers:
            assert set(driver.get_bufs()[1].tolist()) == {15 + each}


def test_every_queue_has_its_own_barriers_and_threshold():
    world = World(3, 8, frozenset({Feature.RING_EVENT_IDX}))
    for k in (0, 2):
        world.add(k, (BUFFERS, 16, False))
        world.add(k, (BUFFERS, 16, False))
    world.queues[2].disable_notify()
    popped = world.fused.pop_many()
    world.fused.push_many(popped.queue, popped.batch.heads)
    world.fused.notify_many()
    assert [point for k, point in world.said if k == 0] == [
        Order.AVAIL_IDX_THEN_ENTRY,
        Order.AVAIL_EVENT_THEN_IDX,
        Order.ELEMENT_THEN_USED_IDX,
        Order.USED_IDX_THEN_EVENT,
        "interrupt",
    ]
    assert [k for k, _ in world.said if k == 1] == []
    assert (2, Order.AVAIL_EVENT_THEN_IDX) not in world.said
    events = [world.ram.load(rings.used_field("avail_event"), 2) for rings in world.rings]
    assert events == [2, 0, 0xFFFF]


def test_nothing_is_a_batch_of_nothing():
    world = World()
    popped = world.fused.pop_many()
    assert (len(popped.batch), popped.queue.tolist(), popped.refused) == (0, [], ())
    world.fused.push_many([], [])
    assert not world.fused.notify_many().any()
    assert world.said == []


def test_a_limit_is_for_each_queue():
    world = World(2)
    for k in (0, 0, 0, 1):
        world.add(k, (BUFFERS, 16, False))
    assert world.fused.pop_many(0).queue.tolist() == []
    assert world.fused.pop_many(2).queue.tolist() == [0, 0, 1]
    assert world.fused.pop_many(2).queue.tolist() == [0]
    with pytest.raises(ValueError, match="a limit is 0 or more, not -1"):
        world.fused.pop_many(-1)


# -- what is not plain


def refused(world):
    """Queue 1 is refused, and the chains of the others come."""
    for k in (0, 2):
        world.add(k, (BUFFERS, 16, False))
    before = world.queues[1].last_avail
    for _ in range(2):
        popped = world.fused.pop_many()
        ((number, error),) = popped.refused
        assert (number, world.queues[1].last_avail) == (1, before)
        with pytest.raises(GuestError) as alone:
            world.queues[1].pop()
        assert (error.why, error.spec) == (alone.value.why, alone.value.spec)
        assert popped.queue.tolist() in ([0, 2], [])
    assert [queue.last_avail for queue in world.queues] == [1, before, 1]
    return str(error)


@pytest.mark.parametrize(
    ("descriptor", "says"),
    [
        ((BUFFERS, 0), "a buffer of 0 bytes"),
        ((BUFFERS, 16, INDIRECT), "INDIRECT without the feature"),
        ((BUFFERS, 16, NEXT, 8), "descriptor 8 in a table of 8"),
        ((BUFFERS, 16, NEXT, 0), "comes back to itself"),
        ((BUFFERS, 16, NEXT | WRITE, 5), "a readable buffer behind a writable one"),
        ((2**64 - 8, 16), "passes the last address"),
        ((MEMORY - 8, 16), "no memory"),
        ((RINGS + STEP, 16, WRITE), "a writable buffer over the queue"),
        ((RINGS + STEP + 8 * 16 + 3, 1, WRITE), "a writable buffer over the queue"),
    ],
)
def test_a_queue_that_breaks_a_rule_is_refused_alone(descriptor, says):
    world = World()
    world.add(1, (BUFFERS, 16, False))
    world.desc(1, 5)
    world.desc(1, 0, *descriptor)
    assert says in refused(world)


def test_a_head_or_an_index_that_cannot_be():
    world = World()
    world.add(1, (BUFFERS, 16, False))
    world.ram.store(world.rings[1].avail_at(0), 2, 8)
    assert "head 8 in a queue of 8" in refused(world)
    world = World()
    world.ram.store(world.rings[1].avail_field("idx"), 2, 9)
    assert "avail idx jumped by 9" in refused(world)


def test_a_chain_of_too_many_bytes():
    world = World(3, 8)
    world.add(1, (BUFFERS, 16, False), (BUFFERS, 16, False))
    for k in (0, 2):
        world.add(k, (BUFFERS, 16, False), (BUFFERS, 16, False))
    for index in (0, 1):
        world.desc(1, index, 0x1000, 2**32 - 1, NEXT if index == 0 else 0, 1)
    assert "a chain of 0x1fffffffe bytes" in str(world.fused.pop_many().refused)


def test_one_may_write_into_the_queue_of_another():
    """A device does not know other queues when it serves one alone; so not here either."""
    world = World()
    world.add(0, (RINGS, 16, False))
    world.add(1, (RINGS, 16, True))
    alone_is_forbidden(world)
    assert world.fused.pop_many().queue.tolist() == [0, 1]


@pytest.mark.parametrize("features", [frozenset(), frozenset({Feature.IN_ORDER})])
def test_in_order_a_chain_goes_on_to_its_neighbour(features):
    """2.7.5.2; and without that feature to any descriptor."""
    world = World(3, 8, features)
    for k in range(3):
        world.add(k, (BUFFERS, 16, False), (BUFFERS, 16, False))
    world.desc(1, 0, flags=NEXT, following=5)
    world.desc(1, 5)
    world.queues[0].pop_many = world.queues[2].pop_many = None
    if not features:
        alone_is_forbidden(world)
    popped = world.fused.pop_many()
    assert popped.queue.tolist() == ([0, 2] if features else [0, 1, 2])
    assert [str(error)[:7] for _, error in popped.refused] == (["next is"] if features else [])


def test_long_chains_and_tables_go_their_own_way():
    """They are right, but not plain; the others are served together all the same."""
    world = World(4, 32, frozenset({Feature.RING_INDIRECT_DESC}))
    world.add(0, (BUFFERS, 16, False))
    world.add(1, *[(BUFFERS, 16, False)] * 20)
    world.add(2, (BUFFERS, 16, False), (BUFFERS, 16, True))
    world.add(3, (BUFFERS, 16, False))
    world.queues[0].pop_many = world.queues[3].pop_many = None
    popped = world.fused.pop_many()
    lengths = np.diff(popped.batch.starts).tolist()
    assert dict(zip(popped.queue.tolist(), lengths, strict=True)) == {0: 1, 1: 20, 2: 2, 3: 1}


def test_a_queue_that_was_reset_or_set_up_again_is_served_alone():
    world = World()
    for k in range(3):
        world.add(k, (BUFFERS, 16, False))
    world.queues[0].reset()
    world.queues[1].reset()
    world.queues[1].enable(world.rings[1])
    popped = world.fused.pop_many()
    assert popped.queue.tolist() == [2, 1]
    world.fused.push_many(popped.queue, popped.batch.heads)
    assert [queue.used for queue in world.queues] == [0, 1, 1]
    assert world.fused.notify_many().tolist() == [False, True, True]
    assert [driver.get_bufs()[0] for driver in world.drivers] == [[], [None], [None]]


class Remapped(GuestMemory):
    """Memory of which some may be taken away."""

    gone = 1 << 32

    def offset(self, gpa, length=1, write=False):
        return (
            super().offset(gpa, length, write) if gpa + length <= self.gone else super().offset(0)
        )


def test_when_memory_is_mapped_otherwise_the_rings_are_looked_for_again():
    world = World()
    for k in range(3):
        world.add(k, (BUFFERS, 16, False))
    world.ram.__class__ = Remapped
    world.ram.generation += 1
    assert world.fused.pop_many(1).queue.tolist() == [0, 1, 2]
    world.add(0, (RINGS + 0x400, 16, False))
    world.add(2, (BUFFERS, 16, False))
    world.ram.gone = RINGS + 2 * STEP
    world.ram.generation += 1
    popped = world.fused.pop_many()
    assert popped.queue.tolist() == [0]
    assert [number for number, _ in popped.refused] == [2]
    world.fused.push_many(popped.queue, popped.batch.heads)
    assert world.fused.notify_many().tolist() == [True, False, False]


# -- misuse


def test_what_cannot_be_fused():
    with pytest.raises(ValueError, match="no queues"):
        FusedSplit([])
    one, other = World(), World()
    with pytest.raises(ValueError, match="in one memory"):
        FusedSplit([one.queues[0], other.queues[1]])
    with pytest.raises(ValueError, match="equal steps"):
        FusedSplit([one.queues[0], one.queues[2], one.queues[1]])
    with pytest.raises(ValueError, match="equal steps"):
        FusedSplit([one.queues[0], one.queues[0]])
    one.queues[1].enable(one.rings[1], frozenset({Feature.IN_ORDER}))
    with pytest.raises(ValueError, match="one set of features"):
        FusedSplit(one.queues)
    one.queues[1].enable(SplitRings.placed(RINGS + STEP, 4))
    with pytest.raises(ValueError, match="one size"):
        FusedSplit(one.queues)
    one.queues[1].reset()
    with pytest.raises(ValueError, match="are ready"):
        FusedSplit(one.queues)
    for queue in other.queues:
        queue.dma = other
    with pytest.raises(TypeError, match="memory that is one array"):
        FusedSplit(other.queues)


@pytest.mark.parametrize(
    ("queue", "heads", "written", "says"),
    [
        ([0], [0, 1], 0, "of one length"),
        ([0, 1], [0, 0], [1], "of one length"),
        ([3], [0], 0, "queues are whole numbers from 0 to 2"),
        ([0.0], [0], 0, "queues are whole numbers"),
        ([-1], [0], 0, "queues are whole numbers"),
        ([0], [8], 0, "heads are whole numbers from 0 to 7"),
        ([[0]], [[0]], 0, "in one row"),
        ([0], [0], -1, "written are whole numbers"),
        ([0], [0], 2**32, "written are whole numbers"),
        ([1, 0, 0], [0, 0, 0], 0, "1 chains of queue 0 are in flight: cannot give 2 back"),
    ],
)
def test_what_cannot_be_given_back(queue, heads, written, says):
    """All is looked at before anything is written."""
    world = World()
    for k in range(2):
        world.add(k, (BUFFERS, 16, True))
    world.fused.pop_many()
    before = world.state()
    with pytest.raises(ValueError, match=says):
        world.fused.push_many(queue, heads, written)
    assert world.state() == before


@pytest.mark.parametrize(
    ("heads", "written", "says"),
    [
        ([0, 1], 0, "in order, chain 0 of queue 1 is next, not 1"),
        ([0, 0], [16, 17], "the chain has 16 writable bytes, not 17"),
    ],
)
def test_in_order_what_is_not_next(heads, written, says):
    world = World(2, 8, frozenset({Feature.IN_ORDER}))
    for k in (0, 1, 1):
        world.add(k, (BUFFERS, 16, True))
    world.fused.pop_many()
    before = world.state()
    with pytest.raises(ValueError, match=says):
        world.fused.push_many([0, 1], heads, written)
    assert world.state() == before


def test_in_order_one_element_stands_for_all_that_are_complete():
    """2.7.9: and the next element lies behind as many places as the first stood for."""
    world = World(2, 8, frozenset({Feature.IN_ORDER}))
    for k in (0, 0, 0, 0, 1):
        world.add(k, (BUFFERS, 16, True))
    popped = world.fused.pop_many()
    world.fused.push_many(popped.queue, popped.batch.heads, [16, 16, 9, 16, 16])
    assert [driver.get_bufs()[1].tolist() for driver in world.drivers] == [[16, 16, 9, 16], [16]]
    at = world.rings[0].used_at
    found = [(world.ram.load(at(i), 4), world.ram.load(at(i) + 4, 4)) for i in range(4)]
    assert found == [(2, 9), (0, 0), (0, 0), (3, 16)]
