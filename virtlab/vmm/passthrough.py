"""Device assignment: a VM drives a physical function itself, and can reach nothing else by it.

    guest's driver --EPT-----------> registers of the function            0 exits
    the function   --VT-d, domain--> the VM's RAM, iova = gpa             nobody else's
    its messages   --VT-d, IRTE----> the VM's processor                   posted: 0 exits

    give       alone in its group? reset; domain; attach; a function on the VM's own bus
    withdraw   the same backwards, ended by a reset: nothing of the guest is left in it

The idea: three tables of the host say what the guest and its device may do. EPT says which
registers the guest has. The unit's tables say which memory the device has, and which interrupts.
Then nobody needs to look on.

The rules that keep it simple:

1. One function, one VM, and only if nobody shares its IOMMU group (`passthrough_groups`).
2. A VM has one domain, with all of its RAM. It is made with its first device, and kept.
3. Whatever the guest writes, the host's own registers change only by what is written here.
4. What cannot be given is as it was: objections come before changes.

Source: VT-d 3.0, 3.4, 5.1, 6.8; PCI Express 3.0, 6.6.2, 6.12; Linux, VFIO. Left out: a group of
several functions for one VM, memory that comes or goes, page requests, functions with INTx only;
and groups that grow later, as the host keeps ACS on while a device is given away.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple, Protocol

from virtlab.bus import AddressSpace
from virtlab.devices.lapic import ApicBus, Lapic
from virtlab.guest.pci import Access, Found
from virtlab.guest.room import Room
from virtlab.guest.vtd import VtdDriver
from virtlab.guest.vtd_tables import Domain
from virtlab.iommu.layouts import CONTEXT, POSTED_DESCRIPTOR
from virtlab.iommu.posted import PostedDescriptor
from virtlab.memory import PAGE, GuestMemory
from virtlab.pci.bus import DEVICES
from virtlab.pci.root import RootComplex
from virtlab.pci.tlp import source_id
from virtlab.trace import Trace
from virtlab.vmm.interrupt_target import InterruptTarget, assign_apic
from virtlab.vmm.passthrough_function import AssignedFunction
from virtlab.vmm.passthrough_groups import companions, find
from virtlab.vmm.passthrough_interrupts import HostVectors, VectorRoutes
from virtlab.vmm.passthrough_pages import AssignedPages
from virtlab.vmm.passthrough_physical import PhysicalFunction
from virtlab.vmm.virtual_machine import VirtualMachine

MOST_VMS = PAGE // POSTED_DESCRIPTOR.size
"""VMs that can have devices: their descriptors share one page."""


class Host(Protocol):
    """The machine: its buses, its memory, its processor's local APIC."""

    trace: Trace
    ram: GuestMemory
    ports: AddressSpace
    memory: AddressSpace
    root: RootComplex
    lapic: Lapic
    interrupted: Callable[[], None]


class Kernel(Protocol):
    """What its kernel has: a way to the buses, the unit's driver, and memory."""

    vtd: VtdDriver
    room: Room

    @property
    def access(self) -> Access:
        """The way to configuration space."""


class Guest(Protocol):
    """A VM, its own buses and its local APICs; `lapic` is that of its only processor."""

    vm: VirtualMachine
    root: RootComplex
    apics: ApicBus
    lapic: Lapic


class Given(NamedTuple):
    """A function that a VM has."""

    guest: Guest
    function: AssignedFunction


class Tenant:
    """A VM with devices: its `pages`, its interrupts, and place `slot` among such VMs."""

    def __init__(self, guest: Guest, host: Host, slot: int, descriptors: int) -> None:
        self.guest, self.slot = guest, slot
        self.pages = AssignedPages(guest.vm, guest.root)
        descriptor = PostedDescriptor(host.ram, descriptors + slot * POSTED_DESCRIPTOR.size)
        self.target = InterruptTarget(guest.vm, guest.lapic, host.lapic, descriptor)
        self.functions: list[AssignedFunction] = []
        self._apic: Callable[[], None] | None = None

    def show_pages(self) -> None:
        """Let EPT have the pages of all its functions."""
        self.pages.show(piece for each in self.functions for piece in each.pieces())

    @property
    def posts(self) -> bool:
        """Whether interrupts of any of its functions are posted."""
        return any(each.routes.posted for each in self.functions)

    def post(self, on: bool) -> None:
        """With posted interrupts the processor answers for the APIC page itself."""
        if on and self._apic is None:
            self._apic = assign_apic(self.guest.vm, self.guest.lapic)
        elif not on and self._apic is not None:
            self._apic()
            self._apic = None


