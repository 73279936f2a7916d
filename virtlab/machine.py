"""The lesson PC, and a virtual machine on it: everything wired by explicit calls.

    port      what                              memory                  what
    0x020     master 8259A, 2 ports             0x0000_0000  640 KiB    RAM
    0x060     8042 data                         0x000B_8000   32 KiB    text screen
    0x064     8042 command and status           0x000F_0000   64 KiB    ROM
    0x092     port 92h: A20 gate, reset         0x0010_0000   15 MiB    RAM
    0x0A0     slave 8259A, 2 ports              0xFE03_4000   32 bytes  second UART, spaced
    0x3F8     first UART, 8 ports               0xFED0_0000    1 KiB    HPET
    0x4D0     edge or level, 2 ports            0xFFFF_0000   64 KiB    the ROM again

The idea: `PcDevices` is one set of a PC's devices. The board has one, and they are physical. A VM
has another, of the same classes, and they are virtual. Nothing but the wiring differs.

The second UART stands in memory, a register every four bytes, where Intel's chip sets put theirs
(LPSS UART2 in its legacy mode). It does the first one's work without a single port.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from virtlab.backends import Keyboard, Mouse, Terminal
from virtlab.bus import AddressSpace
from virtlab.clock import COSTS, Clock
from virtlab.devices.hpet import BASE, Hpet
from virtlab.devices.i8042 import I8042, Port92, Ps2Keyboard, Ps2Mouse
from virtlab.devices.pic import PicPair
from virtlab.devices.text_screen import LENGTH as SCREEN_LENGTH
from virtlab.devices.text_screen import TextScreen
from virtlab.devices.uart import REGISTERS as UART_REGISTERS
from virtlab.devices.uart import Spaced, Uart16550
from virtlab.guest.pic import MASTER, SLAVE
from virtlab.guest.ps2 import COMMAND, DATA
from virtlab.guest.uart import COM1
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import IrqLine, wired_or
from virtlab.memory import PAGE, GuestMemory
from virtlab.trace import Trace
from virtlab.vmm.frames import Frames
from virtlab.vmm.virtual_machine import VirtualMachine

# A board puts its devices where the drivers of a PC look for them.
PIC_MASTER, PIC_SLAVE, ELCR = MASTER, SLAVE, 0x4D0
I8042_DATA, I8042_COMMAND, PORT92 = DATA, COMMAND, 0x92
UART, UART_PORTS, UART_IRQ = COM1, 8, 4

TEXT_SCREEN, ROM, RESET_ROM, ROM_SIZE = 0xB8000, 0xF0000, 0xFFFF0000, 0x10000
HIGH_RAM = 0x100000
UART2, UART2_SHIFT, UART2_IRQ = 0xFE034000, 2, 3
HPET = BASE

PORT_BITS, MEMORY_BITS = 16, 52
RAM = ((0, 0xA0000), (HIGH_RAM, 15 << 20))
VM_RAM = ((0, 0xA0000), (HIGH_RAM, 64 * PAGE))
VM_FRAMES, VM_FRAME_COUNT = 0x400000, 2048
"""The part of the board's RAM that VMs are made of."""


PORT_REGISTERS = {UART: UART_REGISTERS}
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
    whoever sits there. `cpu_reset` goes high when a guest pulls the processor's reset. The 8042 and
    port 92h open the A20 gate together: either is enough. The 8259As keep an edge that falls before
    it is acknowledged, as KVM's and QEMU's do; a chip of 1981 would not.
    """

    def __init__(self, clock: Clock, timed: bool = False) -> None:
        self.clock = clock
        self.cpu_reset = IrqLine("reset")
        self.a20 = IrqLine("a20")
        self.pic = PicPair(latched=True)
        self.terminal, self.terminal2 = Terminal(), Terminal()
        self.uart = Uart16550(self.pic.line(UART_IRQ), self.terminal, clock, timed=timed)
        self.uart2 = Uart16550(self.pic.line(UART2_IRQ), self.terminal2, clock)
        self.keyboard, self.mouse = Keyboard(), Mouse()
        gates = wired_or(self.a20, 2)
        self.i8042 = I8042(
            Ps2Keyboard(self.keyboard, clock),
            Ps2Mouse(self.mouse),
            self.pic.line(1),
            self.pic.line(12),
            gates[0],
            self.cpu_reset,
        )
        self.port92 = Port92(gates[1], self.cpu_reset)
        self.hpet = Hpet(clock, {11: self.pic.line(11)}, (self.pic.line(0), self.pic.line(8)))
        self.screen = TextScreen()
        self.rom = _rom()

    def map_into(self, ports: AddressSpace, memory: AddressSpace) -> None:
        """Let the devices answer where a PC has them."""
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

    With `timed`, a character of the first UART takes its time on the wire, and an access to a port
    the time that it takes on the ISA bus. Without, both are immediate.
    """

    def __init__(self, timed: bool = False) -> None:
        super().__init__(Clock(), timed)
        self.trace = Trace(self.clock)
        self.ports = AddressSpace("port", PORT_BITS, self.trace, ("in", "out"), max_size=4)
        self.memory = AddressSpace("memory", MEMORY_BITS, self.trace)
        self.ram = GuestMemory(RAM)
        self.memory.map_ram(self.ram)
        self.map_into(self.ports, self.memory)
        self.cpu = BareCpu(self.ports, self.memory, self.clock, self.pic)
        self.cpu.port_time = round(COSTS["isa_cycle"].ns) if timed else 0
        self.frames = Frames(self.ram, VM_FRAMES, VM_FRAME_COUNT)


class PcVm(PcDevices):
    """A virtual machine on `host`: virtual devices of its own, and a vCPU that may exit.

    At first every port traps, and only RAM is mapped. `vm.assign_ports` and `vm.assign_memory` give
    it the host's hardware. `paging` is how memory is intercepted.
    """

    def __init__(self, host: Pc, paging: Literal["ept", "shadow"] = "ept") -> None:
        super().__init__(host.clock)
        self.host = host
        self.trace = host.trace
        self.vm = VirtualMachine(host, host.frames, VM_RAM, paging=paging, controller=self.pic)
        self.map_into(self.vm.ports, self.vm.memory)
        self.cpu = self.vm.cpu

    @property
    def exits(self) -> int:
        """How often the guest has exited to the VMM."""
        return self.vm.vmm.exits.total()


def lesson_pc(timed: bool = False) -> Pc:
    """The PC of the lessons, powered on."""
    return Pc(timed)


def lesson_vm(host: Pc | None = None, paging: Literal["ept", "shadow"] = "ept") -> PcVm:
    """A virtual machine on `host`, or on a new lesson PC."""
    return PcVm(host or lesson_pc(), paging)


def _rom() -> GuestMemory:
    """64 KiB that say who they are, with `cli; hlt; jmp $-1` where an x86 starts; mapped twice."""
    once = np.full(ROM_SIZE, 0xFF, np.uint8)
    once[:11] = np.frombuffer(b"virtlab ROM", np.uint8)
    once[-16:-12] = np.frombuffer(b"\xfa\xf4\xeb\xfd", np.uint8)
    return GuestMemory([(ROM, ROM_SIZE), (RESET_ROM, ROM_SIZE)], np.concatenate([once, once]))
