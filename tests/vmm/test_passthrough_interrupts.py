"""The interrupts of a device that a VM has: by whom they come, what they cost, whose they are."""

import pytest

from tests.vmm.passthrough_rig import EDU, EDU_VECTOR, NET, NET_VECTOR, Rig
from virtlab.devices.edu import EduRegisters
from virtlab.devices.lapic import LapicRegisters
from virtlab.guest.apic import LocalApic
from virtlab.guest.edu import EduDriver
from virtlab.guest.msi import MsiDriver
from virtlab.guest.msix import MsixDriver
from virtlab.interrupts import Delivery, Interrupt, Msi
from virtlab.iommu.layouts import IRTE
from virtlab.pci.capabilities import Msi as MsiCapability
from virtlab.pci.capabilities import Msix
from virtlab.vmm import passthrough_interrupts
from virtlab.vmm.interrupt_target import NOTIFY, WAKE
from virtlab.vmm.passthrough import Passthrough
from virtlab.vmm.passthrough_interrupts import FIRST, LAST, VectorRoutes


@pytest.fixture
def rig():
    return Rig()


def started(rig, posted, card=None):
    """A VM with edu, whose messages are on; its driver, and what it has spent so far."""
    vm = rig.vm("A")
    rig.give(card or rig.host.edu, vm, posted)
    return vm, vm.boot().edu(messages=True)


def entry(rig, index):
    """An interrupt-remapping entry, as it stands in memory."""
    return rig.host.ram.load(rig.kernel.vtd.interrupts.gpa + 16 * index, 16)


# -- what it costs


@pytest.mark.parametrize(
    ("posted", "arrives", "ends", "handled"), [(False, 1, 1, 1), (True, 0, 0, 0)]
)
def test_while_the_guest_runs(rig, posted, arrives, ends, handled):
    vm, edu = started(rig, posted)
    exits = vm.exits
    edu.raise_interrupt()
    assert vm.exits == exits + arrives
    assert vm.lapic.acknowledge() == EDU_VECTOR
    vm.apic.eoi()
    assert vm.exits == exits + arrives + ends
    assert rig.passthrough.host_interrupts(vm.made) == handled


@pytest.mark.parametrize(("posted", "exits"), [(False, 2), (True, 1)])
def test_while_the_guest_sleeps(rig, posted, exits):
    """HLT is an exit. What ends it is none, since the guest does not run."""
    vm, edu = started(rig, posted)
    edu.put(EduRegisters.STATUS, EduRegisters.STATUS.INTERRUPT_WHEN_DONE.mask)
    before = vm.exits
    edu.put(EduRegisters.FACTORIAL, 6)
    assert vm.cpu.wait() == EDU_VECTOR
    vm.apic.eoi()
    assert vm.exits == before + exits
    assert rig.passthrough.host_interrupts(vm.made) == 1


def test_while_it_waits_for_its_turn_posts_wait_in_memory(rig):
    vm, edu = started(rig, posted=True)
    target = rig.passthrough.vectors.targets[0]
    target.become("preempted")
    edu.raise_interrupt()
    assert not vm.lapic.pending
    assert target.descriptor.pending == 1 << EDU_VECTOR
    target.become("running")
    assert vm.lapic.acknowledge() == EDU_VECTOR
    assert target.host_interrupts == 0


def test_a_sleeping_vm_is_woken_by_the_wake_vector(rig):
    vm, edu = started(rig, posted=True)
    target = rig.passthrough.vectors.targets[0]
    target.become("asleep")
    assert target.descriptor.value >> 272 & 0xFF == WAKE
    edu.raise_interrupt()
    assert vm.lapic.pending
    assert target.host_interrupts == 1
    target.become("running")
    assert target.descriptor.value >> 272 & 0xFF == NOTIFY


# -- what stands in the tables


def test_the_entry_is_for_this_source_id_alone(rig):
    started(rig, posted=False)
    value = entry(rig, 0)
    assert IRTE.SID.get(value) == rig.host.edu.source_id
    assert IRTE.SVT.get(value) == 1
    assert FIRST <= IRTE.V.get(value) <= LAST


def test_another_device_cannot_use_it(rig):
    """It sends the very message; the unit knows who it is (VT-d 5.1.2, reason 26h)."""
    vm, _ = started(rig, posted=True)
    rig.kernel.access.write(rig.found(rig.host.edu2).place, 4, 2, 6)
    said = rig.host.edu.config.find(MsiCapability).message()
    rig.host.edu2.dma.write(said.address, said.data.to_bytes(4, "little"))
    assert not vm.lapic.pending
    (fault,) = rig.faults()
    assert (fault.reason, fault.source_id) == (0x26, rig.host.edu2.source_id)


