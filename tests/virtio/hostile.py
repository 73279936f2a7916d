"""A hostile guest, step by step: registers, memory, notifications, chains and resets in any order.

    attack = BlkAttack("pci", "packed", seed=1)
    attack.walk(400)            # no step raises, and after each one `check` holds

What always holds: nothing raises, the device's books are right, no byte outside the guest's memory
has changed, and what the device keeps is bounded. Every now and then `begin` proves that a reset
gives a device that works: a driver that keeps the rules comes, and is served.
"""

from __future__ import annotations

import random
from contextlib import suppress

from tests.virtio.rig import DATA, MMIO, RAM, ROOM, Rig
from virtlab.backends import Disk
from virtlab.guest.virtqueue import DeviceBroken, QueueFull
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import REQUEST, SECTOR, BlkFeature, BlkType
from virtlab.virtio.layouts import packer
from virtlab.virtio.mmio_registers import WINDOW
from virtlab.virtio.rng import VirtioRng, seeded

LENGTHS = [1, 2, 3, 9, 10, 11, 12, 13, 16, 26, 72, 512, 513, 1514, 4096, 5000, 0x10000, 0x1000000]
"""Of a piece; and sometimes what no memory has."""

WORDS = [*range(8), 15, 16, 17, 0x20, 0x7F, 0x80, 0x81, 0x8000, 0x8001, 0x8080, 0x8081, 0xFFFF]
"""Flags, indices and counts."""

RINGS = range(ROOM, ROOM + 0x3000)
"""Where the driver has its queues and tables."""

TOUCHES = ("read", "write", "write", "write", "config", "scribble", "ring")


def windows(rig):
    """Where the device answers: `(space, base, length)`."""
    if rig.kind.startswith("mmio"):
        return [(rig.memory, MMIO, WINDOW)]
    spaces = {"port": rig.ports, "memory": rig.memory}
    return [(spaces[bar.space], bar.address, bar.size) for bar in rig.found.bars]


def touch(rig, what, number, offset, size, word):
    """One access that any guest can make: a register, a word of a ring, a notification."""
    if what == "scribble":
        rig.ram.store(ROOM + offset % 0x400, min(size, 4), word)
    elif what == "ring":
        rig.core.notify(number)
    elif what == "config" and not rig.kind.startswith("mmio"):
        # Not the BARs and not the bus: the function stays where it is.
        rig.access.write(rig.found.place, 0x40 + offset % 0x80, min(size, 4), word)
    else:
        places = windows(rig)
        space, base, length = places[number % len(places)]
        # Half of the accesses fall where the registers are dense.
        at = base + offset % (length if offset & 1 else min(length, 0x48))
        if what == "read":
            space.read(at, size)
        else:
            space.write(at, size, word)


def settle(rig):
    """Undo what no reset undoes: the registers of the PCI function, and what lies in memory."""
    if not rig.kind.startswith("mmio"):
        rig.transport.window = rig.kind == "pci-window"
        rig.access.write(rig.found.place, 0x98, 4, 0)
    rig.ram.write(ROOM, bytes(0x20000))


def check(rig):
    """What holds after each step of a guest."""
    for setup in rig.core.queues:
        setup.queue._check()
        assert setup.size <= setup.max_size
    assert not rig.core.handling


