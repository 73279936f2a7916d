"""A dedicated device: one VM has it alone, and drives it with its own driver.

      forwarded   guest --exit--> VMM --the same access--> the physical device      n exits
      direct      guest ---------------------------------> the physical device      0 exits

The idea: nothing of such a device has to be virtual. The first virtual machines passed it through
the VMM all the same, since a guest that runs without privilege cannot do I/O. `Forwarded` is that:
a virtual device that makes each access again, at the host's bus. Hardware then made the detour
needless: a bit of the I/O bitmap opens the port, an entry of the EPT maps the registers.

The rules that keep it simple: the driver, the results and the physical accesses are the same both
ways; only the exits differ. The interrupts take the same way too (`interrupt_relay`). Ownership is
exclusive, and ends with `withdraw`, which leaves no trace of the owner.

Source: SDM 3C 25.6.4 (I/O bitmaps), 29.3 (EPT). Left out: DMA, which needs remapping.
"""

from __future__ import annotations

from typing import Literal

from virtlab.bus import AddressSpace, Mapping
from virtlab.vmm.assignment import Board, Guest, Kind, Ledger
from virtlab.vmm.forwarded import Forwarded
from virtlab.vmm.interrupt_relay import HostInterrupts
from virtlab.vmm.physical import Physical
from virtlab.vmm.virtual_machine import VirtualMachine

How = Literal["forwarded", "direct"]


class Dedicated:
    """A physical device of `host` for one VM at a time: `guest` has it now, in the way `how`."""

    def __init__(
        self, device: Physical, host: Board, interrupts: HostInterrupts, ledger: Ledger
    ) -> None:
        self.device = device
        self.host = host
        self.interrupts = interrupts
        self.ledger = ledger
        self.guest: Guest | None = None
        self.how: How = "forwarded"
        self._forwards: list[tuple[AddressSpace, Mapping]] = []
        self._aside: list[tuple[AddressSpace, Mapping]] = []

    def give(self, guest: Guest, how: How = "forwarded") -> None:
        """Give it to a VM, whose virtual device of that place stands aside meanwhile.

        `ValueError` if somebody has it, or if it cannot be given directly: the EPT has whole pages,
        and whatever else lies in them would be given too.
        """
        vm = guest.vm
        if how == "direct":
            for gpa, length in self.device.memory:
                vm.tables.check_pages(gpa, length)
        for irq in self.device.irqs:
            self.interrupts.check_free(irq)
        inside = [*_inside(vm.ports, self.device.ports), *_inside(vm.memory, self.device.memory)]
        self.ledger.give(self.device.name, vm.name, Kind.DEDICATED)
        self.guest, self.how, self._aside = guest, how, inside
        for space, mapping in inside:
            space.unmap(mapping)
        if how == "forwarded":
            self._forward(vm)
        else:
            self._open(vm)
        for irq in self.device.irqs:
            self.interrupts.relay(irq, guest)

    def withdraw(self) -> None:
        """Take it back, and make it forget. `ValueError` if nobody has it."""
        if self.guest is None:
            raise ValueError(f"nobody has the {self.device.name}")
        vm = self.guest.vm
        for irq in self.device.irqs:
            self.interrupts.release(irq)
        if self.how == "direct":
            self._close(vm)
        for space, mapping in self._forwards:
            space.unmap(mapping)
        for space, mapping in self._aside:
            space.map(*mapping[:2], mapping.device, mapping.name, mapping.width)
        self.guest, self._forwards, self._aside = None, [], []
        self.device.quiesce()
        self.ledger.withdraw(self.device.name, vm.name)

    # -- the two ways

    def _forward(self, vm: VirtualMachine) -> None:
        places = [(vm.ports, self.host.ports, each) for each in self.device.ports]
        places += [(vm.memory, self.host.memory, each) for each in self.device.memory]
        for space, physical, (base, length) in places:
            width = physical.max_size
            device = Forwarded(physical, base)
            name = f"{self.device.name}, forwarded"
            self._forwards.append((space, space.map(base, length, device, name, width)))

    def _open(self, vm: VirtualMachine) -> None:
        for port, count in self.device.ports:
            vm.assign_ports(port, count)
        for gpa, length in self.device.memory:
            vm.assign_memory(gpa, gpa, length)

    def _close(self, vm: VirtualMachine) -> None:
        for port, count in self.device.ports:
            vm.withdraw_ports(port, count)
        for gpa, length in self.device.memory:
            vm.withdraw_memory(gpa, length)


def _inside(
    space: AddressSpace, places: tuple[tuple[int, int], ...]
) -> list[tuple[AddressSpace, Mapping]]:
    """What is mapped at `places`. `ValueError` for a mapping that is only partly there."""
    found = []
    for base, length in places:
        for mapping in space.mappings:
            if mapping.base < base + length and base < mapping.end:
                if mapping.base < base or base + length < mapping.end:
                    raise ValueError(f"{mapping.name} is only partly in {base:#x}+{length:#x}")
                found.append((space, mapping))
    return found
