"""The lesson PC, and a virtual machine on it: everything wired by explicit calls.

    port      what                              memory                  what
    0x000     first 8237A, 16 ports             0x0000_0000  640 KiB    RAM
    0x020     master 8259A, 2 ports             0x000B_8000   32 KiB    text screen
    0x060     8042 data                         0x000F_0000   64 KiB    ROM
    0x064     8042 command and status           0x0010_0000   15 MiB    RAM
    0x070     real-time clock, 2 ports          0xC000_0000  992 MiB    PCI memory
    0x080     DMA pages, 16 ports               0xFE03_4000   32 bytes  second UART, spaced
    0x092     port 92h: A20 gate, reset         0xFED0_0000    1 KiB    HPET
    0x0A0     slave 8259A, 2 ports              0xFFFF_0000   64 KiB    the ROM again
    0x0C0     second 8237A, 32 ports            0x8_0000_0000 32 GiB    PCI memory above 4 GiB
    0x170     second IDE channel, 8 ports
    0x1F0     first IDE channel, 8 ports
    0x376     second IDE channel, control
    0x3F6     first IDE channel, control
    0x3F8     first UART, 8 ports
    0x4D0     edge or level, 2 ports
    0xCF8     PCI configuration, 8 ports
    0x1000    PCI ports, 60 KiB

What is on the PCI buses behind these windows, `cards` says. ECAM appears where firmware puts it.

The idea: `PcDevices` is one set of a PC's devices. The board has one, and they are physical. A VM
has another, of the same classes, and they are virtual. Nothing but the wiring differs.

The second UART stands in memory, a register every four bytes, where Intel's chip sets put theirs
(LPSS UART2 in its legacy mode). It does the first one's work without a single port.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Literal

from virtlab.backends import SECTOR, Disk, Keyboard, Link, Mouse, Screen, Speaker, Terminal
from virtlab.bus import AddressSpace
from virtlab.cards import MEMORY_WINDOWS, PORT_WINDOWS, Cards, Topology
from virtlab.clock import COSTS, Clock
from virtlab.devices.ata import CONTROL_REGISTERS as ATA_CONTROL_REGISTERS
from virtlab.devices.ata import REGISTERS as ATA_REGISTERS
from virtlab.devices.ata.registers import COMMAND_BLOCK, CONTROL_BLOCK
from virtlab.devices.dma8237 import DmaPair
from virtlab.devices.hpet import BASE, Hpet
from virtlab.devices.i8042 import I8042, Port92, Ps2Keyboard, Ps2Mouse
from virtlab.devices.pic import PicPair
from virtlab.devices.rtc import Mc146818
from virtlab.devices.text_screen import LENGTH as SCREEN_LENGTH
from virtlab.devices.text_screen import TextScreen
from virtlab.devices.uart import REGISTERS as UART_REGISTERS
from virtlab.devices.uart import Spaced, Uart16550
from virtlab.firmware import rom
from virtlab.guest.ata import PRIMARY, SECONDARY
from virtlab.guest.pic import MASTER, SLAVE
from virtlab.guest.probe import TEXT_SCREEN as TEXT_SCREEN
from virtlab.guest.ps2 import COMMAND, DATA
from virtlab.guest.rtc import RTC as RTC
from virtlab.guest.uart import COM1
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import IrqLine, wired_or
from virtlab.memory import PAGE, Dma, GuestMemory
from virtlab.pci.chipset import ISA_IRQS
from virtlab.trace import Trace
from virtlab.vmm.frames import Frames
from virtlab.vmm.virtual_machine import VirtualMachine

# A board puts its devices where the drivers of a PC look for them.
PIC_MASTER, PIC_SLAVE, ELCR = MASTER, SLAVE, 0x4D0
I8042_DATA, I8042_COMMAND, PORT92 = DATA, COMMAND, 0x92
UART, UART_PORTS, UART_IRQ = COM1, 8, 4

HIGH_RAM = 0x100000
UART2, UART2_SHIFT, UART2_IRQ = 0xFE034000, 2, 3
HPET = BASE
RTC_IRQ = 8
RTC_START = datetime(2026, 1, 1)
"""When the lesson PC is switched on."""
DMA_FIRST, DMA_PAGES, DMA_SECOND = 0x00, 0x80, 0xC0

DISK_SECTORS = 4096
"""Two mebibytes."""

PORT_BITS, MEMORY_BITS = 16, 52
RAM = ((0, 0xA0000), (HIGH_RAM, 15 << 20))
VM_RAM = ((0, 0xA0000), (HIGH_RAM, 64 * PAGE))
VM_FRAMES, VM_FRAME_COUNT = 0x400000, 2048
"""The part of the board's RAM that VMs are made of."""


