"""Fault recording: what software can read of a request that was refused.

    a fault -->  a record free?  --yes-->  FRCD[n]: F=1, who, where, why     FSTS.PPF = 1
                      |                                                         |
                      no --> FSTS.PFO = 1, the fault is lost        an event, if nothing was pending

The idea: a device cannot handle a fault, so the unit keeps it for the driver, in a few records that
are used in a circle. The first one that software has not seen raises an event. Those after it only
fill records, until software has cleared everything.

The rules that keep it simple:

1. While a requester has a record, its further faults add none. So one broken device does not take
   the records of all others.
2. `settle` runs after every write of software. PPF is never stored by hand: it says whether any
   record is in use.
3. A fault that is *qualified* is not recorded where the entry says so (FPD). The caller asks that.

Source: VT-d 3.0, 7.2 (non-recoverable faults), 7.3 (events), 10.4.9 to 10.4.14. Left out: advanced
fault logging, in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from virtlab.interrupts import Msi
from virtlab.iommu.layouts import FAULT_RECORD, FI_INDEX
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters

FSTS, CONTROL = VtdRegisters.FSTS, VtdRegisters.FECTL

PENDING = FSTS.PPF.mask | FSTS.PFO.mask | FSTS.IQE.mask | FSTS.ICE.mask | FSTS.ITE.mask
"""What must be clear before another fault event is sent."""

_PAGE = FAULT_RECORD.FI.mask


class Event:
    """One of the unit's own interrupts: a control register with a mask, and a message.

    `prefix` is `"FE"` for the fault event and `"IE"` for that of the invalidation queue. These
    messages are not remapped.
    """

    def __init__(
        self, registers: VtdRegisters, prefix: Literal["FE", "IE"], send: Callable[[Msi], None]
    ) -> None:
        self.values, self.prefix, self.send = registers.values, prefix, send

    def happen(self) -> None:
        """Send the message, or leave it pending while it is masked."""
        control = f"{self.prefix}CTL"
        self.values[control] |= CONTROL.IP.mask
        if not CONTROL.IM.get(self.values[control]):
            self._deliver()

    def settle(self, wanted: bool) -> None:
        """After a write: a pending message goes out once unmasked, and lapses once unwanted."""
        control = self.values[f"{self.prefix}CTL"]
        if not CONTROL.IP.get(control):
            return
        if not wanted:
            self._done()
        elif not CONTROL.IM.get(control):
            self._deliver()

    def _deliver(self) -> None:
        self._done()
        upper, address, data = (self.values[self.prefix + n] for n in ("UADDR", "ADDR", "DATA"))
        self.send(Msi(upper << 32 | address, data))

    def _done(self) -> None:
        self.values[f"{self.prefix}CTL"] &= ~CONTROL.IP.mask


class FaultLog:
    """The fault records of `registers`, `size` of them, and the fault event.

    `next` is the record that the next fault takes. `lost` counts faults that found no record.
    """

    def __init__(self, registers: VtdRegisters, size: int, send: Callable[[Msi], None]) -> None:
        self.registers = registers
        self.names = [f"FRCD{number}" for number in range(size)]
        self.event = Event(registers, "FE", send)
        self.next = self.lost = 0

    @property
    def records(self) -> list[int]:
        """The records as they stand: numbers of 128 bits, a `FAULT_RECORD` each."""
        return [self.registers.values[name] for name in self.names]

    def dma(
        self, source_id: int, reason: Reason, iova: int, write: bool, address_type: int = 0
    ) -> None:
        """Record that a DMA request to `iova` was refused."""
        record = FAULT_RECORD.pack(T1=not write, AT=address_type) | iova & _PAGE
        self._record(source_id, reason, record)

    def interrupt(self, reason: Reason, source_id: int, index: int) -> None:
        """Record that an interrupt request for entry `index` was refused."""
        self._record(source_id, reason, FI_INDEX.put(0, index))

    def _record(self, source_id: int, reason: Reason, record: int) -> None:
        status = self.registers.FSTS
        # After an overflow no fault is recorded until software has cleared PFO.
        if FSTS.PFO.get(status):
            self.lost += 1
            return
        if any(_in_use(each) and FAULT_RECORD.SID.get(each) == source_id for each in self.records):
            return
        name = self.names[self.next]
        if _in_use(self.registers.values[name]):
            self.lost += 1
            self.registers.FSTS |= FSTS.PFO.mask
            return
        record |= FAULT_RECORD.pack(F=1, FR=reason, SID=source_id)
        self.registers.values[name] = record
        if not FSTS.PPF.get(status):
            self.registers.FSTS = FSTS.FRI.put(status, self.next) | FSTS.PPF.mask
        self.next = (self.next + 1) % len(self.names)
        self._notify(status)

    def report(self, condition: int) -> None:
        """Set a bit of FSTS that is no fault of a request: IQE or ITE."""
        status = self.registers.FSTS
        self.registers.FSTS |= condition
        self._notify(status)

    def _notify(self, before: int) -> None:
        """One event for all that is pending: only the first condition sends it."""
        if not before & PENDING:
            self.event.happen()

    def settle(self) -> None:
        """After a write of software."""
        in_use = any(_in_use(record) for record in self.records)
        self.registers.FSTS = FSTS.PPF.put(self.registers.FSTS, in_use)
        self.event.settle(bool(self.registers.FSTS & PENDING))


def _in_use(record: int) -> bool:
    return bool(record & FAULT_RECORD.F.mask)
