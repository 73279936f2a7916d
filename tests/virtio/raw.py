"""A split ring written by hand, word by word: what a driver would do, and what none should."""

from __future__ import annotations

from virtlab.memory import GuestMemory
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings, packer
from virtlab.virtio.split import SplitQueue

MEMORY = 1 << 16
RING, TABLE, DATA = 0x1000, 0x4000, 0x8000


class Raw:
    """A queue of `size` in its own memory, ready, with nothing in it. `dma` wraps the memory."""

    def __init__(self, size=8, features=frozenset(), dma=lambda ram: ram):
        self.ram = GuestMemory(MEMORY)
        self.rings = SplitRings.placed(RING, size)
        self.interrupts = 0
        self.queue = SplitQueue(dma(self.ram), self.interrupt)
        self.queue.enable(self.rings, frozenset(features))

    def interrupt(self):
        self.interrupts += 1

    def desc(self, index, addr=DATA, length=16, flags=0, following=0, table=None):
        """Write a descriptor of the ring, or of the indirect table at `table`."""
        at = (self.rings.desc if table is None else table) + index * DESC.itemsize
        self.ram.write(at, packer(DESC).pack(addr, length, flags, following))

    def offer(self, *heads, idx=None):
        """Put `heads` into the entries from avail idx on, and move it."""
        at = self.rings.avail_field("idx")
        start = self.ram.load(at, 2)
        for i, head in enumerate(heads):
            self.ram.store(self.rings.avail_at(start + i), 2, head)
        self.ram.store(at, 2, start + len(heads) if idx is None else idx)

    def chain(self, *lengths, head=0, writable=0):
        """Offer a chain of `lengths` from `head` on, the last `writable` of them to write."""
        for i, length in enumerate(lengths):
            last = i == len(lengths) - 1
            write = WRITE if i >= len(lengths) - writable else 0
            follow = 0 if last else NEXT
            self.desc(head + i, DATA + 0x100 * (head + i), length, write | follow, head + i + 1)
        self.offer(head)

    def indirect(self, entries, addr=TABLE, flags=0):
        """Offer descriptor 0, which refers to a table of `entries`."""
        self.desc(0, addr, entries * DESC.itemsize, INDIRECT | flags)
        self.offer(0)

    def get(self, field):
        """A field of the used ring, or `used_event`, `avail_flags`, `avail_idx` of the other."""
        rings = self.rings
        if field in ("avail_idx", "avail_flags", "used_event"):
            return self.ram.load(rings.avail_field(field.removeprefix("avail_")), 2)
        return self.ram.load(rings.used_field(field), 2)

    def set_avail(self, field, value):
        self.ram.store(self.rings.avail_field(field), 2, value)

    def used(self, position):
        """The `(id, len)` of a used element."""
        at = self.rings.used_at(position)
        return self.ram.load(at, 4), self.ram.load(at + 4, 4)

    def state(self):
        """All of the queue and of the memory, to see that nothing changed."""
        counts = {
            name: getattr(self.queue, name)
            for name in (
                "ready",
                "rings",
                "features",
                "last_avail",
                "used",
                "signalled",
                "listening",
            )
        }
        return counts, self.queue._order.tobytes(), self.ram.bytes.tobytes()