def test_a_message_of_the_device_s_own_making_is_blocked(rig):
    """In the format without remapping: reason 25h. So no device reaches a vector of the host."""
    started(rig, posted=True)
    raw = Interrupt(0xEE).message()
    rig.host.edu.dma.write(raw.address, raw.data.to_bytes(4, "little"))
    assert rig.host.lapic.wanted() is None
    assert [fault.reason for fault in rig.faults()] == [0x25]


def test_the_host_s_own_interrupts_wait_for_the_host(rig):
    vm, edu = started(rig, posted=False)
    found = rig.found(rig.host.edu2)
    rig.kernel.access.write(found.place, 4, 2, 6)
    said = rig.kernel.vtd.interrupts.route(rig.host.edu2.source_id, Interrupt(0x55))
    MsiDriver(rig.kernel.access, found.place).enable(*said)
    rig.host.edu2.edu._raise(1)
    edu.raise_interrupt()
    assert vm.lapic.acknowledge() == EDU_VECTOR
    assert rig.host.cpu.wait(1) == 0x55
    LocalApic(rig.host.cpu).eoi()
    assert rig.host.lapic.vectors.isr == 0


# -- MSI-X: masks, pending bits, other messages


def net(rig, posted=True):
    """A VM with a VF, its MSI-X switched on, every vector masked still."""
    vm = rig.vm("A")
    rig.give(1, vm, posted)
    vm.boot()
    msix = MsixDriver(vm.cpu, vm.access, vm.find(NET))
    msix.enable()
    return vm, msix, rig.host.net.virtual[0]


def test_a_masked_vector_is_pending_and_goes_out_when_it_is_unmasked(rig):
    vm, msix, card = net(rig)
    card.table.notify(1)
    pba = vm.find(NET).bar(1) + 0x800
    assert vm.cpu.load(pba) == 0b10
    assert not vm.lapic.pending
    msix.set(1, *Interrupt(NET_VECTOR).message())
    assert vm.cpu.load(pba) == 0
    assert vm.lapic.acknowledge() == NET_VECTOR


def test_a_vector_that_changes_while_it_is_unmasked_uses_one_entry(rig):
    vm, msix, card = net(rig, posted=False)
    for vector in range(0x40, 0x60):
        msix.set(0, *Interrupt(vector).message())
        vm.cpu.store(msix.table + 8, vector + 1)
        assert len(rig.kernel.vtd.interrupts.used) == 1
        assert len(rig.passthrough.vectors.owners) == 1
    card.table.notify(0)
    assert vm.lapic.acknowledge() == 0x60


def test_the_pin_of_a_function_that_was_given_away_is_silent(rig):
    """The guest has not chosen messages, so it polls; the host hears nothing of it."""
    vm = rig.vm("A")
    rig.give(rig.host.edu, vm)
    edu = vm.boot().edu()
    edu.raise_interrupt(4)
    assert rig.host.ioapic.levels == 0
    assert edu.get(EduRegisters.INTERRUPT_STATUS) == 4
    assert vm.find(EDU).pin == 0


def test_the_function_mask_holds_all(rig):
    vm, msix, card = net(rig)
    for n in range(2):
        msix.set(n, *Interrupt(NET_VECTOR + n).message())
    place, at = msix.function.place, msix.at + Msix.CONTROL.offset
    vm.access.write(place, at, 2, 0xC000)
    card.table.notify(0)
    assert not vm.lapic.pending
    vm.access.write(place, at, 2, 0x8000)
    assert vm.lapic.acknowledge() == NET_VECTOR


def test_the_guest_reads_what_it_wrote_and_the_device_has_something_else(rig):
    vm, msix, card = net(rig)
    msix.set(2, *Interrupt(0x77, destination=0).message())
    base = vm.find(NET).bar(1) + 32
    assert [vm.cpu.load(base + at) for at in (0, 4, 8, 12)] == [0xFEE0_0000, 0, 0x77, 0]
    said = card.table.entries[2].message
    assert said.address & 0x10
    assert said.data == 0


@pytest.mark.parametrize("address", [0x1000, 0xFED9_0000, 0x1_FEE0_0000])
def test_a_message_that_is_no_interrupt_goes_nowhere(rig, address):
    vm, msix, card = net(rig)
    before = rig.host.ram.read(0x1000, 8)
    with rig.host.trace.recording() as events:
        msix.set(0, address, 0x41)
    assert [e.note for e in events if e.kind == "lost"][-1].startswith("masked: the guest's")
    card.table.notify(0)
    assert rig.host.ram.read(0x1000, 8) == before
    assert not vm.lapic.pending
    assert rig.kernel.vtd.interrupts.used == set()


