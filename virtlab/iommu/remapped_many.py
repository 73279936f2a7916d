"""Memory behind a remapping unit as one array: many addresses of one requester at once.

    iovas --> pages with both rights --all known--> offsets
                  |
               a miss --> pages with one right --> what the unit remembers, else a batch walk

The idea: a `Flat` is a `Dma` that says where in its array an address lies. Behind a unit that
answer comes from the tables, and holds until the unit drops something of the requester's domain, or
does otherwise.

The rules that keep it simple:

1. There are two flat IOTLBs. What is in the first may be read and written, so there no right is
   looked at. A page with one right is in the second, with its delta and, in two bits below that,
   the right that it lacks: a *sum*.
2. It says no without a fault. The request that is then made one by one meets the fault, and that
   one is recorded.
3. What the unit remembers comes before a walk. So both ways are stale together.
4. What is known is forgotten all at once. The unit counts what it drops, by domain; `_slot` is the
   counter that concerns what is known here. If that is of more than one domain, it is `ANY`.

Source: VT-d 3.0, 3.14 (interrupt addresses), 6.2, 10.4.16 (protected memory).
"""

from __future__ import annotations

import numpy as np

from virtlab.interrupts import INTERRUPT_RANGE
from virtlab.iommu.caches import ANY, NONE
from virtlab.iommu.context import Context
from virtlab.iommu.iotlb import UNKNOWN, FlatIotlb
from virtlab.iommu.layouts import PAGE_BITS, TranslationType
from virtlab.iommu.remapped import RemappedDma
from virtlab.iommu.translation import DmaTranslation
from virtlab.iommu.walk_many import BatchWalk
from virtlab.memory import PAGE, Bools, Bytes, Numbers, Rights

LONGEST = 256
"""Pages of the longest buffer that is looked at here: 1 MiB. Longer ones go one by one."""

ONE_RIGHT = 1 << 18
"""Pages of the window of those with one right: 1 GiB of addresses, and 2 MiB of table."""

NO_READ, NO_WRITE, _LACKS = 1, 2, 3
"""What stands in a sum below the delta: the right that a page lacks, and the bits for it."""

_BELOW = 2
"""How many bits these are."""


