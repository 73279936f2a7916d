"""Memory behind the VT-d unit of a snapshot: the registers that were saved, and `iommu.walk`.

    manifest   GSTS, RTADDR, CAP, ECAP           is it on, where are the tables, what can it do
    memory     root, context, tables -> page     `walk.translate`, entry by entry

The rule that keeps it simple: it reads, and remembers nothing. There is no IOTLB here, so each
access sees the tables as they are in memory.

A snapshot may name a register of eight bytes as one number, or as two halves of four bytes. A half
that is not named is 0.

Source: VT-d 3.0, 10.4.2, 10.4.3, 10.4.5 and 10.4.6. Left out: scalable mode, writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from virtlab.errors import DmaFault
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import Memory
from virtlab.iommu.registers import VtdRegisters
from virtlab.iommu.walk import Walk, translate
from virtlab.memory import PAGE, Bytes, GuestMemory
from virtlab.registers import Reg
from virtlab.wire import all_ones

GSTS, RTADDR = VtdRegisters.GSTS, VtdRegisters.RTADDR

ANY = Capabilities(host_width=52)
"""What a unit can do of which nothing is known: all."""


def saved(registers: Mapping[int, int], register: Reg) -> int:
    """The value of a register that the manifest names whole or in halves; 0 if it names none."""
    low, half = registers.get(register.offset, 0), all_ones(4)
    if register.width == 8 and low <= half:
        low |= (registers.get(register.offset + 4, 0) & half) << 32
    return low & all_ones(register.width)


def root_table(registers: Mapping[int, int]) -> int | None:
    """RTADDR where translation is on, None where it is off or there is no unit."""
    on = GSTS.TES.get(saved(registers, GSTS))
    return saved(registers, RTADDR) if on else None


def is_scalable(root: int) -> bool:
    """Whether RTADDR says that the tables are of scalable mode."""
    return bool(RTADDR.TTM.get(root))


def capabilities_of(registers: Mapping[int, int]) -> Capabilities:
    """What the unit can do. One whose CAP was not saved can do all."""
    cap = saved(registers, VtdRegisters.CAP)
    if not cap:
        return ANY
    return Capabilities.of(cap, saved(registers, VtdRegisters.ECAP))


def walk_any(
    memory: Memory, root: int, capabilities: Capabilities, source_id: int, iova: int
) -> Walk:
    """The way of `iova`, for whatever right its page gives; for none, the way of a read."""
    tables = root & RTADDR.RTA.mask
    read, write = (
        translate(memory, tables, capabilities, source_id, iova, write) for write in (False, True)
    )
    return write if read.reason is not None and write.reason is None else read


class SavedIommu:
    """A `Dma` for reading: `source_id` is the requester, `root` is what RTADDR holds.

    `DmaFault` if that says scalable mode.
    """

    def __init__(
        self,
        memory: GuestMemory,
        root: int,
        source_id: int,
        capabilities: Capabilities = ANY,
    ) -> None:
        self.memory = memory
        self.root = root
        self.source_id = source_id
        self.capabilities = capabilities

        if is_scalable(root):
            raise DmaFault("the unit is in scalable mode, which is not read", root, 16)

    def read(self, iova: int, length: int) -> bytes:
        """A copy of `length` bytes; `DmaFault` where they are not mapped or were not saved."""
        return b"".join(self.memory.read(gpa, size) for gpa, size in self._pieces(iova, length))

    def view(self, iova: int, length: int, write: bool = False) -> Bytes:
        """The bytes, read-only: pages that are neighbours here need not be in memory.

        `DmaFault` where the device may not read them, or with `write`, not write them.
        """
        pieces = list(self._pieces(iova, length, write))
        return np.frombuffer(b"".join(self.memory.read(*piece) for piece in pieces), np.uint8)

    def write(self, iova: int, data: bytes) -> None:
        """Refused: the tables of a snapshot are for reading."""
        raise DmaFault("a snapshot behind an IOMMU is for reading only", iova, len(data))

    def translate(self, iova: int, write: bool | None = None) -> int:
        """The guest-physical address that the device means by `iova`. `DmaFault` if none.

        To read it or to `write` it; None: whichever it may.
        """
        if write is None:
            walk = walk_any(self.memory, self.root, self.capabilities, self.source_id, iova)
        else:
            tables = self.root & RTADDR.RTA.mask
            walk = translate(self.memory, tables, self.capabilities, self.source_id, iova, write)
        if walk.reason is not None:
            raise DmaFault(f"not mapped: {walk.reason.meaning}", iova, 1, walk.reason)
        return walk.gpa

    def _pieces(
        self, iova: int, length: int, write: bool | None = None
    ) -> Iterator[tuple[int, int]]:
        """The stretches of memory behind `length` bytes: each inside one page."""
        end = iova + length
        while iova < end:
            size = min(end - iova, PAGE - iova % PAGE)
            yield self.translate(iova, write), size
            iova += size
