"""The two 8259As of a PC, and the registers that say which of their inputs are level triggered.

    IRQ 0 1 3-7 ---> master IR0 1 3-7 --- INT ---> processor
    IRQ 8-15 ------> slave IR0-7 -- INT --> master IR2

The slave hangs on IR2 of the master, so a PC has 15 inputs, and 8 to 15 stand in priority between
1 and 3. An interrupt of the slave is in service in both chips, and needs an EOI at both.

Intel 8259A data sheet (231468), "Cascade Mode"; the edge/level registers by Intel 82371AB (PIIX4),
4.1.6. Left out: more than one slave.
"""

from __future__ import annotations

from virtlab.devices.pic.chip import Pic8259
from virtlab.interrupts import IrqLine
from virtlab.wire import all_ones

CASCADE = 2
"""The master's input that the slave drives."""


class Elcr:
    """The edge/level control registers, ports 4D0h and 4D1h: a 1 makes an input level triggered.

    The timer, the keyboard, the cascade, the clock and the coprocessor (0, 1, 2, 8, 13) are edge
    triggered for ever (82371AB 4.1.6).
    """

    WRITABLE = (0xF8, 0xDE)

    def __init__(self, pics: tuple[Pic8259, Pic8259]) -> None:
        self.pics = pics

    def read(self, offset: int, size: int) -> int:
        """ELCR1 at offset 0, ELCR2 at offset 1."""
        return self.pics[offset & 1].elcr

    def write(self, offset: int, size: int, value: int) -> None:
        """Set the trigger of the inputs that may change it."""
        self.pics[offset & 1].set_elcr(value & self.WRITABLE[offset & 1])

    def peek(self) -> dict[str, int]:
        """Both registers by name."""
        return {"ELCR1": self.pics[0].elcr, "ELCR2": self.pics[1].elcr}


class PicPair:
    """The two 8259As of a PC: `master` at port 20h, `slave` at A0h, `elcr` at 4D0h, two ports each.

    It is the interrupt controller of a `Cpu`: `pending` is the master's INT pin, `acknowledge`
    the INTA cycle. `latched` is explained at `Pic8259`.
    """

    def __init__(self, *, latched: bool = False) -> None:
        self.master = Pic8259("master", latched=latched)
        self.slave = Pic8259("slave", master=False, latched=latched)
        self.elcr = Elcr((self.master, self.slave))
        self.slave.int_line.sink = self.master.lines[CASCADE].set

    def line(self, n: int) -> IrqLine:
        """The line of IRQ `n`, 0 to 15. Line 2 is the slave's, and not for a device."""
        if not 0 <= n <= 15:
            raise ValueError(f"a pair of 8259As has IRQ 0 to 15, not {n}")
        return (self.master if n < 8 else self.slave).lines[n & 7]

    @property
    def pending(self) -> bool:
        """Whether the master's INT pin is high."""
        return self.master.int_line.level

    def acknowledge(self) -> int:
        """The INTA cycle: the vector of the highest request, a spurious one if there is none.

        The master names the input; if that has a slave, the slave of that number gives the
        vector, and if there is none, nobody drives the bus ("Cascade Mode").
        """
        n = self.master.acknowledge()
        if not self.master.slaves >> n & 1:
            return self.master.vector(n)
        if self.slave.icw3 & 7 != n:
            return all_ones(1)
        return self.slave.vector(self.slave.acknowledge())

    def reset(self) -> None:
        """Power on."""
        self.master.reset()
        self.slave.reset()

    def __repr__(self) -> str:
        return f"PicPair({self.master!r}, {self.slave!r})"
