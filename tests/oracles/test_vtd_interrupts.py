"""Interrupt remapping: the table that our driver writes, decoded by our unit and by QEMU's."""

import pytest

from tests.oracles.vtd_worlds import (
    DISK,
    EDU,
    EDU2,
    FRAMES,
    IMAGE,
    IO_APIC_SOURCE,
    MIB,
    PIN,
    Ours,
    world_fixture,
)
from virtlab.guest.apic import IoApicDriver
from virtlab.guest.msix import MsixDriver
from virtlab.guest.room import Room
from virtlab.guest.vtd_interrupts import ENTRIES, message
from virtlab.guest.vtd_registers import SWITCHES
from virtlab.interrupts import Delivery, Interrupt, Msi
from virtlab.iommu.layouts import IRTE
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters
from virtlab.virtio.blk_layouts import SECTOR

world = world_fixture("4 levels")


@pytest.fixture
def vtd(world):
    """A unit that remaps interrupts and leaves memory alone."""
    vtd = world.driver()
    vtd.remap_interrupts()
    return vtd


def recorded(world, vtd):
    """The reasons in the records. QEMU 7.2 refuses interrupts, and records nothing of it."""
    found = [fault.reason for fault in vtd.faults.read()]
    assert world.name == "ours" or not found
    return found


def expected(world, *reasons):
    return list(reasons) if world.name == "ours" else []


def test_a_message_becomes_what_its_entry_says(world, vtd):
    """5.1.2.2: the device names an entry; vector and processor come from there."""
    vectors = [world.vector() for _ in range(3)]
    messages = [vtd.interrupts.route(EDU, Interrupt(vector)) for vector in vectors]
    assert [each.address >> 20 for each in messages] == [0xFEE] * 3
    for each, vector in zip(messages, vectors, strict=True):
        world.send(each)
        assert world.heard() == [(vector, 0)]


def test_the_subhandle_chooses_among_entries_in_a_row(world, vtd):
    """5.1.2.2, SHV: handle plus subhandle, for MSI of several vectors."""
    vectors = [world.vector() for _ in range(4)]
    first = vtd.interrupts.take(4)
    for number, vector in enumerate(vectors):
        vtd.interrupts.route(EDU, Interrupt(vector), first + number)
    world.send(message(first, several=True)._replace(data=2))
    assert world.heard() == [(vectors[2], 0)]
    world.send(message(first)._replace(data=2))
    assert world.heard() == [(vectors[0], 0)]


def test_an_entry_is_for_its_device_alone(world, vtd):
    """9.10, SVT = 01b: reason 26h."""
    mine = world.vector()
    sent = vtd.interrupts.route(EDU, Interrupt(mine))
    world.send(sent, EDU2)
    assert world.heard() == []
    assert recorded(world, vtd) == expected(world, Reason.SOURCE_ID)
    world.send(sent, EDU)
    assert world.heard() == [(mine, 0)]


