"""Cards of every shape: BARs of all kinds, MSI of all layouts, MSI-X tables anywhere."""

import pytest

from tests.pci.rig import Scratch
from tests.vmm.passthrough_rig import Vm, leaves
from virtlab import server
from virtlab.guest.msi import MsiDriver
from virtlab.guest.msix import MsixDriver
from virtlab.guest.pci import capability_list
from virtlab.interrupts import INTERRUPT_RANGE, Interrupt
from virtlab.memory import PAGE
from virtlab.pci.capabilities import Express, Msi, Msix, PowerManagement, Vendor
from virtlab.pci.express import RootPort, make_express
from virtlab.pci.function import Function, Identity
from virtlab.pci.msix import MsixTable
from virtlab.registers import Reg
from virtlab.vmm.passthrough import MOST_VMS, Passthrough
from virtlab.vmm.passthrough_pages import SPARE

CARD = (0x1AF4, 0x0077)
MSI_AT, MSIX_AT, VENDOR_AT, POWER_AT, EXPRESS_AT = 0x40, 0x60, 0x70, 0xA0, 0xC0


class Notes(Vendor):
    """A vendor's capability with one register that counts how often it was written."""

    KIND = Reg(0x03, 1, reset=0x5A)
    COUNT = Reg(0x04, 4, rw=0xFFFF_FFFF)
    written = 0

    def write_COUNT(self, old, new):
        self.written += 1


class Card(Function):
    """A card with nothing in it yet; each test gives it what it is about."""

    def __init__(self):
        super().__init__(Identity(*CARD, 0xFF0000, 3, 0x1AF4, 0x42), name="card", pin=1)
        self.scratch = Scratch()


class World:
    """A server with `card` behind a root port of its own, and a VM that has it."""

    def __init__(self, card, express=True):
        self.card = make_express(card, at=EXPRESS_AT) if express else card
        self.host = server.lesson_server(vfs=1)
        self.port = RootPort("root port 4", slot=4)
        self.host.root.bus.plug(self.port, 4)
        self.port.below.plug(card)
        self.kernel = server.boot(self.host)
        self.passthrough = Passthrough(self.host, self.kernel)
        self.vm = Vm(self.host, "A")

    def given(self, posted=True):
        self.passthrough.give(self.kernel.find(self.card), self.vm.made, posted)
        self.vm.boot()
        self.found = self.vm.find(CARD)
        return self


def exits_of(vm, gpa):
    """The exits of a load there."""
    before = vm.exits
    vm.cpu.load(gpa)
    return vm.exits - before


def with_bars(*bars):
    card = Card()
    for index, size, bits, ahead in bars:
        card.memory_bar(index, card.scratch, size, bits=bits, prefetchable=ahead)
    return card


# -- BARs


def test_a_bar_of_less_than_a_page_works_and_traps():
    """What else is in its page must not be given: every access is made again by the VMM."""
    world = World(with_bars((0, 0x100, 32, False))).given()
    gpa = world.found.bar(0)
    world.vm.cpu.store(gpa, 0x1234)
    assert world.card.scratch.FIRST == 0x1234
    assert world.vm.cpu.load(gpa) == 0x1234
    assert exits_of(world.vm, gpa) == 1


def test_a_bar_that_shares_its_physical_page_traps_even_where_the_guest_has_it_on_one():
    world = World(with_bars((0, 0x800, 32, False), (1, 0x800, 32, False))).given()
    for index in (0, 1):
        assert exits_of(world.vm, world.found.bar(index)) == 1


def test_a_64_bit_bar_goes_above_4_gib_in_host_and_guest():
    world = World(with_bars((2, 1 << 21, 64, True))).given()
    physical, gpa = world.kernel.find(world.card).bar(2), world.found.bar(2)
    assert physical >= 1 << 32
    assert gpa >= 1 << 32
    world.vm.cpu.store(gpa + 4, 7)
    assert world.card.scratch.SECOND == 7
    assert exits_of(world.vm, gpa) == 0
    world.vm.access.write(world.found.place, 0x1C, 4, 0xC)
    assert exits_of(world.vm, 0xC_0000_0000 | gpa & 0xFFFF_FFFF) == 0
    world.passthrough.withdraw(world.kernel.find(world.card))
    assert (
        world.kernel.find(world.card).bar(2) == physical == world.card.address(world.card.bars[0])
    )


