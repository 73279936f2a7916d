"""What a driver must and must not do in a ring: random work, and every store of the driver judged.

The device at the other end is our own, which refuses a chain that breaks a rule. What it cannot see
is judged here: which bytes the driver stores, and when.
"""

import random
from itertools import pairwise

import pytest

from tests.guest.paper_virtio import ring_name
from tests.virtio.model import MemoryCpu
from virtlab.cpu import Recorder
from virtlab.guest.virtqueue import QueueFull, Tables
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings, packer
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PACKED_DESC, PackedRings
from virtlab.virtio.split import SplitQueue

RING, TABLE, DATA, MEMORY = 0x1000, 0x4000, 0x10000, 0x20000
SIZE, ENTRIES, PIECES = 16, 5, 4
AVAIL, USED = 1 << 7, 1 << 15

RINGS = [
    frozenset(),
    frozenset({Feature.RING_EVENT_IDX}),
    frozenset({Feature.RING_INDIRECT_DESC}),
    frozenset({Feature.IN_ORDER, Feature.RING_INDIRECT_DESC}),
    frozenset({Feature.IN_ORDER, Feature.RING_EVENT_IDX}),
]
every = pytest.mark.parametrize("features", RINGS, ids=ring_name)
layouts = pytest.mark.parametrize("layout", ["split", "packed"])


