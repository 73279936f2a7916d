"""The local APIC as a device: a page of registers at FEE0_0000h, each processor's own.

    read   32 bits at a multiple of 16                     anything else: 0
    write  the register's bits; then what it does:         anything else: lost

      EOI       the highest in service ends
      ICR_LOW   an interrupt goes to others, or to itself
      SVR       ENABLE off: every entry of the LVT is masked, and stays so
      ESR       the errors so far become visible
      LVT, DIVIDE, INITIAL_COUNT     the timer runs accordingly

The rule that keeps it simple: vectors, priority and count are kept as what they are, and become
registers where they are read.

Source: Intel SDM 3A, 11.4.1 (accesses), 11.4.7.2 (switched off), 11.5.3 (errors), 11.6.1 (ICR),
11.8.5 (EOI). The level bit of ICR counts for INIT only: a de-asserted INIT does nothing.
"""

from __future__ import annotations

from virtlab.devices.lapic.core import PINS, LapicCore
from virtlab.devices.lapic.registers import LVT, STEP, LapicRegisters
from virtlab.devices.lapic.vectors import LOWEST
from virtlab.interrupts import Delivery, Interrupt
from virtlab.registers import Reg
from virtlab.wire import all_ones

BY_OFFSET = {reg.offset: reg for reg in LapicRegisters.registers}

_LINT = LapicRegisters.LVT_LINT0
"""Whose entry has a trigger mode, and a remote IRR."""

NO_SHORTHAND, MYSELF, ALL, OTHERS = range(4)
"""`ICR_LOW.SHORTHAND`: the destination counts; or who gets it in its place."""


class Lapic(LapicCore):
    """The local APIC of processor `number`: a `Device`, and an `InterruptController`."""

    # -- accesses

    def read(self, offset: int, size: int) -> int:
        """A register. All ones where there is no page: APIC off, or its registers are MSRs."""
        if not self.present or self.extended:
            return all_ones(size)
        return self.value(offset) if self._defined(offset, size) else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """A register is written, and acts."""
        if self.present and not self.extended and self._defined(offset, size):
            self.put(offset, value)

    def _defined(self, offset: int, size: int) -> bool:
        """Whether the manual defines this access. A register that is not there is an error."""
        if size != 4 or offset % STEP:
            return False
        if offset not in BY_OFFSET:
            self._error("REGISTER")
        return offset in BY_OFFSET

    def value(self, offset: int) -> int:
        """The register at `offset`, whatever the mode."""
        self.values.update(self._computed())
        return super().read(offset, 4)

    def put(self, offset: int, value: int) -> None:
        """Write the register at `offset`, whatever the mode."""
        super().write(offset, 4, value)
        reg = BY_OFFSET[offset]
        if reg in LVT:
            self._entry_written(reg)

    def peek(self) -> dict[str, int]:
        """Every register by name, with no side effect."""
        return {**super().peek(), **self._computed()}

    def _computed(self) -> dict[str, int]:
        """The registers that are not stored: the vectors, the priority, the count."""
        sets = {"ISR": self.vectors.isr, "TMR": self.vectors.tmr, "IRR": self.vectors.irr}
        found = {
            f"{name}{n}": bits >> 32 * n & all_ones(4)
            for name, bits in sets.items()
            for n in range(8)
        }
        priority = self.vectors.priority(self.TPR)
        return {**found, "PPR": priority, "CURRENT_COUNT": self.timer.current}

    # -- what a write does

    def write_EOI(self, old: int, new: int) -> None:
        """The highest in service ends. If it came level-triggered, its source may ask again."""
        ended = self.vectors.end()
        if ended is None:
            return
        vector, level = ended
        if level and not LapicRegisters.SVR.SUPPRESS.get(self.SVR):
            self.eoi(vector)
        for name, line in zip(PINS, self.lint, strict=True):
            entry = _LINT.decode(self.values[name])
            if entry["REMOTE_IRR"] and entry["VECTOR"] == vector:
                self.values[name] = _LINT.REMOTE_IRR.put(self.values[name], 0)
                if line.level:
                    self._local(name)

    def write_SVR(self, old: int, new: int) -> None:
        """Switched off, it masks the whole LVT (11.4.7.2)."""
        if not LapicRegisters.SVR.ENABLE.get(new):
            for reg in LVT:
                self.values[reg.name] = reg.MASK.put(self.values[reg.name], 1)
            self._pace()

    def write_ESR(self, old: int, new: int) -> None:
        """Show the errors since the last write (11.5.3)."""
        self.ESR, self.errors = self.errors, 0

    def _entry_written(self, reg: Reg) -> None:
        """While it is switched off, a mask cannot be taken away; an edge has no remote IRR."""
        value = self.values[reg.name]
        if not self.enabled:
            value = reg.MASK.put(value, 1)
        if not _LINT.TRIGGER.get(value):
            value = _LINT.REMOTE_IRR.put(value, 0)
        self.values[reg.name] = value
        self._pace()

    def write_DIVIDE(self, old: int, new: int) -> None:
        """The timer counts at another pace."""
        self._pace()

    def write_INITIAL_COUNT(self, old: int, new: int) -> None:
        """The timer starts."""
        self.timer.load(new)

    def write_ICR_LOW(self, old: int, new: int) -> None:
        """Send an interrupt to whom `ICR_HIGH` names, or a shorthand (11.6.1)."""
        self.send(new, LapicRegisters.ICR_HIGH.DESTINATION.get(self.ICR_HIGH))

    def send(self, command: int, destination: int) -> None:
        """Send what `command` says, as `ICR_LOW` has it, to `destination`."""
        icr = LapicRegisters.ICR_LOW.decode(command)
        if icr["MODE"] in (Delivery.FIXED, Delivery.LOWEST_PRIORITY) and icr["VECTOR"] < LOWEST:
            self._error("SEND_VECTOR")
            return
        if icr["MODE"] == Delivery.INIT and icr["TRIGGER"] and not icr["LEVEL"]:
            return
        interrupt = Interrupt(icr["VECTOR"], destination, icr["MODE"], bool(icr["LOGICAL"]))
        if self.bus is not None:
            self.bus.send(self, interrupt, icr["SHORTHAND"])
        elif icr["SHORTHAND"] in (MYSELF, ALL) or (
            icr["SHORTHAND"] == NO_SHORTHAND and self.matches(interrupt)
        ):
            self.accept(interrupt)