def test_two_bars_of_which_the_guest_puts_one_over_the_other():
    """The first has the addresses; the second is reached again when the first has left."""
    world = World(with_bars((0, PAGE, 32, False), (1, PAGE, 32, False))).given()
    gpa, other = world.found.bar(0), world.found.bar(1)
    world.vm.access.write(world.found.place, 0x14, 4, gpa)
    assert exits_of(world.vm, gpa) == 0
    assert world.vm.vm.tables.walk(gpa).hpa == world.kernel.find(world.card).bar(0)
    world.vm.access.write(world.found.place, 0x10, 4, other)
    assert world.vm.vm.tables.walk(gpa).hpa == world.kernel.find(world.card).bar(1)
    assert world.vm.vm.tables.walk(other).hpa == world.kernel.find(world.card).bar(0)


def test_a_bar_that_runs_out_of_the_window_is_not_mapped():
    """64 MiB at 0xFC00_0000 would also cover the guest's local APIC."""
    world = World(with_bars((0, 64 << 20, 32, False))).given()
    assert exits_of(world.vm, world.found.bar(0)) == 0
    world.vm.access.write(world.found.place, 0x10, 4, 0xFC00_0000)
    assert exits_of(world.vm, 0xFC00_0000) == 1
    assert world.vm.apic.detect()
    assert exits_of(world.vm, 0xFED0_0000) == 1


def test_with_hardly_a_frame_left_it_traps_and_still_works():
    world = World(with_bars((0, PAGE, 32, False))).given()
    frames = world.host.frames
    while frames.left > 8:
        frames.take()
    world.vm.access.write(world.found.place, 0x10, 4, 0xD000_0000)
    world.vm.cpu.store(0xD000_0000, 5)
    assert world.card.scratch.FIRST == 5
    assert exits_of(world.vm, 0xD000_0000) == 1


def registers_in_reach(vm):
    """The pages of devices that the VM's EPT maps, the virtual APIC's apart."""
    ram = set(vm.vm.ram.frames.values())
    pages = [hpa for _, hpa, _ in leaves(vm.vm.tables) if hpa not in ram]
    return [hpa for hpa in pages if hpa not in INTERRUPT_RANGE]


def test_a_bar_that_needs_more_tables_than_are_left_traps_as_a_whole():
    """64 MiB need 32 tables. With half of them, half the pages would be nobody's to take back."""
    world = World(with_bars((0, 64 << 20, 32, False))).given()
    place, base = world.found.place, world.found.bar(0)
    world.vm.access.write(place, 4, 2, 0)
    frames = world.host.frames
    while frames.left > SPARE + 20:
        frames.take()
    world.vm.access.write(place, 4, 2, 6)
    assert registers_in_reach(world.vm) == []
    world.vm.cpu.store(base, 5)
    assert world.card.scratch.FIRST == 5
    assert frames.left == SPARE + 20
    world.passthrough.withdraw(world.kernel.find(world.card))
    assert registers_in_reach(world.vm) == []


def test_a_guest_that_moves_its_bar_everywhere_costs_the_host_no_frames():
    world = World(with_bars((0, PAGE, 32, False))).given()
    world.vm.access.write(world.found.place, 0x10, 4, 0xC000_0000)
    left = world.host.frames.left
    for gpa in range(0xC000_0000, 0xFE00_0000, 1 << 23):
        world.vm.access.write(world.found.place, 0x10, 4, gpa)
        assert world.host.frames.left == left


