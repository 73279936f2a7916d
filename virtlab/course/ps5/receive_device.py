"""Task 6 of problem set 5: a receive queue as a student's device sees it, and what one frame does.

    held     [ 12 | frame ..... ][ frame .... ]   |   waiting [        ][        ]
               written together: put, put, publish         taken by pop, when needed

The idea: `put` is an element of the used ring, `publish` its idx. So a case sees what the driver
sees, and at which moment: all of a packet, or nothing of it.

The rule that keeps it simple: `_expect` first finds the buffers, then fills them. A test holds it
against the library's network device.

Source: virtio 1.3 5.1.6.3.1, 5.1.6.3.2, 5.1.6.4, 5.1.6.4.1.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from virtlab.course.answers import Answer, Stopped
from virtlab.course.given.rings import Written
from virtlab.course.ps3.machines import PATTERN, Memory, whole
from virtlab.course.ps4.machines import RAM
from virtlab.course.ps5.block_machine import LOOK_OUTSIDE
from virtlab.course.tasks import Difference, returned, same, shown
from virtlab.memory import GuestMemory
from virtlab.virtio.net_layouts import HEADER, NUM_BUFFERS_AT

LOOK_WAITS = "no buffers, no packet: what was taken is held, nothing is written yet"
LOOK_LONG = "no packet for which all the driver's buffers together have no room"
LOOK_ONE = "without merging a packet is in one buffer (virtio 1.3 5.1.6.3.2)"
LOOK_SMALL = "each buffer has room for a header at least (virtio 1.3 5.1.6.3.1)"
LOOK_HELD = "what was taken is held until it is used, in order, and no more is taken than needed"
LOOK_HEADER = "12 bytes: num_buffers is the last field, all others are 0 here (virtio 1.3 5.1.6)"
LOOK_BYTES = "header and frame fill one buffer after the other (virtio 1.3 5.1.6.4.1)"
LOOK_LENGTHS = "for each buffer the bytes that were written to it (virtio 1.3 2.7.8)"
LOOK_TOGETHER = "the driver must see all buffers of a packet together (virtio 1.3 5.1.6.4.1)"
LOOK_LATE = "the driver looks as soon as idx moves: nothing is written behind it"

LOOKS = {"waits": LOOK_WAITS, "too long": LOOK_LONG, "broken": LOOK_SMALL}
SIZE = HEADER.itemsize
MAX_PUTS = 1000

Held = tuple[int, list[Written]]
"""A buffer as `pop` gives it: its head, and its pieces."""

Used = tuple[int, int]
"""An element of the used ring: a head, and bytes."""


@dataclass
class ReceiveSide:
    """The student's record of the queue."""

    memory: Any
    merge: bool
    size: int
    queue: Receiving = field(repr=False)
    held: list[Any] = field(default_factory=list)

    def pop(self) -> Held | None:
        """The next buffer; None if the driver has added no more."""
        return self.queue.take()

    def put(self, head: object, written: object) -> None:
        """An element behind the others in the used ring; the driver does not see it yet."""
        self.queue.elements.append((whole(head), whole(written)))
        if len(self.queue.elements) > MAX_PUTS:
            raise Stopped(f"it was stopped after {MAX_PUTS:,} calls of put")

    def publish(self) -> None:
        """Move idx: the driver sees all elements."""
        self.queue.show()


