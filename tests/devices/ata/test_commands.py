"""What each command of the drive does, clause by clause, through the registers of its channel."""

import pytest

from tests.devices.ata.rig import DEVICE_0, Bench, image
from virtlab.backends.disk import SECTOR, Disk
from virtlab.devices.ata import Command
from virtlab.devices.ata.registers import (
    ABRT,
    DEVICE,
    DRDY,
    DRQ,
    DSC,
    ERR,
    ERROR,
    IDNF,
    LBA_LOW,
    SECTOR_COUNT,
)

SECTORS = 400
IMAGE = image(SECTORS)
READY = DRDY | DSC


@pytest.fixture
def bench():
    made = Bench(Disk.of(IMAGE))
    made.disk = made.channel.drives[0].disk
    return made


def sectors(first, count=1):
    return IMAGE[first * SECTOR : (first + count) * SECTOR]


def failed(bench, error):
    """The command has ended with `error`, and said so."""
    return (bench.status, bench.get(ERROR)) == (DRDY | ERR, error) and bench.interrupt


# -- PIO data-in


@pytest.mark.parametrize("code", [Command.READ_SECTORS, Command.READ_SECTORS_EXT])
def test_each_sector_of_a_read_is_announced_by_drq_and_an_interrupt(bench, code):
    assert bench.command(code, 7, 3) == READY | DRQ
    for number in range(3):
        assert bench.edges == number + 1
        assert bench.acknowledge() == READY | DRQ
        assert bench.take() == sectors(7 + number)
    assert bench.status == READY
    assert bench.edges == 3


def test_data_may_be_read_in_double_words(bench):
    bench.command(Command.READ_SECTORS, 7)
    assert bench.take(size=4) == sectors(7)


def test_a_count_of_0_is_256_sectors(bench):
    bench.command(Command.READ_SECTORS, 0, 0)
    assert bench.take(256, size=4) == sectors(0, 256)
    assert bench.status == READY


def test_a_count_of_0_is_65536_sectors_where_it_has_16_bits():
    bench = Bench(Disk(65536 * SECTOR))
    bench.command(Command.READ_VERIFY_SECTORS_EXT, 0, 0)
    assert bench.status == READY
    bench.command(Command.READ_VERIFY_SECTORS_EXT, 1, 0)
    assert failed(bench, IDNF)


def test_read_multiple_moves_blocks_and_a_last_one_that_is_shorter(bench):
    bench.command(Command.SET_MULTIPLE_MODE, count=4)
    bench.acknowledge()
    bench.command(Command.READ_MULTIPLE, 5, 10)
    for first, count in ((5, 4), (9, 4), (13, 2)):
        assert bench.acknowledge() == READY | DRQ
        assert bench.take(count) == sectors(first, count)
    assert (bench.status, bench.edges) == (READY, 4)


def test_read_multiple_ext_has_48_bits(bench):
    bench.command(Command.READ_MULTIPLE_EXT, 5, 16)
    assert bench.take(16) == sectors(5, 16)


@pytest.mark.parametrize("code", [Command.READ_MULTIPLE, Command.WRITE_MULTIPLE])
def test_blocks_of_no_sectors_are_aborted(bench, code):
    bench.command(Command.SET_MULTIPLE_MODE, count=0)
    bench.command(code)
    assert failed(bench, ABRT)


@pytest.mark.parametrize("count", [3, 32, 129, 255])
def test_set_multiple_takes_powers_of_two_that_the_drive_has(bench, count):
    bench.command(Command.SET_MULTIPLE_MODE, count=count)
    assert failed(bench, ABRT)


# -- PIO data-out


