"""Task 6 of problem set 5: a receive path with mergeable buffers, from both of its ends.

`deliver` is the device: a frame goes into as many buffers as it takes, whole or not at all. Its
cases are judged by what a driver sees at the moment when idx moves. `receive` is the driver: it
makes one frame of them again, from a device that need not be right.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import all_of, first
from virtlab.course.ps5.receive_device import Receiving
from virtlab.course.ps5.receive_driver import Receipts
from virtlab.course.tasks import Case, Difference, Run, Task

Buffer = list[tuple[int, bool]] | int


def _frame(length: int) -> bytes:
    """A frame of which every byte can be told from its neighbours."""
    return bytes((5 * number + number // 199 + length) % 256 for number in range(length))


# -- the device


def _delivers(*steps: int | tuple[Buffer, ...], merge: bool = True, size: int = 16) -> Run:
    """Steps in order: a frame of so many bytes, or buffers that the driver adds."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        queue = Receiving(answer, merge, size)
        for step in steps:
            if isinstance(step, tuple):
                queue.add(*step)
            elif found := queue.deliver(_frame(step)):
                return found
        return None

    return run


def _any_buffer(rng: Random) -> Buffer:
    kind = rng.random()
    if kind < 0.5:
        return rng.choice((12, 13, 40, 128, 300, 1400))
    pieces = [(rng.choice((1, 5, 12, 64, 200)), rng.random() < 0.85) for _ in range(4)]
    return [*pieces, (12, True)] if kind < 0.97 else [(11, True), (50, False)]


