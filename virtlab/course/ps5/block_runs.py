"""Task 5 of problem set 5: what its cases ask, of `spans` and of `answer`.

    spans_of(sizes, ...)    bytes of a request, wherever its buffers begin and end
    asks(Request, ...)      requests to one disk, one after the other
    any_request, hostile    the same by chance, from a driver and from an enemy

The idea: the first functions make a case of a few words, so that `block` reads as a list of what a
back-end must do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.given.rings import Written
from virtlab.course.ps3.machines import PATTERN, first
from virtlab.course.ps4.machines import RAM, Span, pieces_text
from virtlab.course.ps5.block_machine import Backend
from virtlab.course.ps5.block_request import Request, placed
from virtlab.course.tasks import Difference, Run, same, shown
from virtlab.memory import GuestMemory
from virtlab.virtio.blk_layouts import SECTOR, BlkType
from virtlab.virtio.chain import Buffer, Chain

LOOK_SPANS = "count through buffers of that kind alone; a buffer can be cut at both ends"
LOOK_EMPTY = "a span has a byte or more; where the bytes end, the list ends"

IN, OUT, FLUSH, GET_ID = BlkType.IN, BlkType.OUT, BlkType.FLUSH, BlkType.GET_ID

# -- spans


def _span(
    answer: Answer, buffers: list[Written], write: bool, start: int, length: int
) -> Difference | None:
    answer.given = f"spans(buffers, {write}, {start}, {length}), buffers {pieces_text(buffers)}"
    chain = Chain(0, tuple(Buffer(*one) for one in buffers), 1)
    right = list(chain.pieces(write, start, length))
    yours = answer.call("spans", list(buffers), write, start, length)
    if same(right, yours):
        return None
    said = "None: is there a return?" if yours is None else _spans_text(yours)
    short = sum(size for _, size in right) < length or not right
    return Difference(_spans_text(right), said, LOOK_EMPTY if short else LOOK_SPANS)


def _spans_text(value: object) -> str:
    if type(value) is list and all(_is_span(one) for one in value):
        texts = [f"{size} @{gpa:#x}" for gpa, size in value[:8]]
        return ", ".join(texts) if texts else "no spans: []"
    return shown(value)


def _is_span(one: object) -> bool:
    return type(one) is tuple and len(one) == 2 and all(type(item) is int for item in one)


def spans_of(sizes: list[int], *asked: Span, write: bool = False) -> Run:
    """Spans of buffers of these sizes; the last two of them are of the other kind."""
    count = len(sizes) - 2
    kinds = [(size, write == (number >= 2)) for number, size in enumerate(sizes)]
    if not write:
        kinds = [(size, number >= count) for number, size in enumerate(sizes)]
    buffers = placed(kinds)
    return lambda answer, rng: first(_span(answer, buffers, write, *one) for one in asked)


def any_spans(answer: Answer, rng: Random) -> Difference | None:
    """Sixty by chance."""
    for _ in range(60):
        out = [(rng.choice((1, 2, 16, 512)), False) for _ in range(rng.randrange(5))]
        into = [(rng.choice((1, 2, 16, 512)), True) for _ in range(rng.randrange(5))]
        start, length = rng.choice((0, 1, 16, 600)), rng.choice((0, 1, 16, 512, 3000))
        if found := _span(answer, placed(out + into), rng.random() < 0.5, start, length):
            return found
    return None


# -- requests


def asks(
    *requests: Request,
    sectors: int = 16,
    read_only: bool = False,
    fails: Iterable[str] = (),
    name: bytes = b"virtlab",
    strike: bool = False,
) -> Run:
    """These requests, one after the other, to one disk."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        backend = Backend(answer, sectors, read_only, fails, name)
        return first(backend.ask(request, strike) for request in requests)

    return run


