"""Invalidation: how software makes a unit forget, and how much of it.

                    global      domain            smaller
    context cache   all         of a domain id    of a source id in it, with a function mask
    IOTLB           all         of a domain id    2**AM pages of a domain id
    device TLB                                    pages of one device
    interrupts      all                           2**IM entries

The idea: software changes a table, then invalidates what may have been read of it, then relies on
the change. A smaller request is cheaper, since less must be read again.

The rule that keeps it simple: each method does exactly what it is asked for, and says how much that
was. It says 0 where the request makes no sense, and then it has done nothing.

There are two ways to ask: the registers CCMD and IOTLB, one request at a time, here; and the queue
in memory (`queue`). With the queue enabled, the registers refuse.

Source: VT-d 3.0, 6.5.1 (registers), 6.5.1.2 (hint), 10.4.7, 10.4.8. A unit may do more than it is
asked for; this one does not. Left out: draining, since no request is under way between two writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from virtlab.iommu.caches import Caches
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.descriptors import Granularity
from virtlab.iommu.layouts import PAGE_BITS
from virtlab.iommu.registers import VtdRegisters

CCMD, IOTLB, IVA = VtdRegisters.CCMD, VtdRegisters.IOTLB, VtdRegisters.IVA

DeviceTlb = Callable[[int, int, int], bool]
"""Told of `(source_id, iova, size)` to forget; False if the device does not answer in time."""


class InterruptEntries(Protocol):
    """The cache of interrupt entries."""

    def invalidate_all(self) -> None:
        """Forget every entry."""

    def invalidate(self, index: int, mask: int) -> None:
        """Forget 2**`mask` entries around `index`."""


class Invalidator:
    """What can be forgotten. `caches.generation` and `caches.drops` tell that something was."""

    def __init__(
        self,
        caches: Caches,
        capabilities: Capabilities,
        interrupts: InterruptEntries,
        device_tlb: DeviceTlb,
    ) -> None:
        self.caches, self.capabilities = caches, capabilities
        self.entries, self.device_tlb = interrupts, device_tlb

    def contexts(
        self, granularity: int, domain: int, source_id: int, function_mask: int
    ) -> Granularity:
        """Forget context entries."""
        if granularity == Granularity.GLOBAL:
            self.caches.contexts.clear()
        elif granularity == Granularity.DOMAIN:
            self.caches.contexts.drop_domain(domain)
        elif granularity == Granularity.SELECTIVE:
            self.caches.contexts.drop_device(domain, source_id, function_mask)
        # What a requester's domain is may have changed: that concerns all who remember one.
        self.caches.generation += granularity != Granularity.RESERVED
        return Granularity(granularity)

    def pages(self, granularity: int, domain: int, iova: int, mask: int, hint: bool) -> Granularity:
        """Forget pages, and the tables that lead to them.

        With `hint`, software has changed only entries that map pages: tables are kept. The hint
        counts for a page-selective request alone.
        """
        if granularity == Granularity.SELECTIVE and not self.capabilities.page_selective:
            granularity = Granularity.DOMAIN
        if granularity == Granularity.SELECTIVE and mask > self.capabilities.address_mask:
            return Granularity.RESERVED
        if granularity == Granularity.GLOBAL:
            self.caches.pages.clear()
            self.caches.tables.clear()
            self.caches.generation += 1
        elif granularity == Granularity.DOMAIN:
            self.caches.pages.drop_domain(domain)
            self.caches.tables.drop_domain(domain)
            self.caches.count_drop(domain)
        elif granularity == Granularity.SELECTIVE:
            self.caches.pages.drop_pages(domain, iova, mask)
            if not hint:
                self.caches.tables.drop_pages(domain, iova, mask)
            self.caches.count_drop(domain)
        return Granularity(granularity)

    def interrupts(self, selective: bool, index: int, mask: int) -> None:
        """Forget interrupt entries."""
        if selective:
            self.entries.invalidate(index, mask)
        else:
            self.entries.invalidate_all()

    def device(self, source_id: int, address: int, several: bool) -> bool:
        """Have a device forget pages of its own TLB; whether it answered.

        `address` says with `several` how many pages, by its lowest bit that is 0 (ATS 1.1, 2.3.2).
        """
        size = 1 << PAGE_BITS
        if several:
            ones = address >> PAGE_BITS
            size <<= 1 + (~ones & ones + 1).bit_length() - 1
        return self.device_tlb(source_id, address & -size, size)

    # -- by registers

    def command_contexts(self, ccmd: int, queued: bool) -> int:
        """CCMD with ICC set: do it. Gives what the register holds then."""
        done = Granularity.RESERVED
        if not queued:
            done = self.contexts(
                CCMD.CIRG.get(ccmd), CCMD.DID.get(ccmd), CCMD.SID.get(ccmd), CCMD.FM.get(ccmd)
            )
        return CCMD.CAIG.put(CCMD.ICC.put(ccmd, 0), done)

    def command_pages(self, iotlb: int, iva: int, queued: bool) -> int:
        """IOTLB with IVT set, and the pages that IVA has. Gives what the register holds then."""
        done = Granularity.RESERVED
        if not queued:
            done = self.pages(
                IOTLB.IIRG.get(iotlb),
                IOTLB.DID.get(iotlb),
                iva & IVA.ADDR.mask,
                IVA.AM.get(iva),
                bool(IVA.IH.get(iva)),
            )
        return IOTLB.IAIG.put(IOTLB.IVT.put(iotlb, 0), done)