class Receiving:
    """A receive queue of `size` buffers, of which the driver has added some."""

    def __init__(self, answer: Answer, merge: bool = True, size: int = 16) -> None:
        self.answer = answer
        self.ram = GuestMemory(RAM)
        self.ram.bytes[:] = PATTERN
        self.memory = Memory(self.ram)
        self.waiting: deque[Held] = deque()
        self.expected_held: list[Held] = []
        self.elements: list[Used] = []
        self.shown: list[list[Used]] = []
        self.seen = b""
        self.header: set[int] = set()
        self.added, self.free, self.pieces, self.broken = 0, 0x1000, 0, False
        self.q = ReceiveSide(self.memory, merge, size, self)

    # -- the driver

    def add(self, *buffers: list[tuple[int, bool]] | int) -> None:
        """Add buffers: bytes, or pieces as `(bytes, writable)`."""
        for buffer in buffers:
            sizes = [(buffer, True)] if isinstance(buffer, int) else buffer
            pieces = []
            for length, write in sizes:
                pieces.append((self.free, length, write))
                self.free += length + 16
            self.waiting.append((self.added * 5 % self.q.size, pieces))
            self.added += 1

    def take(self) -> Held | None:
        """What `pop` gives: a copy, as the list is the answer's own."""
        if not self.waiting:
            return None
        head, pieces = self.waiting.popleft()
        return head, list(pieces)

    def show(self) -> None:
        """The driver looks, if idx has moved: what is used, and what is in memory now."""
        if not self.elements:
            return
        self.shown.append(list(self.elements))
        self.elements.clear()
        self.seen = self.ram.bytes.tobytes()

    # -- the device

    def deliver(self, frame: bytes) -> Difference | None:
        """Have one frame delivered, and compare all that it may have done."""
        q, waiting = self.q, list(self.waiting)
        self.answer.given = (
            f"deliver(q, a frame of {len(frame)} bytes), q.merge {q.merge}, q.size {q.size}, "
            f"q.held {_buffers(self.expected_held)}, pop gives {_buffers(waiting)}"
        )
        expected = GuestMemory(self.ram.size)
        expected.bytes[:] = self.ram.bytes
        before = self.ram.bytes.tobytes()
        self.pieces = 0
        right, used = self._expect(frame, waiting, expected)
        self.broken = right == "broken"
        self.shown.clear()
        begin = len(self.memory.accesses)
        yours = self.answer.call("deliver", q, frame)
        writes = sum(one.verb in ("write", "store") for one in self.memory.accesses[begin:])
        self.answer.note_cost("writes to buffers", writes, self.pieces)
        if not same(right, yours):
            said = returned(yours)
            look = LOOKS.get(right, LOOKS.get(str(yours), ""))
            return Difference(shown(right), said, LOOK_ONE if not q.merge else look)
        return (
            self._used(used)
            or self._bytes(expected.bytes.tobytes(), before, LOOKS.get(right, ""))
            or self._kept(len(waiting))
        )

    def _expect(
        self, frame: bytes, waiting: list[Held], ram: GuestMemory
    ) -> tuple[str, list[Used]]:
        """The word, and what is used. `waiting` and the expected `held` move, `ram` is filled."""
        held, need, count, room = self.expected_held, SIZE + len(frame), 0, 0
        while not count or (self.q.merge and room < need):
            if count == len(held):
                if not waiting:
                    return ("too long" if count == self.q.size else "waits"), []
                held.append(waiting.pop(0))
            size = writable(held[count])
            if size < SIZE:
                return "broken", []
            room, count = room + size, count + 1
        if room < need:
            return "too long", []
        spans = [range(gpa, gpa + length) for gpa, length, write in held[0][1] if write]
        self.header = set(list(chain(*spans))[:SIZE])
        used = fill(ram, held[:count], frame)
        self.pieces = sum(write for _, pieces in held[:count] for _, _, write in pieces)
        del held[:count]
        return "delivered", used

    def _used(self, used: list[Used]) -> Difference | None:
        right = [used] if used else []
        if self.shown == right and not self.elements:
            return None
        every = [one for batch in self.shown for one in batch] + self.elements
        if sorted(every) != sorted(used):
            return Difference(_elements(used), _elements(every), LOOK_LENGTHS)
        if every != used:
            return Difference(_elements(used), _elements(every), LOOK_HELD)
        said = ", then ".join(str(len(batch)) for batch in self.shown) or "none"
        return Difference(f"the driver sees {len(used)} at once", f"it sees {said}", LOOK_TOGETHER)

    def _bytes(self, right: bytes, before: bytes, refused: str) -> Difference | None:
        """Memory when the driver looked, and now. `refused`: the clause, if no frame was put."""
        now = self.ram.bytes.tobytes()
        yours = now if refused else self.seen
        if yours == right == now:
            return None
        if yours == right:
            return Difference("publish is the last", "memory is written behind it", LOOK_LATE)
        at = next(at for at, byte in enumerate(right) if byte != yours[at])
        said = f"{yours[at]:#04x}" + (", as it was" if yours[at] == before[at] else "")
        outside = right[at] == before[at] != yours[at]
        look = LOOK_HEADER if at in self.header else LOOK_OUTSIDE if outside else LOOK_BYTES
        return Difference(f"{right[at]:#04x} at {at:#x}", said, refused or look)

    def _kept(self, waits: int) -> Difference | None:
        """What the answer holds, and that so many buffers can still be taken."""
        if not same(self.expected_held, self.q.held):
            said = _buffers(self.q.held) if type(self.q.held) is list else shown(self.q.held)
            return Difference(f"q.held {_buffers(self.expected_held)}", f"q.held {said}", LOOK_HELD)
        if len(self.waiting) != waits:
            said = f"{len(self.waiting)} wait"
            return Difference(f"{waits} buffers wait in the queue", said, LOOK_HELD)
        return None


def writable(buffer: Held) -> int:
    """Bytes that the device may write."""
    return sum(length for _, length, write in buffer[1] if write)


def fill(ram: GuestMemory, buffers: list[Held], frame: bytes) -> list[Used]:
    """Put header and frame into these buffers; what is used."""
    data = bytes(NUM_BUFFERS_AT) + len(buffers).to_bytes(2, "little") + frame
    used = []
    for head, pieces in buffers:
        before = len(data)
        for gpa, length, write in pieces:
            if write:
                ram.write(gpa, data[:length])
                data = data[length:]
        used.append((head, before - len(data)))
    return used


# -- words for a report


def _buffers(buffers: list[Any]) -> str:
    texts = [_buffer(buffer) for buffer in buffers[:6]]
    return ("; ".join(texts) or "none") + (f" and {len(buffers) - 6} more" * (len(buffers) > 6))


def _buffer(buffer: Any) -> str:
    try:
        head, pieces = buffer
        texts = [f"{'w' if write else 'r'} {length} @{gpa:#x}" for gpa, length, write in pieces]
        return f"head {head}: {', '.join(texts)}"
    except (TypeError, ValueError):
        return shown(buffer)


def _elements(used: list[Used]) -> str:
    texts = [f"head {head} with {written}" for head, written in used[:8]]
    return ", ".join(texts) if texts else "nothing is used"