class Attack:
    """One guest and one device in one world; `seed` decides all that it does.

    A device's own attack has `make`, `serve` and `head`; `more` are the names of its own steps.
    """

    more: tuple[str, ...] = ()
    queues = 1
    understood = frozenset()

    def __init__(self, transport, layout, seed):
        self.rng = random.Random(f"{type(self).__name__} {transport} {layout} {seed}")
        self.transport, self.layout = transport, layout
        self.rig = self.make()
        self.steps = ("chain",) * 5 + ("ring", "ring", "scribble", "registers", "restart")
        self.begin()

    def make(self):
        """A rig, with the device in it."""
        raise NotImplementedError

    def serve(self):
        """Have a driver that keeps the rules served, and see that it was."""
        raise NotImplementedError

    def head(self):
        """What a request may begin with."""
        return self.rng.randbytes(16)

    def bounded(self):
        """See that what the device keeps is bounded."""

    # -- what runs

    def walk(self, steps, every=40):
        """`steps` steps, a working driver after each `every`."""
        for number in range(steps):
            # A broken device answers nothing more, so that one is soon begun anew.
            tired = self.rig.broken and self.rng.random() < 0.5
            getattr(self, "restart" if tired else self.rng.choice(self.steps + self.more))()
            check(self.rig)
            self.bounded()
            if number % every == every - 1:
                assert self.rig.contained
                self.begin()
        assert self.rig.contained

    def begin(self):
        """A reset mends everything."""
        settle(self.rig)
        self.serve()
        self.start(size=16)

    def start(self, size):
        """The queues alone, for the attacker to fill."""
        size = None if self.rig.legacy else size
        self.rig.start(self.layout, self.understood, (), size, 4, self.queues)
        self.ends = list(self.rig.guest.queues.values())

    # -- what the guest does

    def piece(self):
        length = self.rng.choice(LENGTHS)
        if self.rng.random() < 0.05:
            return self.rng.choice([RAM - 8, RAM, 1 << 63, (1 << 64) - 16]), length
        return DATA + self.rng.randrange(0x4000), length

    def cut(self, index, count):
        """How many of a chain's `count` pieces queue `index` may read; now and then any number."""
        return self.rng.randrange(count + 1)

    def chain(self):
        end = self.rng.choice(self.ends)
        with suppress(DeviceBroken):  # for it has scribbled over its own ring
            end.get_bufs()
        for _ in range(self.rng.randrange(1, 8)):
            pieces = [self.piece() for _ in range(self.rng.randrange(1, 5))]
            cut = self.cut(self.ends.index(end), len(pieces))
            # What the device reads begins with a request's head, if it lies in memory.
            if cut and pieces[0][0] < RAM - 16:
                self.rig.ram.write(pieces[0][0], self.head())
            try:
                end.add_buf(pieces[:cut], pieces[cut:], "token")
            except (QueueFull, ValueError):  # no driver of ours puts what has no 64 bits
                break
        if self.rng.random() < 0.5:
            self.forge(end)
        end.kick()

    def ring(self):
        self.rig.core.notify(self.rng.randrange(12))

    def scribble(self):
        """Any bytes of a ring or a table."""
        self.rig.ram.write(self.rng.choice(RINGS), self.rng.randbytes(self.rng.randint(1, 4)))
        self.rig.core.notify(self.rng.randrange(self.queues))

    def forge(self, end):
        """Words that mean something, over a few of a queue's descriptors and its first entries."""
        table, length = end.rings.parts[0]
        for _ in range(self.rng.randrange(1, 6)):
            at = table + self.rng.randrange(0, length, 2)
            if at % 16 >= 8 or self.rng.random() < 0.2:  # len, flags and next; seldom the address
                self.rig.ram.store(at, 2, self.rng.choice(WORDS))

    def registers(self):
        rng = self.rng
        word = rng.choice([rng.randrange(17), 0x0F, ROOM >> 12, ROOM, rng.getrandbits(32)])
        size = rng.choice([1, 2, 4, 4, 8])
        touch(self.rig, rng.choice(TOUCHES), rng.randrange(8), rng.randrange(0x4000), size, word)

    def restart(self):
        if self.rig.broken or self.rng.random() < 0.3:
            settle(self.rig)
            self.start(1 << self.rng.randrange(1, 6))


class RngAttack(Attack):
    """Against the entropy device."""

    def make(self):
        return Rig(VirtioRng(seeded(1), 64), self.transport, vectors=2)

    def cut(self, index, count):
        return 0 if self.rng.random() < 0.8 else super().cut(index, count)

    def serve(self):
        queue = self.rig.start(self.layout)
        queue.add_buf([], [(DATA, 513)], "well again")
        queue.kick()
        used = queue.get_buf()
        assert used.token == "well again"
        assert 0 < used.written <= 513


class BlkAttack(Attack):
    """Against a disk of sixteen sectors, with two request queues."""

    queues = 2
    understood = frozenset(BlkFeature)

    def make(self):
        disk = Disk(bytearray(16 * SECTOR))
        return Rig(VirtioBlk(disk, queue_size=64, queues=2), self.transport, vectors=2)

    def cut(self, index, count):
        return min(count, self.rng.randint(1, max(count - 1, 1)))

    def head(self):
        kind = self.rng.choice([*BlkType, self.rng.getrandbits(32)])
        sector = self.rng.choice([0, 3, 15, 16, 17, (1 << 64) - 1, self.rng.randrange(16)])
        return packer(REQUEST).pack(kind, self.rng.getrandbits(32), sector)

    def serve(self):
        queue = self.rig.start(self.layout, self.understood)
        for kind, out, in_ in (
            (BlkType.OUT, [(DATA + 512, SECTOR)], []),
            (BlkType.IN, [], [(DATA + 2048, SECTOR)]),
        ):
            self.rig.ram.write(DATA, packer(REQUEST).pack(kind, 0, 7))
            if out:
                self.rig.ram.write(DATA + 512, self.rng.randbytes(SECTOR))
            queue.add_buf([(DATA, 16), *out], [*in_, (DATA + 256, 1)], kind)
            queue.kick()
            assert queue.get_buf().token == kind
            assert self.rig.ram.read(DATA + 256, 1) == b"\0"
        assert self.rig.ram.read(DATA + 2048, SECTOR) == self.rig.ram.read(DATA + 512, SECTOR)

    def bounded(self):
        assert len(self.rig.device.disk.array()) == 16 * SECTOR
