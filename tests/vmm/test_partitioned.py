"""One disk, several virtual disks: translated, bounded, and nobody touches a neighbour's sector."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm.hosts import Hotel, pics_of
from virtlab.backends import SECTOR, Disk
from virtlab.devices.ata.registers import ABRT, ERROR, IDNF
from virtlab.guest.ata import PRIMARY, AtaDriver, AtaError
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.vmm.partitioned import PartitionedDisk


def channel(guest):
    return guest.cards.ide.channels[0]


def driver_of(guest):
    driver = AtaDriver(guest.cpu)
    driver.mute()
    return driver


@pytest.fixture
def hotel():
    return Hotel()


@pytest.fixture
def disk(hotel):
    disk = hotel.disk()
    for number, guest in enumerate(hotel.guests):
        disk.give(guest, channel(guest), 1000 * number, 1000)
    return disk


def test_each_vm_has_a_disk_of_its_own_that_begins_at_0(hotel, disk):
    a, b = map(driver_of, hotel.guests)
    assert a.read(5)[:18] == b"This is sector 5. "
    assert b.read(5)[:21] == b"This is sector 1005. "
    assert not hotel.host.pic.slave.irr  # the VMM polls: nobody asked the physical drive to call


def test_identify_tells_the_size_of_the_piece(hotel, disk):
    identity = driver_of(hotel.guests[1]).identify()
    assert (identity.sectors, identity.model) == (1000, "PIECE OF A DISK")
    assert driver_of(hotel.guests[1]).identify().serial == "VL-1000"


def test_a_write_lands_on_the_physical_disk_at_the_translated_sector(hotel, disk):
    with hotel.host.trace.recording() as events:
        driver_of(hotel.guests[1]).write(7, b"B" * SECTOR)
    assert hotel.host.disk.read(1007) == b"B" * SECTOR
    assert [(e.who, e.value) for e in events if e.kind == "translate"] == [("B", 1007)]


@pytest.mark.parametrize("first", [999, 1000, 1001, (1 << 28) - 1])
def test_a_sector_past_the_piece_is_idnf_and_touches_nothing(hotel, disk, first):
    before, requests = hotel.host.disk.read(0, 4096), hotel.host.trace.counts["translate"]
    driver = driver_of(hotel.guests[0])
    for action in (lambda: driver.verify(first, 2), lambda: driver.read(first + 1)):
        with pytest.raises(AtaError) as failed:
            action()
        assert failed.value.error == IDNF
    with pytest.raises(AtaError) as failed:
        driver.write(first, bytes(2 * SECTOR))
    assert failed.value.error == IDNF
    assert hotel.host.disk.read(1000, 3096) == before[1000 * SECTOR :]
    assert hotel.host.trace.counts["translate"] - requests == (first == 999)


def test_a_piece_to_read_only_aborts_a_write(hotel):
    disk = hotel.disk()
    disk.give(hotel.guests[0], channel(hotel.guests[0]), 0, 10, read_only=True)
    driver = driver_of(hotel.guests[0])
    with pytest.raises(AtaError) as failed:
        driver.write(0, bytes(SECTOR))
    assert failed.value.error == ABRT
    assert driver.read(0)[:18] == b"This is sector 0. "


def test_pieces_do_not_overlap(hotel, disk):
    third = Hotel(1).guests[0]
    third.vm.name = "C"
    for start, count in ((0, 1), (999, 1), (500, 1000), (1999, 10)):
        with pytest.raises(ValueError, match=r"has sectors \d+ to \d+"):
            disk.give(third, channel(third), start, count)
    with pytest.raises(ValueError, match="are not on"):
        disk.give(third, channel(third), 4000, 97)
    assert hotel.ledger.holders("disk") == ("A", "B")
    disk.give(third, channel(third), 2000, 10)


def test_a_piece_does_not_run_into_the_next_one(hotel):
    disk, (a, b) = hotel.disk(), hotel.guests
    disk.give(a, channel(a), 10, 5)
    with pytest.raises(ValueError, match="A has sectors 10 to 14"):
        disk.give(b, channel(b), 8, 3)
    disk.give(b, channel(b), 8, 2)


def test_a_vm_has_one_piece(hotel, disk):
    with pytest.raises(ValueError, match="A has its part of the disk"):
        disk.give(hotel.guests[0], channel(hotel.guests[0]), 2000, 10)
    assert len(disk.pieces) == 2


def test_withdrawn_a_piece_is_zeros_for_the_next_owner(hotel):
    disk, a = hotel.disk(), hotel.guests[0]
    own = channel(a).drives
    disk.give(a, channel(a), 10, 5)
    disk.withdraw(a)
    assert channel(a).drives == own
    assert driver_of(a).identify().sectors == 4096
    assert hotel.host.disk.read(10, 5) == bytes(5 * SECTOR)
    for neighbour in (9, 15):
        assert hotel.host.disk.read(neighbour).startswith(b"This is sector %d. " % neighbour)
    disk.give(hotel.guests[1], channel(hotel.guests[1]), 10, 5)
    assert driver_of(hotel.guests[1]).read(4) == bytes(SECTOR)


@pytest.mark.parametrize(("read_only", "erase"), [(True, True), (False, False)])
def test_a_piece_may_be_left_as_it_is(hotel, read_only, erase):
    disk = hotel.disk()
    disk.give(hotel.guests[0], channel(hotel.guests[0]), 0, 4, read_only)
    disk.withdraw(hotel.guests[0], erase)
    assert hotel.host.disk.read(3)[:18] == b"This is sector 3. "
    assert disk.pieces == []


def test_a_flush_reaches_the_physical_disk(hotel, disk):
    flushed = []
    hotel.host.disk.flush = lambda: flushed.append(1)
    driver_of(hotel.guests[0]).flush()
    assert flushed == [1]


def test_a_physical_disk_that_fails_is_a_disk_that_cannot_read_for_the_vm(hotel, disk):
    """The physical drive fails a command; the virtual one says so by UNC, and nothing raises."""
    hotel.host.cards.ide.drives[0][0].disk.sectors = 3  # as if the rest had come off
    driver = driver_of(hotel.guests[0])
    for action in (lambda: driver.read(5), lambda: driver.write(5, bytes(SECTOR))):
        with pytest.raises(AtaError) as failed:
            action()
        assert failed.value.error == ERROR.UNC.mask
    assert driver.read(2)[:18] == b"This is sector 2. "


def test_the_virtual_drive_interrupts_its_own_vm(hotel, disk):
    driver = AtaDriver(hotel.guests[0].cpu)
    driver.listen(pics_of(hotel.guests[0]))
    assert driver.read(0, 2)[:18] == b"This is sector 0. "
    assert not hotel.guests[1].pic.pending


def test_the_bus_master_serves_a_piece_as_any_disk(hotel, disk):
    guest = hotel.guests[1]
    base = find(enumerate_pci(guest.cpu), 0x8086, 0x7010).bar(4)
    driver = AtaDriver(guest.cpu, bus_master=base, table=0x9000)
    driver.mute()
    driver.read_dma(5, [(0x10000, SECTOR)])
    assert guest.cpu.read(0x10000, 21) == b"This is sector 1005. "


commands = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([0x20, 0x30, 0x24, 0x34, 0x40, 0xC4, 0xC5, 0xEC, 0xEF, 0xC6, 0x91]),
        st.integers(0, 2),
        st.one_of(st.integers(0, 50), st.integers(0, (1 << 28) - 1)),
        st.sampled_from([0xE0, 0xA0, 0xF0, 0x40]),
    ),
    max_size=6,
)

PIECES = ((0, 16), (16, 16), (40, 8))


@given(commands)
@settings(max_examples=40, deadline=None)
def test_whatever_vms_do_a_sector_is_changed_by_its_owner_only(machines, steps):
    """Raw task files of three hostile VMs; each writes its own letter, and reads what comes."""
    hotel, disk, image = machines
    disk.disk.write(0, image)
    for who, command, count, sector, device in steps:
        cpu = hotel.guests[who].cpu
        for offset, value in enumerate((count, sector, sector >> 8, sector >> 16), 2):
            cpu.out(PRIMARY.command + offset, value & 0xFF)
        cpu.out(PRIMARY.command + 6, device | sector >> 24 & 0xF)
        cpu.out(PRIMARY.command + 7, command)
        letters = 0x01010101 * b"ABC"[who]
        for _ in range(count * SECTOR // 4):
            if command in (0x20, 0x24, 0xC4):
                assert cpu.inp(PRIMARY.command, 4) in (letters, 0)
            else:
                cpu.out(PRIMARY.command, letters, 4)
        cpu.out(PRIMARY.control, 4)
        cpu.out(PRIMARY.control, 0)
    assert disk.disk.read(0, disk.disk.sectors) == image


@pytest.fixture(scope="module")
def machines():
    """Three VMs on 48 sectors; each piece is full of its owner's letter, the rest of dots."""
    hotel = Hotel(3)
    image = bytearray(b"." * 48 * SECTOR)
    for letter, (start, count) in zip(b"ABC", PIECES, strict=True):
        image[start * SECTOR : (start + count) * SECTOR] = bytes([letter]) * count * SECTOR
    disk = PartitionedDisk(Disk.of(bytes(image)), hotel.host.trace, hotel.ledger)
    for guest, piece in zip(hotel.guests, PIECES, strict=True):
        disk.give(guest, channel(guest), *piece)
    return hotel, disk, bytes(image)