class Passthrough:
    """Gives functions of `host` to VMs, by the tables of its `kernel`.

    `given` has them by source id. The kernel remaps interrupts already; translation is switched on
    with the first function. `ValueError` if the kernel does not remap interrupts.
    """

    def __init__(self, host: Host, kernel: Kernel) -> None:
        table = kernel.vtd.interrupts
        if table is None:
            raise ValueError("interrupts are not remapped, so no device is safe to give away")
        self.host, self.kernel, self.table = host, kernel, table
        self.vectors = HostVectors.of(host)
        self.given: dict[int, Given] = {}
        self._descriptors = kernel.room.take(PAGE, PAGE)
        self._tenants: dict[VirtualMachine, Tenant] = {}
        self._domains: dict[VirtualMachine, Domain] = {}

    # -- giving

    def give(self, found: Found, guest: Guest, posted: bool = False) -> AssignedFunction:
        """Give the function `found` to `guest`: it appears on its bus, reset.

        With `posted` its interrupts cause no exit. `ValueError` says why that cannot be.
        """
        physical = PhysicalFunction(found, self.kernel.access, self.host.memory, self.host.ports)
        if why := self._objection(physical):
            raise ValueError(why)
        device = _free_place(guest.root)
        with ExitStack() as undo:
            tenant = self._tenant(guest)
            undo.callback(self._settle, tenant)
            routes = self._routes(physical, tenant, posted)
            function = AssignedFunction(physical, routes, tenant.show_pages)
            tenant.post(posted or tenant.posts)
            physical.reset()
            self.kernel.vtd.attach(physical.source_id, self._domain(guest.vm))
            undo.pop_all()
        if not self.kernel.vtd.enabled:
            self.kernel.vtd.enable()
        self.given[physical.source_id] = Given(guest, function)
        tenant.functions.append(function)
        guest.root.bus.plug(function, device)
        return function

    def _routes(self, physical: PhysicalFunction, tenant: Tenant, posted: bool) -> VectorRoutes:
        return VectorRoutes(
            physical.source_id,
            self.table,
            self.vectors,
            tenant.target,
            tenant.guest.apics,
            posted,
            self.host.trace,
        )

    def withdraw(self, found: Found) -> None:
        """Take it back, and make it forget. `ValueError` if nobody has it."""
        source = source_id(*found.place)
        given = self.given.get(source)
        if given is None:
            raise ValueError(f"nobody has {found.place}")
        tenant, function = self._tenants[given.guest.vm], given.function
        function.reset()  # its EPT entries, its interrupts, and what is in the device
        self.kernel.vtd.detach(source)
        function.physical.give_back()
        tenant.functions.remove(function)
        del self.given[source]
        given.guest.root.bus.unplug(function)
        self._settle(tenant)

    def holder(self, found: Found) -> Guest | None:
        """Who has it."""
        given = self.given.get(source_id(*found.place))
        return given.guest if given is not None else None

    def host_interrupts(self, guest: Guest) -> int:
        """How many interrupts of its devices the host had to handle for `guest`."""
        tenant = self._tenants.get(guest.vm)
        return tenant.target.host_interrupts if tenant is not None else 0

    # -- may it be given?

    def _objection(self, physical: PhysicalFunction) -> str:
        """Why it cannot be given away now; empty if it can. Nothing is changed by asking."""
        given = self.given.get(physical.source_id)
        if given is not None:
            return f"{physical.found.place} is with {given.guest.vm.name}: withdraw it first"
        top = self.host.root.bus
        function = find(top, physical.source_id)
        if function is None:
            return f"there is no function at {physical.found.place}"
        if others := companions(top, function):
            shared = " and ".join(map(str, others))
            return f"{physical.found.place} is not alone in its IOMMU group: {shared}"
        if why := physical.objection():
            return why
        if CONTEXT.P.get(self.kernel.vtd.root.entry(physical.source_id)):
            return f"{physical.found.place} is attached already, to a domain of somebody else"
        return ""

    # -- what a VM with devices needs

    def _domain(self, vm: VirtualMachine) -> Domain:
        """The domain of `vm`: each frame of its RAM, where the guest has it."""
        domain = self._domains.get(vm)
        if domain is None:
            domain = self.kernel.vtd.new_domain()
            for gpa, hpa in vm.ram.frames.items():
                domain.map(gpa, hpa, PAGE)
            self._domains[vm] = domain  # now that all of it is there
        return domain

    def _tenant(self, guest: Guest) -> Tenant:
        tenant = self._tenants.get(guest.vm)
        if tenant is None:
            slot = self._free_slot()
            tenant = self._tenants[guest.vm] = Tenant(guest, self.host, slot, self._descriptors)
            self.vectors.targets.append(tenant.target)
        return tenant

    def _free_slot(self) -> int:
        taken = {each.slot for each in self._tenants.values()}
        free = [n for n in range(MOST_VMS) if n not in taken]
        if not free:
            raise ValueError(f"{MOST_VMS} VMs have devices already")
        return free[0]

    def _settle(self, tenant: Tenant) -> None:
        """After a function has gone: without any, it is a VM like others."""
        tenant.post(tenant.posts)
        if not tenant.functions:
            self.vectors.targets.remove(tenant.target)
            del self._tenants[tenant.guest.vm]


def _free_place(root: RootComplex) -> int:
    """A device number that is free on the VM's bus 0."""
    taken = {device for device, _ in root.bus.functions}
    free = [device for device in range(1, DEVICES) if device not in taken]
    if not free:
        raise ValueError("the VM's bus is full")
    return free[0]
