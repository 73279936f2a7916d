"""A local APIC behind a bus, for its tests."""

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.devices.lapic import BASE, Lapic, LapicRegisters
from virtlab.interrupts import Interrupt

ENABLED, MASK, PERIODIC, LEVEL = 0x1FF, 1 << 16, 1 << 17, 1 << 15
REMOTE_IRR = 1 << 14
EXTINT = 7 << 8
SEND, RECEIVE, REGISTER = 1 << 5, 1 << 6, 1 << 7


class Bench:
    """A local APIC behind a bus, switched on, with what came out of it."""

    def __init__(self, on=True, **how):
        self.clock, self.ended, self.signals = Clock(), [], []
        self.chip = Lapic(0x12, self.clock, eoi=self.ended.append, signal=self._signal, **how)
        self.memory = AddressSpace("memory", 52)
        self.memory.map(BASE, Lapic.length, self.chip, "lapic", width=4)
        if on:
            self.set("SVR", ENABLED)

    def _signal(self, mode, vector):
        self.signals.append((mode, vector))

    def get(self, name):
        return self.memory.read(BASE + getattr(LapicRegisters, name).offset, 4)

    def set(self, name, value):
        self.memory.write(BASE + getattr(LapicRegisters, name).offset, 4, value)

    def vectors(self, name):
        """The vectors of ISR, TMR or IRR, read register by register."""
        words = [self.get(f"{name}{n}") for n in range(8)]
        return [32 * n + bit for n in range(8) for bit in range(32) if words[n] >> bit & 1]

    def request(self, *vectors, level=False):
        for vector in vectors:
            self.chip.accept(Interrupt(vector, level=level))

    def errors(self):
        self.set("ESR", 0)
        return self.get("ESR")
