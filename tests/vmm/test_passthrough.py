"""Device assignment: unchanged drivers in VMs, on hardware, with nobody else in reach."""

import pytest

from tests.vmm.passthrough_rig import BROADCAST, E1000, EDU, NET, Rig, frame
from virtlab import server
from virtlab.devices.edu import EduRegisters
from virtlab.errors import DmaFault
from virtlab.guest.edu import EduDriver
from virtlab.guest.msi import MsiDriver
from virtlab.guest.pci import capability_list
from virtlab.guest.pci_acs import REQUIRED
from virtlab.guest.pci_express import extended_list, find_extended, reset_function
from virtlab.interrupts import Interrupt
from virtlab.memory import PAGE
from virtlab.pci.capabilities import Express, Msi, Msix, Vendor
from virtlab.pci.config import Header
from virtlab.pci.extended import Acs
from virtlab.vmm.passthrough import Passthrough

BUS_MASTER = Header.COMMAND.BUS_MASTER.mask
FRAMES = 100


@pytest.fixture
def rig():
    return Rig()


# -- the drivers work, and nothing exits


def test_edu_computes_and_moves_bytes_for_a_guest(rig):
    vm = rig.vm("A")
    rig.give(rig.host.edu, vm)
    edu = vm.boot().edu()
    exits = vm.exits
    assert edu.detect()
    assert vm.exits == exits
    vm.vm.ram.write(0x5FF0, b"across two frames that are not next to each other")
    edu.to_device(0x5FF0, 49)
    edu.from_device(0x7000, 49)
    assert vm.vm.ram.read(0x7000, 49).startswith(b"across two frames")
    assert rig.faults() == []


def test_an_e1000_sends_and_receives_for_a_guest(rig):
    vm, heard = rig.vm("A"), []
    rig.host.e1000_cable.b.listener = heard.append
    rig.give(rig.host.e1000, vm)
    card = vm.boot().e1000()
    out = [frame(BROADCAST, card.address, bytes([n])) for n in range(20)]
    exits = vm.exits
    card.send(*out)
    rig.host.e1000_cable.b.send(frame(card.address, b"\x02" * 6))
    assert card.receive().frame == frame(card.address, b"\x02" * 6)
    assert heard == out
    assert vm.exits == exits


def test_ports_of_a_bar_are_reached_through_the_vmm(rig):
    """The I/O bitmap opens a port; it cannot give it another number."""
    vm = rig.vm("A")
    rig.give(rig.host.e1000, vm)
    base = vm.boot().find(E1000).bar(1)
    exits = vm.exits
    vm.cpu.out(base, 0x8, 4)  # IOADDR: device status
    assert vm.cpu.inp(base, 4) == 0x8
    assert vm.exits == exits + 2


@pytest.mark.parametrize("posted", [False, True])
def test_two_guests_exchange_frames_through_the_card(rig, posted):
    """100 frames each way. Posted, no exit; else an exit and an EOI for each interrupt."""
    one, two = rig.vm("A"), rig.vm("B")
    rig.give(1, one, posted)
    rig.give(2, two, posted)
    here, there = one.boot().net(), two.boot().net()
    for net in (here, there):
        net.receiving[0].queue.enable_cb()
    exits = one.exits, two.exits
    for n in range(FRAMES):
        sent = frame(there.address, here.address, n.to_bytes(2, "big"))
        back = frame(here.address, there.address, n.to_bytes(2, "big"))
        here.send(sent)
        assert [packet.frame for packet in there.receive()] == [sent]
        there.send(back)
        assert [packet.frame for packet in here.receive()] == [back]
        for vm, net in ((one, here), (two, there)):
            assert vm.lapic.acknowledge() == 0x51
            vm.apic.eoi()
            net.receiving[0].queue.enable_cb()
    each = 0 if posted else 2 * FRAMES
    assert (one.exits - exits[0], two.exits - exits[1]) == (each, each)
    handled = [rig.passthrough.host_interrupts(vm.made) for vm in (one, two)]
    assert handled == [0 if posted else FRAMES] * 2
    assert rig.faults() == []


def test_several_devices_of_one_vm_share_a_domain(rig):
    vm = rig.vm("A")
    for card in (rig.host.edu, rig.host.edu2, 1):
        rig.give(card, vm)
    root = rig.kernel.vtd.root
    entries = {root.entry(each.source_id) for each in (rig.host.edu, rig.host.edu2)}
    assert len(entries) == 1
    assert [found.device for found in vm.boot().functions[1:]] == [EDU[1], EDU[1], NET[1]]