PORT_REGISTERS = {
    UART: UART_REGISTERS,
    **{channel.command: ATA_REGISTERS for channel in (PRIMARY, SECONDARY)},
    **{channel.control: ATA_CONTROL_REGISTERS for channel in (PRIMARY, SECONDARY)},
}
"""The registers declared in the port space, by base: what a picture needs to name an access."""

MEMORY_REGISTERS = {
    HPET: Hpet.registers,
    **{
        UART2 + (offset << UART2_SHIFT) - offset: [r for r in UART_REGISTERS if r.offset == offset]
        for offset in range(UART_PORTS)
    },
}
"""The same for the memory space. The spaced UART has a base for each of its registers."""


class PcDevices:
    """One set of a PC's devices, with their interrupt lines on one pair of 8259As.

    `uart` prints to `terminal`, `uart2` to `terminal2`; `keyboard` and `mouse` are the hands of
    whoever sits there. `cards` are those on the PCI buses: the IDE controller has `disk`, the
    network card one end of `cable`, the sound card `speaker`, the display `monitor`. `cpu_reset`
    goes high when a guest pulls the processor's reset. The 8042 and port 92h open the A20 gate
    together: either is enough. The 8259As keep an edge that falls before it is acknowledged, as
    KVM's and QEMU's do; a chip of 1981 would not.
    """

    def __init__(
        self,
        clock: Clock,
        trace: Trace,
        ram: Dma,
        timed: bool = False,
        pci: Topology = "conventional",
    ) -> None:
        self.clock = clock
        self.trace = trace
        self.cpu_reset = IrqLine("reset")
        self.a20 = IrqLine("a20")
        self.pic = PicPair(latched=True)
        isa, shared = self._share_lines()
        self.terminal, self.terminal2 = Terminal(), Terminal()
        self.uart = Uart16550(isa[UART_IRQ], self.terminal, clock, timed=timed)
        self.uart2 = Uart16550(isa[UART2_IRQ], self.terminal2, clock)
        self.keyboard, self.mouse = Keyboard(), Mouse()
        gates = wired_or(self.a20, 2)
        self.i8042 = I8042(
            Ps2Keyboard(self.keyboard, clock),
            Ps2Mouse(self.mouse),
            self.pic.line(1),
            isa[12],
            gates[0],
            self.cpu_reset,
        )
        self.port92 = Port92(gates[1], self.cpu_reset)
        alarm = wired_or(self.pic.line(RTC_IRQ), 2)
        self.rtc = Mc146818(alarm[0], clock, RTC_START)
        self.hpet = Hpet(clock, {11: isa[11]}, (self.pic.line(0), alarm[1]))
        self.dma8237 = DmaPair(ram)
        self.screen = TextScreen()
        self.rom = rom()
        self.disk, self.cable = Disk.of(_disk_image()), Link("cable")
        self.speaker, self.monitor = Speaker(), Screen()
        self.cards = Cards(
            clock,
            trace,
            lambda source: ram,
            shared,
            (isa[PRIMARY.irq], isa[SECONDARY.irq]),
            self.disk,
            self.cable.a,
            self.speaker,
            self.monitor,
            timed,
        )
        self.cards.plug(pci)

    def _share_lines(self) -> tuple[dict[int, IrqLine], dict[int, IrqLine]]:
        """Each interrupt that PCI may use, as two wires: one for an ISA device, one for PCI."""
        pairs = {irq: wired_or(self.pic.line(irq), 2) for irq in ISA_IRQS}
        isa = {irq: wires[0] for irq, wires in pairs.items()}
        return isa, {irq: wires[1] for irq, wires in pairs.items()}

    def map_into(self, ports: AddressSpace, memory: AddressSpace) -> None:
        """Let the devices answer where a PC has them."""
        ports.map(DMA_FIRST, 16, self.dma8237.first, "8237A first")
        ports.map(DMA_PAGES, 16, self.dma8237.pages, "DMA pages")
        ports.map(DMA_SECOND, 32, self.dma8237.second, "8237A second")
        ports.map(RTC, 2, self.rtc, "rtc")
        self.cards.root.connect(ports, memory, PORT_WINDOWS, MEMORY_WINDOWS)
        for where, channel in zip((PRIMARY, SECONDARY), self.cards.ide.channels, strict=True):
            ports.map(
                where.command, COMMAND_BLOCK, channel.commands, f"ide {where.number}", width=4
            )
            ports.map(where.control, CONTROL_BLOCK, channel.control, f"ide {where.number} control")
        ports.map(PIC_MASTER, 2, self.pic.master, "pic master")
        ports.map(I8042_DATA, 1, self.i8042.data_port, "i8042 data")
        ports.map(I8042_COMMAND, 1, self.i8042.command_port, "i8042 command")
        ports.map(PORT92, 1, self.port92, "port 92h")
        ports.map(PIC_SLAVE, 2, self.pic.slave, "pic slave")
        ports.map(UART, UART_PORTS, self.uart, "uart")
        ports.map(ELCR, 2, self.pic.elcr, "elcr")
        memory.map(TEXT_SCREEN, SCREEN_LENGTH, self.screen, "text screen", width=4)
        memory.map_ram(self.rom, "rom", writable=False)
        spaced = Spaced(self.uart2, UART2_SHIFT)
        memory.map(UART2, UART_PORTS << UART2_SHIFT, spaced, "uart2", width=4)
        memory.map(HPET, Hpet.length, self.hpet, "hpet", width=8)


