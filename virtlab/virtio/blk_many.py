"""A batch of requests at once, for a disk whose bytes lie in one array.

    heads    [ type | sector ] x n     one gather, into memory of our own
    plain    16 to read | whole sectors of one direction | 1 to write | all on the disk
    data     one move for all reads, one for all writes
    status   one store; the used lengths are an array

The idea: most requests are reads and writes that are right, and cut as every driver cuts them.
Those are parsed by masks, and moved together. Everything else is served alone, by the scalar
`answer`, in its turn: so what is odd is judged in one place.

The rule that keeps it simple: the disk is left as one request after another would leave it. So
where a write meets another request of its stretch on the disk, the stretch is served one by one.
Buffers that a guest lets overlap have no such order: 5.2.6 gives requests in flight none.

Source: virtio 1.3 5.2.6, 5.2.6.2, 2.7.8.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from virtlab.memory import Bytes
from virtlab.virtio.batch import Batch, Bools, Ints
from virtlab.virtio.batch_checks import fields, gather
from virtlab.virtio.blk_layouts import REQUEST, SECTOR, BlkStatus, BlkType
from virtlab.virtio.blk_move import SLAB, move
from virtlab.virtio.chain import Buffer, Chain
from virtlab.wire import all_ones

FEW = 5
"""Below so many requests in a row it is quicker to serve each alone."""

HEAD, STATUS = REQUEST.itemsize, 1

# A 0-d array: a ufunc takes it as it is.
_TYPE = np.array(all_ones(4))


class Target(NamedTuple):
    """Both sides of the moves, and what is done where arrays do not reach."""

    memory: Bytes
    disk: Bytes
    writable: bool
    settle: Callable[[], BlkStatus]
    """Called behind writes and before they are completed: how that went."""
    answer: Callable[[Chain], int]
    """Serve one chain whose addresses are offsets in `memory`; gives the bytes written."""


class Shape(NamedTuple):
    """How a batch was cut, all of it plain and of three pieces: mostly the next is cut so too."""

    length: bytes
    write: bytes
    all: Bools  # every one is plain
    writes: Bools
    some: bool  # whether there is a write
    kind: Ints  # the type that goes with the direction of the data
    size: Ints
    most: int  # sectors of the longest

    def fits(self, batch: Batch) -> bool:
        """Whether `batch` is cut in the same way: two compares of bytes."""
        if len(batch) != len(self.all) or len(batch.length) != len(self.write):
            return False
        # A chain never goes on from what is written to what is read, so there a new one begins: as
        # often as there are chains. Where each begins need not be compared.
        return batch.length.tobytes() == self.length and batch.write.tobytes() == self.write


class Requests(NamedTuple):
    """The (n,) requests of a batch. Only where `plain` is set do the others mean anything."""

    batch: Batch
    plain: Bools
    writes: Bools  # OUT, and not IN
    place: Ints  # where on the disk, in bytes
    size: Ints  # bytes of data

    @classmethod
    def of(
        cls,
        batch: Batch,
        target: Target,
        seen: Shape | None = None,
        words: tuple[Ints, Ints] | None = None,
    ) -> Requests:
        """Read all heads, once, and see which requests are plain. `seen` is a shape of before.

        `words` are those of all heads, where they were read: then all are cut as usual.
        """
        if words is not None:
            return cls._judged(batch, target, np.ones(len(batch), np.bool_), *words)
        if seen is None or not seen.fits(batch):
            return cls._judged(batch, target, *_heads(batch, target.memory))
        word, sector = fields(gather(target.memory, batch.offset[0::3]))
        # As unsigned numbers: what is below the disk is far above it.
        unsigned = sector.view(np.uint64)
        end = int(unsigned[unsigned.argmax()]) + seen.most
        inside = end <= len(target.disk) // SECTOR and (target.writable or not seen.some)
        if inside and not np.count_nonzero((word & _TYPE) != seen.kind):
            return cls(batch, seen.all, seen.writes, sector * SECTOR, seen.size)
        return cls._judged(batch, target, seen.all, word, sector)

    @classmethod
    def _judged(
        cls, batch: Batch, target: Target, shaped: Bools, word: Ints, sector: Ints
    ) -> Requests:
        """Look at each: those that are `shaped` have a head, of which these are the words."""
        first, last, write = batch.starts[:-1], batch.starts[1:] - 1, batch.write
        kind = word & _TYPE
        writes = kind == BlkType.OUT
        size, cut = _data(batch, first, last)
        # What is written stands behind what is read. So one piece tells the direction of all.
        outward = np.where(writes, ~write[last - 1], write[np.minimum(first + 1, last)])
        plain = shaped & outward & ((kind == BlkType.IN) | (writes & target.writable))
        # Whole sectors in every piece, none of them too long for one move.
        plain &= (cut & (SECTOR - 1) == 0) & (cut < SLAB)
        sectors = len(target.disk) // SECTOR
        plain &= (sector >= 0) & (sector <= sectors - size // SECTOR)
        return cls(batch, plain, writes, np.where(plain, sector, 0) * SECTOR, size)

    def shape(self) -> Shape | None:
        """What to expect of the next batch, if all of this one was plain, and of three pieces."""
        batch = self.batch
        # A plain one has three at least.
        if len(batch.length) != 3 * len(batch) or not self.plain.all():
            return None
        kind = np.where(self.writes, np.int64(BlkType.OUT), np.int64(BlkType.IN))
        return Shape(
            batch.length.tobytes(),
            batch.write.tobytes(),
            self.plain,
            self.writes.copy(),
            bool(self.writes.any()),
            kind,
            self.size.copy(),
            int(self.size.max()) // SECTOR,
        )

    def chain(self, at: int) -> Chain:
        """Request `at` as a chain whose addresses are offsets."""
        batch = self.batch
        part = slice(int(batch.starts[at]), int(batch.starts[at + 1]))
        pieces = zip(
            batch.offset[part].tolist(),
            batch.length[part].tolist(),
            batch.write[part].tolist(),
            strict=True,
        )
        buffers = tuple(Buffer(*piece) for piece in pieces)
        return Chain(int(batch.heads[at]), buffers, int(batch.slots[at]))

    def stretches(self) -> Iterator[tuple[int, int, bool]]:
        """`(begin, end, together)`: in order, and as long as they go."""
        n = len(self.plain)
        ends = [n]
        if 0 < np.count_nonzero(self.plain) < n:
            ends = [*(np.flatnonzero(self.plain[1:] != self.plain[:-1]) + 1).tolist(), n]
        for begin, end in zip([0, *ends], ends, strict=False):
            together = bool(self.plain[begin]) and end - begin >= FEW
            yield begin, end, together and not self._meet(slice(begin, end))

    def _meet(self, part: slice) -> bool:
        """Whether a write has bytes of the disk in common with another request."""
        if not np.count_nonzero(self.writes[part]):
            return False
        place, size = self.place[part], self.size[part]
        if not np.count_nonzero(size != size[0]):
            begins = np.sort(place)
            return bool(np.count_nonzero(begins[1:] - begins[:-1] < size[0]))
        order = place.argsort(kind="stable")
        begins, ends = place[order], (place + size)[order]
        return bool(np.count_nonzero(begins[1:] < ends[:-1]))


def _heads(batch: Batch, memory: Bytes) -> tuple[Bools, Ints, Ints]:
    """(n,) which requests are cut as usual, and the two words of their heads; 0 for all others.

    A head in another piece than one of 16 bytes is not read: it may end where the memory ends.
    """
    first, last, length = batch.starts[:-1], batch.starts[1:] - 1, batch.length
    shaped = (length[first] == HEAD) & (length[last] == STATUS) & batch.write[last]
    shaped &= (last - first >= 2) & ~batch.write[first]
    words = np.zeros((2, len(batch)), np.int64)
    words[:, shaped] = fields(gather(memory, batch.offset[first[shaped]]))
    return shaped, words[0], words[1]


def _data(batch: Batch, first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """(n,) bytes of data of each request, and the lengths of its pieces of data, or-ed."""
    n, length = len(first), batch.length
    if len(length) == 3 * n and np.count_nonzero(last - first == 2) == n:
        return length[1::3], length[1::3]
    inner = length.copy()
    inner[first] = inner[last] = 0
    return np.add.reduceat(inner, first), np.bitwise_or.reduceat(inner, first)


def answer_many(requests: Requests, target: Target, written: Ints) -> Iterator[int]:
    """Serve all `requests`, and put what is written into `written`, (n,).

    Gives how many are done, now and then, at last all. A chain that is no request is a `GuestError`
    behind those that were given.
    """
    for begin, end, together in requests.stretches():
        if together:
            _together(requests, begin, end, target, written)
            yield end
            continue
        for at in range(begin, end):
            written[at] = target.answer(requests.chain(at))
            yield at + 1


def _together(requests: Requests, begin: int, end: int, target: Target, written: Ints) -> None:
    """The plain requests from `begin` to `end`, no two of which meet on the disk."""
    part, memory, disk = slice(begin, end), target.memory, target.disk
    writes, size = requests.writes[part], requests.size[part]
    ends = requests.batch.offset[requests.batch.starts[begin + 1 : end + 1] - 1]
    offset, place, length, owner = _pieces(requests, begin, end)
    some = np.count_nonzero(writes)
    if not some:
        move(memory, offset, disk, place, length)
        memory[ends] = BlkStatus.OK
        np.add(size, STATUS, out=written[part])
        return
    out = writes[owner]
    if some < end - begin:
        back = ~out
        move(memory, offset[back], disk, place[back], length[back])
        offset, place, length = offset[out], place[out], length[out]
    move(disk, place, memory, offset, length)
    memory[ends] = np.where(writes, target.settle(), BlkStatus.OK)
    written[part] = np.where(writes, 0, size) + STATUS


def _pieces(requests: Requests, begin: int, end: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Pieces of data: (m,) offset in memory, place on the disk, bytes, and whose they are."""
    batch, n = requests.batch, end - begin
    starts = batch.starts[begin : end + 1]
    pieces = slice(int(starts[0]), int(starts[-1]))
    offset, length = batch.offset[pieces], batch.length[pieces]
    owner = np.arange(n)
    if len(length) == 3 * n:
        return offset[1::3], requests.place[begin:end], length[1::3], owner
    counts = np.diff(starts)
    inner = np.ones(len(length), np.bool_)
    ends = starts[1:] - starts[0]
    inner[ends - 1] = inner[ends - counts] = False
    owner, length = np.repeat(owner, counts - 2), length[inner]
    # Behind which bytes of its own request a piece comes.
    before = np.cumsum(length) - length
    own = np.cumsum(counts - 2) - (counts - 2)
    place = requests.place[begin:end][owner] + before - before[own][owner]
    return offset[inner], place, length, owner