def test_tables_of_every_level_go_back():
    """Each GiB of the upper window needs a table for its addresses, and another one below."""
    world = World(with_bars((2, 1 << 21, 64, True))).given()
    place, access = world.found.place, world.vm.access
    left = world.host.frames.left
    for gpa in range(0x8_0000_0000, 0x10_0000_0000, 1 << 30):
        access.write(place, 0x1C, 4, gpa >> 32)
        access.write(place, 0x18, 4, gpa & 0xFFFF_FFFF)
        assert exits_of(world.vm, gpa) == 0
    assert world.host.frames.left == left


# -- messages


@pytest.mark.parametrize("posted", [False, True])
@pytest.mark.parametrize(("bits64", "maskable"), [(True, False), (False, False), (True, True)])
def test_four_messages_of_msi(posted, bits64, maskable):
    card = Card()
    physical = card.config.add(Msi(4, bits64, maskable), MSI_AT)
    world = World(card).given(posted)
    driver = MsiDriver(world.vm.access, world.found.place)
    assert driver.vectors == 4
    driver.enable(*Interrupt(0x60).message(), vectors=4)
    assert physical.vectors == 4
    for n in (2, 0, 3):
        card.notify(n)
        assert world.vm.lapic.acknowledge() == 0x60 + n
        world.vm.apic.eoi()
    driver.disable()
    assert not physical.enabled
    assert world.kernel.vtd.interrupts.used == set()
    driver.enable(*Interrupt(0x70).message())
    card.notify(3)  # one vector is enabled: the device has no other
    assert world.vm.lapic.acknowledge() == 0x70


def test_msi_that_gets_no_entries_is_off_at_the_device():
    card = Card()
    physical = card.config.add(Msi(2), MSI_AT)
    world = World(card).given()
    world.kernel.vtd.interrupts.used = set(range(256))
    MsiDriver(world.vm.access, world.found.place).enable(*Interrupt(0x60).message(), vectors=2)
    assert not physical.enabled


def with_table(bar, size, at, vectors=3, pba=None):
    """A card with an MSI-X table at `at` of a BAR, registers before and behind it."""
    card = Card()
    table = MsixTable(vectors, card.send)
    capability = card.config.add(Msix.for_table(table, bar, at), MSIX_AT)
    if pba is not None:
        capability.preset(PBA=pba)

    class Both:
        def read(self, offset, n):
            inside = at <= offset < at + table.length
            return table.read(offset - at, n) if inside else card.scratch.read(offset & 0xFFF, n)

        def write(self, offset, n, value):
            if at <= offset < at + table.length:
                table.write(offset - at, n, value)
            else:
                card.scratch.write(offset & 0xFFF, n, value)

    card.memory_bar(bar, Both(), size)
    card.table = table
    return card


def test_a_table_in_the_midst_of_a_bar_traps_and_what_is_around_it_does_not():
    card = with_table(0, 0x4000, 0x1000)
    world = World(card).given()
    base = world.found.bar(0)
    traps = [exits_of(world.vm, base + page) for page in range(0, 0x4000, PAGE)]
    assert traps == [0, 1, 0, 0]
    msix = MsixDriver(world.vm.cpu, world.vm.access, world.found)
    assert (msix.vectors, msix.table) == (3, base + 0x1000)
    msix.set(2, *Interrupt(0x62).message())
    msix.enable()
    card.notify(2)
    assert world.vm.lapic.acknowledge() == 0x62
    world.vm.cpu.store(base + 0x2004, 9)
    assert card.scratch.SECOND == 9


def test_registers_that_share_the_table_s_page_are_reached_through_the_vmm():
    """The table has half a page, a register the other half."""
    card = with_table(0, 0x4000, 0x2800)
    world = World(card).given()
    base = world.found.bar(0)
    assert [exits_of(world.vm, base + at) for at in (0, 0x1000, 0x2000, 0x3000)] == [0, 0, 1, 1]
    world.vm.cpu.store(base + 0x2004, 9)
    assert card.scratch.SECOND == 9
    assert world.vm.cpu.load(base + 0x2004) == 9


