"""What becomes of a DMA request: who asks, then the caches, then a walk, then yes or a fault.

    source id, iova --> IOTLB --miss--> context cache --miss--> root, context
                          |                  |
                          |           paging-structure cache --> the rest of the walk
                          |                  |
                     rights, range --> a page, or a `Reason`, a record and a `DmaFault`

The idea: this is the unit without its registers. `walk` says what the tables mean, `caches` what is
remembered of them, and here is the order in which they are asked.

The rule that keeps it simple: every page of every request goes this way. What is remembered is
believed, rights included: a right that was given in memory after that is not seen (VT-d leaves it
to software to invalidate).

Source: VT-d 3.0, 3.4, 3.14, 6.1 (caching mode), 6.2, 7.1.3. Left out: requests with a PASID.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.errors import DmaFault
from virtlab.interrupts import INTERRUPT_RANGE
from virtlab.iommu.caches import Caches
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import Context, beyond_width, find_context
from virtlab.iommu.faults import FaultLog
from virtlab.iommu.layouts import RIGHTS, TranslationType
from virtlab.iommu.protection import Protection
from virtlab.iommu.reasons import Reason
from virtlab.iommu.walk import Start, Walk, descend, judged
from virtlab.memory import PAGE, GuestMemory

MAX_ADDRESS = 1 << 64

ERRORS = {Reason.PAGING_ACCESS, Reason.PAGING_RESERVED, Reason.CONTEXT_INVALID}
"""What caching mode also remembers of a walk, besides pages that are not present (6.1)."""


class Piece(NamedTuple):
    """`length` bytes in a row at `gpa`."""

    gpa: int
    length: int


class DmaTranslation:
    """The way of DMA requests to `memory`.

    `enabled` is GSTS.TES. `root_table` is where the root table lies (gpa).
    """

    def __init__(
        self,
        memory: GuestMemory,
        capabilities: Capabilities,
        caches: Caches,
        faults: FaultLog,
        protection: Protection,
    ) -> None:
        self.memory, self.capabilities = memory, capabilities
        self.caches, self.faults, self.protection = caches, faults, protection
        self.enabled = False
        self.root_table = 0

    # -- one page

    def context_of(self, source_id: int) -> Context:
        """The context entry of a requester, as it is remembered or as memory has it."""
        found = self.caches.contexts.find(source_id)
        if found is None:
            found = find_context(self.memory, self.root_table, self.capabilities, source_id)
            if found.reason is None or self.capabilities.caching_mode:
                self.caches.contexts.keep(source_id, found._replace(steps=()))
        return found

    def page_of(self, source_id: int, iova: int, write: bool) -> Walk:
        """Where `iova` leads for a requester, with no fault recorded.

        `steps` are the second-level entries that were read for it, none on a hit. `DmaFault` where
        it is passed through to protected memory.
        """
        page = self.caches.pages.look_up(source_id, iova)
        if page is None:
            page = self._miss(source_id, iova, write)
        return judged(page, write)

    def _miss(self, source_id: int, iova: int, write: bool) -> Walk:
        """The same where nothing is remembered. What is passed through never is."""
        context = self.context_of(source_id)
        if context.reason is not None:
            return Walk((), context.reason)
        if beyond_width(context, self.capabilities, iova):
            return Walk((), Reason.BEYOND_WIDTH)
        if context.kind == TranslationType.PASS_THROUGH:
            self.unprotected(iova & -PAGE, PAGE)
            return Walk((), None, iova, PAGE, read=True, write=True)
        return self._walk(source_id, context, iova, write)

    def _walk(self, source_id: int, context: Context, iova: int, write: bool) -> Walk:
        """The walk, from the lowest table that is remembered; and what is learned of it."""
        learn, domain = self.caches.pages.learn, context.domain
        start = self.caches.tables.look_up(domain, iova, context.levels)
        if start is None:
            start = Start(context.levels, context.table)
        walk = descend(self.memory, self.capabilities, start, iova, write)
        if walk.reason is None:
            learn(source_id, domain, iova, walk)
            self.caches.tables.learn(domain, iova, start, walk)
        elif self.capabilities.caching_mode:
            if walk.reason in ERRORS:
                learn(source_id, domain, iova, walk._replace(size=PAGE))
            elif not walk.steps[-1].entry & RIGHTS:
                learn(source_id, domain, iova, Walk((), size=PAGE))
        return walk

    def refuse(
        self, reason: Reason, source_id: int, iova: int, write: bool, kind: int = 0
    ) -> DmaFault:
        """Record a fault, unless the context entry keeps it quiet. Gives what to raise."""
        if not (reason.qualified and self.context_of(source_id).silent):
            self.faults.dma(source_id, reason, iova, write, kind)
        return DmaFault(reason.meaning, iova, 1, reason)

    def reach(self, source_id: int, iova: int, write: bool) -> Walk:
        """Where one byte lies, for one access. `DmaFault` if it may not be accessed so."""
        if iova in INTERRUPT_RANGE:
            # Messages do not come here. What does is an access that is none.
            self.faults.dma(source_id, Reason.INTERRUPT_REQUEST, iova, write)
            raise DmaFault(Reason.INTERRUPT_REQUEST.meaning, iova, 1, Reason.INTERRUPT_REQUEST)
        page = self.page_of(source_id, iova, write)
        if page.reason is not None:
            raise self.refuse(page.reason, source_id, iova, write)
        return page

    def unprotected(self, gpa: int, length: int) -> None:
        """`DmaFault` where a protected region is touched. That is no fault to record (10.4.16)."""
        if self.protection.covers(gpa, length):
            raise DmaFault("protected memory", gpa, length)

    # -- a request

    def pieces(self, source_id: int, iova: int, length: int, write: bool) -> list[Piece]:
        """Where `length` bytes at `iova` lie, in order, neighbours as one.

        `DmaFault` if any of them may not be reached so. All are in memory when this returns.
        """
        # No request is longer than memory: it bounds the work, and what is copied.
        if iova < 0 or not 0 <= length <= self.memory.size or iova + length > MAX_ADDRESS:
            raise DmaFault("no request is like this", iova, length)
        if not self.enabled:
            self.unprotected(iova, length)
            return self._in_memory([Piece(iova, length)] if length else [])
        found: list[Piece] = []
        at, end = iova, iova + length
        while at < end:
            page = self.reach(source_id, at, write)
            n = min(end - at, page.size - at % page.size)
            last = found[-1] if found else None
            if last and last.gpa + last.length == page.gpa:
                found[-1] = last._replace(length=last.length + n)
            else:
                found.append(Piece(page.gpa, n))
            at += n
        return self._in_memory(found)

    def _in_memory(self, pieces: list[Piece]) -> list[Piece]:
        """`DmaFault` unless memory has every piece, before anything has moved."""
        for piece in pieces:
            self.memory.offset(piece.gpa, piece.length)
        return pieces