def test_what_cannot_be_posted_goes_by_the_host(rig):
    """An NMI has no vector; another processor's vector is not in this descriptor."""
    vm, msix, card = net(rig)
    got = []
    vm.lapic.signal = lambda mode, vector: got.append(mode)
    msix.set(0, *Interrupt(0, mode=Delivery.NMI).message())
    exits = vm.exits
    card.table.notify(0)
    assert got == [Delivery.NMI]
    assert vm.exits == exits + 1
    msix.set(1, *Interrupt(0x66, destination=3).message())
    card.table.notify(1)
    assert not vm.lapic.pending


def test_a_vector_of_an_exception_is_an_error_in_the_guest_s_apic(rig):
    """SDM 3A 11.5.2: vectors below 16. The guest's own mistake, seen in its own ESR."""
    vm, msix, card = net(rig)
    msix.set(0, *Interrupt(3).message())
    card.table.notify(0)
    assert not vm.lapic.pending
    assert vm.lapic.errors


# -- nothing left


def test_without_a_free_entry_the_vector_stays_masked(rig):
    vm, msix, card = net(rig)
    table = rig.kernel.vtd.interrupts
    table.used = set(range(256))
    with rig.host.trace.recording() as events:
        msix.set(0, *Interrupt(0x50).message())
    assert any("entries in a row are free" in e.note for e in events if e.kind == "lost")
    card.table.notify(0)
    assert not vm.lapic.pending
    table.used = set()
    msix.set(0, *Interrupt(0x50).message())
    assert vm.lapic.acknowledge() == 0x50


def test_without_a_free_vector_of_the_host_the_vector_stays_masked(rig):
    vm, msix, card = net(rig, posted=False)
    vectors = rig.passthrough.vectors
    target = vectors.targets[0]
    taken = [vectors.take(target, lambda: None) for _ in range(FIRST, LAST + 1)]
    assert taken == list(range(FIRST, LAST + 1))
    with rig.host.trace.recording() as events:
        msix.set(0, *Interrupt(0x50).message())
    assert any("no vector of the host" in e.note for e in events if e.kind == "lost")
    assert rig.kernel.vtd.interrupts.used == set()
    vectors.release(taken[5])
    msix.set(0, *Interrupt(0x50).message())
    card.table.notify(0)
    assert vm.lapic.acknowledge() == 0x50


def test_an_interrupt_of_a_device_that_was_withdrawn_is_for_nobody(rig):
    vm, _ = started(rig, posted=False)
    said = rig.host.edu.config.find(MsiCapability).message()
    rig.withdraw(rig.host.edu)
    rig.host.unit.remap(rig.host.edu.source_id, said)
    assert not vm.lapic.pending
    assert rig.host.lapic.wanted() is None
    assert [fault.reason for fault in rig.faults()] == [0x22]


def test_several_vectors_of_msi_have_entries_in_a_row(rig):
    """The device adds its number to the datum; the unit adds it to the handle (SHV)."""
    vm, _ = started(rig, posted=True)
    vectors = rig.passthrough.vectors
    routes = VectorRoutes(
        0x0300,
        rig.kernel.vtd.interrupts,
        vectors,
        vectors.targets[0],
        vm.made.apics,
        True,
        rig.host.trace,
    )
    said = routes.route(0, [Interrupt(0x60 + n).message() for n in range(4)])
    for n in (3, 0):
        rig.host.unit.remap(0x0300, Msi(said.address, n))
        assert vm.lapic.acknowledge() == 0x60 + n
        vm.apic.eoi()
    routes.drop_all()
    assert all(entry(rig, n) & 1 == 0 for n in range(4, 8))


def test_a_second_note_for_the_same_look_disturbs_nobody(rig):
    """Two VMs have something posted, one notification arrives: both look, and it ends once."""
    one, _ = started(rig, posted=True)
    two = rig.vm("B")
    rig.give(rig.host.edu2, two, posted=True)
    two.boot()
    rig.host.lapic.vectors.isr = 1 << 0x55
    for target, vector in zip(rig.passthrough.vectors.targets, (0x61, 0x62), strict=True):
        value = target.descriptor.value
        rig.host.ram.store(target.descriptor.gpa, 64, value | 1 << vector | 1 << 256)
    rig.host.apics.message(Interrupt(NOTIFY).message())
    rig.host.interrupted()
    assert (one.lapic.acknowledge(), two.lapic.acknowledge()) == (0x61, 0x62)
    assert rig.host.lapic.vectors.isr == 1 << 0x55


