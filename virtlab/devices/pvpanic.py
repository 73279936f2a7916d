"""pvpanic: the guest tells its VMM that it has crashed. No hardware could care, so none ever was.

     7              2     1         0
    +----------------+--------+----------+
    |       0        | CRASH_ |          |    read: the events that the VMM wants to hear of
    |                | LOADED | PANICKED |    write: this has happened
    +----------------+--------+----------+

The idea: one register, behind two doors. As an ISA device it is at port 0x505, and a guest has to
know that. As a PCI function it is found by enumeration: 1b36:0011, its register in BAR 0.

Source: QEMU, docs/specs/pvpanic.rst; the numbers of the PCI function, docs/specs/pci-ids.rst.
Left out: the third event, SHUTDOWN, which is younger than the QEMU that we compare with.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.pci.function import Function, Identity
from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits

PORT = 0x505
LENGTH = 16
"""Bytes of BAR 0: the smallest that a memory BAR can have. The register is the first."""

VENDOR, DEVICE = 0x1B36, 0x0011


class PvPanic(RegisterFile):
    """The register; `on_event(events)` is the VMM's ear.

    `reported` keeps all events so far, as a mask.
    """

    length = 2

    EVENTS = Reg(
        0,
        1,
        reset=3,
        fields={"PANICKED": Bits(0), "CRASH_LOADED": Bits(1)},
        spec="pvpanic, bit definition",
        doc="read: what is wanted; write: what has happened",
    )

    def __init__(self, on_event: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self.on_event = on_event
        self.reported = 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Report events. Bits that nobody wants are dropped."""
        events = value & self.EVENTS if offset == 0 else 0
        self.reported |= events
        if events and self.on_event is not None:
            self.on_event(events)


class PvPanicFunction(Function):
    """1b36:0011: the register as a PCI function."""

    def __init__(
        self, on_event: Callable[[int], None] | None = None, name: str = "pvpanic"
    ) -> None:
        super().__init__(Identity(VENDOR, DEVICE, 0x088000, 1, 0x1AF4, 0x1100), name=name)
        self.pvpanic = PvPanic(on_event)
        self.memory_bar(0, self.pvpanic, LENGTH, width=1)
