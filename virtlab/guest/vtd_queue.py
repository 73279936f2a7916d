"""Telling a unit that tables have changed: by a queue in memory, many requests at a time.

    submit [ iotlb | iotlb | device TLB ] --> [ ... | iotlb | iotlb | device TLB | wait ]  IQT
                                                                                   |
                                     status word in memory  <-- a number, when done +

The idea: requests are written behind each other, with a *wait* as the last. The unit takes them in
order, so when the wait's number stands in memory, all before it is done. Only the doorbell, IQT, is
an access to the unit.

The rule that keeps it simple: `submit` returns when everything is done, or raises. The ring is
empty before and after it.

A unit that finds a descriptor wrong stops (FSTS.IQE). Then the wrong one is replaced by one that
does nothing, the queue goes on, and the caller gets `VtdFailed`. The same for a device that does
not answer (FSTS.ITE), where there is nothing to replace.

Source: VT-d 3.0, 6.5.2, 6.5.2.10, 10.4.21 to 10.4.28.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from virtlab.guest.virtio_transport import poll
from virtlab.guest.vtd_invalidate import Request, context_granularity
from virtlab.guest.vtd_registers import GCMD, UnitRegisters, VtdFailed
from virtlab.guest.vtd_tables import TablePages
from virtlab.iommu.descriptors import (
    CONTEXT_INVALIDATE,
    DESCRIPTOR_SIZE,
    DEVICE_TLB_INVALIDATE,
    IEC_INVALIDATE,
    IOTLB_INVALIDATE,
    WAIT,
    DescriptorType,
)
from virtlab.iommu.reasons import QueueError
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import PAGE

FSTS, ICS, IECTL = VtdRegisters.FSTS, VtdRegisters.ICS, VtdRegisters.IECTL
IQA, IQH, IQT, IQERCD = (
    VtdRegisters.IQA,
    VtdRegisters.IQH,
    VtdRegisters.IQT,
    VtdRegisters.IQERCD,
)

STOPPED = FSTS.IQE.mask | FSTS.ITE.mask | FSTS.ICE.mask
"""Conditions in which the queue does not go on by itself."""

CALL = WAIT.pack(TYPE=DescriptorType.WAIT, IF=1)
"""A wait that interrupts. It stands by itself: QEMU 7.2 stops at one with both IF and SW."""

WAITS = 2
"""Descriptors that may stand behind those of a caller."""

STATUS_ROOM = 16
"""Bytes that are kept for the status word."""

SPARE = 8
"""Where in that room the word is that nobody reads."""


class InvalidationRing:
    """The queue of a unit: one page of `pages`, for 256 descriptors, one of which is never used."""

    def __init__(self, registers: UnitRegisters, pages: TablePages) -> None:
        self.registers, self.cpu = registers, registers.cpu
        self.gpa = pages.take()
        self.size = PAGE // DESCRIPTOR_SIZE
        self.status_gpa = pages.room.take(STATUS_ROOM)
        self.tail = self.number = 0

    # -- on and off

    def enable(self) -> None:
        """Hand it over, empty (10.4.23: software sets IQT to 0 first)."""
        self.tail = 0
        self.registers.put(IQT, 0)
        self.registers.put(IQA, self.gpa)
        self.registers.command(GCMD.QIE)

    def disable(self) -> None:
        """Switch it off, once it is empty (10.4.4, QIE)."""
        self.registers.await_bit(IQH, IQH.QH, IQH.QH.get(self.tail))
        self.registers.command(GCMD.QIE, False)

    # -- requests

    def contexts(self, domain: int | None = None, source_id: int | None = None) -> None:
        """See `vtd_invalidate.Invalidation`."""
        what = context_granularity(domain, source_id)
        self.submit(
            [
                CONTEXT_INVALIDATE.pack(
                    TYPE=DescriptorType.CONTEXT, G=what, DID=domain or 0, SID=source_id or 0
                )
            ]
        )

    def pages(
        self,
        domain: int | None = None,
        iova: int | None = None,
        length: int = PAGE,
        hint: bool = False,
    ) -> None:
        """See `vtd_invalidate.Invalidation`."""
        what, number, (at, mask) = Request.of(self.registers.capabilities, domain, iova, length)
        self.submit(
            [
                IOTLB_INVALIDATE.pack(
                    TYPE=DescriptorType.IOTLB,
                    G=what,
                    DR=1,
                    DW=1,
                    DID=number,
                    AM=mask,
                    IH=hint,
                    ADDR=at // PAGE,
                )
            ]
        )

    def device_pages(self, source_id: int, iova: int, mask: int = 0) -> None:
        """2**`mask` pages at `iova` of the TLB that a device has itself (ATS 1.1, 2.3.2)."""
        below = max((1 << mask >> 1) - 1, 0)  # ones below the lowest 0, which says how many
        self.submit(
            [
                DEVICE_TLB_INVALIDATE.pack(
                    TYPE=DescriptorType.DEVICE_TLB,
                    SID=source_id,
                    S=mask > 0,
                    ADDR=iova // PAGE >> mask << mask | below,
                )
            ]
        )

    def interrupts(self, index: int | None = None, mask: int = 0) -> None:
        """Interrupt entries: all, or 2**`mask` of them at `index`."""
        some = index is not None
        self.submit(
            [
                IEC_INVALIDATE.pack(
                    TYPE=DescriptorType.INTERRUPT_ENTRY, G=some, IM=mask, IIDX=index or 0
                )
            ]
        )

    def submit(self, descriptors: Sequence[int], interrupt: bool = False) -> None:
        """Any descriptors, and a wait behind them. With `interrupt` another wait calls (ICS.IWC).

        `VtdFailed` if one of them was wrong, or a device did not answer. All others are done then.
        """
        room = self.size - 1 - WAITS
        for start in range(0, max(len(descriptors), 1), room):
            self._submit(descriptors[start : start + room], interrupt)

    def _submit(self, descriptors: Sequence[int], interrupt: bool) -> None:
        self.number = (self.number + 1) & 0xFFFF_FFFF
        wait = self._wait(self.status_gpa, self.number)
        for descriptor in [*descriptors, *([CALL] if interrupt else []), wait]:
            raw = descriptor.to_bytes(DESCRIPTOR_SIZE, "little")
            self.cpu.write(self.gpa + self.tail, raw)
            self.tail = (self.tail + DESCRIPTOR_SIZE) % PAGE
        self._ring()
        stops = list(self._stops(len(descriptors)))
        if stops:
            raise VtdFailed(stops[-1])

    def _stops(self, most: int) -> Iterator[str]:
        """Until all is done: why the queue stopped, each time that it did."""
        # Each stop takes one descriptor away, so there are at most as many.
        for _ in range(most + 1):
            if not poll(self.cpu, self._rests):
                raise VtdFailed("the invalidation queue does not answer")
            if self._done():
                return
            yield self._go_on()
        raise VtdFailed("the invalidation queue stops again and again")

    def _wait(self, at: int, number: int) -> int:
        """A wait that writes `number` at `at` (gpa)."""
        return WAIT.pack(TYPE=DescriptorType.WAIT, SW=1, STDATA=number, STADDR=at >> 2)

    def _ring(self) -> None:
        self.registers.put(IQT, self.tail)

    def _done(self) -> bool:
        return self.cpu.load(self.status_gpa, 4) == self.number

    def _rests(self) -> bool:
        """Whether all is done, or nothing more will be."""
        return self._done() or bool(self.registers.get(FSTS) & STOPPED)

    def _go_on(self) -> str:
        """Let a queue that stopped go on. Gives why it had."""
        status = self.registers.get(FSTS)
        if not FSTS.IQE.get(status):
            self.registers.put(FSTS, status & STOPPED)
            self._ring()
            return "a device did not answer an invalidation in time"
        head = self.registers.get(IQH) & IQH.QH.mask
        raw = self.cpu.read(self.gpa + head, DESCRIPTOR_SIZE)
        why = QueueError(IQERCD.IQEI.get(self.registers.get(IQERCD)) & 7)
        nothing = self._wait(self.status_gpa + SPARE, 0)
        self.cpu.write(self.gpa + head, nothing.to_bytes(DESCRIPTOR_SIZE, "little"))
        self.registers.put(FSTS, FSTS.IQE.mask)
        self._ring()
        return f"descriptor {int.from_bytes(raw, 'little'):#034x} is wrong: {why.name}"

    # -- the interrupt of a wait

    def set_event(self, address: int, data: int) -> None:
        """Let a wait that asks for it write `data` to `address`, an interrupt message."""
        put = self.registers.put
        put(IECTL, IECTL.IM.mask)
        put(VtdRegisters.IEDATA, data)
        put(VtdRegisters.IEADDR, address & 0xFFFF_FFFF)
        put(VtdRegisters.IEUADDR, address >> 32)
        put(IECTL, 0)

    def acknowledge(self) -> bool:
        """Whether a wait has called, since the last time."""
        called = bool(ICS.IWC.get(self.registers.get(ICS)))
        if called:
            self.registers.put(ICS, ICS.IWC.mask)
        return called


def abandon(registers: UnitRegisters, pages: TablePages) -> None:
    """Switch off a queue that somebody else left, stopped or not; what it still holds is dropped.

    It must be empty for that, and for QEMU its last descriptor a wait. So a wait is put where the
    unit is, whatever stood there, and the end of the queue behind it.
    """
    if not registers.is_on(GCMD.QIE):
        return
    where = registers.get(IQA)
    head = registers.get(IQH) & IQH.QH.mask
    wait = WAIT.pack(TYPE=DescriptorType.WAIT, SW=1, STADDR=pages.room.take(STATUS_ROOM) >> 2)
    registers.cpu.write((where & IQA.IQA.mask) + head, wait.to_bytes(DESCRIPTOR_SIZE, "little"))
    end = (head + DESCRIPTOR_SIZE) % (PAGE << IQA.QS.get(where))
    # A unit goes on when its error is cleared, or, as QEMU's, at the next doorbell.
    registers.put(IQT, end)
    registers.put(FSTS, STOPPED)
    registers.put(IQT, end)
    registers.await_bit(IQH, IQH.QH, IQH.QH.get(end))
    registers.command(GCMD.QIE, False)
