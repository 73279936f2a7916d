"""The remapping unit: registers for its driver, translation for devices.

    driver --> registers --> commands ---> root table, caches, queue
                  ^                              |
                  +---- fault records <----------+
    device --> dma_for(source id) --> context --> IOTLB, or a walk --> memory
    device --> remap(source id, message) --> interrupt entries ------> a message

The idea: between a device and memory stands a unit that looks up each request. Who asks decides
the context entry, that decides the tables, and these decide the page. Nothing that a device does
gets past it, and nothing that its tables hold can break it.

The rules that keep it simple:

1. A command is done at once: the bit of GCMD stands in GSTS when the write returns.
2. RTADDR and IRTA count from the command that takes them, not from their write.
3. Changed tables count from the invalidation on. Until then the caches are believed.
4. What is refused is a `DmaFault` with its `Reason`, and a record. Only software clears records.

Source: VT-d 3.0, 3.4, 3.14 (interrupt addresses), 4 (device TLBs), 10.4.4 to 10.4.6, 10.4.16
(protected memory; what it refuses is not recorded). Left out: scalable mode, page requests.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.interrupts import Msi
from virtlab.iommu.ats import AtsPort
from virtlab.iommu.caches import Cache, Caches
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.faults import FaultLog
from virtlab.iommu.interrupt_remapping import InterruptRemapper
from virtlab.iommu.invalidation import DeviceTlb, Invalidator
from virtlab.iommu.protection import Protection
from virtlab.iommu.queue import InvalidationQueue
from virtlab.iommu.registers import VtdRegisters
from virtlab.iommu.remapped_many import FlatDma
from virtlab.iommu.translation import DmaTranslation
from virtlab.memory import GuestMemory

GCMD, GSTS = VtdRegisters.GCMD, VtdRegisters.GSTS

CACHE_SIZES = (64, 256, 64)
"""Entries of the context cache, the IOTLB and the paging-structure cache."""

REQUESTERS = 64
"""Requesters whose batches are remembered. A guest can number its buses anew without end."""

_SWITCHES = GCMD.TE.mask | GCMD.QIE.mask | GCMD.IRE.mask | GCMD.CFI.mask


class VtdUnit(VtdRegisters):
    """A remapping unit in front of `memory`, which also has its tables.

    `message` gets the interrupts that come out of it: those of devices, and its own. `device_tlb`
    is told of `(source_id, iova, size)` that a device must forget. `cache_sizes` are entries of the
    context cache, the IOTLB and the paging-structure cache.
    """

    def __init__(
        self,
        memory: GuestMemory,
        capabilities: Capabilities | None = None,
        message: Callable[[Msi], None] | None = None,
        device_tlb: DeviceTlb | None = None,
        cache_sizes: tuple[int, int, int] = CACHE_SIZES,
    ) -> None:
        super().__init__()
        self.memory = memory
        self.capabilities = capabilities if capabilities is not None else Capabilities()
        self.capabilities.check()
        self.preset(CAP=self.capabilities.cap, ECAP=self.capabilities.ecap)
        if not self.capabilities.protected_memory:
            self.narrow(PMEN=0, PLMBASE=0, PLMLIMIT=0, PHMBASE=0, PHMLIMIT=0)
        send = message if message is not None else lambda msi: None
        self.caches = Caches(*cache_sizes)
        self.faults = FaultLog(self, self.capabilities.records, send)
        self.interrupts = InterruptRemapper(memory, self.faults.interrupt, send)
        self.invalidator = Invalidator(
            self.caches,
            self.capabilities,
            self.interrupts,
            device_tlb if device_tlb is not None else lambda source_id, iova, size: True,
        )
        self.queue = InvalidationQueue(memory, self, self.invalidator, self.faults, send)
        self._requesters: Cache[int, FlatDma] = Cache(REQUESTERS)
        self.translation = DmaTranslation(
            memory, self.capabilities, self.caches, self.faults, Protection(self)
        )

    # -- for the board

    def dma_for(self, source_id: int) -> FlatDma:
        """What one requester reaches: `RootComplex(memory=unit.dma_for)`.

        The same object again while it is one of the last `REQUESTERS` that were asked for first.
        """
        dma = self._requesters.find(source_id)
        if dma is None:
            dma = FlatDma(self.translation, source_id)
            self._requesters.keep(source_id, dma)
        return dma

    def ats_for(self, source_id: int) -> AtsPort:
        """For a requester with a TLB of its own."""
        return AtsPort(self.translation, source_id)

    def remap(self, source_id: int, msi: Msi) -> None:
        """An interrupt message of a device: `RootComplex(message=unit.remap)`."""
        self.interrupts.send(source_id, msi)

    def reset(self) -> None:
        """As after power-on: nothing is translated, remembered or recorded."""
        super().reset()
        self.caches.clear()
        self.faults.next = self.faults.lost = 0
        self.interrupts.reset()
        self.translation.enabled, self.translation.root_table = False, 0
        self.queue.enabled = False

    # -- registers

    def write(self, offset: int, size: int, value: int) -> None:
        """A write of the driver; then what hangs on it: events, and the queue if it had stopped."""
        stopped = self.queue.stopped
        super().write(offset, size, value)
        self.faults.settle()
        self.queue.settle()
        if stopped and not self.queue.stopped:
            self.queue.run()

    def read_GCMD(self) -> int:
        """Commands are for writing."""
        return 0

    def read_IVA(self) -> int:
        """For writing, too."""
        return 0

    def read_CCMD(self) -> int:
        """All but SID and FM, which are for writing."""
        return self.CCMD & ~(VtdRegisters.CCMD.SID.mask | VtdRegisters.CCMD.FM.mask)

    def write_GCMD(self, old: int, new: int) -> None:
        """Do what has changed, and what is an order by itself."""
        wanted = self.GSTS & ~self.lanes | new & self.lanes
        orders = new & self.lanes
        self.GCMD = 0
        self.caches.generation += 1
        if GCMD.SRTP.get(orders):
            self._set_root_table()
        if GCMD.SIRTP.get(orders):
            self.interrupts.set_table(self.IRTA)
            self.GSTS |= GSTS.IRTPS.mask
        self.GSTS = self.GSTS & ~_SWITCHES | wanted & _SWITCHES
        self.translation.enabled = bool(GSTS.TES.get(self.GSTS))
        self.interrupts.enabled = bool(GSTS.IRES.get(self.GSTS))
        self.interrupts.compatibility = bool(GSTS.CFIS.get(self.GSTS))
        if not (self.translation.enabled or self.interrupts.enabled):
            self.faults.next = 0  # 7.2.1
        self.queue.enable(bool(GSTS.QIES.get(self.GSTS)))

    def _set_root_table(self) -> None:
        """SRTP. Unless the unit says otherwise (CAP.ESRTPS), the caches know nothing of it."""
        self.translation.root_table = self.RTADDR & VtdRegisters.RTADDR.RTA.mask
        self.GSTS |= GSTS.RTPS.mask
        if self.capabilities.set_root_flushes:
            self.caches.clear()

    def write_CCMD(self, old: int, new: int) -> None:
        """ICC starts it, and is 0 again when the write returns."""
        if new & self.lanes & VtdRegisters.CCMD.ICC.mask:
            self.CCMD = self.invalidator.command_contexts(new, self.queue.enabled)

    def write_IOTLB(self, old: int, new: int) -> None:
        """IVT starts it, likewise."""
        if new & self.lanes & VtdRegisters.IOTLB.IVT.mask:
            self.IOTLB = self.invalidator.command_pages(new, self.IVA, self.queue.enabled)

    def write_IQT(self, old: int, new: int) -> None:
        """The doorbell of the queue."""
        self.queue.run()

    def write_PMEN(self, old: int, new: int) -> None:
        """PRS follows EPM."""
        self.PMEN = VtdRegisters.PMEN.PRS.put(new, VtdRegisters.PMEN.EPM.get(new))
        self._move_region(old, new)

    def _move_region(self, old: int, new: int) -> None:
        """What may be reached without tables has changed."""
        self.caches.generation += 1

    write_PLMBASE = write_PLMLIMIT = write_PHMBASE = write_PHMLIMIT = _move_region
