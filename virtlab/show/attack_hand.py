"""The attacker's hand: a guest that writes its ring byte by byte, at either device.

    hand.request(BlkType.OUT, sector=1, addr=0x8000, length=512)     three descriptors, one head
    hand.offer(0)                                                    available
    hand.ring()                                                      the doorbell

The idea: an attack is a few calls of one `Hand`. Both devices get the same bytes in the same
memory: the naive one as a process without bounds, ours as `GuestMemory` over the same array.

The rule that keeps it simple: a hand writes guest memory, rings, resets, reads the configuration. A
guest can do no more. All that it writes is kept in `notes`, to be shown. With `strike` a second
processor of the guest writes too, right after the device has read something.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from virtlab.memory import Bytes, GuestMemory
from virtlab.show.attack_memory import DISK, RAM, Process
from virtlab.virtio.blk_layouts import REQUEST, SECTOR, BlkType
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings, packer

RINGS = SplitRings.placed(0x1000, 8)
"""Where the queue is: eight entries."""

HEADS, STATUS, DATA, TABLE = 0x2000, 0x2800, 0x3000, 0x4000
"""Where a request's head and status are (at + 16 times its first descriptor), its data, a table."""

UNWRITTEN = 0xFF
"""What stands in a status before the device writes it."""

FLAG_NAMES = ((WRITE, "WRITE"), (INDIRECT, "INDIRECT"))


class Note(NamedTuple):
    """Something that the attacker did: `data` at `gpa`, or nothing in memory (-1); in words."""

    gpa: int
    words: str
    data: bytes = b""


class Side(Protocol):
    """A device, as a guest can reach it."""

    def ring(self, queue: int) -> None:
        """A doorbell."""

    def reset(self) -> None:
        """0 into the status."""

    def status(self) -> int:
        """The device status."""

    def config(self, offset: int, size: int) -> int:
        """A read of the configuration."""


class Strike(NamedTuple):
    """What a second processor does whenever the device has read `gpa`."""

    gpa: int
    hit: Callable[[], None]


class Watched:
    """A `Dma` that lets the guest's second processor run after each read."""

    def __init__(self, ram: GuestMemory, seen: Callable[[int], None]) -> None:
        self.ram, self.seen = ram, seen
        self.reads: list[int] = []

    def read(self, iova: int, length: int) -> bytes:
        """A copy; then the guest's other processor has its turn."""
        data = self.ram.read(iova, length)
        self.reads.append(iova)
        self.seen(iova)
        return data

    def write(self, iova: int, data: bytes) -> None:
        """As the memory does."""
        self.ram.write(iova, data)

    def view(self, iova: int, length: int, write: bool = False) -> Bytes:
        """As the memory does."""
        return self.ram.view(iova, length, write)


class Hand:
    """A guest in `process` that attacks `side`, which is set before the attack begins."""

    side: Side

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ram = process.guest_memory()
        self.notes: list[Note] = []
        self.heads: list[int] = []
        self._strike: Strike | None = None

    # -- before: what any guest may do

    def fill_disk(self, byte: int, length: int = SECTOR) -> None:
        """An earlier, honest write: `length` bytes of the guest's own disk are `byte` now."""
        self.process.bytes[DISK.start : DISK.start + length] = byte
        self.notes.append(Note(-1, f"earlier: {length} x {byte:#x} to its own disk"))

    # -- in memory

    def put(self, gpa: int, data: bytes, words: str) -> None:
        """Bytes anywhere in its memory."""
        self.ram.write(gpa, data)
        self.notes.append(Note(gpa, words, data))

    def desc(
        self,
        index: int,
        addr: int,
        length: int,
        flags: int = 0,
        following: int = 0,
        table: int = RINGS.desc,
    ) -> None:
        """A descriptor of the ring, or of an indirect table."""
        names = [name for bit, name in FLAG_NAMES if flags & bit]
        names += [f"NEXT {following}"] if flags & NEXT else []
        words = " ".join([f"desc {index}: {addr:#x} len {length:#x}", *names])
        data = packer(DESC).pack(addr, length, flags, following)
        self.put(table + index * DESC.itemsize, data, words)

    def head(self, kind: int, sector: int, first: int = 0) -> None:
        """The head of the request that begins at descriptor `first`, and its status, unwritten."""
        at = HEADS + 16 * first
        self.put(at, packer(REQUEST).pack(kind, 0, sector), f"type {kind:#x}, sector {sector}")
        self.ram.write(STATUS + first, bytes([UNWRITTEN]))
        self.heads.append(first)

    def request(self, kind: int, sector: int, addr: int, length: int, first: int = 0) -> None:
        """A request as any driver makes it, from descriptor `first` on: head, data, status."""
        self.head(kind, sector, first)
        self.desc(first, HEADS + 16 * first, 16, NEXT, first + 1)
        write = WRITE if kind == BlkType.IN else 0
        self.desc(first + 1, addr, length, write | NEXT, first + 2)
        self.desc(first + 2, STATUS + first, 1, WRITE)

    def offer(self, *heads: int, idx: int | None = None) -> None:
        """Make chains available; `idx` is what it claims instead of the truth."""
        field = RINGS.avail_field("idx")
        start = self.ram.load(field, 2)
        for place, head in enumerate(heads, start):
            at = RINGS.avail_at(place)
            self.put(at, head.to_bytes(2, "little"), f"avail entry {place}: head {head}")
        claimed = (start + len(heads) if idx is None else idx) & 0xFFFF
        self.put(field, claimed.to_bytes(2, "little"), f"avail idx {claimed}")

    # -- at the device

    def ring(self, queue: int = 0) -> None:
        """The doorbell of `queue`."""
        self.notes.append(Note(-1, f"rings the doorbell of queue {queue}"))
        self.side.ring(queue)

    def strike(self, gpa: int, hit: Callable[[], None], words: str) -> None:
        """From now on `hit` happens whenever the device has read `gpa`."""
        self.notes.append(Note(-1, f"CPU 2 waits, then {words}"))
        self._strike = Strike(gpa, hit)

    def strike_once(self) -> None:
        """That was the last time."""
        self._strike = None

    def seen(self, gpa: int) -> None:
        """The device has read guest memory at `gpa`."""
        if self._strike is not None and gpa == self._strike.gpa:
            self._strike.hit()

    def statuses(self) -> tuple[int, ...]:
        """The status byte of each request that was made."""
        return tuple(self.ram.load(STATUS + first, 1) for first in self.heads)

    def used_idx(self) -> int:
        """How many chains came back, as the used ring says."""
        return self.ram.load(RINGS.used_field("idx"), 2)


OUTSIDE = RAM.size
"""The first gpa that is no memory of the guest."""
