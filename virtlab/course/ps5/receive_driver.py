"""Task 6 of problem set 5, its second half: used buffers as a student's driver gets them back.

    get_buf()      ((gpa, length), written)      the next used buffer
    give(buffer)   it is the device's again      which writes to it at once

The idea: whoever gives a buffer back before its bytes are copied has the bytes of another packet,
if the device is quick. Here it is always quick.

The rule that keeps it simple: `_expect` reads only the bytes that the device says it wrote. A
device that cannot be believed costs one packet, and never a buffer.

Source: virtio 1.3 2.7.8.3, 5.1.6.4, 5.1.6.4.1.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from virtlab.course.answers import Answer, Stopped
from virtlab.course.ps3.machines import PATTERN
from virtlab.course.ps4.machines import RAM, Flipping, Span
from virtlab.course.tasks import Difference, same, shown
from virtlab.memory import GuestMemory
from virtlab.virtio.chain import overlap
from virtlab.virtio.net_layouts import HEADER, NUM_BUFFERS_AT

LOOK_FRAME = "the frame is behind the header, and goes on in the next buffers (virtio 1.3 5.1.6.4)"
LOOK_WRITTEN = "behind `written` bytes is what was there before (virtio 1.3 2.7.8.3)"
LOOK_COUNT = "a packet has num_buffers buffers, the first among them (virtio 1.3 5.1.6.4)"
LOOK_BROKEN = "a header is whole, num_buffers 1 or more, and all of them are there"
LOOK_GIVE = "every buffer that was got back goes to the device again, once"
LOOK_QUICK = "copy the bytes before the buffer is the device's again"
LOOK_ONCE = "a device may change what it wrote: read the header once"
LOOK_NONE = "None if there is no used buffer"
LOOK_WRITE = "receive only reads"

SIZE = HEADER.itemsize
QUICK = 0xDD
"""What the device writes to a buffer that it gets."""

MAX_CALLS = 5000

Taken = tuple[Span, int]
"""What `get_buf` gives: the buffer, and how many bytes of it were written."""


@dataclass
class DriverQueue:
    """The student's record of the queue."""

    memory: Any
    receipts: Receipts

    def get_buf(self) -> Taken | None:
        """The next used buffer, as `((gpa, length), written)`; None if there is none."""
        return self.receipts.get_buf()

    def give(self, buffer: object) -> None:
        """Add the buffer again, and kick: from now on the device may write to it."""
        self.receipts.give(buffer)


