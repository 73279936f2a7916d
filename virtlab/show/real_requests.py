"""What Linux asked of its disk, in words: a chain of pieces, read as a block request.

    16 r | 4096 r | 1 w     write 8 sectors at 2048   OK
    16 r | 4096 w | 1 w     read 8 sectors at 2048    OK
    16 r | 1 w              flush                     OK

The idea: the first readable bytes of a chain say what it is. The rest is counted.

The rule that keeps it simple: bytes that are no request are said to be none; nothing is guessed.

Source: virtio 1.3 5.2.6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from virtlab.hosts.tape_moments import ChainNote
from virtlab.show.tables import Table
from virtlab.virtio.blk_layouts import REQUEST, SECTOR, BlkStatus, BlkType
from virtlab.virtio.layouts import packer

_request = packer(REQUEST)

NAMES = {
    BlkType.IN: "read",
    BlkType.OUT: "write",
    BlkType.FLUSH: "flush",
    BlkType.GET_ID: "get id",
    BlkType.DISCARD: "discard",
    BlkType.WRITE_ZEROES: "write zeroes",
}
"""What a type is called here."""


def request_type(data: bytes) -> int | None:
    """The type in the head of a request; None if there is no whole head."""
    return int(_request.unpack_from(data)[0]) if len(data) >= _request.size else None


def request_words(chain: ChainNote) -> str:
    """A request and its answer: `write 8 sectors at 2048, OK`."""
    moved = (sum(length for length, _ in chain.pieces) - _request.size - 1) // SECTOR
    return f"{head_words(chain.data, moved)}, {status_name(chain.status)}"


def head_words(data: bytes, sectors: int | None = None) -> str:
    """The head of a request in words. `sectors` are those that it moves, if that is known.

    >>> head_words(bytes(8) + (2048).to_bytes(8, "little"), 8)
    'read 8 sectors at 2048'
    """
    kind = request_type(data)
    if kind is None:
        return "no request"
    name = NAMES.get(BlkType(kind)) if kind in set(BlkType) else None
    if kind not in (BlkType.IN, BlkType.OUT):
        return name or f"type {kind}"
    many = "" if sectors is None else f" {sectors} sector{'s' * (sectors != 1)}"
    return f"{name}{many} at {_request.unpack_from(data)[2]}"


def status_name(status: int) -> str:
    """The status byte by name."""
    return BlkStatus(status).name if status in set(BlkStatus) else f"status {status}"


def pieces_words(pieces: Sequence[tuple[int, bool]]) -> str:
    """The pieces of a chain, those that the device reads and those that it writes.

    >>> pieces_words([(16, False), (4096, True), (4096, True), (1, True)])
    '16 r · 2 x 4096 w · 1 w'
    """
    parts = []
    for (length, write), same in groupby(pieces):
        many = len(list(same))
        parts.append(f"{f'{many} x ' if many > 1 else ''}{length} {'w' if write else 'r'}")
    return " · ".join(parts)


def request_table(chains: Iterable[ChainNote], caption: str = "What Linux asked for") -> Table:
    """How many requests of each kind, and the bytes of their buffers, heads and status included."""
    many, size = Counter[str](), Counter[str]()
    for chain in chains:
        kind = request_type(chain.data)
        name = NAMES.get(BlkType(kind), f"type {kind}") if kind in set(BlkType) else "others"
        many[name] += 1
        size[name] += sum(length for length, _ in chain.pieces)
    rows = [(name, f"{count}", f"{size[name]}") for name, count in sorted(many.items())]
    return Table(caption, ("request", "how many", "bytes"), tuple(rows))
