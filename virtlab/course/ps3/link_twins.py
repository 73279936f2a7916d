"""What a shared card and a virtual link must do: the twins of task 9 of problem set 3.

A `Pair` is a student's device beside its twin, used by the same guests. `out` is what leaves a
device: the frames on the wire, or the ends that were interrupted.
"""

from __future__ import annotations

from collections import deque

from virtlab.course.answers import Answer, Built
from virtlab.course.ps3.machines import PATTERN
from virtlab.course.tasks import Difference, compare, same, shown

LOOK = {
    "send": "room for so many of each VM, or of each end; what is too much is lost, and said",
    "step": "the next VM after the one that was last served, if something of it waits",
    "sent": "a count for each VM, from its reset on",
    "reset": "one VM's state, and nobody else's",
    "receive": "the oldest at this end; None where nothing waits",
}
LOOK_WIRE = "the oldest frame of the VM whose turn it is, once, as it was when it was sent"
LOOK_INTERRUPT = "one interrupt at the other end, when a message is the only one that waits there"

BUFFER = 24

Step = tuple[str] | tuple[str, int]


class CardTwin:
    """What a shared card must do."""

    def __init__(self, vms: int, room: int) -> None:
        self.vms, self.room = vms, room
        self.frames: dict[int, deque[bytes]] = {vm: deque() for vm in range(vms)}
        self.done = dict.fromkeys(range(vms), 0)
        self.last = vms - 1
        self.out: list[bytes] = []

    def send(self, vm: int, frame: bytes) -> bool:
        """A frame waits, or is lost."""
        fits = len(self.frames[vm]) < self.room
        if fits:
            self.frames[vm].append(frame)
        return fits

    def step(self) -> int | None:
        """One frame goes out."""
        turns = [(self.last + by) % self.vms for by in range(1, self.vms + 1)]
        vm = next((vm for vm in turns if self.frames[vm]), None)
        if vm is not None:
            self.out.append(self.frames[vm].popleft())
            self.done[vm] += 1
            self.last = vm
        return vm

    def sent(self, vm: int) -> int:
        """Frames of a VM that went out."""
        return self.done[vm]

    def reset(self, vm: int) -> None:
        """One VM begins anew."""
        self.frames[vm].clear()
        self.done[vm] = 0


class LinkTwin:
    """What a virtual link must do."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.queues: tuple[deque[bytes], deque[bytes]] = deque(), deque()
        self.out: list[int] = []

    def send(self, end: int, message: bytes) -> bool:
        """A message waits at the other end, or is lost."""
        queue = self.queues[not end]
        if len(queue) >= self.room:
            return False
        if not queue:
            self.out.append(1 - end)
        queue.append(message)
        return True

    def receive(self, end: int) -> bytes | None:
        """The oldest, or None."""
        return self.queues[end].popleft() if self.queues[end] else None


class Pair:
    """A student's device and its twin, and guests that use one buffer for all they send."""

    def __init__(self, answer: Answer, twin: CardTwin | LinkTwin) -> None:
        self.answer, self.twin = answer, twin
        self.out: list[object] = []
        self.said: list[str] = []
        self.buffer = bytearray(BUFFER)
        self.number = 0
        if isinstance(twin, CardTwin):
            self.name, given, arguments = "SharedCard", f"wire, {twin.vms}", [twin.vms, twin.room]
        else:
            self.name, given, arguments = "VirtualLink", "interrupt", [twin.room]
        self.made = f"{self.name}({given}, room={twin.room})"
        answer.given = self.made
        self.device = Built(answer, self.name, answer.call(self.name, self.put, *arguments))

    def put(self, what: object) -> None:
        """The wire, or the interrupt: whatever is called with, as it is now."""
        self.out.append(bytes(what) if type(what) is bytearray else what)

    def step(self, step: Step) -> Difference | None:
        """One call; then what it returned and what came out are held against the twin."""
        verb, *numbers = step
        arguments: list[object] = list(numbers)
        words = [str(number) for number in numbers]
        if verb == "send":
            self.number += 1
            data = f"{'frame' if self.name == 'SharedCard' else 'message'} {self.number}".encode()
            self.buffer[:] = data.ljust(BUFFER, b".")
            words.append(repr(data.decode()))
            arguments.append(self.buffer)
            expected: object = self.twin.send(numbers[0], bytes(self.buffer))
        else:
            expected = getattr(self.twin, verb)(*numbers)
        self.said.append(f"{verb}({', '.join(words)})")
        cut = "... " if len(self.said) > 6 else ""
        self.answer.given = f"{self.made}; {cut}{', '.join(self.said[-6:])}"
        yours = self.device.call(verb, *arguments)
        self.buffer[:] = bytes([PATTERN]) * BUFFER
        if verb != "reset" and not same(expected, yours):
            return self._returned(verb, expected, yours)
        return self._came()

    def _returned(self, verb: str, expected: object, yours: object) -> Difference | None:
        found = compare(expected, yours, LOOK[verb])
        texts = [_text(value) for value in (expected, yours)]
        if found and type(expected) is type(yours):
            return found._replace(expected=texts[0], yours=texts[1])
        return found

    def _came(self) -> Difference | None:
        """What came out, frame by frame, or interrupt by interrupt."""
        right = list(self.twin.out)
        if same(right, self.out):
            return None
        at = next(
            (at for at, pair in enumerate(zip(right, self.out, strict=False)) if not same(*pair)),
            min(len(right), len(self.out)),
        )
        what, look = (
            ("frame", LOOK_WIRE) if self.name == "SharedCard" else ("interrupt", LOOK_INTERRUPT)
        )
        where = "on the wire" if what == "frame" else "at end"
        said, seen = (
            f"{what} {at} {where} {_text(some[at])}" if at < len(some) else f"no {what} {at}"
            for some in (right, self.out)
        )
        return Difference(said, seen, look)


def _text(value: object) -> str:
    """A frame or a number as a report shows it."""
    if type(value) is bytes:
        return repr(value.rstrip(b".").decode("ascii", "replace"))
    return str(value) if type(value) is int and abs(value) < 1 << 32 else shown(value)