@pytest.mark.parametrize("code", [Command.WRITE_SECTORS, Command.WRITE_SECTORS_EXT])
def test_a_write_asks_first_and_interrupts_after_each_sector(bench, code):
    data = image(3, seed=9)
    assert bench.command(code, 20, 3) == READY | DRQ
    assert bench.edges == 0
    for number in range(3):
        bench.give(data[number * SECTOR : (number + 1) * SECTOR])
        assert bench.edges == number + 1
        assert bench.acknowledge() == READY | (DRQ if number < 2 else 0)
    assert bench.disk.read(19, 5) == sectors(19) + data + sectors(23)


@pytest.mark.parametrize("code", [Command.WRITE_MULTIPLE, Command.WRITE_MULTIPLE_EXT])
def test_write_multiple_moves_blocks(bench, code):
    data = image(17, seed=9)
    bench.command(code, 20, 17)
    bench.give(data[: 16 * SECTOR], size=4)
    assert bench.acknowledge() == READY | DRQ
    bench.give(data[16 * SECTOR :], size=4)
    assert (bench.acknowledge(), bench.edges) == (READY, 2)
    assert bench.disk.read(20, 17) == data


def test_half_a_sector_is_not_written(bench):
    bench.command(Command.WRITE_SECTORS, 20)
    bench.give(bytes(SECTOR - 2))
    assert bench.status == READY | DRQ
    assert bench.disk.read(20) == sectors(20)


@pytest.mark.parametrize("code", [Command.WRITE_SECTORS, Command.WRITE_DMA])
def test_a_disk_that_cannot_be_written_says_so_at_once(code):
    bench = Bench(Disk.of(IMAGE, read_only=True))
    bench.command(code)
    assert failed(bench, ABRT)


def test_data_goes_one_way_only(bench):
    """Reads of a write, and writes of a read, move nothing."""
    bench.command(Command.WRITE_SECTORS, 20)
    assert bench.take() == bytes(SECTOR)
    bench.give(IMAGE[:SECTOR])
    assert bench.disk.read(20) == sectors(0)
    bench.command(Command.READ_SECTORS, 3)
    bench.give(bytes(SECTOR))
    assert bench.take() == sectors(3)
    assert bench.take() == bytes(SECTOR)


# -- addresses


def test_the_registers_follow_a_transfer(bench):
    """They name the next sector, and how many are left."""
    bench.command(Command.READ_SECTORS, 0xFF, 3)
    bench.take(1)
    assert (bench.address(), bench.get(SECTOR_COUNT)) == (0x101, 1)


def test_the_registers_follow_in_both_their_bytes():
    bench = Bench(Disk(SECTOR))
    drive = bench.channel.drives[0]
    drive.task.extended = True
    drive.task.device = DEVICE_0
    drive.task.set_sector(0x1234_5678_9ABC, drive.settings.geometry)
    assert bench.address() == 0x789ABC
    bench.control(0x80)
    assert bench.address() == 0x123456


def test_a_chs_address_counts_sectors_from_1(bench):
    """Cylinder 0, head 2, sector 5 of 16 heads and 63 sectors."""
    bench.command(Command.READ_SECTORS, 5, 1, device=2)
    assert bench.take() == sectors(2 * 63 + 4)


def test_a_chs_address_goes_on_to_the_next_head_and_cylinder(bench):
    bench.command(Command.INITIALIZE_DEVICE_PARAMETERS, count=3, device=1)
    bench.command(Command.READ_SECTORS, 7 << 8 | 3, 2, device=1)
    assert bench.take(2) == sectors(7 * 6 + 5, 2)
    assert (bench.address(), bench.get(DEVICE)) == (8 << 8 | 2, 0xA0)


@pytest.mark.parametrize("where", [(0, 0), (0, 4), (2, 1)])
def test_a_chs_address_that_the_geometry_has_not_is_not_found(bench, where):
    head, in_track = where
    bench.command(Command.INITIALIZE_DEVICE_PARAMETERS, count=3, device=1)
    bench.command(Command.READ_SECTORS, in_track, 1, device=head)
    assert failed(bench, IDNF)


