"""Random packed rings, played twice: list by list, and in batches on another memory like it.

A `Game` is one queue through a few rounds. In each the driver fills some of the free slots, well or
badly; both devices take what there is; both give some of it back. After every step the lists, the
refusals, the books and all bytes of both memories have to be the same.
"""

from __future__ import annotations

import struct
from itertools import product
from random import Random

import numpy as np

from virtlab.errors import GuestError
from virtlab.memory import GuestMemory
from virtlab.virtio.batch import Batch
from virtlab.virtio.features import Feature
from virtlab.virtio.ordering import no_barrier
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import AVAIL, USED, PackedRings, avail_bits, wrap_at

NEXT, WRITE, INDIRECT = 1, 2, 4
FEATURES = [
    frozenset(filter(None, some))
    for some in product(
        (None, Feature.RING_INDIRECT_DESC),
        (None, Feature.RING_EVENT_IDX),
        (None, Feature.IN_ORDER),
    )
]
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 23, 32, 33)
REGIONS = ((0, 0x6000), (0x8000, 0x6000))
"""Memory with a hole in it, from 0x6000 to 0x8000."""
RING, TABLES, BUFFERS = 0x1000, 0x3000, 0xA000
END = 0xE000
LAST = (1 << 64) - 16

BAD_PIECES = (
    (BUFFERS, 0, 0),  # no bytes
    (LAST, 17, 0),  # past the last address
    (LAST, 4, WRITE),
    (0x5FF8, 9, 0),  # into the hole
    (0x7000, 4, WRITE),  # in the hole
    (END - 1, 2, 0),  # past the end of memory
    (1 << 40, 8, 0),
    (1 << 63, 8, 0),
    (RING, 1, WRITE),  # over the queue
    (RING - 1, 2, WRITE),
    (0, 0x5000, WRITE),
    (BUFFERS, 0xFFFF_FFFF, 0),  # with another of these, too many bytes
)
ELSEWHERE = (RING, 0x4000, 0x5F9C, 0x6000, 0x7FFF, 0x8000, END - 100, END, 1 << 63, (1 << 64) - 1)
"""Other addresses for a buffer that was right: some of them are, too."""
BAD_TABLES = (0, 8, 24, 16 * 40, 0xFFFF_FFF0)
"""Lengths in bytes that no table may have, at least in a queue of these sizes."""


def outcome(call):
    """What a call gives, and the words and the clause if it is refused."""
    try:
        return call(), None
    except GuestError as error:
        return None, (error.why, error.spec)


def arrays(batch):
    """A batch as something that can be compared."""
    names = ("heads", "slots", "starts", "offset", "length", "write")
    return {name: getattr(batch, name).tolist() for name in names}


def one_by_one(queue, limit):
    """What so many `pop` take before one refuses, and why it does if it is the first."""
    chains, why = [], None
    while limit is None or len(chains) < limit:
        chain, why = outcome(queue.pop)
        if chain is None:
            break
        chains.append(chain)
    return chains, None if chains else why