def test_two_that_give_away_devices_of_one_host_do_not_disturb_each_other(rig):
    one, edu = started(rig, posted=True)
    again = Passthrough(rig.host, rig.kernel)
    two = rig.vm("B")
    again.give(rig.found(rig.host.edu2), two.made, posted=True)
    other = two.boot().edu(messages=True)
    edu.raise_interrupt()
    other.raise_interrupt(2)
    assert (one.lapic.acknowledge(), two.lapic.acknowledge()) == (EDU_VECTOR, EDU_VECTOR)


def test_a_device_that_interrupts_without_end_cannot_hold_the_host(rig, monkeypatch):
    """Each interrupt brings the next: after a round the host goes on with something else."""
    monkeypatch.setattr(passthrough_interrupts, "ROUND", 5)
    vectors, served = rig.passthrough.vectors, []
    started(rig, posted=False)
    target = vectors.targets[0]

    def again():
        served.append(vector)
        rig.host.lapic.accept(Interrupt(vector))

    vector = vectors.take(target, again)
    rig.host.lapic.accept(Interrupt(vector))
    vectors.serve()
    assert served == [vector] * 5


def test_a_vm_whose_apic_is_off_gets_nothing(rig):
    """Its own affair: the vector is lost there, as on a machine."""
    vm = rig.vm("A")
    rig.give(rig.host.edu, vm)
    edu = vm.boot().edu(messages=True)
    vm.apic.put(LapicRegisters.SVR, 0)
    edu.raise_interrupt()
    assert not vm.lapic.pending


def test_a_device_that_is_withdrawn_while_its_interrupt_is_an_exit(rig):
    """The exit takes time, and in it the host takes the device back: the vector is nobody's."""
    vm, edu = started(rig, posted=False)
    rig.host.clock.after(100, lambda: rig.withdraw(rig.host.edu))
    edu.raise_interrupt()
    assert rig.passthrough.given == {}
    assert not vm.lapic.pending
    assert (rig.host.lapic.vectors.irr, rig.host.lapic.vectors.isr) == (0, 0)


def test_one_vm_may_have_devices_from_two_who_give_them(rig):
    """Each exit is told to whoever got the vector."""
    vm, edu = started(rig, posted=False)
    again = Passthrough(rig.host, rig.kernel)
    again.give(rig.found(rig.host.edu2), vm.made)
    second = vm.boot().functions[-1]
    MsiDriver(vm.access, second.place).enable(*Interrupt(0x61).message())
    other = EduDriver(vm.cpu, second.bar(0))
    for driver, vector in ((edu, EDU_VECTOR), (other, 0x61)):
        driver.raise_interrupt()
        assert vm.lapic.acknowledge() == vector
        vm.apic.eoi()


def test_time_runs_forward_when_an_exit_of_one_vm_stands_inside_another_s_sleep(rig):
    """Two devices are ready at one moment: two exits, one after the other."""
    vms = [rig.vm(name) for name in "ABC"]
    for vm, card in zip(vms[1:], (rig.host.edu, rig.host.edu2), strict=True):
        rig.give(card, vm)
    drivers = [vm.boot().edu(messages=True) for vm in vms[1:]]
    for edu in drivers:
        edu.put(EduRegisters.STATUS, EduRegisters.STATUS.INTERRUPT_WHEN_DONE.mask)
        edu.put(EduRegisters.FACTORIAL, 6)
    with rig.host.trace.recording() as events:
        vms[0].cpu.wait(9_800)  # it ends while the exits of the others still take time
    assert [e.who for e in events if e.kind == "exit"] == ["A", "B", "C"]
    times = [event.time for event in events]
    assert times == sorted(times)


def test_a_post_that_waited_wakes_a_vm_that_goes_to_sleep(rig):
    """SN held the notification back. Who clears SN looks itself, or nobody ever does."""
    vm, edu = started(rig, posted=True)
    target = rig.passthrough.vectors.targets[0]
    target.become("preempted")
    edu.raise_interrupt()
    target.become("asleep")
    assert vm.lapic.acknowledge() == EDU_VECTOR


def test_two_who_give_devices_away_never_use_one_apic_page_twice(rig):
    """Which page the host has for a VM's APIC is settled when it is needed."""
    one, two = rig.vm("A"), rig.vm("B")
    rig.give(rig.host.edu, one)
    Passthrough(rig.host, rig.kernel).give(rig.found(rig.host.edu2), two.made, posted=True)
    rig.give(1, one, posted=True)
    for vm, vector in ((one, 0x33), (two, 0x44)):
        exits = vm.exits
        vm.apic.put(LapicRegisters.TPR, vector)
        assert (vm.exits, vm.lapic.TPR) == (exits, vector)
