"""What tests of a remapping unit do again and again: fill the queue, read where a device reads."""

from __future__ import annotations

from tests.iommu.tables import command, put, reg
from virtlab.iommu.descriptors import (
    CONTEXT_INVALIDATE,
    DEVICE_TLB_INVALIDATE,
    IEC_INVALIDATE,
    IOTLB_INVALIDATE,
    WAIT,
    DescriptorType,
)
from virtlab.iommu.vtd import VtdUnit

RING = 0x10_0000
"""Where the queue lies: 256 descriptors."""

STATUS = 0xF_0000
"""Where wait descriptors write."""


def reads(unit: VtdUnit, source_id: int, iova: int) -> int:
    """The first 8 bytes that a device finds at `iova`, as a number."""
    return int.from_bytes(unit.dma_for(source_id).read(iova, 8), "little")


class QueueOf:
    """The invalidation queue of a unit, as a driver fills it."""

    def __init__(self, unit: VtdUnit, ring: int = RING, size: int = 0) -> None:
        self.unit, self.ring, self.bytes = unit, ring, 4096 << size
        put(unit, "IQT", 0)
        put(unit, "IQA", ring | size)
        command(unit, "QIE")

    def add(self, descriptor: int) -> int:
        """One descriptor, and the doorbell. Gives where it lies in the ring."""
        at = reg(self.unit, "IQT")
        self.unit.memory.store(self.ring + at, 16, descriptor)
        put(self.unit, "IQT", (at + 16) % self.bytes)
        return at

    def contexts(self, granularity: int, domain: int = 0, source_id: int = 0, mask: int = 0) -> int:
        layout = CONTEXT_INVALIDATE
        kind = DescriptorType.CONTEXT
        return self.add(layout.pack(TYPE=kind, G=granularity, DID=domain, SID=source_id, FM=mask))

    def iotlb(
        self, granularity: int, domain: int = 0, iova: int = 0, mask: int = 0, hint: bool = False
    ) -> int:
        layout = IOTLB_INVALIDATE
        fields = {"G": granularity, "DID": domain, "ADDR": iova >> 12, "AM": mask, "IH": hint}
        return self.add(layout.pack(TYPE=DescriptorType.IOTLB, **fields))

    def device(self, source_id: int, iova: int, several: bool = False) -> int:
        layout = DEVICE_TLB_INVALIDATE
        kind = DescriptorType.DEVICE_TLB
        return self.add(layout.pack(TYPE=kind, SID=source_id, ADDR=iova >> 12, S=several))

    def entries(self, selective: bool = False, index: int = 0, mask: int = 0) -> int:
        kind = DescriptorType.INTERRUPT_ENTRY
        return self.add(IEC_INVALIDATE.pack(TYPE=kind, G=selective, IIDX=index, IM=mask))

    def wait(self, data: int = 0, status: int = STATUS, **flags: int) -> int:
        kind = DescriptorType.WAIT
        fields = {"STDATA": data, "STADDR": status >> 2, **flags}
        return self.add(WAIT.pack(TYPE=kind, **fields))