class Pc(PcDevices):
    """A board: the devices, RAM, two buses, and a processor with nothing in between.

    With `timed`, a character of the first UART takes its time on the wire, the disk the time of its
    medium, and an access to a port that of the ISA bus. Without, all three are immediate.
    """

    def __init__(self, timed: bool = False, pci: Topology = "conventional") -> None:
        clock, self.ram = Clock(), GuestMemory(RAM)
        super().__init__(clock, Trace(clock), self.ram, timed, pci)
        self.ports = AddressSpace("port", PORT_BITS, self.trace, ("in", "out"), max_size=4)
        self.memory = AddressSpace("memory", MEMORY_BITS, self.trace)
        self.memory.map_ram(self.ram)
        self.map_into(self.ports, self.memory)
        self.cpu = BareCpu(self.ports, self.memory, self.clock, self.pic)
        self.cpu.port_time = round(COSTS["isa_cycle"].ns) if timed else 0
        self.frames = Frames(self.ram, VM_FRAMES, VM_FRAME_COUNT)


class PcVm(PcDevices):
    """A virtual machine on `host`: virtual devices of its own, and a vCPU that may exit.

    At first every port traps, and only RAM is mapped. `vm.assign_ports` and `vm.assign_memory` give
    it the host's hardware. `paging` is how memory is intercepted, `name` what a trace calls the VM.
    """

    def __init__(
        self,
        host: Pc,
        paging: Literal["ept", "shadow"] = "ept",
        pci: Topology = "conventional",
        name: str = "vm",
    ) -> None:
        self.host = host
        self.vm = VirtualMachine(host, host.frames, VM_RAM, paging=paging, name=name)
        super().__init__(host.clock, host.trace, self.vm.ram, pci=pci)
        self.vm.vmm.controller = self.pic
        self.map_into(self.vm.ports, self.vm.memory)
        self.cpu = self.vm.cpu

    @property
    def exits(self) -> int:
        """How often the guest has exited to the VMM."""
        return self.vm.vmm.exits.total()


def lesson_pc(timed: bool = False, pci: Topology = "conventional") -> Pc:
    """The PC of the lessons, powered on. `pci` says how its cards are plugged in."""
    return Pc(timed, pci)


def lesson_vm(
    host: Pc | None = None,
    paging: Literal["ept", "shadow"] = "ept",
    pci: Topology = "conventional",
    name: str = "vm",
) -> PcVm:
    """A virtual machine on `host`, or on a new lesson PC."""
    return PcVm(host or lesson_pc(), paging, pci, name)


@cache
def _disk_image() -> bytes:
    """Sectors that say their own number, so that a reader sees what came from where."""
    lines = (f"This is sector {number}. ".encode() for number in range(DISK_SECTORS))
    return b"".join((line * SECTOR)[:SECTOR] for line in lines)
