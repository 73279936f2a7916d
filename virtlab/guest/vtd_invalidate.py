"""Telling a unit that tables have changed: by its registers, one request at a time.

                 domain None     domain     a smaller part
    contexts     all             its own    those of one source id
    pages        all             its own    2**n pages, wherever the unit can

The idea: the unit keeps what it has read. So a driver that changes an entry says what to forget,
and only then relies on the change. `vtd_queue` says the same through memory, many at a time.

The rule that keeps it simple: a request is waited for, and the answer is looked at. A unit may
forget more than it is asked for (CAIG, IAIG); 0 means that it did nothing.

Source: VT-d 3.0, 6.5.1, 10.4.7, 10.4.8.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from virtlab.guest.vtd_registers import UnitRegisters, VtdFailed
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.descriptors import Granularity
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import PAGE
from virtlab.registers import Reg
from virtlab.wire import Bits

CCMD, IVA, IOTLB = VtdRegisters.CCMD, VtdRegisters.IVA, VtdRegisters.IOTLB


class Span(NamedTuple):
    """2**`mask` pages at `iova`, a multiple of that."""

    iova: int
    mask: int

    @classmethod
    def over(cls, iova: int, length: int) -> Span:
        """The smallest that covers `length` bytes from `iova`.

        >>> Span.over(0x3000, 0x2000)
        Span(iova=0, mask=3)
        """
        first, last = iova // PAGE, (iova + max(length, 1) - 1) // PAGE
        mask = (first ^ last).bit_length()
        return cls(first >> mask << mask << PAGE.bit_length() - 1, mask)


class Request(NamedTuple):
    """What of the IOTLB shall be forgotten: of everything, of a domain, or of a `span` in it."""

    granularity: Granularity
    domain: int = 0
    span: Span = Span(0, 0)

    @classmethod
    def of(
        cls, capabilities: Capabilities, domain: int | None, iova: int | None, length: int
    ) -> Request:
        """The smallest that the unit can do, and that covers what is asked for."""
        if domain is None:
            return cls(Granularity.GLOBAL)
        span = Span.over(iova or 0, length)
        if iova is None or not capabilities.page_selective or span.mask > capabilities.address_mask:
            return cls(Granularity.DOMAIN, domain)
        return cls(Granularity.SELECTIVE, domain, span)


class Invalidation(Protocol):
    """A way to make the unit forget. Each call returns when that is done."""

    def contexts(self, domain: int | None = None, source_id: int | None = None) -> None:
        """Context entries: all, those of a domain, or in it that of one source id."""

    def pages(
        self,
        domain: int | None = None,
        iova: int | None = None,
        length: int = PAGE,
        hint: bool = False,
    ) -> None:
        """The IOTLB: all, a domain, or a range of it. `hint`: only entries of pages changed."""


def context_granularity(domain: int | None, source_id: int | None) -> Granularity:
    """How much of the context cache that is. `ValueError` for a source id without its domain."""
    if source_id is not None and domain is None:
        raise ValueError("a context entry is forgotten by source id and domain id")
    if source_id is not None:
        return Granularity.SELECTIVE
    return Granularity.GLOBAL if domain is None else Granularity.DOMAIN


class ByRegisters:
    """Invalidation by CCMD, IVA and IOTLB. `VtdFailed` while the queue is enabled."""

    def __init__(self, registers: UnitRegisters) -> None:
        self.registers = registers

    def contexts(self, domain: int | None = None, source_id: int | None = None) -> None:
        """See `Invalidation`."""
        what = context_granularity(domain, source_id)
        command = CCMD.DID.put(CCMD.SID.put(0, source_id or 0), domain or 0)
        command = CCMD.ICC.put(CCMD.CIRG.put(command, what), 1)
        self._do(CCMD, CCMD.ICC, CCMD.CAIG, command)

    def pages(
        self,
        domain: int | None = None,
        iova: int | None = None,
        length: int = PAGE,
        hint: bool = False,
    ) -> None:
        """See `Invalidation`. Requests on their way are drained, if the unit can."""
        request = Request.of(self.registers.capabilities, domain, iova, length)
        if request.granularity == Granularity.SELECTIVE:
            at, mask = request.span
            self.registers.put(IVA, at | IVA.IH.put(IVA.AM.put(0, mask), hint))
        command = IOTLB.DID.put(IOTLB.IIRG.put(0, request.granularity), request.domain)
        command |= IOTLB.DR.mask | IOTLB.DW.mask | IOTLB.IVT.mask
        self._do(IOTLB, IOTLB.IVT, IOTLB.IAIG, command)

    def _do(self, reg: Reg, busy: Bits, answer: Bits, command: int) -> None:
        """Write a command, wait until its busy bit is 0, and look at what was done."""
        self.registers.put(reg, command)
        self.registers.await_bit(reg, busy, 0)
        if answer.get(self.registers.get(reg)) == Granularity.RESERVED:
            raise VtdFailed(f"the unit did nothing for {reg.name} = {command:#x}")
