"""One virtual machine on a host: its RAM, its tables, its spaces, its vCPU and its VMM.

      guest      inp out load store read write wait
                     |  open, mapped: direct            |  the rest: an exit
      host      ports, memory: physical devices     VMM -> virtual ports, memory: virtual devices

The idea: a host has physical devices and a VM has virtual ones, and the VM's RAM lies in frames
of the host's RAM, scattered, so that a guest-physical address says nothing of where the bytes are.

The rule that keeps it simple: this file only wires. Nothing is open and nothing but RAM is mapped
until somebody says so: map a virtual device into `ports` or `memory`, or assign a physical one with
`assign_ports` or `assign_memory`.

The virtual memory space has the RAM too. So RAM whose table entry was taken away still works: each
access exits, and the VMM makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, Protocol

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.errors import DmaFault
from virtlab.interrupts import InterruptController
from virtlab.memory import PAGE, Bytes, GuestMemory, InPieces
from virtlab.trace import Trace
from virtlab.vmm.ept import Ept
from virtlab.vmm.frames import Frames
from virtlab.vmm.io_bitmap import IoBitmap
from virtlab.vmm.shadow import ShadowPageTable
from virtlab.vmm.vcpu import VirtualCpu
from virtlab.vmm.vmm import Vmm


class Host(Protocol):
    """What a VM needs of the machine below it."""

    clock: Clock
    trace: Trace
    ports: AddressSpace
    memory: AddressSpace


class ScatteredRam:
    """A VM's RAM: guest-physical pages, each in some frame of the host's RAM. A `Dma`.

    `frames` are host-physical addresses, `regions` are pairs `(gpa, bytes)` of whole pages. As a
    `Device` it is mapped at gpa 0 and up, region by region, with `Window`.
    """

    def __init__(
        self, memory: GuestMemory, frames: Iterable[int], regions: Iterable[tuple[int, int]]
    ) -> None:
        self.memory = memory
        self.regions = tuple(sorted(regions))
        pages = (gpa for start, size in self.regions for gpa in range(start, start + size, PAGE))
        self.frames = dict(zip(pages, frames, strict=True))

    def hpa(self, gpa: int) -> int:
        """Where the byte at `gpa` lies in the host; `DmaFault` if the VM has no RAM there."""
        frame = self.frames.get(gpa & -PAGE)
        if frame is None:
            raise DmaFault("no memory there", gpa, 1)
        return frame + gpa % PAGE

    def parts(self, gpa: int, length: int) -> Iterator[tuple[int, int]]:
        """The `(hpa, bytes)` of each page that `length` bytes at `gpa` touch, in order."""
        return ((self.hpa(at), n) for at, n in _by_page(gpa, length))

    def read(self, gpa: int, length: int) -> bytes:
        """A copy of `length` bytes at `gpa`, gathered from the frames."""
        return b"".join(self.memory.read(self.hpa(at), n) for at, n in _by_page(gpa, length))

    def write(self, gpa: int, data: bytes) -> None:
        """Put `data` at `gpa`, spread over the frames."""
        for at, n in _by_page(gpa, len(data)):
            self.memory.write(self.hpa(at), data[at - gpa : at - gpa + n])

    def view(self, gpa: int, length: int, write: bool = False) -> Bytes:
        """The bytes themselves, where they lie in one piece; else `InPieces`."""
        hpa = self.hpa(gpa)
        for at, _ in _by_page(gpa, length):
            if self.hpa(at) != hpa + at - gpa:
                raise InPieces("the frames are not next to each other", gpa, length)
        return self.memory.view(hpa, length, write)


class Window:
    """A region of `ScatteredRam` as a device of the virtual memory space."""

    def __init__(self, ram: ScatteredRam, start: int) -> None:
        self.ram = ram
        self.start = start

    def read(self, offset: int, size: int) -> int:
        """A load that the VMM makes for the guest."""
        return int.from_bytes(self.ram.read(self.start + offset, size), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """A store that the VMM makes for the guest."""
        self.ram.write(self.start + offset, value.to_bytes(size, "little"))


class VirtualMachine:
    """A VM on `host`, made of frames from the pool `frames`.

    `ram` is a size in bytes, or pairs `(gpa, bytes)`, whole pages. `paging` chooses how memory is
    intercepted, `"ept"` or `"shadow"`; `tables` is that object. `controller` is the virtual
    interrupt controller. `seed` decides which frames the RAM gets. Events go to `trace`, by default
    the host's, so that one timeline shows both.
    """

    def __init__(
        self,
        host: Host,
        frames: Frames,
        ram: int | Iterable[tuple[int, int]] = 64 * PAGE,
        *,
        paging: Literal["ept", "shadow"] = "ept",
        controller: InterruptController | None = None,
        name: str = "vm",
        seed: int = 1,
        trace: Trace | None = None,
        exit_cost: int | None = None,
    ) -> None:
        self.host = host
        self.name = name
        self.clock = host.clock
        self.trace = host.trace if trace is None else trace
        self.controller = controller
        self.ports = AddressSpace("port", 16, self.trace, ("in", "out"), max_size=4)
        self.memory = AddressSpace("memory", host.memory.bits, self.trace)
        self.io_bitmap = IoBitmap()
        self.tables: Ept | ShadowPageTable
        self.tables = Ept(frames) if paging == "ept" else ShadowPageTable(frames)
        self.ram = self._take_ram(frames, [(0, ram)] if isinstance(ram, int) else list(ram), seed)
        self.vmm = Vmm(self.ports, self.memory, self.clock, self.trace, controller, name, exit_cost)
        self.cpu = VirtualCpu(host.ports, host.memory, self.io_bitmap, self.tables, self.vmm)

    def _take_ram(self, frames: Frames, regions: list[tuple[int, int]], seed: int) -> ScatteredRam:
        """Scatter the RAM, map each page to its frame, and show it to the VMM."""
        for start, size in regions:
            self.tables.check_pages(start, size)
        count = sum(size for _, size in regions) // PAGE
        ram = ScatteredRam(frames.memory, frames.scatter(count, seed), regions)
        for gpa, hpa in ram.frames.items():
            self.tables.map(gpa, hpa, PAGE)
        for start, size in ram.regions:
            self.memory.map(start, size, Window(ram, start), "vram", width=8)
        return ram

    # -- direct assignment: the guest reaches hardware, and nothing exits

    def assign_ports(self, port: int, count: int) -> None:
        """Give the guest `count` of the host's ports."""
        self.io_bitmap.open(port, count)

    def withdraw_ports(self, port: int, count: int) -> None:
        """Take them back: accesses exit to the virtual devices again."""
        self.io_bitmap.trap(port, count)

    def assign_memory(self, gpa: int, hpa: int, length: int) -> None:
        """Let the guest reach the host's `length` bytes at `hpa`, a device, by `gpa`."""
        self.tables.map_device(gpa, hpa, length)

    def withdraw_memory(self, gpa: int, length: int) -> None:
        """Take pages back: accesses exit to the virtual devices again."""
        self.tables.unmap(gpa, length)


def _by_page(gpa: int, length: int) -> Iterator[tuple[int, int]]:
    """The `(gpa, bytes)` of each page that `length` bytes at `gpa` touch."""
    end = gpa + length
    while gpa < end:
        n = min(end - gpa, PAGE - gpa % PAGE)
        yield gpa, n
        gpa += n