# -- what the guest sees of it


def test_the_guest_s_function_says_what_the_physical_one_is(rig):
    vm = rig.vm("A")
    rig.give(rig.host.edu, vm)
    rig.give(1, vm)
    edu, net = vm.boot().functions[1:]
    physical = rig.found(rig.host.edu)
    assert (edu.vendor, edu.device, edu.class_code) == (*EDU, physical.class_code)
    assert [(bar.index, bar.size) for bar in edu.bars] == [(0, 1 << 20)]
    assert (net.vendor, net.device, net.class_code) == (*NET, 0x020000)
    assert [(bar.index, bar.size) for bar in net.bars] == [(1, PAGE), (4, 4 * PAGE)]
    for reg in (Header.REVISION_ID, 0x2C, 0x2E):
        at = reg if isinstance(reg, int) else reg.offset
        ours = vm.access.read(edu.place, at, 2)
        assert ours == rig.kernel.access.read(physical.place, at, 2)


def test_the_guest_sees_the_capabilities_that_it_may_have(rig):
    vm = rig.vm("A")
    rig.give(1, vm)
    place = vm.boot().find(NET).place
    ids = [id for id, _ in capability_list(vm.access, place)]
    assert sorted(ids) == sorted([Vendor.id] * 5 + [Msix.id, Express.id])
    assert extended_list(vm.access, place) == []
    at = dict(capability_list(vm.access, place))[Express.id]
    role = Express.EXPRESS_CAPABILITIES.TYPE.get(vm.access.read(place, at + 2, 2))
    assert role == 9  # root complex integrated endpoint


def test_bus_master_enable_is_the_guest_s(rig):
    vm = rig.vm("A")
    rig.give(rig.host.edu, vm)
    assert not rig.host.edu.header.COMMAND & BUS_MASTER
    place = vm.boot().find(EDU).place
    assert rig.host.edu.header.COMMAND & BUS_MASTER
    vm.access.write(place, Header.COMMAND.offset, 2, Header.COMMAND.MEMORY_SPACE.mask)
    assert not rig.host.edu.header.COMMAND & BUS_MASTER
    with pytest.raises(DmaFault):
        rig.host.edu.dma.read(0, 4)


def test_memory_space_enable_maps_and_unmaps(rig):
    vm = rig.vm("A")
    rig.give(rig.host.edu, vm)
    found = vm.boot().find(EDU)
    exits = vm.exits
    assert vm.cpu.load(found.bar(0)) & 0xFF == 0xED
    assert vm.exits == exits
    vm.access.write(found.place, Header.COMMAND.offset, 2, BUS_MASTER)
    exits = vm.exits
    assert vm.cpu.load(found.bar(0)) == 0xFFFF_FFFF
    assert vm.exits == exits + 1


def test_the_bar_goes_where_the_guest_puts_it_and_the_physical_one_stays(rig):
    vm = rig.vm("A")
    rig.give(rig.host.edu, vm)
    found = vm.boot().find(EDU)
    before = rig.host.edu.header.BAR0
    vm.access.write(found.place, 0x10, 4, 0xD010_0000)
    exits = vm.exits
    assert vm.cpu.load(0xD010_0000) & 0xFF == 0xED
    assert vm.exits == exits
    assert vm.cpu.load(found.bar(0)) == 0xFFFF_FFFF
    assert rig.host.edu.header.BAR0 == before


def test_a_bar_over_ram_or_outside_the_windows_changes_nothing(rig):
    vm = rig.vm("A")
    rig.give(rig.host.edu, vm)
    place = vm.boot().find(EDU).place
    for gpa in (0, 0xFEE0_0000, 0xFE00_0000, 0x4000_0000):
        vm.access.write(place, 0x10, 4, gpa)
        assert vm.vm.tables.walk(0).hpa == vm.vm.ram.frames[0]
    vm.cpu.store(0x100, 0x55AA)
    assert vm.vm.ram.read(0x100, 2) == b"\xaa\x55"


def test_the_vf_s_msix_table_traps_and_the_rest_does_not(rig):
    vm = rig.vm("A")
    rig.give(1, vm)
    found = vm.boot().find(NET)
    for index, cost in ((1, 1), (4, 0)):
        exits = vm.exits
        vm.cpu.load(found.bar(index))
        assert vm.exits == exits + cost


