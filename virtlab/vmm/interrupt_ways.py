"""One device interrupt, three ways to a guest, and what each costs.

                        the guest runs              it sleeps (HLT)      it does not run
    user space    exit, a trip to the process     wake, a trip          a trip
    kernel        exit                            wake                  -
    posted        the processor takes it itself   wake                  a bit in memory

    and its end   user space: exit, a trip        kernel: exit          posted: nothing

The idea: the VM's local APIC is one object in all three. In user space its page traps, and what
traps goes on to another process. In the kernel its page traps. Posted, the processor answers for
the page itself, the remapping unit writes the interrupt into memory, and a notification makes the
processor look there. So an interrupt to a guest that runs costs no exit at all.

The rules that keep it simple: a physical interrupt that meets a guest that runs is an exit,
"external interrupt", unless it is the notification. Whatever goes to another process is a trip: two
world switches. Everything is counted where it happens; `interrupt_prices` has the sums.

Source: SDM 3C 26.2 (external interrupts), 30 (APIC virtualization, posted interrupts); VT-d 3.0,
5.2. Left out: registers whose writes exit even so (ICR), interrupt windows, level-triggered inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, Self

from virtlab.devices.lapic import BASE, ApicBus, Lapic, LapicRegisters
from virtlab.guest.vtd_interrupts import InterruptTable, message
from virtlab.interrupts import Interrupt
from virtlab.iommu.interrupt_remapping import CHECK_ID, InterruptRemapper
from virtlab.iommu.layouts import DST_XAPIC, IRTE
from virtlab.iommu.posted import PostedDescriptor
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.interrupt_target import InterruptTarget, State, assign_apic
from virtlab.vmm.service.remote import SWITCH
from virtlab.vmm.virtual_machine import VirtualMachine

Way = Literal["user space", "kernel", "posted"]

WAYS: tuple[Way, ...] = ("user space", "kernel", "posted")
STATES: tuple[State, ...] = ("running", "asleep", "preempted")

DEVICE = 0x0018
"""The source id whose interrupts these are."""

HOST_VECTORS, GUEST_VECTORS, COUNT = 0x40, 0x60, 16
"""The first vector of the device at the host, the first in the guest, and how many it has."""

TABLE, DESCRIPTOR = 0, PAGE
"""Where the interrupt-remapping table and the descriptor are, in pages of the VMM's own."""

ENABLE = LapicRegisters.SVR.ENABLE.mask | 0xFF


class Afar:
    """A local APIC in a process of its own: whatever reaches it is a trip.

    This is the model's price alone. `placement.service` has real processes, and the same counts.
    """

    def __init__(self, lapic: Lapic, vm: VirtualMachine) -> None:
        self.lapic, self.vm = lapic, vm
        self.debt = 0

    def trip(self, why: str) -> None:
        """There and back. The time is paid by `pay`: inside a timer's call none can pass."""
        self.vm.trace.emit("world switch", "lapic", note=f"VMM to user space: {why}")
        self.vm.trace.emit("world switch", "lapic", note="user space to VMM")
        self.debt += 2 * SWITCH

    def pay(self) -> None:
        """Let the time of the trips pass."""
        debt, self.debt = self.debt, 0
        self.vm.clock.advance(debt)

    def read(self, offset: int, size: int) -> int:
        """A register, fetched."""
        self.trip("read")
        return self.lapic.read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A register, sent."""
        self.trip("write")
        self.lapic.write(offset, size, value)


class InterruptedVm(InterruptTarget):
    """`vm` with a local APIC in one of the three ways, and a device that interrupts it.

    Entry `n` of the remapping table, below `COUNT`, is vector `GUEST_VECTORS + n` of the guest.
    Use it in a `with`: its end takes everything off `vm` again.
    """

    def __init__(self, vm: VirtualMachine, way: Way) -> None:
        self.way = way
        self.tables = GuestMemory(2 * PAGE)
        lapic, host = Lapic(0, vm.clock), Lapic(0, vm.clock)
        super().__init__(vm, lapic, host, PostedDescriptor(self.tables, DESCRIPTOR))
        for each in (lapic, host):
            each.write(LapicRegisters.SVR.offset, 4, ENABLE)
        self.deliver = {HOST_VECTORS + n: partial(self._rise, n) for n in range(COUNT)}
        self.afar = Afar(self.lapic, vm)
        self.remapper = InterruptRemapper(self.tables, deliver=ApicBus([self.host]).message)
        self.remapper.set_table(TABLE | COUNT.bit_length() - 2)
        self.remapper.enabled = True
        for n in range(COUNT):
            self.tables.store(TABLE + IRTE.size * n, IRTE.size, self._entry(n))
        self._undo = self._wire()

    def _entry(self, n: int) -> int:
        """The entry of interrupt `n`: a message to the host's processor, or a post."""
        if self.way == "posted":
            return InterruptTable.posted_entry(DEVICE, GUEST_VECTORS + n, DESCRIPTOR)
        entry = IRTE.pack(P=1, V=HOST_VECTORS + n, SID=DEVICE, SVT=CHECK_ID)
        return DST_XAPIC.put(entry, self.host.number)

    def _wire(self) -> Callable[[], None]:
        """Put the page into the VM. Gives the way back."""
        vm, old = self.vm, self.vm.vmm.controller
        vm.vmm.controller = self.lapic
        device = self.afar if self.way == "user space" else self.lapic
        trapped = vm.memory.map(BASE, PAGE, device, "lapic", width=4)
        assigned = None
        if self.way == "posted":
            assigned = assign_apic(vm, self.lapic)

        def undo() -> None:
            if assigned is not None:
                assigned()
            vm.memory.unmap(trapped)
            vm.vmm.controller = old

        return undo

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo()

    # -- an interrupt

    def interrupt(self, n: int) -> None:
        """The device sends its message `n`."""
        self.remapper.send(DEVICE, message(n))
        while self.host.pending:
            self.meet(self.host.acknowledge())

    def _rise(self, n: int) -> None:
        """The host's handler lets interrupt `n` rise in the guest's APIC."""
        if self.way == "user space":
            self.afar.trip("interrupt")
        self.lapic.accept(Interrupt(GUEST_VECTORS + n))

    # -- the guest

    def take(self) -> int | None:
        """The vector that the guest's processor starts to serve, or None."""
        return self.lapic.acknowledge() if self.lapic.pending else None

    def end(self) -> None:
        """The guest's handler writes EOI."""
        self.vm.cpu.store(BASE + LapicRegisters.EOI.offset, 0)
