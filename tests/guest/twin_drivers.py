"""Two drivers of one kind, each with a memory and a device of its own, that shall never differ.

The first makes singular calls, the second plural ones. Their devices are the same scalar ones, take
the same steps, and tell the same lies. After each step both memories and both books are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import numpy as np

from tests.virtio.model import MemoryCpu
from virtlab.errors import GuestError
from virtlab.guest.virtqueue import DeviceBroken, QueueFull, Tables
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import USED_ELEM, SplitRings, packer
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PACKED_DESC, PackedRings
from virtlab.virtio.split import SplitQueue

RING, TABLE, BUFFERS, MEMORY = 0x1000, 0x2000, 0x3000, 0x4000
ENTRIES = 3
USED_DESC = PACKED_DESC[["len", "id", "flags"]]
LAYOUTS = {
    "split": (SplitDriver, SplitRings, SplitQueue),
    "packed": (PackedDriver, PackedRings, PackedQueue),
}


class Side:
    """One driver over its memory, and its device. `calls` is what the two said to each other."""

    def __init__(self, layout, size, features):
        self.ram = GuestMemory(MEMORY)
        driver, rings, queue = LAYOUTS[layout]
        self.calls = []
        self.rings = rings.placed(RING, size)
        self.cpu = MemoryCpu(self.ram)
        self.driver = driver(
            self.cpu,
            self.rings,
            features,
            lambda: self.calls.append("bell"),
            Tables(TABLE, ENTRIES),
        )
        self.queue = queue(self.ram, lambda: self.calls.append("interrupt"))
        self.queue.enable(self.rings, features)
        self.chains = []

    def travel(self, start):
        """To where `start` buffers have come and gone, so that the indices soon wrap."""
        driver, features = self.driver, self.driver.features
        driver.added = driver.exposed = driver.last_used = start
        self.queue.enable(self.rings, features, start)
        if isinstance(driver, SplitDriver):
            driver._batch_end = start
            for field in (self.rings.avail_field("idx"), self.rings.used_field("idx")):
                self.ram.store(field, 2, start)

    def state(self):
        """All that there is, but for what only one of the two needs."""
        out = self.driver.outstanding
        held = [(k, out.tokens[k], out.slots[k], out.room[k], out.number[k]) for k in out.by_age()]
        names = ("added", "exposed", "last_used", "_batch_end", "callbacks")
        counts = [getattr(self.driver, name) for name in names]
        return counts, held, self.driver._free.numbers(), self.calls, self.ram.bytes.tobytes()


def buffers(random: Random, size: int) -> Iterator[tuple[list, list]]:
    """A few buffers, mostly of one kind, as singular calls take them."""
    most = min(size, 6)
    kind = random.choice(["one", "same", "mixed"])
    same = random.randint(1, most)
    for _ in range(random.randint(1, 2 * size)):
        count = {"one": 1, "same": same, "mixed": random.randint(1, most)}[kind]
        pieces = [
            (random.randrange(BUFFERS, MEMORY - 64), random.randint(1, 64)) for _ in range(count)
        ]
        out = random.randint(0, count) if kind == "mixed" else count // 2
        yield pieces[:out], pieces[out:]


def arrays(some):
    """The same as arrays: with `starts`, and without if all have one shape."""
    pieces = [(*piece, write) for pair in some for write, side in enumerate(pair) for piece in side]
    table = np.array(pieces, np.int64)
    counts = [len(out) + len(in_) for out, in_ in some]
    write = table[:, 2] != 0
    if len({(len(out), len(in_)) for out, in_ in some}) > 1:
        return table[:, 0], table[:, 1], write, np.append(0, np.cumsum(counts))
    shape = (len(some), counts[0])
    return table[:, 0].reshape(shape), table[:, 1].reshape(shape), write[: counts[0]], None


class Twins:
    """The `random` steps of both sides."""

    def __init__(self, layout, size, features, random, start=0):
        self.layout, self.size, self.features, self.random = layout, size, features, random
        self.one, self.many = Side(layout, size, features), Side(layout, size, features)
        self.sides = (self.one, self.many)
        for side in self.sides:
            side.travel(start)
        self.tokens = 0
        self.broken = 0

    def run(self, steps, lies):
        """So many steps; with `lies` the device may break rules as well."""
        honest = [self.add, self.add, self.kick, self.device, self.device, self.get, self.get]
        honest += [self.callbacks]
        for _ in range(steps):
            self.random.choice([*honest, self.lie] if lies else honest)()
            self.compare()
        if not lies:
            self.drain()

    def compare(self):
        assert self.one.state() == self.many.state()
        self.one.driver._check()
        self.many.driver._check()

    def add(self):
        some = list(buffers(self.random, self.size))
        tokens = [(self.tokens + i, "token") for i in range(len(some))]
        self.tokens += len(some)
        fits = 0
        for (out, in_), token in zip(some, tokens, strict=True):
            try:
                self.one.driver.add_buf(out, in_, token)
            except QueueFull:
                break
            fits += 1
        gpas, lengths, write, starts = arrays(some)
        added = self.many.driver.add_bufs(gpas, lengths, tokens, write=write, starts=starts)
        assert added == fits

    def kick(self):
        assert self.one.driver.kick() == self.many.driver.kick()

    def device(self):
        """It takes some, gives some back, and tells the driver."""
        seed = self.random.random()
        for side in self.sides:
            self.work(side, Random(seed))

    def work(self, side, random):
        try:
            for _ in range(random.randint(0, 2 * self.size)):
                if chain := side.queue.pop():
                    side.chains.append(chain)
            if not side.chains:
                return
            self.give_back(side, random)
            if random.random() < 0.7:
                side.queue.notify()
        except (GuestError, ValueError):
            assert self.broken  # only a ring that the device itself spoilt can be wrong

    def give_back(self, side, random):
        count = random.randint(1, len(side.chains))
        if Feature.IN_ORDER in self.features:
            done = 0
            while done < count:
                step = random.choice([1, random.randint(1, count - done)])
                *_, last = side.chains[:step]
                del side.chains[:step]
                side.queue.push(last, random.randint(0, last.writable), step)
                done += step
            return
        if random.random() < 0.5:
            random.shuffle(side.chains)
        for chain in side.chains[:count]:
            side.queue.push(chain, random.randint(0, chain.writable))
        del side.chains[:count]

    def get(self):
        limit = self.random.choice([None, None, 0, 1, self.random.randint(1, self.size)])
        assert self.singular(limit) == self.plural(limit)

    def singular(self, limit):
        """What repeated `get_buf` gives, or what the first of them fails with."""
        found = []
        while limit is None or len(found) < limit:
            try:
                used = self.one.driver.get_buf()
            except DeviceBroken as broken:
                self.broken += 1
                return found or str(broken)
            if used is None:
                break
            found.append(tuple(used))
        return found

    def plural(self, limit):
        try:
            tokens, written = self.many.driver.get_bufs(limit)
        except DeviceBroken as broken:
            return str(broken)
        assert written.dtype == np.int64
        return list(zip(tokens, written.tolist(), strict=True))

    def callbacks(self):
        name = self.random.choice(["disable_cb", "enable_cb"])
        answers = [getattr(side.driver, name)() for side in self.sides]
        assert answers[0] == answers[1]

    def lie(self):
        """The device writes what it must not, the same into both memories."""
        self.broken += 1
        choice, below = self.random.choice, self.random.randrange
        key = choice([below(self.size), below(1 << 16)])
        length, flags = choice([0, 7, 0xFFFF_FFFF]), choice([0, 0x8080])
        place, step = choice([0, below(self.size)]), choice([0, 1, 2, self.size, 0xFFFF])
        for side in self.sides:
            if self.layout == "packed":
                at = side.rings.desc_at(side.driver.last_used + place)
                side.ram.write(at + 8, packer(USED_DESC).pack(length, key, flags))
            else:
                idx = side.rings.used_field("idx")
                now = side.ram.load(idx, 2)
                side.ram.write(side.rings.used_at(now + place), packer(USED_ELEM).pack(key, length))
                side.ram.store(idx, 2, now + step)

    def drain(self):
        """In the end everything comes back."""
        self.kick()
        for side in self.sides:
            while chain := side.queue.pop():
                side.chains.append(chain)
            for chain in side.chains:
                side.queue.push(chain, chain.writable)
        assert self.singular(None) == self.plural(None)
        self.compare()
        assert not len(self.many.driver.outstanding)
