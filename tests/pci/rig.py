"""A machine with nothing but PCI: a root complex, memory, a Cpu; and topologies to plug in."""

from __future__ import annotations

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory
from virtlab.pci.bridge import PciBridge
from virtlab.pci.chipset import ISA_IRQS, HostBridge, IsaBridge
from virtlab.pci.express import PciePciBridge, RootPort, Switch, make_express
from virtlab.pci.function import Function, Identity
from virtlab.pci.root import RootComplex
from virtlab.registers import Reg, RegisterFile
from virtlab.trace import Trace
from virtlab.wire import all_ones

RAM = 1 << 20


class Scratch(RegisterFile):
    """Two registers that keep what is written."""

    length = 0x1000
    FIRST = Reg(0x00, 4, rw=all_ones(4))
    SECOND = Reg(0x04, 4, rw=all_ones(4))


class Card(Function):
    """A function with `size` bytes of memory and, if asked, ports; scratch registers behind."""

    def __init__(
        self, name="card", device=0x1234, size=0x1000, ports=0, pin=1, bits=32, ahead=False
    ):
        super().__init__(Identity(0x1AF4, device, 0xFF0000), name=name, pin=pin)
        self.scratch = Scratch()
        if size:
            self.memory_bar(0, self.scratch, size, bits=bits, prefetchable=ahead)
        if ports:
            self.port_bar(2, self.scratch, ports)


class Rig:
    """`root` in two spaces, `ram` bytes of RAM from 0, and a Cpu."""

    def __init__(self, ram=RAM):
        self.trace = Trace()
        self.ram = GuestMemory(ram)
        self.ports = AddressSpace("port", 16, self.trace, ("in", "out"), max_size=4)
        self.memory = AddressSpace("memory", 52, self.trace)
        self.memory.map_ram(self.ram)
        self.lines = {irq: IrqLine(f"irq {irq}") for irq in ISA_IRQS}
        self.messages = []
        self.isa = IsaBridge(self.lines)
        self.root = RootComplex(
            self.trace,
            lambda source: self.ram,
            lambda source, message: self.messages.append((source, message)),
            self.isa.set_intx,
        )
        self.root.connect(
            self.ports,
            self.memory,
            ((0x1000, 0xF000),),
            ((0xC000_0000, 0x3E00_0000), (0x8_0000_0000, 0x8_0000_0000)),
        )
        self.bus = self.root.bus
        self.bus.plug(HostBridge(self.root), 0)
        self.bus.plug(self.isa, 0x1F)
        self.cpu = BareCpu(self.ports, self.memory, Clock())

    def plug_everything(self):
        """Root ports, a switch, a PCIe-PCI bridge, a PCI-PCI bridge, and cards behind each."""
        self.ports_ = [RootPort(f"root port {n}", slot=n + 1) for n in range(3)]
        for number, port in enumerate(self.ports_):
            self.bus.plug(port, 3, number)
        self.switch = Switch(2)
        self.ports_[0].below.plug(self.switch.upstream)
        self.left = make_express(Card("left", 0x0001, 0x1000))
        self.right = make_express(Card("right", 0x0002, 0x200000, bits=64, ahead=True))
        self.switch.downstream[0].below.plug(self.left)
        self.switch.downstream[1].below.plug(self.right)
        self.end = make_express(Card("end", 0x0003, 0x4000, ports=0x20))
        self.ports_[1].below.plug(self.end)
        self.to_pci = PciePciBridge()
        self.ports_[2].below.plug(self.to_pci)
        self.old = self.to_pci.below.plug(Card("old", 0x0004, 0x1000, ports=0x40), 1)
        self.deep = PciBridge()
        self.to_pci.below.plug(self.deep, 2)
        self.deepest = self.deep.below.plug(Card("deepest", 0x0005, 0x100, ports=8), 7)
        self.integrated = self.bus.plug(Card("integrated", 0x0006, 0x100000), 5)
        return self