def _bytes(count: int) -> bytes:
    """Data of which every byte can be told from its neighbours, and from other sectors."""
    return bytes((7 * number + number // 251) % 256 for number in range(count))


DATA = _bytes(4 * SECTOR)


def repeats(kind: int) -> Run:
    """A request of 5 MB, in 64 KiB of memory."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        ram, request = GuestMemory(RAM), Request(kind)
        ram.bytes[:] = PATTERN
        buffers = request.lay(ram)
        again: list[Written] = [(0x4000, 88 * SECTOR, kind == IN)] * 120
        whole = buffers[:1] + again + buffers[1:]
        return Backend(answer).ask_for(f"{request}, 120 times the same page", ram, whole)

    return run


def over_the_head(answer: Answer, rng: Random) -> Difference | None:
    """The data of a read is to go where the head is."""
    for sector in (3, 15, 16):
        ram, request = GuestMemory(RAM), Request(IN, sector, room=SECTOR)
        ram.bytes[:] = PATTERN
        head, data, status = request.lay(ram)
        buffers = [head, (head[0] - 8, data[1], True), status]
        told = f"{request}, data over the head"
        if found := Backend(answer, sectors=16).ask_for(told, ram, buffers):
            return found
    return None


def _cuts(rng: Random, total: int) -> list[int]:
    near = [15, 16, 17, total - 2, total - 1]
    return rng.sample(near, rng.randrange(3)) + [
        rng.randrange(1, max(total, 2)) for _ in range(rng.choice((0, 1, 2, 6)))
    ]


def _random(rng: Random, kind: int, sectors: int) -> Request:
    """A request that a driver could make, cut anywhere."""
    count = rng.randrange(4)
    data = rng.randbytes(count * SECTOR) if kind == OUT else b""
    room = count * SECTOR if kind == IN else rng.choice((20, 32)) if kind == GET_ID else 0
    sector = rng.randrange(sectors - count) if kind in (IN, OUT) else 0
    out, into = _cuts(rng, 16 + len(data)), _cuts(rng, room + 1)
    return Request(kind, sector, data, room, out, into)


def any_request(answer: Answer, rng: Random) -> Difference | None:
    """Requests that a driver makes, to six disks."""
    for _ in range(4):
        sectors = rng.randrange(4, 30)
        backend = Backend(answer, sectors, name=rng.choice((b"", b"a disk", b"x" * 20)))
        kinds = [rng.choice((IN, IN, OUT, OUT, FLUSH, GET_ID)) for _ in range(6)]
        if found := first(backend.ask(_random(rng, kind, sectors)) for kind in kinds):
            return found
    return None


def _spoiled(rng: Random, sectors: int) -> Request:
    """A request with something in it that may be wrong."""
    request = _random(rng, rng.choice((IN, OUT, OUT, FLUSH, GET_ID)), sectors)
    spoil: list[Callable[[], None]] = [
        lambda: setattr(request, "kind", rng.choice((2, 3, 5, 11, 13, 0x100, rng.getrandbits(32)))),
        lambda: setattr(request, "sector", rng.choice((sectors - 1, sectors, 1 << 55, ~0 % 2**64))),
        lambda: setattr(request, "room", rng.choice((0, 1, 19, 21, 511, 513, 1024))),
        lambda: setattr(request, "data", rng.randbytes(rng.choice((1, 511, 513, 1024)))),
        lambda: setattr(request, "reserved", rng.getrandbits(32)),
        lambda: setattr(request, "bytes_in", 0),
        lambda: setattr(request, "bytes_out", rng.randrange(17)),
    ]
    for _ in range(rng.randrange(1, 3)):
        rng.choice(spoil)()
    return request


def hostile(answer: Answer, rng: Random) -> Difference | None:
    """Requests of which most are spoiled, to disks of which some fail."""
    for _ in range(5):
        sectors = rng.randrange(4, 30)
        fails = rng.choice(((), (), (), ("read",), ("write", "flush")))
        backend = Backend(answer, sectors, rng.random() < 0.2, fails)
        strike = rng.random() < 0.3
        if found := first(backend.ask(_spoiled(rng, sectors), strike) for _ in range(5)):
            return found
    return None
