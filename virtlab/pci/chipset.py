"""The two functions of a PC's chip set that firmware must know by name.

    00:00.0  host bridge    says where ECAM is (PCIEXBAR)
    00:1f.0  ISA bridge     says which ISA interrupt each PCI pin becomes (PIRQ routing)

The idea: everything else on the buses is found by the rules of PCI. These two are the start: they
have registers that no rule describes, so firmware looks them up by vendor and device.

Source: Intel 3 Series Express Chipset (MCH), 5.1.16 PCIEXBAR; Intel ICH9, 13.1.17 and 13.1.19. Left
out: everything of the two chips that neither finds a device nor routes an interrupt.
"""

from __future__ import annotations

from collections.abc import Mapping

from virtlab.interrupts import IrqLine
from virtlab.pci.access import ECAM_SIZE
from virtlab.pci.function import Function, Identity
from virtlab.pci.root import RootComplex
from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits

HOST_BRIDGE = Identity(0x8086, 0x29C0, 0x060000, subsystem_vendor=0x8086, subsystem=0x29C0)
ISA_BRIDGE = Identity(0x8086, 0x2918, 0x060100, 2)

ISA_IRQS = (3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15)
"""What a PIRQ may become (ICH9, 13.1.17)."""

FIRST_SHARED = 4
"""PIRQE: the first of the four that the pins of devices 0 to 24 take turns on."""


class EcamRegisters(RegisterFile):
    """Where ECAM is, at 0x60 of the host bridge."""

    PCIEXBAR = Reg(
        0x00,
        8,
        rw=0xF_FC00_0007,
        fields={"ENABLE": Bits(0), "LENGTH": Bits(2, 1), "BASE": Bits(35, 26)},
        spec="MCH 5.1.16",
        doc="The base of ECAM, how many buses it shows (256, 128, 64), and whether it does.",
    )
    AT = 0x60


class PirqRegisters(RegisterFile):
    """Four routing registers: PIRQA to PIRQD at 0x60, PIRQE to PIRQH at 0x68."""

    ROUTE0, ROUTE1, ROUTE2, ROUTE3 = (
        Reg(
            index,
            1,
            reset=0x80,
            rw=0x8F,
            fields={"IRQ": Bits(3, 0), "DISABLE": Bits(7)},
            spec="ICH9 13.1.17",
            doc="Which ISA interrupt this pin becomes.",
        )
        for index in range(4)
    )
    AT = (0x60, 0x68)

    def irq(self, index: int) -> int | None:
        """The ISA interrupt of a pin, or None."""
        reg = self.registers[index]
        word = self.values[reg.name]
        irq = reg.IRQ.get(word)
        return irq if not reg.DISABLE.get(word) and irq in ISA_IRQS else None


class HostBridge(Function):
    """00:00.0: between the processor and bus 00."""

    def __init__(self, root: RootComplex) -> None:
        super().__init__(HOST_BRIDGE, name="host bridge")
        self.root = root
        self.registers = self.config.place(EcamRegisters.AT, EcamRegisters())
        self._shown: int | None = None

    def update(self) -> None:
        """As a function, and: show ECAM where PCIEXBAR has it now."""
        super().update()
        word = self.registers.PCIEXBAR
        if word != self._shown:
            self._shown = word
            fields = EcamRegisters.PCIEXBAR.decode(word)
            length = ECAM_SIZE >> min(fields["LENGTH"], 2)
            base = (fields["BASE"] << EcamRegisters.PCIEXBAR.BASE.lo) & -length
            self.root.place_ecam(base if fields["ENABLE"] else None, length)


class IsaBridge(Function):
    """00:1f.0: to the legacy devices, which answer at ports that nobody else claims.

    `lines` are the ISA interrupts that PCI may use, by number; several pins share one.
    """

    def __init__(self, lines: Mapping[int, IrqLine]) -> None:
        super().__init__(ISA_BRIDGE, name="ISA bridge")
        self.lines = lines
        self.banks = [self.config.place(at, PirqRegisters()) for at in PirqRegisters.AT]
        self._high: dict[int, set[tuple[int, int]]] = {index: set() for index in range(8)}

    def set_intx(self, device: int, pin: int, level: bool) -> None:
        """A pin of a device on bus 00 changed."""
        high = self._high[pirq_of(device, pin)]
        (high.add if level else high.discard)((device, pin))
        self.settle()

    def update(self) -> None:
        """As a function, and: the routing may have changed."""
        super().update()
        self.settle()

    def settle(self) -> None:
        """Drive each ISA line to what the pins routed to it want."""
        pulled = [pirq for pirq, high in self._high.items() if high]
        up = {self.banks[pirq // 4].irq(pirq % 4) for pirq in pulled}
        for irq, line in self.lines.items():
            line.set(irq in up)


def pirq_of(device: int, pin: int) -> int:
    """Which of PIRQA to PIRQH (0 to 7) `pin` (1 to 4) of a device on bus 00 is wired to.

    >>> [pirq_of(3, pin) for pin in (1, 2, 3, 4)]
    [7, 4, 5, 6]
    """
    return FIRST_SHARED + (device + pin - 1) % 4
