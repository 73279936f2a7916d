"""What a block device remembers of a batch that comes again: where all of it lies.

    heads     [ type | sector ]  ...  [ type | sector ]     one view of all, with a stride: a copy
    data      [ 4096 bytes ][ 4096 bytes ] ...              one `take`, or one store by index
    status    [ 0 ] ............ [ 0 ]                      one store
    used      all that may be written was written           `WHOLE`

The idea: a driver puts its heads and its data into slots, and uses them lap after lap. The queue
sees that, and gives the very same `Batch`. Then only the types and the sectors are looked at.

The rule that keeps it simple: a plan is for plain requests of one type and one size that is a power
of two. It moves blocks, each a whole number of sizes into the disk. If one request is otherwise,
`blk_many` gets all of them, with the words that were read here.

Source: virtio 1.3 5.2.6. What it gains is in `benchmarks/blk_rows.py`.
"""

from __future__ import annotations

import numpy as np

from virtlab.memory import Bytes
from virtlab.virtio.batch import Batch, Ints
from virtlab.virtio.batch_checks import RECORD, evenly, fields, gather
from virtlab.virtio.blk_layouts import REQUEST, SECTOR, BlkStatus, BlkType
from virtlab.virtio.blk_many import Requests
from virtlab.virtio.blk_move import move
from virtlab.wire import all_ones

_HEAD, _STATUS = np.dtype((np.void, REQUEST.itemsize)), np.dtype(np.uint8)


class Plan:
    """The `batch` in `memory`: n requests of type `kind`, head, data and status, of `size` bytes.

    All are cut so, and of the right direction. `size` is a power of two, and whole sectors.
    """

    def __init__(self, batch: Batch, memory: Bytes, kind: BlkType, size: int) -> None:
        n = len(batch)
        self.memory, self.size, self.writes = memory, size, kind == BlkType.OUT
        self._blocks = np.dtype((np.void, size))
        self._shift = np.array(size.bit_length() - SECTOR.bit_length())
        # Of what the guest wrote there is one copy, and views of it.
        self._copy = np.empty(n, RECORD)
        self.words = fields(self._copy)
        self._room = self._copy.view(_HEAD)
        # What is the same in all heads: the type, and that it begins where a block does.
        both = self._copy.view(np.int64)
        self._both, self._same, self._mask = both, np.empty_like(both), np.empty_like(both)
        self._mask[0::2], self._mask[1::2] = all_ones(4), size // SECTOR - 1
        self._same[0::2], self._same[1::2] = kind, 0
        self._expected, self._said = self._same.tobytes(), self._same.data.cast("B")
        self._index = np.empty(n, np.int64)
        # As unsigned numbers: what is below the disk is far above it.
        unsigned = self._index.view(np.uint64)
        self._numbers, self._highest = unsigned.data, unsigned.argmax
        self._heads_at, self._data_at, self._ends = (batch.offset[k::3].copy() for k in range(3))
        self._sizes = np.full(n, size)
        self._heads = evenly(memory, self._heads_at, _HEAD)
        data = evenly(memory, self._data_at, self._blocks)
        self._data = data if data is not None and data.flags.c_contiguous else None
        self._statuses = evenly(memory, self._ends, _STATUS)

    @classmethod
    def of(cls, requests: Requests, memory: Bytes) -> Plan | None:
        """For requests that were served; None if they are not such as a plan is for."""
        batch, size, writes = requests.batch, int(requests.size[0]), requests.writes
        if len(batch.length) != 3 * len(batch) or not requests.plain.all() or size & (size - 1):
            return None
        if np.count_nonzero(requests.size != size) or np.count_nonzero(writes != writes[0]):
            return None
        return cls(batch, memory, BlkType.OUT if writes[0] else BlkType.IN, size)

    def read(self, disk: Bytes) -> Ints | None:
        """Copy all heads: which blocks of `disk` are meant, (n,). None if one is not as planned."""
        if self._heads is None:
            self._copy[:] = gather(self.memory, self._heads_at)
        else:
            self._room[:] = self._heads
        np.bitwise_and(self._both, self._mask, self._same)
        if not self._expected.startswith(self._said):
            return None
        index = self._index
        np.right_shift(self.words[1], self._shift, index)
        if self._numbers[self._highest()] >= len(disk) // self.size:
            return None
        return index

    def move(self, disk: Bytes, index: Ints) -> None:
        """Move the data, from or to those blocks of `disk`.

        Of two writes of one block the later stays: what is stored by index is stored in order.
        """
        data = self._data  # where they lie side by side
        if data is None:
            place = index << self.size.bit_length() - 1
            if self.writes:
                move(disk, place, self.memory, self._data_at, self._sizes)
            else:
                move(self.memory, self._data_at, disk, place, self._sizes)
            return
        blocks = np.ndarray((len(disk) // self.size,), self._blocks, disk)
        if self.writes:
            blocks[index] = data
        else:
            blocks.take(index, 0, data, "clip")

    def say(self, status: BlkStatus) -> None:
        """Write that status of all."""
        if self._statuses is None:
            self.memory[self._ends] = status
        else:
            self._statuses.fill(int(status))
