"""The cards of the lesson PC, and the two ways in which they are plugged in.

    conventional                              express
    00:00.0  host bridge                      00:00.0  host bridge
    00:02.0  display                          00:01.0  display, integrated
    00:03.0  edu                              00:02.0  root port
    00:04.0  e1000                              01:00.0  switch, upstream
    00:05.0  PCI-PCI bridge                       02:00.0  switch, port 0
      01:00.0  es1370                               03:00.0  edu
      01:01.0  PCI-PCI bridge, inner              02:01.0  switch, port 1
        02:00.0  edu, second                        04:00.0  edu, second
    00:1f.0  ISA bridge                       00:02.1  root port
    00:1f.1  IDE                                05:00.0  PCIe-PCI bridge
                                                  06:00.0  e1000
                                                  06:01.0  es1370
                                              00:1f.0  ISA bridge
                                              00:1f.1  IDE

The idea: the cards are the same in both, and so are their drivers. Only the way to them differs.

The numbers of the buses are those that enumeration gives. At power-on no bridge has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from virtlab.backends import LinkEnd, Screen, Speaker, Storage
from virtlab.clock import Clock
from virtlab.devices.ata import ACCESS_TIME, IdeFunction
from virtlab.devices.display import BochsDisplayFunction
from virtlab.devices.e1000 import E1000Function
from virtlab.devices.edu import EduFunction
from virtlab.devices.es1370 import Es1370Function
from virtlab.interrupts import IrqLine
from virtlab.memory import Dma
from virtlab.pci.bridge import PciBridge
from virtlab.pci.bus import Bus
from virtlab.pci.chipset import HostBridge, IsaBridge
from virtlab.pci.express import PciePciBridge, RootPort, Switch, make_express
from virtlab.pci.root import RootComplex
from virtlab.trace import Trace

Topology = Literal["conventional", "express"]
"""How a board's cards are plugged in."""

PORT_WINDOWS = ((0x1000, 0xF000),)
MEMORY_WINDOWS = ((0xC000_0000, 0x3E00_0000), (0x8_0000_0000, 0x8_0000_0000))
"""Addresses that the board keeps for PCI: `(base, length)`. Firmware hands them out."""

ECAM = 0xB000_0000
"""Where firmware puts ECAM."""


class Cards:
    """The functions on the buses of one PC. `root` is the root complex.

    `memory` is what each source id reaches; `lines` are the ISA interrupts that PCI may use;
    `ide_irqs` are IRQ 14 and 15. The disk, the wire, the speaker and the monitor are what the
    cards serve. With `timed`, the disk takes its time.
    """

    def __init__(
        self,
        clock: Clock,
        trace: Trace,
        memory: Callable[[int], Dma],
        lines: Mapping[int, IrqLine],
        ide_irqs: tuple[IrqLine, IrqLine],
        disk: Storage,
        wire: LinkEnd,
        speaker: Speaker,
        monitor: Screen,
        timed: bool = False,
    ) -> None:
        self.isa = IsaBridge(lines)
        self.root = RootComplex(trace, memory, intx=self.isa.set_intx)
        self.host = HostBridge(self.root)
        self.display = BochsDisplayFunction(screen=monitor)
        self.edu, self.edu2 = EduFunction(clock), EduFunction(clock, "edu, second")
        self.e1000 = E1000Function(clock, wire)
        self.es1370 = Es1370Function(clock, speaker)
        latency = ACCESS_TIME if timed else 0
        self.ide = IdeFunction(ide_irqs, [disk], clock=clock, latency=latency)

    def plug(self, topology: Topology) -> None:
        """Plug everything in."""
        bus = self.root.bus
        bus.plug(self.host, 0x00)
        bus.plug(self.isa, 0x1F)
        bus.plug(self.ide, 0x1F, 1)
        if topology == "conventional":
            self._plug_conventional(bus)
        else:
            self._plug_express(bus)

    def _plug_conventional(self, bus: Bus) -> None:
        """Buses of shared wires: a bridge, and a bridge behind it."""
        bus.kind = "conventional"
        bus.plug(self.display, 0x02)
        bus.plug(self.edu, 0x03)
        bus.plug(self.e1000, 0x04)
        outer, inner = PciBridge("PCI-PCI bridge"), PciBridge("PCI-PCI bridge, inner")
        bus.plug(outer, 0x05)
        outer.below.plug(self.es1370, 0x00)
        outer.below.plug(inner, 0x01)
        inner.below.plug(self.edu2, 0x00)

    def _plug_express(self, bus: Bus) -> None:
        """The same cards, point to point: a root port with a switch, and one with a bridge."""
        switch, old = Switch(2), PciePciBridge()
        first, second = RootPort("root port 1", slot=1), RootPort("root port 2", slot=2)
        bus.plug(make_express(self.display, "root complex integrated endpoint"), 0x01)
        bus.plug(first, 0x02, 0)
        bus.plug(second, 0x02, 1)
        first.below.plug(switch.upstream)
        switch.downstream[0].below.plug(make_express(self.edu))
        switch.downstream[1].below.plug(make_express(self.edu2))
        second.below.plug(old)
        old.below.plug(self.e1000, 0x00)
        old.below.plug(self.es1370, 0x01)
