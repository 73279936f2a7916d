"""Task 1 of problem set 4: where a vring lies. Judges: the library's layout, and a legacy device.

The device has the registers of the legacy interface by which a driver finds a queue and says where
it is (virtio 1.3 4.1.4.10). It keeps what it was told, so the case sees what a real one would use.
"""

from __future__ import annotations

from random import Random
from typing import Any

from virtlab.bus import AddressSpace
from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import first, whole
from virtlab.course.ps4.machines import Stepped, budgeted
from virtlab.course.tasks import Case, Difference, Run, Task, same, shown
from virtlab.memory import PAGE, GuestMemory
from virtlab.virtio.layouts import SplitRings

LOOK_PARTS = "16 bytes an entry; 6 and 2 an entry; 6 and 8 an entry (virtio 1.3 2.7)"
LOOK_ALIGN = "the used ring begins at the next multiple of `align` (virtio 1.3 2.7.2)"
LOOK_SELECT = "select the queue, then read its size; 0: there is none (virtio 1.3 4.1.5.1.3)"
LOOK_BYTES = "what the layout takes, in whole pages (virtio 1.3 2.7.2)"
LOOK_FRAME = "the queue's first page by its number, gpa // 4096 (virtio 1.3 4.1.5.1.3.1)"
LOOK_BUSY = "a queue whose address is not 0 has a driver already (virtio 1.3 4.1.4.10)"
LOOK_SIZES = "4 bytes at 8, 2 bytes at 12 and at 14 (virtio 1.3 4.1.4.10)"

IO, PFN, SIZE, SELECT = 0xC040, 8, 12, 14
WIDTHS = {PFN: 4, SIZE: 2, SELECT: 2}