def test_a_function_level_reset_by_the_guest_is_real(rig):
    vm = rig.vm("A")
    rig.give(rig.host.edu, vm)
    edu = vm.boot().edu()
    edu.alive(0x1234)
    reset_function(vm.access, vm.find(EDU).place)
    assert rig.host.edu.edu.values[0x04] == 0
    assert not rig.host.edu.header.COMMAND & BUS_MASTER
    assert vm.boot().edu().factorial(6) == 720


# -- what it may not reach


def test_another_vm_s_memory_is_out_of_reach(rig):
    """A guest that names an address it does not have gets a fault record, and nothing else."""
    one, two = rig.vm("A"), rig.vm("B")
    rig.give(rig.host.edu, one)
    rig.give(rig.host.edu2, two)
    edu = one.boot().edu()
    victim = two.vm.ram.frames[0x3000]
    before = rig.host.ram.read(victim, 64)
    edu.from_device(victim, 64)
    assert rig.host.ram.read(victim, 64) == before
    (fault,) = rig.faults()
    assert (fault.source_id, fault.iova) == (rig.host.edu.source_id, victim & -PAGE)
    with pytest.raises(DmaFault):
        rig.host.edu.dma.read(victim, 4)


def test_the_same_iova_is_other_memory_for_another_vm(rig):
    one, two = rig.vm("A"), rig.vm("B")
    rig.give(rig.host.edu, one)
    rig.give(rig.host.edu2, two)
    for vm, text in ((one, b"A's own"), (two, b"B's own")):
        vm.vm.ram.write(0x4000, text)
        edu = vm.boot().edu()
        edu.to_device(0x4000, 7)
        edu.from_device(0x9000, 7)
        assert vm.vm.ram.read(0x9000, 7) == text


def test_devices_behind_one_switch_cannot_reach_each_other(rig):
    """edu's DMA to the BAR of edu2: redirected to the root, where it is an unmapped address."""
    one, two = rig.vm("A"), rig.vm("B")
    rig.give(rig.host.edu, one)
    rig.give(rig.host.edu2, two)
    one.boot()
    two.boot()
    bar = rig.found(rig.host.edu2).bar(0)
    with pytest.raises(DmaFault):
        rig.host.edu.dma.write(bar + EduRegisters.LIVENESS.offset, b"\x01\0\0\0")
    assert rig.host.edu2.edu.values[0x04] == 0


# -- who may have what


def set_acs(rig, port, value):
    """Write the ACS controls of a port of the board, as the host's kernel does."""
    place = rig.kernel.find(port).place
    at = find_extended(rig.kernel.access, place, Acs)
    rig.kernel.access.write(place, at + Acs.CONTROL.offset, 2, value)


@pytest.mark.parametrize("port", [0, 1])
def test_a_function_that_shares_its_group_is_refused(rig, port):
    """With ACS off at either port of the switch, one of the two cards reaches the other."""
    vm = rig.vm("A")
    set_acs(rig, rig.host.switch.downstream[port], 0)
    with pytest.raises(ValueError, match=r"its IOMMU group: 04:00\.0 edu, second$"):
        rig.give(rig.host.edu, vm)
    with pytest.raises(ValueError, match=r"its IOMMU group: 03:00\.0 edu$"):
        rig.give(rig.host.edu2, vm)
    assert rig.kernel.vtd.root.entry(rig.host.edu.source_id) == 0
    rig.give(rig.host.e1000, vm)
    set_acs(rig, rig.host.switch.downstream[port], REQUIRED)
    rig.give(rig.host.edu, vm)


def test_acs_off_at_a_root_port_joins_all_that_is_below_any(rig):
    set_acs(rig, rig.host.root_ports[1], 0)
    with pytest.raises(ValueError, match=r"05:00\.0 e1000$"):
        rig.give(rig.host.edu, rig.vm("A"))
    with pytest.raises(ValueError, match=r"03:00\.0 edu and .* and 06:00\.3 net, VF 3$"):
        rig.give(rig.host.e1000, rig.vm("A"))


def test_a_function_has_one_holder(rig):
    one, two = rig.vm("A"), rig.vm("B")
    rig.give(rig.host.edu, one)
    with pytest.raises(ValueError, match=r"03:00\.0 is with A: withdraw it first"):
        rig.give(rig.host.edu, two)
    assert rig.passthrough.holder(rig.found(rig.host.edu)) is one.made
    assert rig.passthrough.holder(rig.found(1)) is None


def test_bridges_and_physical_functions_stay_with_the_host(rig):
    with pytest.raises(ValueError, match="is a bridge"):
        rig.give(rig.host.root_ports[0], rig.vm("A"))
    with pytest.raises(ValueError, match="makes virtual functions"):
        rig.give(rig.host.net, rig.vm("A"))