@pytest.mark.parametrize(("pba", "size"), [(0x2001, 0x4000), (0x2000, 0x4000)])
def test_a_table_and_pending_bits_apart_are_refused(pba, size):
    world = World(with_table(0, size, 0x1000, pba=pba))
    with pytest.raises(ValueError, match="MSI-X table and pending bits apart"):
        world.given()


# -- capabilities


def test_a_vendor_s_capability_is_the_device_s_own():
    card = Card()
    notes = card.config.add(Notes(), VENDOR_AT)
    world = World(card).given()
    place, access = world.found.place, world.vm.access
    assert access.read(place, VENDOR_AT + 2, 2) == 0x5A08
    access.write(place, VENDOR_AT + 4, 4, 0x1234)
    assert (notes.COUNT, notes.written) == (0x1234, 1)
    assert access.read(place, VENDOR_AT + 4, 2) == 0x1234
    assert access.read(place, VENDOR_AT + 5, 1) == 0x12


def test_power_management_is_not_the_guest_s():
    card = Card()
    card.config.add(PowerManagement(), POWER_AT)
    world = World(card).given()
    ids = [id for id, _ in capability_list(world.vm.access, world.found.place)]
    assert ids == [Express.id]
    world.vm.access.write(world.found.place, POWER_AT + 4, 2, 3)
    assert card.awake


def test_a_function_without_a_reset_is_refused():
    world = World(Card(), express=False)
    with pytest.raises(ValueError, match="no function level reset"):
        world.given()
    card = Card()
    make_express(card, "legacy endpoint", at=EXPRESS_AT)
    express = card.config.find(Express)
    express.preset(DEVICE_CAPABILITIES=0)
    world = World(card, express=False)
    with pytest.raises(ValueError, match="no function level reset"):
        world.given()


def test_64_vms_have_devices_and_no_more():
    """Their descriptors share one page."""
    world = World(with_bars((0, PAGE, 32, False)))
    found = world.kernel.find(world.card)
    for slot in range(MOST_VMS):
        world.passthrough._tenants[slot] = type("Taken", (), {"slot": slot})()
    with pytest.raises(ValueError, match="64 VMs have devices already"):
        world.passthrough.give(found, world.vm.made)


# -- what cannot be given


def trace_of(world):
    """All that a device leaves behind where it was given to somebody."""
    return (
        dict(world.passthrough.given),
        dict(world.passthrough._tenants),
        list(world.passthrough.vectors.targets),
        world.kernel.vtd.root.entry(world.card.source_id),
        [mapping for mapping in world.host.memory.mappings if mapping.name == "virtual apic"],
        list(world.vm.made.root.bus.functions),
        registers_in_reach(world.vm),
    )


def test_a_card_whose_capabilities_overlap_is_refused_and_nothing_is_left():
    """A vendor's length runs into the next capability: hardware, too, makes mistakes."""
    card = Card()
    card.config.add(Notes(), VENDOR_AT).preset(LENGTH=0x60)
    world = World(card)
    before = trace_of(world)
    with pytest.raises(ValueError, match="overlaps"):
        world.given()
    assert trace_of(world) == before


def test_a_vm_whose_domain_found_no_room_gets_a_whole_one_later():
    """Half a domain would be half of the VM's memory: the device's requests would be faults."""
    world = World(with_bars((0, PAGE, 32, False)))
    room, before = world.kernel.vtd.pages.room, trace_of(world)
    taken, room.taken = room.taken, room.length - 2 * PAGE
    with pytest.raises(ValueError, match="do not fit"):
        world.given()
    assert trace_of(world) == before
    room.taken = taken
    world.given()
    world.card.dma.write(server.VM_RAM - 4, b"last")
    assert world.vm.vm.ram.read(server.VM_RAM - 4, 4) == b"last"


def test_without_a_frame_for_the_apic_page_nothing_is_given():
    world = World(with_bars((0, PAGE, 32, False)))
    before = trace_of(world)
    frames = world.host.frames
    while frames.left > 1:
        frames.take()
    with pytest.raises(ValueError, match="frames are wanted"):
        world.given(posted=True)
    assert trace_of(world) == before
    world.given(posted=False)
