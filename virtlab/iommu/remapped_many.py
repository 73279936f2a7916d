"""Memory behind a remapping unit as one array: many addresses of one requester at once.

    iovas --> flat IOTLB --all known--> offsets
                  |
               a miss --> what the unit remembers, else a batch walk --> learn, and look again

The idea: a `Flat` is a `Dma` that says where in its array an address lies. Behind a unit that
answer comes from the tables, and holds until the unit's `generation` moves.

The rules that keep it simple:

1. `offset_many` knows pages that may be read and written, and no others: whoever has an offset may
   do both. A page with one right goes one by one, where each access is asked for.
2. It says no without a fault. The request that is then made one by one meets the fault, and that
   one is recorded.
3. What the unit remembers comes before a walk. So both ways are stale together.

Source: VT-d 3.0, 3.14 (interrupt addresses), 6.2, 10.4.16 (protected memory).
"""

from __future__ import annotations

import numpy as np

from virtlab.errors import DmaFault
from virtlab.interrupts import INTERRUPT_RANGE
from virtlab.iommu.context import Context
from virtlab.iommu.iotlb import UNKNOWN, FlatIotlb
from virtlab.iommu.layouts import PAGE_BITS, TranslationType
from virtlab.iommu.remapped import RemappedDma
from virtlab.iommu.translation import DmaTranslation
from virtlab.iommu.walk_many import BatchWalk
from virtlab.memory import PAGE, Bytes, Numbers

LONGEST = 256
"""Pages of the longest buffer that is looked at here: 1 MiB. Longer ones go one by one."""


class FlatDma(RemappedDma):
    """What `source_id` reaches through `translation`, one by one or many at once."""

    def __init__(self, translation: DmaTranslation, source_id: int) -> None:
        super().__init__(translation, source_id)
        self.iotlb = FlatIotlb()
        self._walks = BatchWalk(translation.memory, translation.capabilities)
        self._caches = translation.caches
        self._seen = -1

    @property
    def bytes(self) -> Bytes:
        """The array of the memory behind it."""
        return self.memory.bytes

    @property
    def generation(self) -> int:
        """Another number after each invalidation, and each change of what the unit does."""
        return super().generation + self.memory.generation

    def offset(self, iova: int, length: int = 1) -> int:
        """Where in `bytes` that begins which `view` gives; `DmaFault` as there."""
        pieces = self.translation.pieces_to_view(self.source_id, iova, length)
        if len(pieces) > 1:
            raise DmaFault("not in one piece", iova, length)
        return self.memory.offset(*pieces[0][:2]) if pieces else 0

    def offset_many(self, iovas: Numbers, lengths: Numbers) -> Numbers:
        """Where the `lengths` bytes at `iovas`, (n,) int64 both, are; -1 where `offset` must say.

        They are there in one piece, and may be read and written.
        """
        if not len(iovas):
            return iovas.copy()
        found = self.translate_many(iovas)
        ends = (iovas & PAGE - 1) + lengths
        if ends[ends.argmax()] > PAGE:
            self._follow(found, iovas, lengths, np.flatnonzero((ends > PAGE) & (found >= 0)))
        return found

    def translate_many(self, iovas: Numbers) -> Numbers:
        """Where the byte at each of `iovas` is; -1 as above. `iovas` is (n,) int64, not empty."""
        now = self._caches.generation + self.memory.generation
        if now != self._seen:
            self.iotlb.clear()
            self._seen = now
        found = self.iotlb.look_up(iovas)
        return found if found is not None else self._fill(iovas)

    def _follow(self, found: Numbers, iovas: Numbers, lengths: Numbers, going: Numbers) -> None:
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
            wrong = self.translate_many(at) - at != deltas
            at = at + PAGE

    # -- on a miss

    def _fill(self, iovas: Numbers) -> Numbers:
        """The same by what is known of each page, and by a walk for the others; it is learned."""
        pages, which = np.unique(iovas >> PAGE_BITS, return_inverse=True)
        deltas = np.full(len(pages), UNKNOWN)
        valid = np.flatnonzero(pages >= 0)
        deltas[valid] = self.iotlb.deltas(pages[valid])
        asked = valid[deltas[valid] == UNKNOWN]
        starts = pages[asked] << PAGE_BITS
        deltas[asked] = self._deltas(starts)
        new = asked[deltas[asked] != UNKNOWN]
        self.iotlb.learn(pages[new], deltas[new])
        each = deltas[which]
        return np.where(each == UNKNOWN, -1, iovas + np.where(each == UNKNOWN, 0, each))

    def _deltas(self, starts: Numbers) -> Numbers:
        """What to add to each page that begins at `starts`, rising; `UNKNOWN` for no."""
        gpas = self._gpas(starts)
        for each in (starts, gpas):
            gpas[(each >= INTERRUPT_RANGE.start) & (each < INTERRUPT_RANGE.stop)] = -1
        offsets = self.memory.offset_many(gpas, np.full(len(gpas), PAGE))
        return np.where(offsets < 0, UNKNOWN, offsets - starts)

    def _gpas(self, starts: Numbers) -> Numbers:
        """Where each page lies, -1 for no: without translation, passed through, or by tables."""
        unit = self.translation
        if not unit.enabled:
            return self._unprotected(starts)
        gpas = self._walked(unit.context_of(self.source_id), starts)
        self._remembered(starts, gpas)
        return gpas

    def _walked(self, context: Context, starts: Numbers) -> Numbers:
        """Where the tables of a context lead, or pass-through does; -1 for no."""
        if context.reason is None and context.kind == TranslationType.PASS_THROUGH:
            width = self._walks.translate(context, starts, True).reasons != 0
            gpas = self._unprotected(starts)
            gpas[width] = -1
            return gpas
        read, write = (self._walks.translate(context, starts, right) for right in (False, True))
        return np.where((read.reasons == 0) & (write.reasons == 0), write.gpas, -1)

    def _unprotected(self, starts: Numbers) -> Numbers:
        """The same addresses, -1 for those in protected memory (10.4.16)."""
        gpas = starts.copy()
        for base, end in self.translation.protection.regions:
            gpas[(starts + PAGE > base) & (starts < end)] = -1
        return gpas

    def _remembered(self, starts: Numbers, gpas: Numbers) -> None:
        """Put into `gpas` what the unit's IOTLB has of the requester: that is believed first."""
        for key, (_, walk) in self.translation.caches.pages.entries.items():
            if key.owner == self.source_id:
                iova, size = key.number << key.bits, 1 << key.bits
                begin, end = np.searchsorted(starts, [iova, iova + size])
                good = walk.reason is None and walk.read and walk.write
                inside = starts[begin:end] - iova
                gpas[begin:end] = walk.gpa + inside if good else -1