class World:
    """A driver at random work. `held` has, for each token, the bytes that are the device's now.

    In a packed ring the slots are the device's from position `back` to `at`, whoever's they were: a
    used descriptor is written where the last one ended (2.8.2).
    """

    def __init__(self, layout, features, seed=1):
        self.rng, self.features = random.Random(seed), features
        self.ram = GuestMemory(MEMORY)
        self.cpu = Recorder(MemoryCpu(self.ram))
        self.packed = layout == "packed"
        tables = Tables(TABLE, ENTRIES)
        driver, device = (PackedDriver, PackedQueue) if self.packed else (SplitDriver, SplitQueue)
        self.rings = (PackedRings if self.packed else SplitRings).placed(RING, SIZE)
        self.bells = 0
        self.driver = driver(self.cpu, self.rings, features, self.ring, tables)
        self.queue = device(self.ram)
        self.queue.enable(self.rings, features)
        self.held, self.unexposed, self.flying = {}, [], []
        self.at, self.back, self.count, self.stores = 0, 0, 0, []
        self.slots = {}

    def ring(self):
        self.bells += 1

    # -- what is exposed

    def descriptors(self, desc, count=None):
        """From entry `desc` on, the list that begins there: (place, addr, len, flags, number)."""
        kind = PACKED_DESC if self.packed else DESC
        found = []
        while True:
            place = self.rings.desc + 16 * (desc % SIZE)
            addr, length, *rest = packer(kind).unpack(self.ram.read(place, 16))
            ident, flags = rest if self.packed else reversed(rest)
            found.append((place, addr, length, flags, ident))
            if not flags & NEXT:
                return found
            desc = desc + 1 if self.packed else ident
            assert len(found) < SIZE, "2.7.5.2, 2.8.17: no loop, and no longer than the queue"

    def table(self, addr, length):
        """The descriptors of an indirect table, judged by 2.7.5.3.1 and 2.8.19."""
        kind, found = (PACKED_DESC if self.packed else DESC), []
        for at in range(addr, addr + length, 16):
            addr_, length_, *rest = packer(kind).unpack(self.ram.read(at, 16))
            flags = rest[1] if self.packed else rest[0]
            if self.packed:
                assert not flags & ~WRITE, "no flag but WRITE"
            else:
                last = at + 16 == addr + length
                assert not flags & INDIRECT, "no table in a table"
                assert (flags & NEXT, rest[1]) == (
                    (0, 0) if last else (NEXT, (at - addr) // 16 + 1)
                )
            found.append((addr_, length_, flags))
        return found

    def judge(self, chain):
        """One list, as it is exposed: gives the bytes that are the device's from here on."""
        theirs = [] if self.packed else [(place, 16) for place, *_ in chain]
        assert len(chain) <= SIZE
        pieces = [(addr, length, flags) for _, addr, length, flags, _ in chain]
        *before, (addr, length, flags) = pieces
        assert not any(one[2] & INDIRECT for one in before), "INDIRECT and NEXT"
        if flags & INDIRECT:
            assert Feature.RING_INDIRECT_DESC in self.features
            assert not flags & NEXT
            theirs.append((addr, length))
            pieces = before + self.table(addr, length)
        writes = [bool(flags & WRITE) for _, _, flags in pieces]
        assert writes == sorted(writes), "writable elements after readable ones"
        assert len(pieces) <= SIZE
        assert sum(length for _, length, _ in pieces) <= 2**32
        if Feature.IN_ORDER in self.features and not self.packed:
            for (_, _, _, flags, following), (place, *_) in pairwise(chain):
                assert not flags & NEXT or following == (place - self.rings.desc) // 16
        return theirs

    def expose(self):
        """After a kick: what it exposed, in the order in which it was added."""
        for token in self.unexposed:
            head = self.at
            if not self.packed:
                head = self.ram.load(self.rings.avail_at(self.at), 2)
            chain = self.descriptors(head)
            self.held[token], self.slots[token] = self.judge(chain), len(chain)
            self.at += len(chain) if self.packed else 1
        self.unexposed.clear()

    # -- the work

    def theirs(self):
        """All bytes that no store of the driver may hit now."""
        if self.packed:
            yield from ((self.rings.desc_at(at), 16) for at in range(self.back, self.at))
        for ranges in self.held.values():
            yield from ranges

    def act(self, call, *arguments, got=lambda result: []):
        """One call of the driver; no store of it may hit what is the device's."""
        before = len(self.cpu.accesses)
        result = call(*arguments)
        for token in got(result):
            del self.held[token]
            self.back += self.slots.pop(token)
        stores = [one for one in self.cpu.accesses[before:] if one.write]
        self.stores += [(one.address, one.size, one.value) for one in stores]
        for start, length in self.theirs() if stores else ():
            for one in stores:
                apart = one.address + one.size <= start or start + length <= one.address
                assert apart, f"{start:#x} is the device's, and the driver stores there"
        return result

    def add(self):
        pieces = self.rng.randrange(1, PIECES + 1)
        out = self.rng.randrange(pieces + 1)
        places = [(DATA + 64 * n, 1 + n) for n in range(pieces)]
        try:
            self.act(self.driver.add_buf, places[:out], places[out:], self.count)
        except QueueFull:
            return
        self.unexposed.append(self.count)
        self.count += 1

    def add_many(self):
        tokens = list(range(self.count, self.count + self.rng.randrange(1, SIZE)))
        places = [DATA + 64 * n for n in range(len(tokens))]

        def call():
            return self.driver.add_bufs(places, 8, tokens, write=self.rng.random() < 0.5)

        added = self.act(call)
        self.unexposed += tokens[:added]
        self.count += added

    def kick(self):
        self.act(self.driver.kick)
        self.expose()

    def serve(self):
        """The device takes all, and gives some of it back: in any order, if it may."""
        self.flying += iter(self.queue.pop, None)
        if Feature.IN_ORDER not in self.features:
            self.rng.shuffle(self.flying)
        for _ in range(self.rng.randrange(len(self.flying) + 1)):
            chain = self.flying.pop(0)
            self.queue.push(chain, chain.writable)

    def get(self):
        self.act(self.driver.get_buf, got=lambda used: [used.token] if used else [])

    def get_many(self):
        self.act(self.driver.get_bufs, got=lambda found: found[0])

    def wish(self):
        self.act(self.rng.choice([self.driver.disable_cb, self.driver.enable_cb]))

    def run(self, steps=1500):
        every = [self.add, self.add_many, self.kick, self.serve, self.get, self.get_many, self.wish]
        for _ in range(steps):
            self.rng.choice(every)()
        assert self.count > steps // 4
        return self


@every
@layouts
def test_what_is_exposed_keeps_the_rules_and_is_left_alone_until_it_is_used(layout, features):
    """3.3.1, 2.8.16: no store to a descriptor or table from its exposure to its return.

    And of each list, as it is exposed: 2.7.4.2, 2.7.5.2, 2.7.5.3.1, 2.8.17, 2.8.19.
    """
    world = World(layout, features).run()
    assert len(world.held) <= SIZE


@every
def test_the_available_index_never_goes_back(features):
    """2.7.6.1: there is no way to unexpose a buffer. It moves by at most the queue's size."""
    world = World("split", features).run(6000)
    at = world.rings.avail_field("idx")
    told = [0, *(value for address, _, value in world.stores if address == at)]
    steps = [(new - old) % 65536 for old, new in pairwise(told)]
    assert len(told) > 100
    assert all(0 < step <= SIZE for step in steps)
    assert sum(steps) == world.at


@every
def test_the_available_ring_s_flags_are_0_or_1(features):
    """2.7.7.1: 0 or 1; and with EVENT_IDX always 0."""
    world = World("split", features).run()
    at = world.rings.avail_field("flags")
    told = {value for address, size, value in world.stores if address == at}
    assert told <= ({0} if Feature.RING_EVENT_IDX in features else {0, 1})
    assert (1 in told) == (Feature.RING_EVENT_IDX not in features)


@every
@layouts
def test_a_chain_longer_than_the_queue_is_refused_and_nothing_is_stored(layout, features):
    """2.7.5.3.1, 2.8.17, 2.8.19: not even in a table with room for it."""
    world = World(layout, features)
    driver = type(world.driver)(
        world.cpu, world.rings, features, world.ring, Tables(TABLE, SIZE + 4)
    )
    before = world.ram.bytes.tobytes()
    with pytest.raises(ValueError, match=f"1 to {SIZE} pieces, not {SIZE + 1}"):
        driver.add_buf([(DATA, 1)] * (SIZE + 1), [], "long")
    assert world.ram.bytes.tobytes() == before