def _any_frames(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(8):
        size = rng.choice((1, 2, 4, 8))
        queue = Receiving(answer, rng.random() < 0.8, size)
        for _ in range(8):
            there = len(queue.waiting) + len(queue.expected_held)
            queue.add(*(_any_buffer(rng) for _ in range(rng.randrange(size - there + 1))))
            if found := queue.deliver(rng.randbytes(rng.choice((14, 60, 60, 200, 600)))):
                return found
            if queue.broken or queue.free > 0xD000:
                break
    return None


# -- the driver


def _receives(*uses: Callable[[Receipts], None], calls: int = 1, strike: bool = False) -> Run:
    """So many calls after the device has used these buffers."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        receipts = Receipts(answer)
        for use in uses:
            use(receipts)
        return first(receipts.receive(strike) for _ in range(calls))

    return run


def _packet(size: int, *lengths: int, count: int | None = None) -> Callable[[Receipts], None]:
    return lambda receipts: receipts.packet(_frame(size), *lengths, count=count)


def _short(written: int) -> Callable[[Receipts], None]:
    """A buffer of which fewer bytes are told than a header has."""
    return lambda receipts: receipts.use(b"\0" * 10 + b"\1\0" + _frame(60), 128, written)


def _any_packets(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(6):
        receipts = Receipts(answer)
        for _ in range(rng.randrange(1, 5)):
            _use_any(rng, receipts)
        strike = rng.random() < 0.3
        if found := first(receipts.receive(strike) for _ in range(6)):
            return found
    return None


def _use_any(rng: Random, receipts: Receipts) -> None:
    """A packet in buffers of one size; sometimes what no device should do."""
    frame, length = rng.randbytes(rng.choice((14, 60, 200, 900))), rng.choice((12, 64, 256, 1526))
    total = 12 + len(frame)
    lengths = [length] * -(-total // length)
    kind = rng.random()
    if kind < 0.7:
        receipts.packet(frame, *lengths)
    elif kind < 0.85:
        receipts.packet(frame, *lengths, count=rng.choice((0, 1, len(lengths) + 1, 0xFFFF)))
    else:
        _short(rng.randrange(12))(receipts)


RECEIVE = Task(
    "ps5.q6",
    "receive in pieces",
    ("deliver", "receive"),
    ("S30", "S33", "S38"),
    lines=40,
    minutes=40,
    difficulty=4,
    points=7,
    cases=(
        Case("one buffer", _delivers((1526,), 60)),
        Case("two frames", _delivers((1526, 1526, 128), 60, 1500)),
        Case("just enough room", _delivers((72, 72), 60, 60)),
        Case("one byte more", _delivers((72, 72), 61)),
        Case("several buffers", _delivers((128,) * 8, 300, 500), costs=True),
        Case("only a header in the first", _delivers((12, 12, 12, 100), 60)),
        Case(
            "buffers of several pieces",
            all_of(
                _delivers(([(12, True), (1514, True)],), 60),
                _delivers(([(5, True), (3, True), (20, True)], [(1, True), (99, True)]), 60),
            ),
        ),
        Case(
            "a readable piece",
            all_of(
                _delivers(([(40, False), (128, True)],), 60),
                _delivers(([(40, False), (20, True)], [(80, False), (50, True)], 99), 60),
            ),
        ),
        Case("no buffer", _delivers(60, 60)),
        Case("too few buffers", _delivers((40, 40), 100)),
        Case("and then enough", _delivers((40, 40), 100, (40, 40), 100)),
        Case("what is held comes first", _delivers((40, 50, 60), 300, 60, (128,), 40, 60)),
        Case(
            "no room in the whole queue",
            all_of(
                _delivers((40,) * 4, 300, 100, size=4),
                _delivers((40,) * 3, 300, (40,), 300, 60, size=4),
            ),
        ),
        Case("its last buffer", _delivers((40,) * 4, 148, (40,) * 4, 149, size=4)),
        Case("without merging", _delivers((1526, 128), 60, 100, merge=False)),
        Case("too long for one", _delivers((72, 128), 61, 60, 116, merge=False)),
        Case("no buffer, without merging", _delivers(60, (72,), 60, 60, merge=False)),
        Case(
            "no room for a header",
            all_of(
                _delivers((11,), 60),
                _delivers((40, 8, 128), 60),
                _delivers(([(40, False), (11, True)],), 60),
                _delivers(([(1526, False)],), 60, merge=False),
            ),
        ),
        Case("any frames", _any_frames),
        Case("nothing came", _receives()),
        Case("a frame", _receives(_packet(60, 72))),
        Case("room left over", _receives(_packet(60, 1526), calls=2)),
        Case("a frame in pieces", _receives(_packet(300, 128, 128, 128))),
        Case("a header, then the frame", _receives(_packet(60, 12, 12, 12, 99))),
        Case("frame by frame", _receives(_packet(300, *[128] * 3), _packet(60, 128), calls=3)),
        Case("less than a header", all_of(*(_receives(_short(n)) for n in (11, 2, 0)))),
        Case("after a broken one", _receives(_short(5), _packet(60, 128), calls=3)),
        Case("no buffers at all", _receives(_packet(60, 128, count=0), _packet(9, 99), calls=2)),
        Case(
            "buffers are missing",
            all_of(
                _receives(_packet(300, 128, 128, count=3), calls=2),
                _receives(_packet(60, 128, count=0xFFFF)),
                _receives(_packet(60, 128, count=0x101)),
            ),
        ),
        Case(
            "a device that changes its mind",
            all_of(
                _receives(_packet(60, 128), strike=True),
                _receives(_packet(300, *[128] * 3), calls=2, strike=True),
            ),
        ),
        Case("any packets", _any_packets),
    ),
    hints=(
        "A device finds the buffers first, and writes when it has them all: only then does it know "
        "num_buffers, and only then is it sure that the packet goes out whole. A loop over q.held "
        "that asks pop where the list ends does for fresh buffers and for held ones.",
        "Two numbers end that loop: the room so far, and the bytes that are needed, header "
        "included. Without merging it ends after one buffer. Then one string of bytes, header and "
        "frame, is cut from its front, piece by piece, and what it lost in a buffer is `written`.",
        "Before anything is written, three returns: pop has nothing (is q.size reached?), a buffer "
        "has fewer than 12 writable bytes, one buffer alone has too little room. In receive: read "
        "`written` bytes of the first buffer into a variable, and take num_buffers out of it; give "
        "each buffer back right behind the read, so that none is forgotten on the way out.",
    ),
)