def test_a_track_of_no_sectors_is_refused(bench):
    bench.command(Command.INITIALIZE_DEVICE_PARAMETERS, count=0)
    assert failed(bench, ABRT)


@pytest.mark.parametrize(
    "code",
    [
        Command.READ_SECTORS,
        Command.READ_SECTORS_EXT,
        Command.READ_MULTIPLE,
        Command.READ_DMA,
        Command.READ_DMA_EXT,
        Command.WRITE_DMA,
        Command.READ_VERIFY_SECTORS,
        Command.READ_VERIFY_SECTORS_EXT,
    ],
)
def test_the_first_sector_that_is_not_there_is_named(bench, code):
    """IDNF; the registers hold the address of the first sector in error (ATA-6)."""
    bench.command(code, SECTORS - 1, 2)
    if code in (Command.READ_SECTORS, Command.READ_SECTORS_EXT):
        assert bench.take() == sectors(SECTORS - 1)
    assert failed(bench, IDNF)
    assert bench.address() == SECTORS


def test_a_write_beyond_the_end_writes_what_is_before_it(bench):
    bench.command(Command.WRITE_SECTORS, SECTORS - 1, 2)
    bench.give(bytes(SECTOR) + IMAGE[:SECTOR])
    assert failed(bench, IDNF)
    assert bench.disk.read(SECTORS - 1) == bytes(SECTOR)


def test_an_address_far_beyond_the_end_is_named_as_it_was_given(bench):
    bench.command(Command.READ_SECTORS_EXT, 0xABCD_1234_5678)
    assert failed(bench, IDNF)
    assert bench.address() == 0x345678


def test_28_bits_reach_no_further(bench):
    """Registers that were written twice mean nothing to a short command."""
    for value in (0xFF, 0x07):
        bench.put(LBA_LOW, value)
    bench.command(Command.READ_SECTORS, 7)
    assert bench.take() == sectors(7)
    assert bench.command(Command.READ_VERIFY_SECTORS, 7 | 1 << 24) == DRDY | ERR


# -- commands without data


@pytest.mark.parametrize(
    "code", [Command.RECALIBRATE, Command.SEEK, Command.FLUSH_CACHE, Command.FLUSH_CACHE_EXT]
)
def test_a_command_without_data_ends_with_an_interrupt(bench, code):
    assert bench.command(code) == READY
    assert bench.interrupt
    assert bench.acknowledge() == READY
    assert not bench.interrupt


@pytest.mark.parametrize("code", [0x00, 0x08, 0x21, 0x94, 0xA0, 0xB0, 0xF8, 0xFF])
def test_a_command_that_the_drive_has_not_is_aborted(bench, code):
    bench.command(code)
    assert failed(bench, ABRT)
    bench.command(Command.RECALIBRATE)
    assert (bench.status, bench.get(ERROR)) == (READY, 0)


def test_verify_finds_sectors_and_moves_none(bench):
    assert bench.command(Command.READ_VERIFY_SECTORS, SECTORS - 2, 2) == READY
    assert bench.take() == bytes(SECTOR)


class Counting(Disk):
    """A disk that counts how often it is flushed."""

    flushes = 0

    def flush(self):
        self.flushes += 1


def test_what_was_written_is_safe_after_a_flush_or_without_a_write_cache():
    disk = Counting(SECTORS * SECTOR)
    bench = Bench(disk)
    bench.command(Command.WRITE_SECTORS)
    bench.give(bytes(SECTOR))
    assert disk.flushes == 0
    bench.command(Command.FLUSH_CACHE)
    assert disk.flushes == 1
    bench.command(Command.SET_FEATURES, feature=0x82)
    assert disk.flushes == 2
    bench.command(Command.WRITE_SECTORS)
    bench.give(bytes(SECTOR))
    assert disk.flushes == 3
    bench.command(Command.SET_FEATURES, feature=0x02)
    bench.command(Command.WRITE_SECTORS)
    bench.give(bytes(SECTOR))
    assert disk.flushes == 3