REFUSED = {
    "not present": (message(9), Reason.IRTE_NOT_PRESENT),
    "beyond the table": (message(ENTRIES), Reason.INDEX_BEYOND),
    "beyond, by bit 15 of the handle": (message(1 << 15), Reason.INDEX_BEYOND),
    "compatibility format": (Msi(0xFEE0_0000, 0x2F), Reason.COMPATIBILITY_BLOCKED),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_entry_allows_does_not_arrive(world, vtd, name):
    sent, reason = REFUSED[name]
    if world.name == "qemu" and reason == Reason.COMPATIBILITY_BLOCKED:
        sent = sent._replace(data=world.vector())
        world.send(sent)
        assert world.heard() == [(sent.data, 0)]  # a deviation: it passes, though CFIS is 0
        return
    world.send(sent)
    assert world.heard() == []
    assert recorded(world, vtd) == expected(world, reason)


def test_a_reserved_bit_in_an_entry(world, vtd):
    """9.10: reason 24h."""
    entry = vtd.interrupts.entry(EDU, Interrupt(world.vector())) | 1 << 24
    vtd.interrupts.put(3, entry)
    world.send(message(3))
    assert world.heard() == []
    assert recorded(world, vtd) == expected(world, Reason.IRTE_RESERVED)


def test_compatibility_format_where_it_is_allowed():
    """5.1.2.1, CFI."""
    world = Ours()
    vtd = world.driver()
    vtd.remap_interrupts(compatibility=True)
    world.send(Msi(0xFEE0_0000, 0x2F))
    assert world.heard() == [(0x2F, 0)]
    again = vtd.remap_interrupts()
    world.send(Msi(0xFEE0_0000, 0x2F))
    assert world.heard() == []
    assert vtd.interrupts is again


def test_deviation_the_command_cfi_is_ignored(world, vtd):
    """10.4.4: GSTS.CFIS follows. In QEMU 7.2 it stays 0, and the format passes anyway."""
    gcmd, gsts = VtdRegisters.GCMD, VtdRegisters.GSTS
    vtd.registers.put(gcmd, vtd.registers.get(gsts) & SWITCHES | gcmd.CFI.mask)
    assert vtd.registers.is_on(gsts.CFIS) == (world.name == "ours")


def test_an_entry_that_is_dropped(world, vtd):
    """6.5.2.7: the driver invalidates it, so it is refused at once."""
    vector = world.vector()
    sent = vtd.interrupts.route(EDU, Interrupt(vector))
    world.send(sent)
    assert world.heard() == [(vector, 0)]
    vtd.interrupts.drop(0)
    world.send(sent)
    assert world.heard() == []
    assert recorded(world, vtd) == expected(world, Reason.IRTE_NOT_PRESENT)
    later = world.vector()
    assert vtd.interrupts.route(EDU, Interrupt(later)) == sent
    world.send(sent)
    assert world.heard() == [(later, 0)]


def test_an_entry_that_changes_is_seen_after_its_invalidation(world, vtd):
    """6.2.1: the interrupt-entry cache. QEMU 7.2 has none, and sees a change at once."""
    first, second = world.vector(), world.vector()
    sent = vtd.interrupts.route(EDU, Interrupt(first))
    world.send(sent)
    assert world.heard() == [(first, 0)]
    entry = vtd.interrupts.entry(EDU, Interrupt(second))
    vtd.cpu.store(vtd.interrupts.gpa, entry & (1 << 64) - 1, 8)
    if world.name == "ours":
        world.send(sent)
        assert world.heard() == [(first, 0)]
    vtd.ring.interrupts(0)
    world.send(sent)
    assert world.heard() == [(second, 0)]


def test_when_it_is_off_messages_pass_as_they_are(world, vtd):
    vtd.interrupts.disable()
    vector = world.vector()
    world.send(Msi(0xFEE0_0000, vector))
    assert world.heard() == [(vector, 0)]


def test_the_messages_of_a_virtio_disk_go_through_its_entries(world, vtd):
    """Both at once: its requests through a domain, its MSI-X through the table."""
    vectors = [world.vector(), world.vector()]
    msix = MsixDriver(world.cpu, world.access, world.found[DISK])
    for number, vector in enumerate(vectors):
        msix.set(number, *vtd.interrupts.route(DISK, Interrupt(vector)))
    domain = vtd.new_domain()
    vtd.attach(DISK, domain)
    cpu = vtd.lend(domain, 1 << 38, [(FRAMES, MIB)])
    vtd.enable()
    msix.enable()
    disk = world.disk(cpu, Room(1 << 38, MIB), vectors=(0, 1))
    disk.requests.slots.queue.enable_cb()
    assert disk.read(3, 2) == IMAGE[3 * SECTOR : 5 * SECTOR]
    msix.enable(False)
    assert world.heard() == [(vectors[1], 0)]
    assert recorded(world, vtd) == []


def test_the_io_apic_names_an_entry_too(world, vtd):
    """5.1.5.1: by its redirection entry, with the source id that the DMAR table has for it."""
    vector = world.vector()
    inputs = IoApicDriver(world.cpu)
    vtd.interrupts.route(IO_APIC_SOURCE, Interrupt(vector), index=5)
    inputs.route_remapped(PIN, 5, vector)
    world.pulse()
    assert world.heard() == [(vector, 0)]
    vtd.interrupts.drop(5)
    world.pulse()
    assert world.heard() == []
    assert recorded(world, vtd) == expected(world, Reason.IRTE_NOT_PRESENT)
    inputs.mask(PIN)


def test_deviation_the_io_apic_is_not_asked_who_it_is(world, vtd):
    """9.10, SVT = 01b. QEMU's I/O APIC sends without a source id, and any entry takes that."""
    vector = world.vector()
    inputs = IoApicDriver(world.cpu)
    vtd.interrupts.route(EDU, Interrupt(vector), index=5)
    inputs.route_remapped(PIN, 5, vector)
    world.pulse()
    assert world.heard() == ([] if world.name == "ours" else [(vector, 0)])
    assert recorded(world, vtd) == expected(world, Reason.SOURCE_ID)
    inputs.mask(PIN)


# -- what only ours can show


def test_everything_that_an_entry_says_is_in_the_message():
    """9.10, and what the local APICs read of it."""
    world = Ours()
    vtd = world.driver()
    vtd.remap_interrupts()
    wanted = Interrupt(0x55, 3, Delivery.LOWEST_PRIORITY, logical=True, hint=True, level=True)
    world.send(vtd.interrupts.route(EDU, wanted))
    (sent,) = world.messages
    assert Interrupt.of(sent) == wanted


def test_an_x2apic_id_has_32_bits():
    """10.4.29, EIME."""
    world = Ours()
    vtd = world.driver()
    vtd.remap_interrupts(extended=True)
    world.send(vtd.interrupts.route(EDU, Interrupt(0x55, 0x1234_5678)))
    assert world.heard() == [(0x55, 0x1234_5678)]
    entry = vtd.interrupts.entry(EDU, Interrupt(0x55, 0x1234_5678))
    assert IRTE.DST.get(entry) == 0x1234_5678


def test_a_posted_interrupt_is_a_bit_in_its_descriptor():
    """9.11, 9.12: PIR, ON, and one notification until ON is cleared."""
    world = Ours()
    vtd = world.driver()
    vtd.remap_interrupts()
    descriptor = FRAMES + 0x40
    vtd.cpu.write(descriptor, bytes(64))
    vtd.cpu.store(descriptor + 34, 0xF2, 1)  # NV
    for vector in (0x41, 0x99):
        world.send(vtd.interrupts.post(EDU, vector, descriptor))
    pir = int.from_bytes(vtd.cpu.read(descriptor, 32), "little")
    assert pir == 1 << 0x41 | 1 << 0x99
    assert vtd.cpu.load(descriptor + 32, 1) & 1
    assert world.heard() == [(0xF2, 0)]
