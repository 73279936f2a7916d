"""A packed ring written by hand: what a driver, good or bad, may have put there."""

import struct

from virtlab.errors import DmaFault
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PackedRings

RING, BUFFERS, TABLE = 0x1000, 0x8000, 0x6000
MEMORY = 0x10000
NEXT, WRITE, INDIRECT, AVAIL, USED = 1, 2, 4, 0x80, 0x8000
ALL = frozenset({Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX, Feature.IN_ORDER})
INDIRECT_ONLY = frozenset({Feature.RING_INDIRECT_DESC})
EXACT = frozenset({Feature.RING_EVENT_IDX})
ORDERED = frozenset({Feature.IN_ORDER})


class CountingDma(GuestMemory):
    """Memory that says what was read of it, and may change something just after a read."""

    def __init__(self, size=MEMORY):
        super().__init__(size)
        self.reads = []
        self.writes = []
        self.after_read = lambda iova, length: None

    def read(self, iova, length):
        data = super().read(iova, length)
        self.reads.append((iova, length))
        self.after_read(iova, length)
        return data

    def write(self, iova, data):
        super().write(iova, data)
        self.writes.append((iova, len(data)))

    def times(self):
        """How often each address was read."""
        counts = {}
        for iova, length in self.reads:
            for at in range(iova, iova + length):
                counts[at] = counts.get(at, 0) + 1
        return counts


class ReadOnly(GuestMemory):
    """Memory whose bytes from `limit` on a device may not write."""

    limit = MEMORY

    def write(self, iova, data):
        if iova + len(data) > self.limit:
            raise DmaFault("read only", iova, len(data))
        super().write(iova, data)


class Ring:
    """A queue that is enabled, and the memory below it."""

    def __init__(self, size=8, features=frozenset(), ram=None, base=0, barrier=None):
        self.ram = ram or CountingDma()
        self.rings = PackedRings.placed(RING, size)
        self.interrupts = []
        self.points = []
        self.queue = PackedQueue(
            self.ram, lambda: self.interrupts.append(None), barrier or self.points.append
        )
        self.queue.enable(self.rings, features, base)
        self.at = base

    def desc(self, slot, addr=BUFFERS, length=16, ident=0, flags=AVAIL):
        """Write one descriptor, whatever is in it."""
        self.ram.bytes[RING + 16 * slot : RING + 16 * slot + 16] = list(
            struct.pack("<QIHH", addr, length, ident, flags)
        )

    def give(self, *pieces, ident=0):
        """Make a list available, of `(addr, length, flags)`, as a good driver does."""
        for number, (addr, length, flags) in enumerate(pieces, 1):
            lap, slot = divmod(self.at, self.rings.size)
            flags |= AVAIL if lap % 2 == 0 else USED
            flags |= NEXT if number < len(pieces) else 0
            self.desc(slot, addr, length, ident, flags)
            self.at += 1

    def table(self, *entries, at=TABLE):
        """Write an indirect table of `(addr, length, flags)`."""
        raw = b"".join(struct.pack("<QIHH", a, n, 0xABCD, flags) for a, n, flags in entries)
        self.ram.bytes[at : at + len(raw)] = list(raw)
        return at, len(raw)

    def found(self, slot):
        """What is in a descriptor: addr, len, id, flags."""
        return struct.unpack(
            "<QIHH", bytes(self.ram.bytes[RING + 16 * slot : RING + 16 * slot + 16])
        )

    def event(self, desc, flags):
        """What the driver writes into its event suppression structure."""
        self.ram.store(self.rings.driver, 4, desc | flags << 16)

    def state(self):
        """All that a refusal must leave as it was."""
        queue = self.queue
        return (
            queue.last_avail,
            queue.used,
            queue.signalled,
            queue.taken,
            queue.returned,
            queue.listening,
            queue.ready,
            queue._slots.tobytes(),
            queue._order.tobytes(),
            self.ram.bytes.tobytes(),
        )
