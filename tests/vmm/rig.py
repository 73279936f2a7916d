"""A small host with two physical devices, and virtual machines on it."""

from dataclasses import dataclass, field

from virtlab.backends import Terminal
from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.devices.uart import Uart16550
from virtlab.hosts.python import BareCpu
from virtlab.memory import PAGE, GuestMemory
from virtlab.trace import Trace
from virtlab.vmm.frames import Frames
from virtlab.vmm.virtual_machine import VirtualMachine

MMIO = 0xFEC00000
"""Where the host has its registers; a VM may see them elsewhere."""

POOL, POOL_FRAMES = 0x40000, 128


class Latch:
    """A device of plain bytes: what was written is read. `log` has every access."""

    def __init__(self, length=2 * PAGE):
        self.bytes = bytearray(length)
        self.log = []

    def read(self, offset, size):
        self.log.append(("r", offset, size))
        return int.from_bytes(self.bytes[offset : offset + size], "little")

    def write(self, offset, size, value):
        self.log.append(("w", offset, size))
        self.bytes[offset : offset + size] = value.to_bytes(size, "little")


class Requests:
    """An interrupt controller with a queue of vectors."""

    def __init__(self, *vectors):
        self.vectors = list(vectors)

    @property
    def pending(self):
        return bool(self.vectors)

    def acknowledge(self):
        return self.vectors.pop(0)


@dataclass
class Host:
    """RAM, a UART at COM1, a latch at `MMIO`."""

    clock: Clock = field(default_factory=Clock)
    ram: GuestMemory = field(default_factory=lambda: GuestMemory(1 << 20))
    terminal: Terminal = field(default_factory=Terminal)
    latch: Latch = field(default_factory=Latch)

    def __post_init__(self):
        self.trace = Trace(self.clock)
        self.ports = AddressSpace("port", 16, self.trace, ("in", "out"), max_size=4)
        self.memory = AddressSpace("memory", 52, self.trace)
        self.memory.map_ram(self.ram)
        self.memory.map(MMIO, 2 * PAGE, self.latch, "latch", width=4)
        self.ports.map(0x3F8, 8, Uart16550(terminal=self.terminal), "uart")
        self.cpu = BareCpu(self.ports, self.memory, self.clock)
        self.frames = Frames(self.ram, POOL, POOL_FRAMES)


def vm_on(host, **options):
    """A VM with a UART and a latch of its own: `(vm, terminal, latch)`."""
    vm = VirtualMachine(host, host.frames, 8 * PAGE, **options)
    terminal, latch = Terminal(), Latch()
    vm.ports.map(0x3F8, 8, Uart16550(terminal=terminal), "virtual uart")
    vm.memory.map(MMIO, 2 * PAGE, latch, "virtual latch", width=4)
    return vm, terminal, latch