def test_a_vf_that_is_gone_cannot_be_given(rig):
    rig.kernel.sriov.disable()
    with pytest.raises(ValueError, match=r"no function at 06:00\.1"):
        rig.give(1, rig.vm("A"))


def test_without_interrupt_remapping_nothing_is_given():
    host = server.lesson_server()
    kernel = server.boot(host)
    kernel.vtd.interrupts = None
    with pytest.raises(ValueError, match="not remapped"):
        Passthrough(host, kernel)


def test_a_device_that_somebody_attached_already_is_not_given(rig):
    rig.kernel.vtd.attach(rig.host.edu.source_id, rig.kernel.vtd.new_domain())
    vm = rig.vm("A")
    with pytest.raises(ValueError, match="attached already"):
        rig.give(rig.host.edu, vm)
    assert rig.passthrough.given == {}
    assert len(vm.boot().functions) == 1


def test_a_device_that_somebody_uses_is_not_even_reset(rig):
    """The host's own driver has it. Being asked for it must not disturb that."""
    edu = EduDriver(rig.host.cpu, rig.found(rig.host.edu).bar(0))
    rig.kernel.vtd.attach(rig.host.edu.source_id, rig.kernel.vtd.new_domain())
    assert edu.alive(0x1234)
    with pytest.raises(ValueError, match="attached already"):
        rig.give(rig.host.edu, rig.vm("A"))
    assert edu.get(EduRegisters.LIVENESS) == 0xFFFF_EDCB


# -- taking it back


def test_withdraw_leaves_the_device_forgetful_and_unattached(rig):
    one, two = rig.vm("A"), rig.vm("B")
    rig.give(rig.host.edu, one)
    one.vm.ram.write(0x4000, b"secret of A")
    one.boot().edu(messages=True).to_device(0x4000, 11)
    old = one.find(EDU)
    used = len(rig.kernel.vtd.interrupts.used)
    rig.withdraw(rig.host.edu)
    assert len(rig.kernel.vtd.interrupts.used) == used - 1
    assert rig.kernel.vtd.root.entry(rig.host.edu.source_id) == 0
    assert one.cpu.load(old.bar(0)) == 0xFFFF_FFFF
    assert one.access.read(old.place, 0, 2) == 0xFFFF
    rig.give(rig.host.edu, two)
    edu = two.boot().edu()
    edu.from_device(0x4000, 4096)
    assert two.vm.ram.read(0x4000, 4096) == bytes(4096)
    with pytest.raises(ValueError, match=r"nobody has 04:00\.0"):
        rig.withdraw(rig.host.edu2)


def test_one_of_two_devices_is_withdrawn_and_the_other_works_on(rig):
    """The posted one goes. So the APIC page traps again, and the other's interrupts arrive."""
    vm = rig.vm("A")
    rig.give(rig.host.edu, vm, posted=True)
    rig.give(rig.host.edu2, vm)
    first, second = vm.boot().functions[1:]
    MsiDriver(vm.access, second.place).enable(*Interrupt(0x61).message())
    exits = vm.exits
    vm.apic.eoi()
    assert vm.exits == exits
    rig.withdraw(rig.host.edu)
    vm.apic.eoi()
    assert vm.exits == exits + 1
    assert vm.cpu.load(first.bar(0)) == 0xFFFF_FFFF
    edu = EduDriver(vm.cpu, second.bar(0))
    vm.vm.ram.write(0x4000, b"still")
    edu.to_device(0x4000, 5)
    edu.from_device(0x9000, 5)
    assert vm.vm.ram.read(0x9000, 5) == b"still"
    edu.raise_interrupt()
    assert vm.lapic.acknowledge() == 0x61


def test_withdraw_during_a_transfer(rig):
    """It was under way; it never lands, neither in the old VM nor in the next one."""
    one, two = rig.vm("A"), rig.vm("B")
    rig.give(rig.host.edu, one)
    edu = one.boot().edu()
    edu.alive(7)
    edu.put(EduRegisters.DMA_SOURCE, 0x40000)
    edu.put(EduRegisters.DMA_DESTINATION, 0x4000)
    edu.put(EduRegisters.DMA_COUNT, 8)
    one.vm.ram.write(0x4000, b"\x55" * 8)
    two.vm.ram.write(0x4000, b"\x66" * 8)
    edu.put(EduRegisters.DMA_COMMAND, 3)
    rig.withdraw(rig.host.edu)
    rig.give(rig.host.edu, two)
    two.boot()
    rig.host.clock.advance(1_000_000_000)
    assert one.vm.ram.read(0x4000, 8) == b"\x55" * 8
    assert two.vm.ram.read(0x4000, 8) == b"\x66" * 8
    assert rig.faults() == []


