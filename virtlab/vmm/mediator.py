"""A mediator: the guest programs a physical card, and the VMM reads along.

      guest --exit--> virtual card's BAR --> [ mediator ] --> physical card's BAR --> device
                                                 |
                                      translates, pins, unpins

The idea: the guest finds a *virtual* card by its virtual bus, with configuration space and an
address of its own. Behind the BAR stands no emulated device but a mediator, which passes registers
on to a *physical* card, and changes the one thing that a guest cannot know: addresses for DMA.

The rule that keeps it simple: registers that hold addresses never reach the card as the guest wrote
them, and the guest reads its own numbers back. It learns no host-physical address.

Sources: the lecture's "DMA remapping"; Linux's VFIO mediated devices
(Documentation/driver-api/vfio-mediated-device.rst) are this design in a product.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.bus import Device
from virtlab.errors import DmaFault
from virtlab.interrupts import IrqLine
from virtlab.pci.bars import Bar
from virtlab.pci.config import Header
from virtlab.pci.function import Function
from virtlab.vmm.dma_remap import Piece, SoftwareRemapper, Translator
from virtlab.vmm.forwarded import Forwarded
from virtlab.vmm.pinning import Pins
from virtlab.vmm.virtual_machine import VirtualMachine


def _find(function: Function, register: str) -> Bar:
    for bar in function.bars:
        if bar.register == register:
            return bar
    raise ValueError(f"{function} has no {register}")


def bar_of(vm: VirtualMachine, physical: Function, register: str) -> Forwarded:
    """The physical card's BAR in the host's own space.

    `ValueError` unless the host's firmware has placed it, and lets the card answer and do DMA.
    """
    bar = _find(physical, register)
    enabled = Header.COMMAND.BUS_MASTER.get(physical.header.COMMAND)
    if not (enabled and bar.enabled(physical.header)):
        raise ValueError(f"{physical} is not set up: enumerate the host's buses first")
    space = vm.host.ports if bar.space == "port" else vm.host.memory
    return Forwarded(space, bar.address(physical.header))


def stand_behind(function: Function, register: str, device: Device) -> None:
    """Let `device` answer behind a BAR of a virtual card, in place of what was there."""
    function.bars = [
        bar._replace(device=device) if bar.register == register else bar for bar in function.bars
    ]
    function.update()


def listen(line: IrqLine, hear: Callable[[bool], None]) -> None:
    """Have `hear(level)` called for each change of a physical line, after whom it goes to."""
    sink = line.sink

    def both(level: bool) -> None:
        if sink is not None:
            sink(level)
        hear(line.level)

    line.sink = both


def give_directly(vm: VirtualMachine, virtual: Function, physical: Function, register: str) -> None:
    """No mediator: map the physical card's BAR where the guest has put the virtual one.

    Whole pages of memory. The card's interrupts drive the virtual card's pin. Nothing that the
    guest writes there exits, so nobody translates it.
    """
    there, own = bar_of(vm, physical, register), _find(virtual, register)
    vm.assign_memory(own.address(virtual.header), there.base, own.size)
    listen(physical.irq, virtual.irq.set)


class Mediator:
    """What every mediator has: the VM, its virtual card, a translation, the pins.

    `remapper` is the VM's own unless given. Without `pins` nothing is pinned. `limit` is the first
    address that the physical card cannot make. `held` are the pieces that it has.
    """

    def __init__(
        self,
        vm: VirtualMachine,
        virtual: Function,
        limit: int,
        pins: Pins | None = None,
        remapper: Translator | None = None,
    ) -> None:
        self.vm = vm
        self.virtual = virtual
        self.limit = limit
        self.pins = pins
        self.remapper = remapper or SoftwareRemapper(vm.ram)
        self.held: list[Piece] = []

    def pieces(self, gpa: int, length: int) -> list[Piece]:
        """Where `length` bytes at `gpa` lie. `DmaFault`, in the trace too, if the card may not."""
        try:
            if not Header.COMMAND.BUS_MASTER.get(self.virtual.header.COMMAND):
                raise DmaFault("Bus Master Enable of the virtual card is 0", gpa, length)
            found = self.remapper.pieces(gpa, length)
            if any(hpa + n > self.limit for hpa, n in found):
                raise DmaFault("the card cannot make the address of this frame", gpa, length)
        except DmaFault as fault:
            self.refuse(gpa, length, str(fault))
            raise
        return found

    def refuse(self, gpa: int, length: int, why: str) -> None:
        """Tell the guest, by its card's STATUS as a bus would (PCI 3.0, 6.2.3), and the trace."""
        self.virtual.header.STATUS |= Header.STATUS.RECEIVED_MASTER_ABORT.mask
        self.vm.trace.emit("fault", self.virtual.name, "memory", gpa, length, 0, why)

    # -- pinning

    def hold(self, pieces: list[Piece]) -> None:
        """Pin frames that the card is about to use."""
        self.held += pieces
        if self.pins is not None:
            for piece in pieces:
                self.pins.pin(*piece)

    def release(self) -> None:
        """Unpin all of them."""
        if self.pins is not None:
            for piece in self.held:
                self.pins.unpin(*piece)
        self.held.clear()
