"""x2APIC: the same registers, as MSRs, with an id of 32 bits.

    MSR 01Bh   IA32_APIC_BASE: base, EN (11), EXTD (10), BSP (8)
    MSR 800h + offset / 16        830h has all 64 bits of ICR; 83Fh interrupts the processor itself

The idea: a register that is reached by an instruction of its own needs no page, and no exit that a
VMM has to decode.

The rules that keep it simple: what an MSR refuses is a `GuestError`, for whoever runs the processor
to turn into #GP. Modes change along the arrows only:

    off --EN--> xAPIC --EXTD--> x2APIC          and from either back to off

Source: Intel SDM 3A, 11.4.4, 11.12. Left out: another base than FEE0_0000h.
"""

from __future__ import annotations

from virtlab.devices.lapic.chip import BY_OFFSET, Lapic
from virtlab.devices.lapic.registers import BASE, STEP, LapicRegisters
from virtlab.errors import GuestError
from virtlab.wire import Bits, all_ones

APIC_BASE = 0x1B
BSP, EXTD, EN = Bits(8), Bits(10), Bits(11)
"""Fields of IA32_APIC_BASE."""

FIRST, ICR, SELF_IPI, LAST = 0x800, 0x830, 0x83F, 0x8FF

DESTINATION = Bits(63, 32)
"""Of ICR in x2APIC mode."""

_ID, _LDR, _EOI = (
    FIRST + reg.offset // STEP
    for reg in (LapicRegisters.ID, LapicRegisters.LDR, LapicRegisters.EOI)
)
_GONE = {LapicRegisters.DFR.offset, LapicRegisters.ICR_HIGH.offset}
_ZERO_ONLY = {LapicRegisters.EOI.offset, LapicRegisters.ESR.offset}


class ApicMsrs:
    """The MSRs of `lapic`. `bootstrap`: its processor is the first (BSP)."""

    def __init__(self, lapic: Lapic, bootstrap: bool = True) -> None:
        self.lapic, self.bootstrap = lapic, bootstrap

    def read(self, msr: int) -> int:
        """RDMSR. `GuestError` where that is #GP."""
        lapic = self.lapic
        if msr == APIC_BASE:
            value = BSP.put(BASE, self.bootstrap)
            return EXTD.put(EN.put(value, lapic.present), lapic.extended)
        self._check(msr)
        if msr == ICR:
            return DESTINATION.put(lapic.ICR_LOW, lapic.ICR_HIGH)
        special = {_ID: lapic.number, _LDR: lapic.identity.logical}
        return special[msr] if msr in special else lapic.value(self._offset(msr, "r"))

    def write(self, msr: int, value: int) -> None:
        """WRMSR. `GuestError` where that is #GP."""
        if msr == APIC_BASE:
            self._change_mode(value)
            return
        self._check(msr)
        if msr == ICR:
            self._send(value)
        elif msr == SELF_IPI:
            _within(value, all_ones(1))
            self.lapic.send(1 << 18 | value, 0)
        elif msr in (_ID, _LDR):
            raise GuestError(f"MSR {msr:#x} is read-only", "SDM 3A 11.12.1.2")
        else:
            offset = self._offset(msr, "w")
            _within(value, 0 if offset in _ZERO_ONLY else BY_OFFSET[offset].rw)
            self.lapic.put(offset, value)

    def _check(self, msr: int) -> None:
        if not self.lapic.extended or not FIRST <= msr <= LAST:
            raise GuestError(f"there is no MSR {msr:#x} in this mode", "SDM 3A 11.12.1.2")

    def _offset(self, msr: int, verb: str) -> int:
        """The register of an MSR that can be read, or written."""
        offset = (msr - FIRST) * STEP
        reg = BY_OFFSET.get(offset)
        if reg is None or offset in _GONE or verb not in reg.access:
            raise GuestError(f"MSR {msr:#x} has no {verb!r}", "SDM 3A 11.12.1.2")
        return offset

    def _send(self, value: int) -> None:
        command = value & ~DESTINATION.mask
        _within(command, LapicRegisters.ICR_LOW.rw)
        self.lapic.ICR_LOW, self.lapic.ICR_HIGH = command, DESTINATION.get(value)
        self.lapic.send(command, self.lapic.ICR_HIGH)

    def _change_mode(self, value: int) -> None:
        """Along the arrows (11.12.5). Off, the APIC forgets what it had."""
        lapic = self.lapic
        _within(value & ~BASE, BSP.mask | EXTD.mask | EN.mask)
        present, extended = bool(EN.get(value)), bool(EXTD.get(value))
        if value & BASE != BASE or (extended and not (present and lapic.present)):
            raise GuestError(f"{value:#x} is no mode to go to from here", "SDM 3A 11.12.5")
        if lapic.extended and present and not extended:
            raise GuestError("x2APIC mode ends by switching off", "SDM 3A 11.12.5")
        if not present:
            lapic.reset()
        lapic.present, lapic.extended = present, extended


def _within(value: int, mask: int) -> None:
    if value & ~mask:
        raise GuestError(f"reserved bits {value & ~mask:#x} are set", "SDM 3A 11.12.1.3")
