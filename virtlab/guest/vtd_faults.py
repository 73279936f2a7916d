"""What a unit has refused: its fault records, read, understood and freed.

    FSTS.FRI --> FRCD[n], FRCD[n + 1] ...   F = 1: who, where, why; F <- 1 frees it; F = 0: the end
    FSTS.PFO     faults were lost; cleared last, and only then more are recorded

The idea: the unit can stop a device, but not ask it what it meant. A record is all that there is:
the source id, the page, the direction and a reason.

The rule that keeps it simple: `read` takes every record there is, frees it, and says what it was.

Source: VT-d 3.0, 7.2, 7.3, 10.4.9 to 10.4.14. Left out: advanced fault logging.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.guest.vtd_registers import UnitRegisters
from virtlab.iommu.layouts import FAULT_RECORD, FI_INDEX
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import RECORD_SIZE, VtdRegisters
from virtlab.registers import Reg

FSTS, FECTL = VtdRegisters.FSTS, VtdRegisters.FECTL

FIRST_INTERRUPT_REASON = Reason.REQUEST_RESERVED
"""Reasons from here on are those of interrupt requests."""

MOST = 1 << 12
"""Faults that one reading takes: a device could have a new one for each."""


class Fault(NamedTuple):
    """One request that was refused.

    `code` is the reason's number and `reason` its name, None if it is not known here. A DMA request
    has the page `iova` and the direction; an interrupt request has the `entry` that it named.
    """

    source_id: int
    code: int
    reason: Reason | None
    iova: int | None
    entry: int | None
    write: bool

    @classmethod
    def of(cls, record: int) -> Fault:
        """What a fault record of 128 bits says."""
        code = FAULT_RECORD.FR.get(record)
        interrupt = FIRST_INTERRUPT_REASON <= code < FIRST_INTERRUPT_REASON + 0x10
        return cls(
            FAULT_RECORD.SID.get(record),
            code,
            Reason.of(code),
            None if interrupt else record & FAULT_RECORD.FI.mask,
            FI_INDEX.get(record) if interrupt else None,
            not FAULT_RECORD.T1.get(record),
        )

    def __str__(self) -> str:
        why = self.reason.meaning if self.reason else "a reason that is not known"
        what = "an interrupt" if self.iova is None else f"{'write' if self.write else 'read'} at"
        where = f"entry {self.entry}" if self.iova is None else f"{self.iova:#x}"
        return f"{self.source_id:#06x}: {what} {where}: {self.code:#x}, {why}"


class FaultRecords:
    """The records of a unit, and the event that says there are some."""

    def __init__(self, registers: UnitRegisters) -> None:
        self.registers = registers
        self.count = registers.capabilities.records

    def read(self) -> list[Fault]:
        """Every fault that is recorded, oldest first. They are freed, and recording goes on.

        Devices may fault meanwhile. So F is looked at first, by itself, and the loop ends at a
        record that is free, not after a lap. After `MOST` the rest is left to the next call.
        """
        found: list[Fault] = []
        number = FSTS.FRI.get(self.registers.get(FSTS))
        while len(found) < MOST and self.registers.has(self._record(number), FAULT_RECORD.F):
            reg = self._record(number)
            found.append(Fault.of(self.registers.get(reg)))
            self.registers.free(reg, FAULT_RECORD.F)
            number += 1
        self.registers.free(FSTS, FSTS.PFO)
        return found

    def _record(self, number: int) -> Reg:
        """Record `number`, counted round and round."""
        first = VtdRegisters.FRCD0
        return Reg(
            first.offset + number % self.count * RECORD_SIZE, RECORD_SIZE, name=f"FRCD{number}"
        )

    @property
    def overflowed(self) -> bool:
        """Whether faults were lost since the last `read`."""
        return bool(FSTS.PFO.get(self.registers.get(FSTS)))

    def set_event(self, address: int, data: int) -> None:
        """Let a first fault write `data` to `address`, an interrupt message. It is not remapped."""
        put = self.registers.put
        self.mask()
        put(VtdRegisters.FEDATA, data)
        put(VtdRegisters.FEADDR, address & 0xFFFF_FFFF)
        put(VtdRegisters.FEUADDR, address >> 32)
        self.mask(False)

    def mask(self, on: bool = True) -> None:
        """Hold the event back, or let it go: one that is pending then goes out."""
        self.registers.put(FECTL, FECTL.IM.mask if on else 0)
