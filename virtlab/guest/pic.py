"""The interrupt controllers' driver: vectors, masks, end of interrupt.

    pics = Pics(cpu)
    pics.remap()                    # IRQ 0-15 become vectors 20h-2Fh, all masked
    pics.unmask(1)
    irq = pics.next_irq()           # halts; 1 once a key was pressed
    ...                             # serve the device
    pics.eoi(irq)

The rule that keeps it simple: callers speak of IRQ 0 to 15, never of a chip. An IRQ from 8 on is
the slave's; it is unmasked and ended at both chips.

Intel 8259A data sheet: "Programming the 8259A". An IRQ 7 or 15 may be spurious; it is told by its
bit in ISR, which is clear then ("Edge and Level Triggered Modes").
"""

from __future__ import annotations

from virtlab.cpu import Cpu
from virtlab.devices.pic import CASCADE, ICW1, ICW4, OCW2, OCW3, SPURIOUS

MASTER, SLAVE = 0x20, 0xA0
"""The first port of each chip; the second one follows."""

READ_IRR = 0x08 | OCW3.RR.mask
READ_ISR = READ_IRR | OCW3.RIS.mask
POLL = 0x08 | OCW3.P.mask
EOI = OCW2.EOI.mask | OCW2.SL.mask
"""OCW2: end of the interrupt whose number is in the low bits."""

MAX_SPURIOUS = 64
"""Spurious interrupts in a row that `next_irq` looks past."""


class Pics:
    """The pair of 8259As behind `cpu`. `base` is the vector of IRQ 0, `slave_base` of IRQ 8."""

    def __init__(self, cpu: Cpu, base: int = 0x20, slave_base: int = 0x28) -> None:
        if base & 7 or slave_base & 7:
            raise ValueError(f"vectors begin at a multiple of 8, not {base:#x}, {slave_base:#x}")
        self.cpu = cpu
        self.base = base
        self.slave_base = slave_base

    def remap(self) -> None:
        """Initialize both chips (ICW1 to ICW4), and mask every input."""
        for port, base, cascade in (
            (MASTER, self.base, 1 << CASCADE),
            (SLAVE, self.slave_base, CASCADE),
        ):
            self.cpu.out(port, ICW1.ONE.mask | ICW1.IC4.mask)
            self.cpu.out(port + 1, base)
            self.cpu.out(port + 1, cascade)
            self.cpu.out(port + 1, ICW4.UPM.mask)
            self.cpu.out(port + 1, 0xFF)

    # -- masks

    @property
    def masks(self) -> int:
        """The masks of IRQ 0 to 15, one bit each."""
        return self.cpu.inp(MASTER + 1) | self.cpu.inp(SLAVE + 1) << 8

    @masks.setter
    def masks(self, value: int) -> None:
        self.cpu.out(MASTER + 1, value & 0xFF)
        self.cpu.out(SLAVE + 1, value >> 8 & 0xFF)

    def mask(self, irq: int) -> None:
        """Ignore `irq`."""
        self.masks |= 1 << _checked(irq)

    def unmask(self, irq: int) -> None:
        """Let `irq` through; for one of the slave's, its way through the master too."""
        bits = 1 << _checked(irq) | (1 << CASCADE if irq >= 8 else 0)
        self.masks &= ~bits

    # -- interrupts

    @property
    def requests(self) -> int:
        """IRR of both chips, one bit an IRQ."""
        return self._both(READ_IRR)

    @property
    def in_service(self) -> int:
        """ISR of both chips, one bit an IRQ."""
        return self._both(READ_ISR)

    def _both(self, command: int) -> int:
        self.cpu.out(MASTER, command)
        self.cpu.out(SLAVE, command)
        return self.cpu.inp(MASTER) | self.cpu.inp(SLAVE) << 8

    def eoi(self, irq: int) -> None:
        """End the interrupt `irq` (OCW2, specific), at both chips if it is the slave's."""
        if _checked(irq) >= 8:
            self.cpu.out(SLAVE, EOI | irq & 7)
            self.cpu.out(MASTER, EOI | CASCADE)
        else:
            self.cpu.out(MASTER, EOI | irq)

    def next_irq(self, timeout: int = 1_000_000_000) -> int | None:
        """Halt until an interrupt comes, at most `timeout` ns; which IRQ is it?

        Spurious ones are looked past. None if none came, or if a vector came that is no IRQ's.
        """
        for _ in range(MAX_SPURIOUS):
            vector = self.cpu.wait(timeout)
            irq = None if vector is None else self.irq_of(vector)
            if irq is None or not self._is_spurious(irq):
                return irq
        return None

    def irq_of(self, vector: int) -> int | None:
        """The IRQ of `vector`, or None if it is none's."""
        if 0 <= vector - self.base < 8:
            return vector - self.base
        return vector - self.slave_base + 8 if 0 <= vector - self.slave_base < 8 else None

    def _is_spurious(self, irq: int) -> bool:
        """Whether `irq` is not in service at all. For IRQ 15 the master still wants an EOI."""
        if irq & 7 != SPURIOUS or self.in_service >> irq & 1:
            return False
        if irq >= 8:
            self.cpu.out(MASTER, EOI | CASCADE)
        return True

    def poll(self) -> int | None:
        """Ask without an interrupt (OCW3, P=1): the IRQ that is in service now, or None."""
        n = self._poll(MASTER)
        if n != CASCADE:
            return n
        slave = self._poll(SLAVE)
        if slave is None:
            self.cpu.out(MASTER, EOI | CASCADE)
        return None if slave is None else slave + 8

    def _poll(self, port: int) -> int | None:
        self.cpu.out(port, POLL)
        word = self.cpu.inp(port)
        return word & 7 if word & 0x80 else None


def _checked(irq: int) -> int:
    if not 0 <= irq <= 15:
        raise ValueError(f"a PC's 8259As have IRQ 0 to 15, not {irq}")
    return irq
