"""The registers of a local APIC: 32 bits each, one every 16 bytes of a page.

    020 ID       080 TPR      100-170 ISR   280 ESR       320 LVT timer     380 initial count
    030 version  0A0 PPR      180-1F0 TMR   300 ICR low   330 LVT thermal   390 current count
                 0B0 EOI      200-270 IRR   310 ICR high  340 LVT counters  3E0 divide
                 0D0 LDR                                  350 LVT LINT0
                 0E0 DFR                                  360 LVT LINT1
                 0F0 SVR                                  370 LVT error

The idea: vectors are bits. ISR, TMR and IRR have 256 of them, in eight registers each.

The rule that keeps it simple: this file only declares. An access has 32 bits at a multiple of 16;
what anything else does is undefined (SDM 3A 11.4.1), and here it does nothing.

Source: Intel SDM 3A, 11.4 to 11.8. Left out: APR and RRD (not since the Pentium), the TSC deadline,
the LVT of corrected machine checks.
"""

from __future__ import annotations

from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits

BASE = 0xFEE0_0000
"""Where each processor finds its own (gpa)."""

STEP = 16
"""Bytes from one register to the next."""

_SPEC = "SDM 3A 11."
_MASKED = 1 << 16
_ALWAYS = {"VECTOR": Bits(7, 0), "STATUS": Bits(12), "MASK": Bits(16)}
_MODE = {**_ALWAYS, "MODE": Bits(10, 8)}
_PIN = {**_MODE, "POLARITY": Bits(13), "REMOTE_IRR": Bits(14), "TRIGGER": Bits(15)}


def _lvt(offset: int, rw: int, fields: dict[str, Bits], doc: str) -> Reg:
    return Reg(offset, 4, _MASKED, rw, fields=fields, spec=_SPEC + "5.1", doc=doc)


def _word(first: int, n: int, doc: str) -> Reg:
    return Reg(first + STEP * n, 4, access="r", spec=_SPEC + "8.4", doc=doc)


def _isr(n: int) -> Reg:
    return _word(0x100, n, f"In service: vectors {32 * n} to {32 * n + 31}.")


def _tmr(n: int) -> Reg:
    return _word(0x180, n, f"Accepted as level-triggered: vectors {32 * n} to {32 * n + 31}.")


def _irr(n: int) -> Reg:
    return _word(0x200, n, f"Requested: vectors {32 * n} to {32 * n + 31}.")


class LapicRegisters(RegisterFile):
    """What a local APIC has. `Lapic` is made of them."""

    length = 0x1000

    # fmt: off
    ID = Reg(0x020, 4, rw=0xFF00_0000, fields={"ID": Bits(31, 24)}, spec=_SPEC + "4.6",
             doc="By this number messages name the processor.")
    VERSION = Reg(0x030, 4, 0x0105_0014, access="r", spec=_SPEC + "4.8", fields={
        "VERSION": Bits(7, 0), "MAX_LVT": Bits(23, 16), "SUPPRESS": Bits(24)},
        doc="Six entries in the LVT; EOI broadcasts can be suppressed.")
    TPR = Reg(0x080, 4, rw=0xFF, spec=_SPEC + "8.3.1", fields={
        "SUBCLASS": Bits(3, 0), "CLASS": Bits(7, 4)},
        doc="Vectors of this class and below have to wait.")
    PPR = Reg(0x0A0, 4, access="r", spec=_SPEC + "8.3.1", fields={
        "SUBCLASS": Bits(3, 0), "CLASS": Bits(7, 4)},
        doc="The same, with what is in service.")
    EOI = Reg(0x0B0, 4, access="w", spec=_SPEC + "8.5", doc="A write ends what is in service.")
    LDR = Reg(0x0D0, 4, rw=0xFF00_0000, fields={"ID": Bits(31, 24)}, spec=_SPEC + "6.2.2",
              doc="The logical id: a bit for each group that it is in.")
    DFR = Reg(0x0E0, 4, 0xFFFF_FFFF, 0xF000_0000, fields={"MODEL": Bits(31, 28)},
              spec=_SPEC + "6.2.2", doc="How logical ids are read: 1111b flat, 0000b clusters.")
    SVR = Reg(0x0F0, 4, 0xFF, 0x11FF, spec=_SPEC + "9", fields={
        "VECTOR": Bits(7, 0), "ENABLE": Bits(8), "SUPPRESS": Bits(12)},
        doc="Switches it on; the vector for an interrupt that is gone again.")

    ISR0, ISR1, ISR2, ISR3 = _isr(0), _isr(1), _isr(2), _isr(3)
    ISR4, ISR5, ISR6, ISR7 = _isr(4), _isr(5), _isr(6), _isr(7)
    TMR0, TMR1, TMR2, TMR3 = _tmr(0), _tmr(1), _tmr(2), _tmr(3)
    TMR4, TMR5, TMR6, TMR7 = _tmr(4), _tmr(5), _tmr(6), _tmr(7)
    IRR0, IRR1, IRR2, IRR3 = _irr(0), _irr(1), _irr(2), _irr(3)
    IRR4, IRR5, IRR6, IRR7 = _irr(4), _irr(5), _irr(6), _irr(7)

    ESR = Reg(0x280, 4, spec=_SPEC + "5.3", fields={
        "SEND_VECTOR": Bits(5), "RECEIVE_VECTOR": Bits(6), "REGISTER": Bits(7)},
        doc="Errors up to the last write: any write brings it up to date.")
    ICR_LOW = Reg(0x300, 4, rw=0x000C_CFFF, spec=_SPEC + "6.1", fields={
        "VECTOR": Bits(7, 0), "MODE": Bits(10, 8), "LOGICAL": Bits(11), "STATUS": Bits(12),
        "LEVEL": Bits(14), "TRIGGER": Bits(15), "SHORTHAND": Bits(19, 18)},
        doc="A write sends an interrupt to other processors.")
    ICR_HIGH = Reg(0x310, 4, rw=0xFF00_0000, fields={"DESTINATION": Bits(31, 24)},
                   spec=_SPEC + "6.1", doc="To which.")
    LVT_TIMER = _lvt(0x320, 0x3_00FF, {**_ALWAYS, "PERIODIC": Bits(17)}, "The timer's interrupt.")
    LVT_THERMAL = _lvt(0x330, 0x1_07FF, _MODE, "That of the thermal sensor.")
    LVT_COUNTERS = _lvt(0x340, 0x1_07FF, _MODE, "That of the performance counters.")
    LVT_LINT0 = _lvt(0x350, 0x1_A7FF, _PIN, "The pin LINT0, where the 8259A is connected.")
    LVT_LINT1 = _lvt(0x360, 0x1_A7FF, _PIN, "The pin LINT1, the NMI.")
    LVT_ERROR = _lvt(0x370, 0x1_00FF, _ALWAYS, "An error in ESR.")
    INITIAL_COUNT = Reg(0x380, 4, rw=0xFFFF_FFFF, spec=_SPEC + "5.4",
                        doc="A write starts the timer.")
    CURRENT_COUNT = Reg(0x390, 4, access="r", spec=_SPEC + "5.4", doc="It counts down to 0.")
    DIVIDE = Reg(0x3E0, 4, rw=0xB, spec=_SPEC + "5.4", fields={"LOW": Bits(1, 0), "HIGH": Bits(3)},
                 doc="Ticks of the bus for one count: 000b 2, 001b 4, ... 110b 128, 111b 1.")
    # fmt: on


LVT = tuple(reg for reg in LapicRegisters.registers if reg.name.startswith("LVT_"))
"""The local vector table: what comes from the processor itself."""