class Game:
    """One ring from a seed. `sizes` to choose from; `bad`, how often a list breaks a rule."""

    def __init__(self, seed, sizes=SIZES, bad=0.05):
        self.rng = rng = Random(seed)
        self.size = rng.choice(sizes)
        self.features = rng.choice(FEATURES)
        self.bad = self.mistakes = bad if rng.random() < 0.7 else 0
        self.steady = rng.random() < 0.4  # all is filled, all is taken, all is given back
        self.longest = rng.choice((1, 1, 1, 2, 4))  # descriptors of a list
        self.habit = rng.choice(("same", "moved") if self.steady else ("same", "moved", "new"))
        self.rings = PackedRings.placed(RING, self.size)
        if rng.random() < 0.3:
            self.rings = self.rings._replace(driver=0x5000, device=0x9000)
        self.base = rng.randrange(3 * self.size)
        # Where a barrier does something, the driver may run meanwhile, and other ways are taken.
        self.barrier = rng.choice((no_barrier, lambda point: None))
        self.slow, self.quick = self.device(), self.device()
        self.at = self.base
        self.flying = []  # what the scalar side took and did not give back
        self.batches = []  # what the other took, in batches
        self.memory = {}  # by slot: the list that began there

    def device(self):
        queue = PackedQueue(GuestMemory(REGIONS), barrier=self.barrier)
        queue.enable(self.rings, self.features, self.base)
        return queue

    # -- the driver

    def fill(self):
        """Some lists, into the free slots of the ring, in the slow side's memory; then copied."""
        free = self.size - (self.at - self.slow.used)
        want = free if self.steady or self.rng.random() < 0.6 else self.rng.randint(0, free)
        while want > 0:
            pieces, ident = self.list_here(want)
            for number, (addr, length, flags) in enumerate(pieces, 1):
                bits = avail_bits(wrap_at(self.at, self.size))
                flags |= bits | (NEXT if number < len(pieces) else 0)
                self.put(self.at % self.size, addr, length, ident, flags)
                self.at += 1
            want -= len(pieces)
        if self.rng.random() < self.bad:
            self.spoil()
        np.copyto(self.quick.dma.bytes, self.slow.dma.bytes)

    def put(self, slot, addr, length, ident, flags):
        self.slow.dma.write(
            self.rings.desc + 16 * slot, struct.pack("<QIHH", addr, length, ident, flags)
        )

    def list_here(self, room):
        """The pieces and the id of a list: new ones, or those that were here the last time."""
        slot = self.at % self.size
        old = self.memory.get(slot)
        if old and len(old[0]) <= room and self.habit != "new" and self.rng.random() < 0.99:
            pieces, ident = old
            if self.habit == "moved" and not pieces[0][2] & INDIRECT:
                pieces = [(self.address(min(n, 200)), n, flags) for _, n, flags in pieces]
            return pieces, ident
        pieces = self.pieces(self.rng.randint(1, min(self.longest, room)))
        # Each slot has an id of its own, and now and then that of another.
        ident = self.rng.randrange(3 * self.size if self.rng.random() < self.bad else 1) or slot
        self.memory[slot] = pieces, ident
        return pieces, ident

    def address(self, length):
        if self.rng.random() < self.bad / 4:
            return self.rng.choice(ELSEWHERE)
        return BUFFERS + self.rng.randrange(0x1000 - length)

    def pieces(self, count, table=False):
        rng = self.rng
        if not table and Feature.RING_INDIRECT_DESC in self.features and rng.random() < 0.3:
            return [self.table()]
        writable = rng.randint(0, count)
        found = []
        for number in range(count):
            length = rng.randint(1, 200)
            flags = WRITE if number >= count - writable else 0
            found.append((self.address(length), length, flags))
        if rng.random() < self.bad:
            found[rng.randrange(count)] = rng.choice(BAD_PIECES)
        if rng.random() < self.bad:
            rng.shuffle(found)
        if rng.random() < self.bad:
            number = rng.randrange(count)
            addr, length, flags = found[number]
            found[number] = addr, length, flags | INDIRECT
        return found

    def table(self):
        """A descriptor that stands for a table, which is written here."""
        rng = self.rng
        entries = self.pieces(rng.randint(1, min(self.size, 5)), table=True)
        if rng.random() < self.bad:
            entries = entries * 8
        # Often, but not always, at a multiple of 16.
        where = (
            TABLES + rng.randrange(0x100) * 16 + (rng.randrange(16) if rng.random() < 0.2 else 0)
        )
        more = rng.choice((0, NEXT, AVAIL, 0x7F70)) if rng.random() < 0.3 else 0
        raw = b"".join(
            struct.pack("<QIHH", addr, length, 0xABCD, flags | more)
            for addr, length, flags in entries
        )
        self.slow.dma.write(where, raw)
        length = len(raw)
        if rng.random() < self.bad:
            length = rng.choice(BAD_TABLES)
        if rng.random() < self.bad:
            where = rng.choice((LAST, 0x5FF8, 0x7000, RING, 1 << 40))
        return where, length, INDIRECT | (WRITE if rng.random() < 0.2 else 0)

    def spoil(self):
        """Turn some bits of some flags, anywhere in the ring."""
        slot = self.rng.randrange(self.size)
        at = self.rings.desc + 16 * slot + 14
        bits = self.rng.choice((NEXT, WRITE, INDIRECT, AVAIL, USED, AVAIL | USED))
        self.slow.dma.store(at, 2, self.slow.dma.load(at, 2) ^ bits)

    # -- both devices

    def pop(self):
        """Both take what there is. Gives whether that was refused."""
        limit = (
            None if self.steady or self.rng.random() < 0.7 else self.rng.randint(0, self.size + 1)
        )
        if self.rng.random() < 0.1:
            for queue in (self.slow, self.quick):
                queue.listening = not queue.listening
        chains, why = one_by_one(self.slow, limit)
        expected = Batch.of(chains, self.slow.dma)
        if self.rng.random() < 0.1:
            batch, same = expected, one_by_one(self.quick, limit)
            assert same == (chains, why)
        else:
            batch, why_not = outcome(lambda: self.quick.pop_many(limit))
            assert why == why_not
            assert arrays(batch or expected) == arrays(expected)
        if self.rng.random() < 0.5:
            self.compare()
        self.flying += chains
        if chains:
            self.batches.append(batch)
        return why is not None

    def push(self):
        """Both give something back: often all of the last batch, as it came."""
        rng = self.rng
        if not self.flying:
            return
        last = self.batches[-1]
        whole = last.heads.tolist() == [chain.head for chain in self.flying]
        if whole and (self.steady or rng.random() < 0.7):
            chosen, heads = self.flying, last if rng.random() < 0.8 else last.copy()
        elif self.last_is_all_there(last) and rng.random() < 0.3:
            chosen, heads = self.flying[-len(last) :], last
        else:
            chosen = self.choose()
            heads = np.array([chain.head for chain in chosen])
        written = self.written(chosen)
        self.push_singly(self.slow, chosen, written)
        if rng.random() < 0.1:
            self.push_singly(self.quick, chosen, written)
        else:
            short = not any(written) and rng.random() < 0.8
            self.quick.push_many(heads, 0 if short else np.array(written))
        gone = {chain.head for chain in chosen}
        self.flying = [chain for chain in self.flying if chain.head not in gone]
        self.compare()

    def last_is_all_there(self, last):
        """Whether all of the last batch is in flight, and may be given back before others."""
        ends = [chain.head for chain in self.flying[-len(last) :]]
        return Feature.IN_ORDER not in self.features and last.heads.tolist() == ends

    def choose(self):
        """Some of those in flight: the first ones, if it is in order."""
        count = self.rng.randint(1, len(self.flying))
        if Feature.IN_ORDER in self.features:
            return self.flying[:count]
        return self.rng.sample(self.flying, count)

    def written(self, chains):
        kind = self.rng.choice(("none", "all", "some"))
        if kind == "some":
            return [self.rng.choice((0, chain.writable, chain.writable // 2)) for chain in chains]
        return [chain.writable if kind == "all" else 0 for chain in chains]

    def push_singly(self, queue, chains, written):
        """With `push`: one by one, or, in order, as few descriptors as are allowed."""
        count = 0
        for number, (chain, length) in enumerate(zip(chains, written, strict=True), 1):
            count += 1
            together = Feature.IN_ORDER in self.features and length == chain.writable
            if number == len(chains) or not together:
                queue.push(chain, length, count)
                count = 0

    def compare(self):
        """All that either side knows, and all that is in memory."""
        slow, quick = self.slow, self.quick
        slow._check()
        quick._check()
        for name in ("last_avail", "used", "taken", "returned", "signalled", "listening"):
            assert getattr(slow, name) == getattr(quick, name), name
        assert slow._slots.tobytes() == quick._slots.tobytes()
        if Feature.IN_ORDER in self.features:
            flying = np.arange(slow.returned, slow.taken) % self.size
            assert slow._order[flying].tolist() == quick._order[flying].tolist()
            assert slow._room[flying].tolist() == quick._room[flying].tolist()
        assert slow.dma.bytes.tobytes() == quick.dma.bytes.tobytes()

    def play(self, rounds):
        """So many rounds, fewer if something is refused. Gives how many were played."""
        for number in range(1, rounds + 1):
            # The first laps of a steady game are right: then there is something to compare with.
            self.bad = 0 if self.steady and number <= 3 else self.mistakes
            self.fill()
            refused = self.pop()
            if self.rng.random() < 0.3:
                refused = self.pop() or refused
            self.push()
            if refused:
                self.compare()
                return number
        self.compare()
        return rounds