def test_withdraw_during_traffic_stops_it_and_the_next_vm_starts_clean(rig):
    one, two, peer = (rig.vm(name) for name in "ABC")
    rig.give(1, one, posted=True)
    rig.give(2, peer, posted=True)
    net, far = one.boot().net(), peer.boot().net()
    far.send(*[frame(net.address, far.address, b"for A")] * 20)
    rig.withdraw(1)
    far.send(*[frame(net.address, far.address, b"for A")] * 20)
    rig.give(1, two, posted=True)
    fresh = two.boot().net()
    assert fresh.receive() == []
    far.send(frame(fresh.address, far.address, b"for B"))
    assert [p.frame[14:19] for p in fresh.receive()] == [b"for B"]
    assert b"for A" not in two.vm.ram.read(0, server.VM_RAM)
    assert rig.faults() == []


def test_the_host_has_its_pin_and_its_command_again(rig):
    """INTx of a function in a VM is silent. Afterwards it is as the host had it."""
    before = rig.host.edu.header.COMMAND
    rig.give(rig.host.edu, rig.vm("A"))
    rig.withdraw(rig.host.edu)
    assert rig.host.edu.header.COMMAND == before & ~BUS_MASTER


def test_a_vf_that_vanished_is_withdrawn_and_the_next_one_is_nobody_s(rig):
    """The host clears VF Enable while a VM has the VF. What is left of it must still go."""
    vm = rig.vm("A")
    rig.give(1, vm, posted=True)
    vm.boot().net()
    old, source = vm.find(NET), rig.host.net.virtual[0].source_id
    rig.kernel.sriov.disable()
    rig.withdraw(1)
    assert rig.kernel.vtd.root.entry(source) == 0
    assert rig.kernel.vtd.interrupts.used == set()
    rig.virtual = rig.kernel.sriov.enable(3)
    assert vm.cpu.load(old.bar(4)) == 0xFFFF_FFFF
    rig.give(1, vm, posted=True)
    assert vm.boot().net().address


def test_a_guest_may_do_anything_with_a_vf_that_vanished(rig):
    vm = rig.vm("A")
    rig.give(1, vm, posted=True)
    vm.boot().net()
    found = vm.find(NET)
    rig.kernel.sriov.disable()
    reset_function(vm.access, found.place)
    vm.access.write(found.place, Header.COMMAND.offset, 2, 6)
    for gpa in (found.bar(1), found.bar(1) + 0x800, found.bar(4)):
        vm.cpu.store(gpa, 0)
        vm.cpu.load(gpa)
    rig.kernel.sriov.enable(3)
    reset_function(vm.access, found.place)
    assert vm.boot().net().address


def test_giving_again_and_again_uses_nothing_up(rig):
    vm = rig.vm("A")
    rig.give(1, vm, posted=True)
    rig.withdraw(1)
    taken, frames = rig.kernel.vtd.pages.room.taken, rig.host.frames.left
    mappings = len(rig.host.memory.mappings)
    for posted in (True, False) * 5:
        rig.give(1, vm, posted)
        vm.boot().net()
        rig.withdraw(1)
    assert rig.kernel.vtd.pages.room.taken == taken
    assert rig.kernel.vtd.interrupts.used == set()
    assert rig.host.frames.left == frames
    assert len(rig.host.memory.mappings) == mappings
    assert rig.passthrough.vectors.owners == {}


def test_a_full_bus_has_no_place(rig):
    vm = rig.vm("A")
    for device in range(1, 32):
        vm.made.root.bus.plug(type(rig.host.edu)(rig.host.clock), device)
    with pytest.raises(ValueError, match="bus is full"):
        rig.give(rig.host.edu, vm)


def test_msi_and_msix_are_the_guest_s_and_the_device_sends_the_host_s(rig):
    vm = rig.vm("A")
    rig.give(rig.host.edu, vm)
    vm.boot().edu(messages=True)
    said = rig.host.edu.config.find(Msi).message()
    place = vm.find(EDU).place
    at = dict(capability_list(vm.access, place))[Msi.id]
    assert vm.access.read(place, at + 4, 4) == 0xFEE0_0000
    assert vm.access.read(place, at + 12, 2) == 0x41
    assert said.address & 0x10  # the remappable format
    assert said.data == 0