class Receipts:
    """The used buffers that wait for a student's driver."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.ram = GuestMemory(RAM)
        self.ram.bytes[:] = PATTERN
        self.memory = Flipping(self.ram)
        self.waiting: deque[Taken] = deque()
        self.given: list[Any] = []
        self.headers: list[Span] = []
        self.late: list[tuple[int, Span]] = []
        self.free = 0x1000
        self.calls = 0
        self.q = DriverQueue(self.memory, self)

    # -- the device

    def use(self, data: bytes, length: int = 0, written: int | None = None) -> None:
        """One used buffer of `length` bytes with `data` in it, of which `written` are told."""
        length = max(length, len(data))
        self.ram.write(self.free, data)
        self.waiting.append(((self.free, length), len(data) if written is None else written))
        self.headers.append((self.free, SIZE))
        self.free += length + 16

    def packet(self, frame: bytes, *lengths: int, count: int | None = None) -> None:
        """A packet in buffers of these lengths; `count` is what its header says."""
        said = len(lengths) if count is None else count
        data = bytes(NUM_BUFFERS_AT) + said.to_bytes(2, "little") + frame
        for length in lengths:
            self.use(data[:length], length)
            data = data[length:]

    # -- what the driver calls

    def get_buf(self) -> Taken | None:
        """The next used buffer."""
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise Stopped(f"it was stopped after {MAX_CALLS:,} calls of get_buf")
        return self.waiting.popleft() if self.waiting else None

    def give(self, buffer: Any) -> None:
        """The device has the buffer again, and is quick."""
        self.given.append(buffer)
        if _is_span(buffer):
            self.late.append((len(self.memory.accesses), buffer))
            gpa, length = buffer
            if 0 <= gpa and gpa + length <= self.ram.size:
                self.ram.bytes[gpa : gpa + length] = QUICK

    # -- one call

    def receive(self, strike: bool = False) -> Difference | None:
        """Have one packet received. With `strike` the device changes a header once it is read."""
        self.answer.given = f"receive(q), get_buf gives {self._told()}"
        right, taken, look = self._expect()
        waits = len(self.waiting) - len(taken)
        self.given.clear()
        self.late.clear()
        self.memory.watched = self.headers if strike else []
        begin = len(self.memory.accesses)
        yours = self.answer.call("receive", self.q)
        self.memory.watched = []
        if yours == "broken" and type(right) is bytes:
            look = LOOK_COUNT
        writes = [one for one in self.memory.accesses[begin:] if one.verb in ("write", "store")]
        return (
            _result(right, yours, self._look(LOOK_ONCE if strike else look))
            or self._taken(waits)
            or self._given([buffer for buffer, _ in taken])
            or (Difference("memory as it was", str(writes[0]), LOOK_WRITE) if writes else None)
        )

    def _told(self) -> str:
        texts = [f"(({b[0]:#x}, {b[1]}), {n})" for b, n in list(self.waiting)[:6]]
        if not texts:
            return "None"
        gpa = self.waiting[0][0][0]
        said = self.ram.load(gpa + NUM_BUFFERS_AT, 2)
        return f"{', '.join(texts)}; num_buffers of the first {said}"

    def _expect(self) -> tuple[bytes | str | None, list[Taken], str]:
        """What one call gives, the buffers that it takes, and where to look."""
        waiting = list(self.waiting)
        if not waiting:
            return None, [], LOOK_NONE
        (gpa, _), written = waiting[0]
        if written < SIZE:
            return "broken", waiting[:1], LOOK_BROKEN
        count = self.ram.load(gpa + NUM_BUFFERS_AT, 2)
        taken = waiting[: max(count, 1)]
        if not count or count > len(waiting):
            return "broken", taken, LOOK_BROKEN
        frame = b"".join(self.ram.read(buffer[0], written) for buffer, written in taken)[SIZE:]
        partly = any(written < buffer[1] for buffer, written in taken)
        return frame, taken, LOOK_WRITTEN if partly else LOOK_FRAME

    def _look(self, look: str) -> str:
        """That clause, unless a buffer was read that is the device's again."""
        for number, span in self.late:
            for access in self.memory.accesses[number:]:
                if access.verb in ("read", "load") and overlap(access[1:], span):
                    return LOOK_QUICK
        return look

    def _taken(self, waits: int) -> Difference | None:
        if len(self.waiting) == waits:
            return None
        said = f"{len(self.waiting)} wait"
        return Difference(f"{waits} used buffers wait for the next call", said, LOOK_COUNT)

    def _given(self, buffers: list[Span]) -> Difference | None:
        if all(_is_span(one) for one in self.given) and sorted(self.given) == sorted(buffers):
            return None
        yours = ", ".join(_span_text(one) for one in self.given[:8]) or "none"
        right = ", ".join(_span_text(one) for one in buffers[:8]) or "none"
        return Difference(f"given: {right}", f"given: {yours}", LOOK_GIVE)


def _is_span(one: Any) -> bool:
    return type(one) is tuple and len(one) == 2 and all(type(item) is int for item in one)


def _span_text(one: Any) -> str:
    return f"({one[0]:#x}, {one[1]})" if _is_span(one) else shown(one)


def _result(right: bytes | str | None, yours: object, look: str) -> Difference | None:
    """The first byte of a frame that differs, or the word."""
    if same(right, yours):
        return None
    if not isinstance(right, bytes) or type(yours) is not bytes:
        said = f"a frame of {len(yours)} bytes" if type(yours) is bytes else shown(yours)
        due = f"a frame of {len(right)} bytes" if isinstance(right, bytes) else shown(right)
        return Difference(due, said, look)
    assert isinstance(yours, bytes)
    at = next((n for n, (a, b) in enumerate(zip(right, yours, strict=False)) if a != b), -1)
    if at < 0:
        return Difference(f"{len(right)} bytes", f"{len(yours)} bytes", look)
    if look != LOOK_QUICK and PATTERN == yours[at] and right[at] != PATTERN:
        look = LOOK_WRITTEN
    where = f"in byte {at} of a frame of {len(right)}"
    return Difference(f"{right[at]:#04x} {where}", f"{yours[at]:#04x}, of {len(yours)}", look)
