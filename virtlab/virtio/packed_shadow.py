"""What a packed ring said a lap ago: runs of descriptors that were checked, with what came of them.

    slot      16 ......... 271                      one batch, in the ring's memory
    want      the same 4096 bytes, as they must be in the next lap, for both wrap counters
    batch     heads, slots, starts, offset, length, write

The idea: drivers use the same buffers again. If the bytes are those that were checked in the lap
before, the lists are the same lists, and are right for the same reasons. A lap changes AVAIL and
USED, so each run is kept for both wrap counters. Then one compare of bytes says at once that all of
it is available, and that nothing has to be looked at again.

The rule that keeps it simple: what is used is always the private copy, never what was compared. A
run stands for itself, whatever the ring became since, and is forgotten when memory is mapped
otherwise: `Dma`'s generation.

A table may change while its descriptor does not. So those that a run refers to are compared too,
and for other addresses it is looked at anew.

Source: virtio 1.3 2.8.1, 2.8.6; what it gains is in `benchmarks/packed_rows.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from virtlab.virtio.batch import Batch, Bools, Ints, Written
from virtlab.virtio.batch_checks import Records
from virtlab.virtio.layouts import WRITE
from virtlab.virtio.packed_layouts import avail_bits, used_bits
from virtlab.virtio.packed_views import FLAGS, ID, LAP, NOWHERE, SIZE, Ring, Window, Words
from virtlab.virtio.table_shadow import Inside
from virtlab.wire import all_ones

WORD = 8
"""Bytes in half a descriptor."""

RELEARN = 16
"""One in so many laps with new addresses, and the first of them, is learned by heart: a driver that
has other ones each time need not pay for it."""


class Run:
    """Whole lists, from `slot` on, that were checked: `batch`. `inside` are their tables, if any.

    `records` is the private copy of the descriptors that `batch` was made of. They may go round the
    end of the ring. Then a lap's wrap counter is that before the end.
    """

    def __init__(
        self,
        ring: Ring,
        slot: int,
        records: Records,
        batch: Batch,
        window: Window,
        inside: Inside | None = None,
    ) -> None:
        self.size = max(len(records), len(batch.offset))
        self.inside = inside
        self.slots, self.lists = len(records), len(batch)
        self.batch = batch
        self.writes = bool(np.count_nonzero(batch.write))
        # Where it lies.
        self.ring, spans = ring, ring.spans(slot, self.slots)
        self._lives = [
            (ring.bytes[span.start * SIZE : span.stop * SIZE], at * SIZE) for at, span in spans
        ]
        self._addrs = [(slice(at, None), ring.addrs[span]) for at, span in spans]
        self._words = [(ring.words[span], at * WORD) for at, span in spans]
        # What is expected there, for wrap counter 0 and for 1.
        words = records.view(np.uint64)[1::2] & ~LAP
        behind = np.arange(self.slots) >= spans[0][1].stop - slot
        self._both = [words | flags_by(avail_bits, wrap, behind) for wrap in (0, 1)]
        self._want_words = [words.tobytes() for words in self._both]
        self._want: list[bytes] = []  # with the addresses: see `_learn`
        # Where what it gives back lies, list by list, but for the first.
        starts = np.cumsum(batch.slots)[:-1]
        single = self.lists == self.slots and len(spans) == 1
        self.places = slice(slot + 1, slot + self.slots) if single else (starts + slot) % ring.size
        self._behind = behind[starts]
        self._room = room = batch.writable()
        self.ends = [(int(batch.heads[k]), min(int(room[k]), all_ones(4))) for k in (0, -1)]
        self._used: dict[Written | int, list[Words]] = {}
        self._window, self._fresh = window, 0
        if not self._can_move():
            self._want = [_interleaved(records.view(np.uint64)[0::2], both) for both in self._both]

    def used(self, written: Written | int) -> list[Words]:
        """The words of used descriptors, but for the first: for wrap counter 0 and for 1.

        What was `written` is 0, or all that may be.
        """
        if written not in self._used:
            room = np.minimum(self._room if written else 0, all_ones(4))
            flags = np.where(room > 0, WRITE, 0) << FLAGS
            ids = self.batch.heads << ID
            words = np.broadcast_to(ids | room | flags, ids.shape)[1:].view(np.uint64)
            self._used[written] = [
                words | flags_by(used_bits, wrap, self._behind) for wrap in (0, 1)
            ]
        return self._used[written]

    def filled(self, written: Ints, wrap: int) -> Words:
        """The same for (n,) bytes `written`, of which `is_room_for` was asked."""
        length = written[1:]
        words = length | (length > 0) * np.int64(WRITE << FLAGS)
        return words.view(np.uint64) | self.used(0)[wrap]

    def is_room_for(self, written: Ints, in_order: bool) -> bool:
        """Whether (n,) bytes may be `written`, and each list is told of: in order, none complete.

        The last one may be.
        """
        room = self._room
        if written.dtype != np.int64 or written.shape != room.shape:
            return False
        # As unsigned numbers: less than nothing is far too much.
        if np.count_nonzero(written.view(np.uint64) > room.view(np.uint64)):
            return False
        if in_order and np.count_nonzero(written[:-1] == room[:-1]):
            return False
        return int(written[written.argmax()]) <= all_ones(4)

    def _prepare(self) -> None:
        """For other addresses with the same `len`, `id` and `flags`: arrays, made once."""
        batch, window = self.batch, self._window
        # Where in the window each may begin, at most; if they are short enough to be in it at all.
        last = window.size - batch.length
        self._short = int(last[last.argmin()]) >= 0
        self._last = last.view(np.uint64)
        # 0-d arrays: a ufunc takes them as they are, where a Python int costs it a microsecond.
        self._start, self._base = np.array(window.start, np.uint64), np.array(window.offset)
        self._inside, self._far = np.empty(self.slots, np.uint64), np.empty(self.slots, np.bool_)
        self._signed = self._inside.view(np.int64)
        self._moved = frozen(replace(batch, offset=self._signed[:]))

    def again(self, wrap: int) -> Batch | None:
        """The batch, if this lap's bytes are the same.

        One compare reads flags and addresses in no certain order. So this is for where the driver
        cannot run meanwhile; elsewhere there is `moved`.
        """
        if not self._want:
            return None
        want = self._want[wrap]
        for live, at in self._lives:
            if not want.startswith(live, at):
                return None
        if self.inside and not self.inside.again():
            return None
        return self.batch

    def _can_move(self) -> bool:
        """Whether other addresses can be told by themselves."""
        return self._window is not NOWHERE and self.inside is None

    def moved(self, wrap: int, then: Callable[[], None]) -> Batch | None:
        """The batch with new addresses, if all else is the same and they are in the window.

        First the words with the flags, each in one piece; `then`; and the addresses behind that.
        """
        if not self._can_move():
            return None
        want = self._want_words[wrap]
        for words, at in self._words:
            if not want.startswith(words.tobytes(), at):
                return None
        if not self._fresh:
            self._prepare()
        self._fresh += 1
        if not self._short:
            return None
        then()
        # Unsigned: what lies below the window is as far away as what lies above.
        for part, addrs in self._addrs:
            np.subtract(addrs, self._start, out=self._inside[part][: len(addrs)])
        np.greater(self._inside, self._last, out=self._far)
        if np.count_nonzero(self._far):
            return None
        if self._fresh % RELEARN == 1:
            self._learn()
        np.add(self._signed, self._base, out=self._signed)
        self._moved.note = None
        return self._moved

    def _learn(self) -> None:
        """These addresses may come again: `again` looks for them from now on."""
        addrs = self._inside + self._start
        self._want = [_interleaved(addrs, words) for words in self._both]
        self.batch = frozen(replace(self.batch, offset=self._signed + self._base))


class Runs(dict[int, Run]):
    """Runs by the slot where they begin, of `most` buffers together."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.size = most, 0

    def keep(self, slot: int, run: Run) -> None:
        """Remember a run, and forget all others if they would have become too long."""
        old = self.pop(slot, None)
        self.size += run.size - (old.size if old else 0)
        if self.size > self.most:
            self.clear()
            self.size = run.size
        self[slot] = run


def flags_by(bits: Callable[[int], int], wrap: int, behind: Bools) -> Words:
    """(n,) AVAIL and USED in second words, as `bits` has them for `wrap`.

    What lies `behind` the ring's end has the other wrap counter.
    """
    found = np.where(behind, bits(1 - wrap), bits(wrap)) << FLAGS
    return found.view(np.uint64)


def _interleaved(addrs: Words, words: Words) -> bytes:
    pairs = np.empty((len(words), 2), np.uint64)
    pairs[:, 0], pairs[:, 1] = addrs, words
    return pairs.tobytes()


def frozen(batch: Batch) -> Batch:
    """The same, which nobody can write any more: it is given out again, lap after lap."""
    for array in (batch.heads, batch.slots, batch.starts, batch.offset, batch.length):
        array.flags.writeable = False
    batch.write.flags.writeable = False
    return batch