class LegacyQueues:
    """The queue registers of a legacy device with queues of these `sizes`."""

    def __init__(self, sizes: list[int], frames: dict[int, int] | None = None) -> None:
        self.sizes = sizes
        self.frames = dict(frames or {})
        self.selected = 0
        self.wrong = ""

    def read(self, offset: int, size: int) -> int:
        """The frame, the size or the number of the selected queue."""
        self._check("in", offset, size)
        there = self.selected < len(self.sizes)
        values = {
            PFN: self.frames.get(self.selected, 0),
            SIZE: self.sizes[self.selected] if there else 0,
            SELECT: self.selected,
        }
        return values.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Select a queue, or say where it is."""
        self._check("out", offset, size)
        if offset == SELECT:
            self.selected = value
        elif offset == PFN and self.selected < len(self.sizes):
            self.frames[self.selected] = value

    def _check(self, verb: str, offset: int, size: int) -> None:
        if WIDTHS.get(offset) != size:
            self.wrong = self.wrong or f"{verb} of {size} bytes at {offset}"


def _numbers(numbers: object) -> str:
    if type(numbers) is tuple and all(type(number) is int for number in numbers):
        return "(" + ", ".join(f"{number:#x}" for number in numbers) + ")"
    return shown(numbers)


def _compare(expected: tuple[int, ...], yours: object, look: str) -> Difference | None:
    if same(expected, yours):
        return None
    said = "None: is there a return?" if yours is None else _numbers(yours)
    return Difference(_numbers(expected), said, look)


def _layout(answer: Answer, base: int, size: int, align: int) -> Difference | None:
    answer.given = f"vring(base={base:#x}, size={size}, align={align})"
    rings = SplitRings.placed(base, size, align)
    right = rings.desc, rings.avail, rings.used, rings.end - base
    aligned = rings.used - rings.avail > 6 + 2 * size
    yours = answer.call("vring", base, size, align)
    return _compare(right, yours, LOOK_ALIGN if aligned else LOOK_PARTS)


def _layouts(*asked: tuple[int, int, int]) -> Run:
    return lambda answer, rng: first(_layout(answer, *one) for one in asked)


def _any_layout(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(40):
        align = 1 << rng.randrange(2, 13)
        base = 16 * rng.randrange(1 << 20)
        if found := _layout(answer, base, 1 << rng.randrange(16), align):
            return found
    return None


# -- the device


class _Allocator:
    """Gives whole pages from `gpa` on, and remembers what was asked for."""

    def __init__(self, gpa: int) -> None:
        self.gpa = gpa
        self.asked: list[int] = []

    def __call__(self, length: int) -> int:
        self.asked.append(whole(length))
        return self.gpa


def _find(
    answer: Answer,
    sizes: list[int],
    number: int,
    gpa: int,
    frames: dict[int, int] | None = None,
    io: int = IO,
) -> Difference | None:
    """Let the student find one queue of a device and hand it over."""
    device, allocate = LegacyQueues(sizes, frames), _Allocator(gpa)
    ports = AddressSpace("port", 16, verbs=("in", "out"), max_size=4)
    ports.map(io, 20, device, "virtio", width=4)
    cpu = budgeted(Stepped(GuestMemory(PAGE), ports))
    taken = f", queue {number} is in use" if frames and number in frames else ""
    answer.given = (
        f"find_queue(cpu, {io:#x}, {number}, allocate), a device with queues of "
        f"{sizes}{taken}; free pages are at {gpa:#x}"
    )
    yours = answer.call("find_queue", cpu, io, number, allocate)
    before = dict(frames or {})
    if device.wrong:
        return Difference("the registers in their own sizes", device.wrong, LOOK_SIZES)
    size = sizes[number] if number < len(sizes) else 0
    if not size or number in before:
        return _nothing(device, allocate, before, yours, LOOK_BUSY if size else LOOK_SELECT)
    return _handed(device, allocate, before | {number: gpa // PAGE}, yours, size)


def _nothing(
    device: LegacyQueues, allocate: _Allocator, before: dict[int, int], yours: Any, look: str
) -> Difference | None:
    if device.frames != before:
        return Difference(_frames(before), _frames(device.frames), look)
    if allocate.asked:
        return Difference("nothing is allocated", f"{allocate.asked[:4]} bytes", look)
    return None if yours is None else Difference("None", _numbers(yours), look)


def _handed(
    device: LegacyQueues, allocate: _Allocator, frames: dict[int, int], yours: Any, size: int
) -> Difference | None:
    rings = SplitRings.legacy(allocate.gpa // PAGE, size)
    right = [-(-(rings.end - rings.desc) // PAGE) * PAGE]
    if allocate.asked != right:
        return Difference(f"{right} bytes allocated", f"{allocate.asked[:4]}", LOOK_BYTES)
    if device.frames != frames:
        return Difference(_frames(frames), _frames(device.frames), LOOK_FRAME)
    return _compare((rings.desc, rings.avail, rings.used, size), yours, LOOK_ALIGN)


def _frames(frames: dict[int, int]) -> str:
    return ", ".join(f"queue {n} in page {frame:#x}" for n, frame in frames.items()) or "no queue"


def _finds(
    sizes: list[int], *numbers: int, gpa: int = 0x8_0000, frames: dict[int, int] | None = None
) -> Run:
    return lambda answer, rng: first(_find(answer, sizes, n, gpa, frames) for n in numbers)


def _any_device(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(12):
        sizes = [rng.choice((0, 1 << rng.randrange(16))) for _ in range(4)]
        frames = {n: rng.randrange(1, 99) for n in range(4) if sizes[n] and rng.random() < 0.3}
        gpa = PAGE * rng.randrange(1, 1 << 32)
        if found := _find(answer, sizes, rng.randrange(6), gpa, frames):
            return found
    return None


VRING = Task(
    "ps4.q1",
    "lay out a vring",
    ("vring", "find_queue"),
    ("S33", "S36"),
    lines=12,
    minutes=15,
    difficulty=2,
    points=4,
    cases=(
        Case("the descriptor table", _layouts((0x1000, 8, 4))),
        Case("one entry", _layouts((0x1000, 1, 4), (0x2000, 2, 4))),
        Case("a modern queue", _layouts((0x2000, 256, 4), (0x8_0000, 16, 4))),
        Case("another alignment", _layouts((0x1000, 8, 64), (0x1010, 16, 64))),
        Case("a legacy queue", _layouts((0x1000, 8, 4096), (0x10000, 256, 4096))),
        Case("already aligned", _layouts((0x3A00, 64, 2), (0x1000, 8, 2))),
        Case("the largest", _layouts((0x10_0000, 32768, 4), (0x10_0000, 32768, 4096))),
        Case("high in memory", _layouts((1 << 40, 128, 4096))),
        Case("any layout", _any_layout),
        Case("find a queue", _finds([256], 0)),
        Case("another queue", _finds([64, 128, 8], 1, 2, 0)),
        Case("pages elsewhere", _finds([128, 1024], 1, gpa=0x1234_5000)),
        Case("more than two pages", _finds([256, 1024, 32768], 1, 2)),
        Case("no such queue", _finds([256], 1, 7)),
        Case("a hole", _finds([256, 0, 64], 1, 2)),
        Case("in use already", _finds([256, 256], 0, 1, frames={0: 0x77})),
        Case("any device", _any_device),
    ),
    hints=(
        "Three parts, one behind the other. How many bytes has each in a queue of 8? Only the used "
        "ring is moved up, so only one address has to be rounded.",
        "Rounding up to a multiple is a division that rounds up, and a multiplication. In "
        "find_queue nothing is known before the queue is selected, not even whether it exists.",
        "The available ring has flags, idx, an entry of 2 bytes for each descriptor, and "
        "used_event; the used ring the same with elements of 8. Ask allocate for whole pages, and "
        "give the device the number of the first. vring tells the rest, with 4096 for align.",
    ),
)
