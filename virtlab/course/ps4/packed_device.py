"""Task 7 of problem set 4: a student's end of a packed ring, and all that one pop may do.

    ring.guest    the driver that writes the ring, and knows what is right
    ring.pop()    result, record and reads of the student's pop

The idea: memory is noted, so the order of the reads is judged too: flags before the rest of the
first descriptor, and no byte twice.

Source: virtio 1.3 2.8.1, 2.8.6, 2.8.21.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import PATTERN, Memory
from virtlab.course.ps4.machines import RAM, changed, pieces_text
from virtlab.course.ps4.packed_lists import PackedGuest, Result
from virtlab.course.tasks import Difference, same, shown
from virtlab.memory import GuestMemory
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE
from virtlab.virtio.packed_layouts import AVAIL, FLAGS_AT, PACKED_DESC, USED

LOOK_FLAGS = (
    "available in this lap: AVAIL, bit 7, equals wrap; USED, bit 15, not (virtio 1.3 2.8.1)"
)
LOOK_LIST = "neighbours, all but the last with NEXT; the last has the id (virtio 1.3 2.8.6)"
LOOK_WRAP = "behind the last slot comes slot 0, and wrap is the other one (virtio 1.3 2.8.1)"
LOOK_STATE = "slot and wrap go on by the whole list; q.in_flight has its id and its slots"
LOOK_KEPT = "what is refused moves nothing"
LOOK_ORDER = "flags say whether the rest is written: read them first (virtio 1.3 2.8.21.1.1)"
LOOK_ONCE = "the driver may change it in between: read every byte once"
LOOK_WRITE = "pop only reads"
LOOKS = {
    "room": "a list fits into the slots that are not in flight (virtio 1.3 2.8.16, 2.8.17)",
    "gap": "all of a list is available before its first is (virtio 1.3 2.8.17)",
    "indirect": "no table was negotiated here (virtio 1.3 2.8.7)",
    "empty": "a buffer has bytes (virtio 1.3 2.8.4)",
    "order": "what the device reads comes first (virtio 1.3 2.8.17)",
    "id": "an id in flight names a list that the device has (virtio 1.3 2.8.21.1)",
}

STEP = PACKED_DESC.itemsize


@dataclass
class PackedSide:
    """The device's end of a packed queue."""

    memory: Any
    ring: int
    size: int
    slot: int
    wrap: int
    in_flight: dict[int, int]


class Ring:
    """A student's device end, and the guest that it is to serve."""

    def __init__(self, answer: Answer, size: int, start: int = 0) -> None:
        self.answer = answer
        self.ram = GuestMemory(RAM)
        self.ram.bytes[:] = PATTERN
        self.guest = PackedGuest(self.ram, size, start)
        self.memory = Memory(self.ram)
        guest = self.guest
        self.q = PackedSide(self.memory, guest.rings.desc, size, guest.slot, guest.wrap, {})

    def pop(self) -> Difference | None:
        """One pop, and all that it may have done."""
        guest = self.guest
        self.answer.given = (
            f"pop_packed(q), size {guest.rings.size}, q.slot {guest.slot}, q.wrap {guest.wrap}, "
            f"q.in_flight {guest.in_flight}; {self._ring()}"
        )
        here, before = guest.slot, self.ram.bytes.copy()
        right = guest.next()
        begin = len(self.memory.accesses)
        yours = self.answer.call("pop_packed", self.q)
        wrapped = isinstance(right, tuple) and here + right[2] >= guest.rings.size
        found = _result(right, yours, _look(right, wrapped))
        record: dict[str, object] = {"in_flight": guest.in_flight, "slot": guest.slot}
        record["wrap"] = guest.wrap
        look = LOOK_WRAP if wrapped else LOOK_STATE if isinstance(right, tuple) else LOOK_KEPT
        found = found or changed(self.q, record, look)
        if right != "room":  # a list without an end is read as often as it goes round
            found = found or self._reads(begin, here)
        if not found and (self.ram.bytes != before).any():
            found = Difference("memory as it was", "something was written", LOOK_WRITE)
        return found

    def _ring(self) -> str:
        """Descriptors from the next one on, as a report shows them."""
        size, texts = self.guest.rings.size, []
        marks = (
            (NEXT, "NEXT"),
            (WRITE, "WRITE"),
            (INDIRECT, "INDIRECT"),
            (AVAIL, "AVAIL"),
            (USED, "USED"),
        )
        for number in range(min(size, 4)):
            slot = (self.guest.slot + number) % size
            at = self.guest.rings.desc_at(slot)
            flags = self.ram.load(at + FLAGS_AT, 2)
            names = "|".join(word for bit, word in marks if flags & bit) or "0"
            texts.append(f"[{slot}] id {self.ram.load(at + 12, 2)} {names}")
        return "; ".join(texts)

    def _reads(self, begin: int, slot: int) -> Difference | None:
        """Whether a byte was read twice, or the first descriptor before its flags."""
        start = self.guest.rings.desc + STEP * slot
        seen: set[int] = set()
        for access in self.memory.accesses[begin:]:
            if access.verb in ("write", "store"):
                continue
            cells = range(access.address, access.address + access.length)
            first_of_it = any(start <= cell < start + FLAGS_AT for cell in cells)
            if first_of_it and start + FLAGS_AT not in seen.union(cells):
                return Difference("flags are read first", "the rest is read first", LOOK_ORDER)
            if not seen.isdisjoint(cells):
                said = f"some byte at {access.address:#x} twice"
                return Difference("every byte is read once", said, LOOK_ONCE)
            seen.update(cells)
        return None


def _look(right: Result, wrapped: bool) -> str:
    if right is None:
        return LOOK_FLAGS
    if isinstance(right, str):
        return LOOKS[right]
    return LOOK_WRAP if wrapped and len(right[1]) > 1 else LOOK_LIST


def _result(right: Result, yours: object, look: str) -> Difference | None:
    wanted = right[:2] if isinstance(right, tuple) else right
    if same(wanted, yours):
        return None
    return Difference(_text(wanted), _text(yours), look)


def _text(result: object) -> str:
    if type(result) is tuple and len(result) == 2 and type(result[1]) is list:
        name = str(result[0]) if type(result[0]) is int else shown(result[0])
        return f"id {name}: {pieces_text(result[1])}"
    return shown(result)
