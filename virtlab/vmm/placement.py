"""Where a device model lives: inside the VMM, or in a process of its own.

    uart = placement.inside(vm, "uart", vm_pic.line(4))      a Device, mapped: the VMM calls it
    uart = placement.service(vm, "uart", vm_pic.line(4))     a Device, mapped: it sends a message

The idea: the device is the same object, built by the same function. `inside` builds it here.
`service` starts a process that builds it there, and maps something that forwards. The guest runs
the same driver in both, and sees the same registers, the same memory, the same interrupts.

                     guest --exit--> VMM [device]              2 world switches an access
                     guest --exit--> VMM --> [service]         4

The rule that keeps it simple: what is placed takes the place of whatever answers at its addresses,
and `close` puts that back. A placed device is a context manager.

DMA needs memory that a process can share: `share(board)` gives the board such memory, and every VM
made after that lives in it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from os import PathLike
from typing import Any, Protocol, Self

from virtlab.bus import AddressSpace, Device, Mapping
from virtlab.interrupts import InterruptController, IrqLine
from virtlab.memory import PAGE
from virtlab.vmm.frames import Frames
from virtlab.vmm.service.models import DeviceKind, Part, build, kind_of
from virtlab.vmm.service.remote import DeviceService, RemoteChip
from virtlab.vmm.service.shared import CountedDma, DiskFile, SharedMemory
from virtlab.vmm.virtual_machine import VirtualMachine

SHARED, SHARED_BYTES = 0x1000_0000, 8 << 20
"""Where a board gets its shareable memory (hpa), and how much."""


class Board(Protocol):
    """A host whose VMs are made of `frames`."""

    memory: AddressSpace
    frames: Frames


def share(board: Board, size: int = SHARED_BYTES, start: int = SHARED) -> SharedMemory:
    """Give `board` memory that other processes can map. VMs made from now on live in it.

    `size` bytes at host-physical `start`; `ValueError` where something else is there. A service
    maps all of it, and with it the RAM of every VM in there.
    """
    memory = SharedMemory(start, size)
    board.memory.map_ram(memory, "shared ram")
    board.frames = Frames(memory, start, size // PAGE)
    return memory


class Wired:
    """Devices in the place of those that answered there before, until `undo`.

    `chip` becomes the VM's interrupt controller, if there is one.
    """

    def __init__(
        self,
        vm: VirtualMachine,
        parts: Sequence[Part],
        devices: Sequence[Device],
        chip: InterruptController | None = None,
    ) -> None:
        self._vm = vm
        self._chip = chip
        self._controller = vm.vmm.controller
        if chip is not None:
            vm.vmm.controller = chip
        self._maps: list[tuple[AddressSpace, Mapping, list[Mapping]]] = []
        for part, device in zip(parts, devices, strict=True):
            space = vm.ports if part.space == "port" else vm.memory
            self._maps.append(_take_over(space, part, device))

    def undo(self) -> None:
        """Put everything back. Doing it twice does nothing.

        `ValueError` if something was placed over it that is still there.
        """
        while self._maps:
            space, mapping, displaced = self._maps[-1]
            if space.find(mapping.base) != mapping:
                raise ValueError(f"{mapping.name}: what was placed over it must be closed first")
            space.unmap(mapping)
            for each in displaced:
                space.map(each.base, each.length, each.device, each.name, each.width)
            self._maps.pop()
        if self._chip is not None and self._vm.vmm.controller is self._chip:
            self._vm.vmm.controller = self._controller


class Inside:
    """The device `name` inside the VMM of `vm`. `chip` is the controller, if it has one.

    `devices` has a `Device` for each of its parts.
    """

    def __init__(
        self, vm: VirtualMachine, name: str, line: IrqLine, disk: DiskFile | None = None
    ) -> None:
        self.name, self.kind, self.disk = name, kind_of(name), disk
        self.line = line
        tell = partial(_tell_dma, vm, name)
        wire = IrqLine(name, partial(_tell_line, vm, name, line))
        storage = None if disk is None else disk.disk
        model = build(name, wire, vm.clock, CountedDma(vm.ram, tell), storage)
        self.devices, self.chip, self._terminal = model.devices, model.chip, model.terminal
        self._wired = Wired(vm, self.kind.parts, model.devices, self.chip)

    def type(self, text: str | bytes) -> None:
        """Somebody types at the terminal behind the UART."""
        if self._terminal is not None:
            self._terminal.type(text)

    @property
    def printed(self) -> str:
        """What that terminal shows; nothing where there is none."""
        return self._terminal.text if self._terminal is not None else ""

    def close(self) -> None:
        """Put back what was there before, and let its line go. Closing twice does nothing."""
        self._wired.undo()
        self.line.set(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class Served(DeviceService):
    """The device `name` in a service, wired into `vm`. `chip` is the controller, if it has one."""

    def __init__(
        self,
        vm: VirtualMachine,
        name: str,
        line: IrqLine,
        disk: DiskFile | None = None,
        posted: Collection[tuple[int, int]] = (),
    ) -> None:
        memory = _memory_table(vm) if kind_of(name).dma else None
        super().__init__(name, vm.clock, vm.trace, line, memory, disk, posted)
        self.chip = RemoteChip(self) if self.kind.inputs else None
        self._wired = Wired(vm, self.kind.parts, self.devices, self.chip)

    def close(self) -> None:
        """End the process, and put back what was there before. Closing twice does nothing."""
        self._wired.undo()
        super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


Placed = Inside | Served


def inside(
    vm: VirtualMachine,
    name: str,
    line: IrqLine | None = None,
    disk: bytes | str | PathLike[str] | None = None,
) -> Inside:
    """Let the VMM of `vm` emulate device `name` itself.

    `line` is its interrupt line; `disk` an image, or the path of one, for a disk. `ValueError`
    names what there is for a kind that there is not.
    """
    return Inside(vm, name, line or IrqLine(name), _disk_for(kind_of(name), name, disk))


def service(
    vm: VirtualMachine,
    name: str,
    line: IrqLine | None = None,
    disk: bytes | str | PathLike[str] | None = None,
    posted: Collection[tuple[int, int]] = (),
) -> Served:
    """Let a process of its own emulate device `name`.

    The same arguments, and `posted`: doorbells, the writes that nobody waits for, as pairs of part
    and offset. `OSError` where no process can be started.
    """
    file = _disk_for(kind_of(name), name, disk)
    return Served(vm, name, line or IrqLine(name), file, posted)


# -- wiring


def _take_over(
    space: AddressSpace, part: Part, device: Device
) -> tuple[AddressSpace, Mapping, list[Mapping]]:
    """Map `device` where `part` says; what answered there before steps aside."""
    end = part.base + part.length
    displaced = [each for each in space.mappings if part.base < each.end and each.base < end]
    for each in displaced:
        space.unmap(each)
    mapping = space.map(part.base, part.length, device, part.name, part.width)
    return space, mapping, displaced


def _disk_for(
    kind: DeviceKind, name: str, image: bytes | str | PathLike[str] | None
) -> DiskFile | None:
    if kind.disk and image is None:
        raise ValueError(f"{name!r} needs a disk: an image as bytes, or the path of one")
    return DiskFile(image) if kind.disk and image is not None else None


def _memory_table(vm: VirtualMachine) -> dict[str, Any]:
    """The VM's RAM for another process: the file, and the frame that each page has in it."""
    memory = vm.ram.memory
    if not isinstance(memory, SharedMemory):
        raise ValueError("this VM's memory cannot be shared: call share(board) before you make it")
    region = memory.regions[0]
    return {
        "fd": memory.fd,
        "start": region.start,
        "size": region.size,
        "regions": vm.ram.regions,
        "frames": list(vm.ram.frames.values()),
    }


# -- what a device inside the VMM does, told in the same words as one that is served


def _tell_line(vm: VirtualMachine, name: str, line: IrqLine, level: bool) -> None:
    if level:
        vm.trace.emit("irq", name, note="a call")
    line.set(level)


def _tell_dma(vm: VirtualMachine, name: str, length: int, written: bool) -> None:
    kind = "dma write" if written else "dma read"
    vm.trace.emit(kind, name, size=length, note="the VMM's own access")
