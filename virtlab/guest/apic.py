"""The APICs' driver: switch on, route an input, send to another processor, end an interrupt.

    local, inputs = LocalApic(cpu), IoApicDriver(cpu)
    local.enable()
    inputs.route(4, vector=0x41, destination=local.identity())
    vector = cpu.wait()
    ...                                 # serve the device
    local.eoi()

The idea: an interrupt needs two to agree. The I/O APIC is told which vector an input is, and for
which processor; that processor's local APIC is told that it may come.

The rule that keeps it simple: the registers are the devices' own declarations. An entry is masked
while its halves are written one after the other.

Source: Intel SDM 3A, 11.4.7 (switching on), 11.6.1 (ICR), 11.8.5 (EOI), 11.5.4 (timer); Intel
82093AA data sheet (290566), 3.1 and 3.2. Left out: x2APIC, and measuring the timer's frequency.
"""

from __future__ import annotations

from virtlab.cpu import Cpu
from virtlab.devices.ioapic import BASE as IO_APIC
from virtlab.devices.ioapic import ENTRY, FIRST_ENTRY, ID_INDEX, VERSION_INDEX, IoApicRegisters
from virtlab.devices.lapic import BASE as LOCAL_APIC
from virtlab.devices.lapic import LapicRegisters
from virtlab.interrupts import Delivery
from virtlab.registers import Reg
from virtlab.wire import Bits, all_ones

SPURIOUS = 0xFF
"""The vector for an interrupt that is gone again when the processor asks."""

DIVIDE_BY_1 = 0b1011

MAX_ENTRY = Bits(23, 16)
"""Of the version register: the number of the last entry."""


class LocalApic:
    """The local APIC of the processor that runs this, at `base` (gpa)."""

    def __init__(self, cpu: Cpu, base: int = LOCAL_APIC) -> None:
        self.cpu, self.base = cpu, base

    def get(self, reg: Reg) -> int:
        """A register."""
        return self.cpu.load(self.base + reg.offset, 4)

    def put(self, reg: Reg, value: int) -> None:
        """Write a register."""
        self.cpu.store(self.base + reg.offset, value, 4)

    def detect(self) -> bool:
        """Whether one is there: its version is none of those that nothing gives."""
        return self.get(LapicRegisters.VERSION) not in (0, all_ones(4))

    def enable(self, spurious: int = SPURIOUS) -> None:
        """Switch it on; let every class of vectors through."""
        self.put(LapicRegisters.TPR, 0)
        self.put(LapicRegisters.SVR, LapicRegisters.SVR.ENABLE.mask | spurious)

    def identity(self) -> int:
        """By this id others name this processor."""
        return LapicRegisters.ID.ID.get(self.get(LapicRegisters.ID))

    def eoi(self) -> None:
        """The highest interrupt in service has been served."""
        self.put(LapicRegisters.EOI, 0)

    def serving(self) -> list[int]:
        """The vectors in service, highest first."""
        words = [self.get(_word(n)) for n in reversed(range(8))]
        return [
            32 * (7 - i) + bit
            for i, word in enumerate(words)
            for bit in reversed(range(32))
            if word >> bit & 1
        ]

    def hold(self, priority_class: int) -> None:
        """Let only vectors of a higher class than this through; 0 lets all."""
        self.put(LapicRegisters.TPR, LapicRegisters.TPR.CLASS.put(0, priority_class))

    def send(self, vector: int, destination: int, mode: int = Delivery.FIXED) -> None:
        """Interrupt the processor with the id `destination`."""
        self.put(LapicRegisters.ICR_HIGH, LapicRegisters.ICR_HIGH.DESTINATION.put(0, destination))
        command = LapicRegisters.ICR_LOW.MODE.put(vector, mode)
        self.put(LapicRegisters.ICR_LOW, LapicRegisters.ICR_LOW.LEVEL.put(command, 1))

    def start_timer(self, vector: int, count: int, periodic: bool = False) -> None:
        """Interrupt by `vector` in `count` ticks of the bus, once or again and again."""
        self.put(LapicRegisters.DIVIDE, DIVIDE_BY_1)
        self.put(LapicRegisters.LVT_TIMER, LapicRegisters.LVT_TIMER.PERIODIC.put(vector, periodic))
        self.put(LapicRegisters.INITIAL_COUNT, count)

    def stop_timer(self) -> None:
        """No more of it."""
        self.put(LapicRegisters.LVT_TIMER, LapicRegisters.LVT_TIMER.MASK.mask)
        self.put(LapicRegisters.INITIAL_COUNT, 0)


class IoApicDriver:
    """The I/O APIC at `base` (gpa)."""

    def __init__(self, cpu: Cpu, base: int = IO_APIC) -> None:
        self.cpu, self.base = cpu, base

    def get(self, index: int) -> int:
        """The register that `index` chooses."""
        self.cpu.store(self.base + IoApicRegisters.IOREGSEL.offset, index, 4)
        return self.cpu.load(self.base + IoApicRegisters.IOWIN.offset, 4)

    def put(self, index: int, value: int) -> None:
        """Write that register."""
        self.cpu.store(self.base + IoApicRegisters.IOREGSEL.offset, index, 4)
        self.cpu.store(self.base + IoApicRegisters.IOWIN.offset, value, 4)

    def identity(self) -> int:
        """Its id, as the MADT has it."""
        return self.get(ID_INDEX) >> 24

    def pins(self) -> int:
        """How many inputs it has."""
        return MAX_ENTRY.get(self.get(VERSION_INDEX)) + 1

    def route(self, pin: int, vector: int, destination: int = 0, level: bool = False) -> None:
        """Let input `pin` be `vector` for the processor with the id `destination`."""
        entry = ENTRY["LEVEL"].put(ENTRY["VECTOR"].put(0, vector), level)
        self._write(pin, ENTRY["DESTINATION"].put(entry, destination))

    def route_remapped(self, pin: int, handle: int, vector: int, level: bool = False) -> None:
        """Let `pin` name entry `handle` of a remapping table, whose vector is `vector`.

        The vector stays in the entry for the EOI (VT-d 5.1.5.1).
        """
        entry = ENTRY["LEVEL"].put(ENTRY["VECTOR"].put(0, vector), level)
        entry = ENTRY["LOGICAL"].put(entry, handle >> 15)
        self._write(pin, ENTRY["ADDRESS"].put(entry, handle << 1 | 1))

    def entry(self, pin: int) -> int:
        """The entry of an input, 64 bits."""
        low = FIRST_ENTRY + 2 * self._checked(pin)
        return self.get(low) | self.get(low + 1) << 32

    def mask(self, pin: int) -> None:
        """Ignore an input; its entry stays otherwise."""
        low = FIRST_ENTRY + 2 * self._checked(pin)
        self.put(low, self.get(low) | ENTRY["MASK"].mask)

    def _write(self, pin: int, entry: int) -> None:
        self.mask(pin)
        low = FIRST_ENTRY + 2 * pin
        self.put(low + 1, entry >> 32)
        self.put(low, entry & all_ones(4))

    def _checked(self, pin: int) -> int:
        pins = self.pins()
        if not 0 <= pin < pins:
            raise ValueError(f"the I/O APIC has inputs 0 to {pins - 1}, not {pin}")
        return pin


def _word(n: int) -> Reg:
    """The n-th register of ISR."""
    return next(reg for reg in LapicRegisters.registers if reg.name == f"ISR{n}")