class FlatDma(RemappedDma):
    """What `source_id` reaches through `translation`, one by one or many at once."""

    def __init__(self, translation: DmaTranslation, source_id: int) -> None:
        super().__init__(translation, source_id)
        self.iotlb, self.one_right = FlatIotlb(), FlatIotlb(ONE_RIGHT)
        self._walks = BatchWalk(translation.memory, translation.capabilities)
        self._caches = translation.caches
        self._slot = NONE
        self._seen = self._changes = 0

    @property
    def bytes(self) -> Bytes:
        """The array of the memory behind it."""
        return self.memory.bytes

    @property
    def generation(self) -> int:
        """Another number after each invalidation that concerns what is known of the requester.

        And after each change of what the unit does, and of where memory is.
        """
        self._keep_up()
        return self._changes

    def _keep_up(self) -> None:
        """Forget all that is known, if anything of it may have been dropped."""
        if self._now() != self._seen:
            self.iotlb.clear()
            self.one_right.clear()
            self._slot, self._changes = NONE, self._changes + 1
            self._seen = self._now()

    def _now(self) -> int:
        """A number that rises with each change that concerns what is known."""
        caches = self._caches
        return caches.generation + self.memory.generation + caches.drops[self._slot]

    def _depend(self, slot: int) -> None:
        """What is known from here on also holds only until `slot` moves."""
        if slot != self._slot:
            self._slot = slot if self._slot == NONE else ANY
            self._seen = self._now()

    def offset(self, iova: int, length: int = 1, write: bool = False) -> int:
        """Where in `bytes` that begins which `view` gives; `DmaFault` as there."""
        self._keep_up()
        self._depend(ANY)
        piece = self._piece(iova, length, write)
        return self.memory.offset(*piece) if piece is not None else 0

    def offset_many(self, iovas: Numbers, lengths: Numbers, write: Rights = None) -> Numbers:
        """Where the `lengths` bytes at `iovas`, (n,) int64 both, are; -1 where `offset` must say.

        They are there in one piece, with the right that `write` asks for.
        """
        if not len(iovas):
            return iovas.copy()
        found = self.translate_many(iovas, write)
        ends = (iovas & PAGE - 1) + lengths
        if ends[ends.argmax()] > PAGE:
            going = np.flatnonzero((ends > PAGE) & (found >= 0))
            self._follow(found, iovas, lengths, write, going)
        return found

    def translate_many(self, iovas: Numbers, write: Rights = None) -> Numbers:
        """Where the byte at each of `iovas` is; -1 as above. `iovas` is (n,) int64, not empty."""
        self._keep_up()
        found = self.iotlb.look_up(iovas)
        return found if found is not None else self._by_right(iovas, write)

    def _by_right(self, iovas: Numbers, write: Rights) -> Numbers:
        """The same where the right counts."""
        sums = self._known(iovas >> PAGE_BITS)
        missing = np.flatnonzero(sums == UNKNOWN)
        if len(missing):
            sums[missing] = self._fill(iovas[missing] >> PAGE_BITS)
        refused: Bools = (sums == UNKNOWN) | (sums & _needs(write) != 0)
        return np.where(refused, -1, iovas + np.where(refused, 0, sums >> _BELOW))

    def _known(self, pages: Numbers) -> Numbers:
        """The sum of each page, as it is known; else `UNKNOWN`."""
        deltas = self.iotlb.deltas(pages)
        sums, missing = deltas << _BELOW, np.flatnonzero(deltas == UNKNOWN)
        sums[missing] = self.one_right.deltas(pages[missing])
        return sums

    def _follow(
        self, found: Numbers, iovas: Numbers, lengths: Numbers, write: Rights, going: Numbers
    ) -> None:
        """Buffers of several pages, by index: -1 for those that are not in one piece."""
        at, ends = (iovas[going] | PAGE - 1) + 1, iovas[going] + lengths[going]
        deltas = found[going] - iovas[going]
        wrong = ends - at > LONGEST * PAGE
        while True:
            found[going[wrong]] = -1
            on = ~wrong & (at < ends)
            going, at, ends, deltas = going[on], at[on], ends[on], deltas[on]
            if not len(going):
                return
            right = write[going] if isinstance(write, np.ndarray) else write
            wrong = self.translate_many(at, right) - at != deltas
            at = at + PAGE

    # -- on a miss

    def _fill(self, pages: Numbers) -> Numbers:
        """The same for pages that are not known: by a walk of each, which is learned."""
        asked, which = np.unique(pages, return_inverse=True)
        sums = np.full(len(asked), UNKNOWN)
        valid = asked >= 0
        sums[valid] = self._sums(asked[valid] << PAGE_BITS)
        there, both = sums != UNKNOWN, sums & _LACKS == 0
        self.iotlb.learn(asked[there & both], sums[there & both] >> _BELOW)
        self.one_right.learn(asked[there & ~both], sums[there & ~both])
        return sums[which]

    def _sums(self, starts: Numbers) -> Numbers:
        """The sum of each page that begins at `starts`, rising; `UNKNOWN` for no."""
        gpas, lacks = self._gpas(starts)
        for each in (starts, gpas):
            gpas[(each >= INTERRUPT_RANGE.start) & (each < INTERRUPT_RANGE.stop)] = -1
        offsets = self.memory.offset_many(gpas, np.full(len(gpas), PAGE))
        return np.where(offsets < 0, UNKNOWN, (offsets - starts << _BELOW) + lacks)

    def _gpas(self, starts: Numbers) -> tuple[Numbers, Numbers]:
        """Where each page lies, -1 for no, and what it lacks.

        Without translation, passed through, or by tables.
        """
        unit = self.translation
        if not unit.enabled:
            return self._unprotected(starts), np.zeros(len(starts), np.int64)
        context = unit.context_of(self.source_id)
        self._depend(ANY if context.reason is not None else self._caches.slot_of(context.domain))
        gpas, lacks = self._walked(context, starts)
        self._remembered(starts, gpas, lacks)
        return gpas, lacks

    def _walked(self, context: Context, starts: Numbers) -> tuple[Numbers, Numbers]:
        """The same by the tables of a context, or passed through by it."""
        if context.reason is None and context.kind == TranslationType.PASS_THROUGH:
            width = self._walks.translate(context, starts, True).reasons != 0
            gpas = self._unprotected(starts)
            gpas[width] = -1
            return gpas, np.zeros(len(starts), np.int64)
        walks = (self._walks.translate(context, starts, right) for right in (False, True))
        (may_read, read), (may_write, write) = ((walk.reasons == 0, walk.gpas) for walk in walks)
        gpas = np.where(may_read, read, np.where(may_write, write, -1))
        return gpas, np.where(may_read, 0, NO_READ) + np.where(may_write, 0, NO_WRITE)

    def _unprotected(self, starts: Numbers) -> Numbers:
        """The same addresses, -1 for those in protected memory (10.4.16)."""
        gpas = starts.copy()
        for base, end in self.translation.protection.regions:
            gpas[(starts + PAGE > base) & (starts < end)] = -1
        return gpas

    def _remembered(self, starts: Numbers, gpas: Numbers, lacks: Numbers) -> None:
        """Put in what the unit's IOTLB has of the requester: that is believed first."""
        for key, (domain, walk) in self._caches.pages.entries.items():
            if key.owner == self.source_id:
                self._depend(self._caches.slot_of(domain))
                iova, size = key.number << key.bits, 1 << key.bits
                begin, end = np.searchsorted(starts, [iova, iova + size])
                lacks[begin:end] = NO_READ * (not walk.read) + NO_WRITE * (not walk.write)
                none = walk.reason is not None or not (walk.read or walk.write)
                gpas[begin:end] = -1 if none else walk.gpa + starts[begin:end] - iova


def _needs(write: Rights) -> Numbers | int:
    """Which lack is a refusal: (n,), or one number for all."""
    if isinstance(write, np.ndarray):
        return np.where(write, NO_WRITE, NO_READ)
    return {None: _LACKS, False: NO_READ, True: NO_WRITE}[write]
