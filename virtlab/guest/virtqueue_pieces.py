"""Many buffers as arrays: what `add_bufs` is given, and the descriptors that come of it.

    add_bufs(gpas, lengths)                        (n,)    n buffers of one piece
    add_bufs(gpas, lengths, write=[False, True])   (n, 2)  of two: one to read, one to write
    add_bufs(gpas, lengths, starts=[0, 1, 3])      (3,)    two buffers: piece 0, and 1 with 2

The idea: one buffer after the other costs a few microseconds each, whatever it says. As arrays they
cost a few nanoseconds each, and a fixed price once.

The rule that keeps it simple: all is checked before anything is placed. Who gives a buffer that is
none has made a mistake of his own, and the ring does not have half of it.

Source: virtio 1.3 2.7.5, 2.7.13.1 (split), 2.8.13, 2.8.7, 2.8.21.1 (packed). A buffer has a table
if it fits into one: that one of a batch goes without by choice is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from virtlab.guest.virtqueue import Piece, Tables
from virtlab.guest.virtqueue_books import Bools, Ints
from virtlab.virtio.layouts import DESC, INDIRECT, MAX_BYTES, NEXT, WRITE

Records = npt.NDArray[np.void]
Gpas = npt.NDArray[np.uint64]


@dataclass(slots=True, eq=False)
class Pieces:
    """`n` buffers with `m` pieces: those of buffer k are `starts[k]:starts[k + 1]`, in order."""

    gpa: Gpas  # (m,) guest-physical address
    length: Ints  # (m,) bytes
    write: Bools  # (m,) whether it is for the device to write
    starts: Ints  # (n + 1,) where the pieces of a buffer begin

    @classmethod
    def of(
        cls,
        gpas: npt.ArrayLike,
        lengths: npt.ArrayLike,
        write: npt.ArrayLike,
        starts: npt.ArrayLike | None,
        limit: int,
    ) -> Self:
        """The buffers that these arrays describe, of at most `limit` pieces each.

        Without `starts` all have one number of pieces: `gpas` is (n, L), or (n,) for one piece.
        With it `gpas` is (m,). `lengths` and `write` have that shape, or are spread to it.
        `ValueError` for what `elements` refuses, and for a piece to read behind one to write;
        `TypeError` for numbers that are no integers.
        """
        where = _integers("gpas", gpas)
        if where.ndim not in ((1, 2) if starts is None else (1,)):
            raise ValueError(f"gpas are (n,) or (n, L), or (m,) with starts, not {where.shape}")
        if starts is None:
            each = where.shape[1] if where.ndim == 2 else 1
            begins = np.arange(len(where) + 1) * each
        else:
            begins = _integers("starts", starts).astype(np.int64)
        found = cls(
            _addresses(where),
            _spread(_integers("lengths", lengths).astype(np.int64), where.shape),
            _spread(np.asarray(write, np.bool_), where.shape),
            begins,
        )
        found._check(limit)
        return found

    def __len__(self) -> int:
        """How many buffers there are: `n`."""
        return len(self.starts) - 1

    @property
    def counts(self) -> Ints:
        """(n,) the pieces of each buffer."""
        return np.diff(self.starts)

    @property
    def single(self) -> bool:
        """Whether each buffer has one piece."""
        return len(self.gpa) == len(self)

    def room(self) -> Ints:
        """(n,) the bytes of each buffer that the device may write."""
        return self._sums(self.length * self.write)

    def index(self) -> Ints:
        """(m,) the place of each piece in its buffer."""
        return np.arange(len(self.gpa)) - np.repeat(self.starts[:-1], self.counts)

    def pairs(self) -> Iterator[tuple[list[Piece], list[Piece]]]:
        """Each buffer as `add_buf` takes it: the pieces to read, and those to write."""
        pieces = list(zip(self.gpa.tolist(), self.length.tolist(), strict=True))
        writes = self.write.tolist()
        for start, end in pairwise(self.starts.tolist()):
            middle = end - sum(writes[start:end])
            yield pieces[start:middle], pieces[middle:end]

    def first(self, n: int) -> Self:
        """The first `n` buffers."""
        m = self.starts[n]
        return type(self)(self.gpa[:m], self.length[:m], self.write[:m], self.starts[: n + 1])

    def only(self, which: Bools) -> Self:
        """The buffers for which (n,) `which` is True."""
        counts = self.counts
        pieces = np.repeat(which, counts)
        starts = np.concatenate(([0], np.cumsum(counts[which])))
        return type(self)(self.gpa[pieces], self.length[pieces], self.write[pieces], starts)

    def _sums(self, numbers: Ints) -> Ints:
        return numbers if self.single else np.add.reduceat(numbers, self.starts[:-1])

    def _check(self, limit: int) -> None:
        """`ValueError` for the first rule that some buffer breaks."""
        m, starts = len(self.gpa), self.starts
        if starts.ndim != 1 or not len(starts) or starts[0] != 0 or starts[-1] != m:
            raise ValueError(f"starts go from 0 to the number of pieces, {m}")
        if len(self) and not 1 <= (counts := self.counts).min() <= counts.max() <= limit:
            wrong = counts[(counts < 1) | (counts > limit)]
            raise ValueError(f"a buffer has 1 to {limit} pieces, not {wrong[0]}")
        if len(self) and not 1 <= self.length.min() <= self.length.max() < 1 << 32:
            raise ValueError("a piece has an address and 1 to 2**32 - 1 bytes")
        if self.single:
            return
        back = self.write[:-1] & ~self.write[1:]
        back[starts[1:-1] - 1] = False
        if back.any():
            raise ValueError("a buffer's pieces to write come behind those to read")
        if self._sums(self.length).max() > MAX_BYTES:
            raise ValueError("a buffer has at most 2**32 bytes")


def _integers(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    found = np.asarray(values)
    if found.size and found.dtype.kind not in "iu":
        raise TypeError(f"{name} are integers below 2**64, not {found.dtype}")
    return found if found.size else found.astype(np.int64)


def _addresses(where: npt.NDArray[Any]) -> Gpas:
    if where.dtype.kind == "i" and where.size and where.min() < 0:
        raise ValueError(f"a piece has an address of 0 or more, not {where.min()}")
    return where.astype(np.uint64).ravel()


def _spread(values: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """`values` for each piece. `ValueError` if they do not fit to that shape."""
    if values.shape == shape:
        return values.ravel()
    return np.full(shape, values).ravel()


Tokens = Sequence[Any] | npt.NDArray[Any]


def names(tokens: Tokens | None, count: int) -> Sequence[Any]:
    """One token for each of `count` buffers: 0, 1, 2 and so on if there are none."""
    if tokens is None:
        return range(count)
    if len(tokens) != count:
        raise ValueError(f"{count} buffers have as many tokens, not {len(tokens)}")
    return tokens.tolist() if isinstance(tokens, np.ndarray) else tokens


# -- descriptors


@dataclass(slots=True, eq=False)
class Plan:
    """The buffers that fit into the ring: their `pieces`, who has a table, and their `slots`."""

    pieces: Pieces
    tabled: Bools  # (n,)
    slots: Ints  # (n,) descriptors of the ring

    @classmethod
    def of(cls, pieces: Pieces, tables: Tables | None, free: int) -> Self:
        """As many of the buffers, from the first on, as `free` descriptors are enough for."""
        if pieces.single:
            n = min(len(pieces), free)
            return cls(pieces.first(n), np.zeros(n, np.bool_), np.ones(n, np.int64))
        counts = pieces.counts
        entries = tables.entries if tables else 0
        tabled = (counts > 1) & (counts <= entries)
        slots = np.where(tabled, 1, counts)
        n = int(np.searchsorted(np.cumsum(slots), free, "right"))
        return cls(pieces.first(n), tabled[:n], slots[:n])

    def __len__(self) -> int:
        """How many buffers fit."""
        return len(self.slots)

    def ring(self, layout: np.dtype[Any], tables: Tables | None, keys: Ints) -> Records:
        """(sum of slots,) the descriptors of the ring: addr, len, and flags up to INDIRECT.

        `keys` (n,) are the heads or ids, by which the tables are told apart.
        """
        if tables is None or not self.tabled.any():
            return records(self.pieces, layout)
        inside = np.repeat(self.tabled, self.slots)
        found = np.zeros(len(inside), layout)
        found[~inside] = records(self.pieces.only(~self.tabled), layout)
        places = keys[self.tabled] * tables.entries * DESC.itemsize
        found["addr"][inside] = places.astype(np.uint64) + np.uint64(tables.gpa)
        found["len"][inside] = self.pieces.counts[self.tabled] * DESC.itemsize
        found["flags"][inside] = INDIRECT
        return found

    def tables(self, tables: Tables, keys: Ints) -> tuple[Pieces, Ints]:
        """What the tables shall hold, and (m,) in which entry from `tables.gpa` on."""
        pieces = self.pieces.only(self.tabled)
        firsts = np.repeat(keys[self.tabled] * tables.entries, pieces.counts)
        return pieces, firsts + pieces.index()


def records(pieces: Pieces, layout: np.dtype[Any]) -> Records:
    """(m,) a descriptor a piece: addr, len, and of the flags WRITE and NEXT."""
    found = np.zeros(len(pieces.gpa), layout)
    found["addr"] = pieces.gpa
    found["len"] = pieces.length
    flags = pieces.write * np.uint16(WRITE)
    if not pieces.single:
        last = np.zeros(len(flags), np.bool_)
        last[pieces.starts[1:] - 1] = True
        flags |= ~last * np.uint16(NEXT)
    found["flags"] = flags
    return found
