"""A chain, followed as its device follows it, with the place of what is wrong in it.

    desc[3] -> desc[7] -> desc[7] table[0] -> desc[7] table[1]        head 3, an indirect table

A queue refuses a chain at the first broken rule, and need not say where. A driver's author wants to
know where.

The idea: the doctor has no rules of its own. It lets the queue's walk read through a memory that
remembers every descriptor it gave. When the walk is refused, the last one is the place; or, if it
was refused for its buffers, the first that the same rules refuse when they see it last.

The rule that keeps it simple: nothing is written, and each chain gives at most one finding.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from virtlab.errors import DmaFault, GuestError
from virtlab.memory import Bytes, Dma
from virtlab.virtio.chain import Buffer, Chain, Clauses, Span, check_buffers, check_memory
from virtlab.virtio.doctor.records import Notes
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, DType, packer
from virtlab.virtio.packed_layouts import FLAGS_AT

SIZE = DESC.itemsize
"""Bytes of a descriptor, in both layouts."""

_FLAGS = ((NEXT, "NEXT"), (WRITE, "WRITE"), (INDIRECT, "INDIRECT"))


class Rules(NamedTuple):
    """What a layout says of chains: its descriptor, clauses, areas, and where its ring begins."""

    descriptor: DType
    clauses: Clauses
    areas: Sequence[Span]
    table: int


class Place(NamedTuple):
    """A descriptor that was read: its name, address (iova), and what it held, by field.

    `slot` is its index in the ring, None in a table of its own.
    """

    where: str
    address: int
    fields: dict[str, int]
    slot: int | None

    @property
    def buffer(self) -> Buffer | None:
        """The buffer that it describes; None if it refers to a table, or could not be read."""
        if not self.fields or self.fields["flags"] & INDIRECT:
            return None
        write = bool(self.fields["flags"] & WRITE)
        return Buffer(self.fields["addr"], self.fields["len"], write)

    def __str__(self) -> str:
        if not self.fields:
            return ""
        flags = self.fields["flags"]
        names = " ".join(name for bit, name in _FLAGS if flags & bit)
        values = (f"{name} {value:#x}" for name, value in self.fields.items() if name != "flags")
        return f"; it says {', '.join(values)}, flags {flags:#x}" + (f" {names}" if names else "")


class Read(NamedTuple):
    """One read by a walk: `length` bytes at `address` (iova), and what came."""

    address: int
    length: int
    data: bytes


class Followed(NamedTuple):
    """What became of a chain: its buffers, and the descriptors of the ring that were read.

    `ident` is the buffer id of the last of them, in a packed ring.
    """

    buffers: tuple[Buffer, ...]
    slots: frozenset[int]
    ident: int


class Enough(Exception):
    """The budget is spent: the rest of the ring is not looked at."""


class Watched:
    """Memory for a walk: it reads, remembers what it read, and refuses to be written."""

    def __init__(self, dma: Dma, notes: Notes) -> None:
        self.dma = dma
        self.notes = notes
        self.reads: list[Read] = []

    def read(self, iova: int, length: int) -> bytes:
        """A copy of `length` bytes. `Enough` if the budget is spent."""
        if not self.notes.spend(-(-length // SIZE)):
            raise Enough
        self.reads.append(Read(iova, length, b""))
        data = self.dma.read(iova, length)
        self.reads[-1] = Read(iova, length, data)
        return data

    def view(self, iova: int, length: int, write: bool = False) -> Bytes:
        """The bytes themselves."""
        return self.dma.view(iova, length, write)

    def write(self, iova: int, data: bytes) -> None:
        """Refused: a doctor changes nothing."""
        raise DmaFault("the ring doctor writes nothing", iova, len(data))


def follow(notes: Notes, rules: Rules, walk: Callable[[Dma], Chain | None]) -> Followed:
    """Let `walk` follow one chain; note what it is refused for. `Enough` if the budget is spent."""
    watched = Watched(notes.dma, notes)
    try:
        chain = walk(watched)
    except GuestError as error:
        return _refused(notes, rules, watched.reads, error)
    if chain is None:
        return Followed((), frozenset(), 0)
    if notes.whole:
        _check_memory(notes, rules, chain, watched.reads)
    in_ring = islice(name_reads(rules, watched.reads), chain.slots)
    return Followed(chain.buffers, _slots(in_ring), chain.head)


def _refused(notes: Notes, rules: Rules, reads: Sequence[Read], error: GuestError) -> Followed:
    """Note the descriptor that a chain was refused for. Its buffers are those before."""
    places = list(name_reads(rules, reads))
    place = _blame(rules, places, error)
    # What a part of a memory does not have, the whole may have.
    missing = isinstance(error.__cause__, DmaFault) and not notes.whole
    notes.add(
        "driver", place.where, place.address, f"{error.why}{place}", error.spec, warning=missing
    )
    idents = [each.fields["id"] for each in places if each.slot is not None and "id" in each.fields]
    buffers = tuple(each.buffer for each in places if each.buffer)
    return Followed(buffers, _slots(places), idents[-1] if idents else 0)


def _slots(places: Iterable[Place]) -> frozenset[int]:
    return frozenset(place.slot for place in places if place.slot is not None)


def name_reads(rules: Rules, reads: Iterable[Read]) -> Iterator[Place]:
    """The descriptors that a walk read, in order, each with its name."""
    layout, names = packer(rules.descriptor), rules.descriptor.names or ()
    table, name, in_ring = rules.table, "desc", True
    for address, raw in _descriptors(reads):
        fields = dict(zip(names, layout.unpack(raw), strict=True)) if raw else {}
        index = (address - table) // SIZE
        place = Place(f"{name}[{index}]", address, fields, index if in_ring else None)
        yield place
        if in_ring and fields.get("flags", 0) & INDIRECT:
            table, name, in_ring = fields["addr"], f"{place.where} table", False


def _descriptors(reads: Iterable[Read]) -> Iterator[tuple[int, bytes]]:
    """What was read, descriptor by descriptor; without bytes where there was no memory.

    A packed ring's flags are read before the rest of the descriptor, and its table in one piece.
    """
    flags = b""
    for address, length, raw in reads:
        if length == SIZE - FLAGS_AT and raw:
            flags = raw
        elif length == FLAGS_AT and raw:
            yield address, raw + flags
        elif raw:
            yield from ((address + at, raw[at : at + SIZE]) for at in range(0, length, SIZE))
        else:
            yield address, b""


def _blame(rules: Rules, places: Sequence[Place], error: GuestError) -> Place:
    """The descriptor that `error` is about."""
    elements = [place for place in places if place.buffer]
    buffers = [place.buffer for place in elements if place.buffer]

    def refusal(count: int) -> str:
        """What the rules say of the first `count` buffers."""
        try:
            check_buffers(buffers[:count], rules.areas, rules.clauses)
        except GuestError as refused:
            return str(refused)
        return ""

    if refusal(len(buffers)) == str(error):
        # What is refused stays refused with more behind it: so halving finds the first.
        first = bisect_left(range(len(buffers)), True, key=lambda n: bool(refusal(n + 1)))
        return elements[first]
    return places[-1]


def _check_memory(notes: Notes, rules: Rules, chain: Chain, reads: Sequence[Read]) -> None:
    """Note the first buffer that is not memory from its first byte to its last."""
    try:
        check_memory(notes.dma, chain.buffers, rules.clauses)
    except GuestError:
        for place in name_reads(rules, reads):  # pragma: no branch
            try:
                check_memory(notes.dma, [place.buffer] if place.buffer else [], rules.clauses)
            except GuestError as error:
                why = f"{error.why}{place}"
                notes.add("driver", place.where, place.address, why, error.spec)
                return
