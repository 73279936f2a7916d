"""What the host can set in a drive, how IDENTIFY DEVICE tells it, power, and time."""

import numpy as np
import pytest

from tests.devices.ata.rig import Bench, image
from virtlab.backends.disk import SECTOR, Disk
from virtlab.devices.ata import IDENTIFY, Command, Drive
from virtlab.devices.ata.identify import swapped, text_of
from virtlab.devices.ata.registers import (
    ABRT,
    BSY,
    DRDY,
    DRQ,
    DSC,
    ERR,
    ERROR,
    IDNF,
    SECTOR_COUNT,
)

SECTORS = 400
IMAGE = image(SECTORS)
READY = DRDY | DSC


@pytest.fixture
def bench():
    return Bench(Disk.of(IMAGE))


def sectors(first, count=1):
    return IMAGE[first * SECTOR : (first + count) * SECTOR]


def failed(bench, error):
    """The command has ended with `error`, and said so."""
    return (bench.status, bench.get(ERROR)) == (DRDY | ERR, error) and bench.interrupt


# -- power


@pytest.mark.parametrize(
    ("rest", "mode"),
    [
        (Command.STANDBY, 0x00),
        (Command.STANDBY_IMMEDIATE, 0x00),
        (Command.IDLE, 0x80),
        (Command.IDLE_IMMEDIATE, 0x80),
        (Command.READ_VERIFY_SECTORS, 0xFF),
    ],
)
def test_check_power_mode_tells_and_the_medium_wakes_the_drive(bench, rest, mode):
    assert bench.command(rest) == (READY if mode == 0xFF else DRDY)
    bench.command(Command.CHECK_POWER_MODE)
    assert bench.get(SECTOR_COUNT) == mode
    bench.command(Command.READ_VERIFY_SECTORS)
    bench.command(Command.CHECK_POWER_MODE)
    assert bench.get(SECTOR_COUNT) == 0xFF


def test_only_a_reset_wakes_a_sleeping_drive(bench):
    bench.command(Command.SLEEP)
    bench.acknowledge()
    bench.command(Command.READ_SECTORS)
    assert not bench.status & DRQ
    assert not bench.interrupt
    bench.control(0x04)
    bench.control(0x00)
    assert bench.command(Command.READ_SECTORS) & DRQ


# -- settings, and what IDENTIFY DEVICE says of them


def identity(bench):
    bench.command(Command.IDENTIFY_DEVICE)
    assert bench.interrupt
    return np.frombuffer(bench.take(), IDENTIFY)[0]


def test_identify_says_what_the_drive_is(bench):
    words = identity(bench)
    assert text_of(words["MODEL"].item()) == "VIRTLAB HARDDISK"
    assert (words["LBA_SECTORS"], words["LBA48_SECTORS"]) == (SECTORS, SECTORS)
    assert (words["HEADS"], words["SECTORS_PER_TRACK"], words["CYLINDERS"]) == (16, 63, 1)
    assert words["ULTRA_DMA"] == 0x203F
    assert bench.status == READY


def test_identify_shows_28_bits_of_a_large_disk():
    """Words 60 and 61 end at 0FFFFFFFh; words 100 to 103 tell all."""
    disk = Disk(SECTOR)
    disk.sectors = 1 << 30
    words = identity(Bench(disk))
    assert (words["LBA_SECTORS"], words["LBA48_SECTORS"]) == ((1 << 28) - 1, 1 << 30)
    assert words["CYLINDERS"] == 16383


def test_a_string_has_the_two_characters_of_a_word_swapped():
    assert swapped("QM00001", 8) == b"MQ0000 1"
    assert text_of(swapped("odd", 20)) == "odd"
    assert text_of(b"BA\0C") == "ABC"


def test_settings_show_in_identify(bench):
    bench.command(Command.SET_MULTIPLE_MODE, count=8)
    bench.command(Command.INITIALIZE_DEVICE_PARAMETERS, count=10, device=3)
    bench.command(Command.SET_FEATURES, feature=0x82)
    bench.command(Command.SET_FEATURES, count=0x22, feature=0x03)
    words = identity(bench)
    assert words["MULTIPLE"] == 0x108
    assert (words["CURRENT_HEADS"], words["CURRENT_SECTORS_PER_TRACK"]) == (4, 10)
    assert (words["CURRENT_CYLINDERS"], words["CURRENT_CAPACITY"]) == (10, 400)
    assert words["ENABLED_1"] & 0x20 == 0
    assert (words["MULTIWORD_DMA"], words["ULTRA_DMA"]) == (0x0407, 0x003F)
    bench.command(Command.SET_MULTIPLE_MODE, count=0)
    assert identity(bench)["MULTIPLE"] == 0


@pytest.mark.parametrize(
    ("feature", "count"), [(0x03, 0x46), (0x03, 0x0D), (0x03, 0x30), (0x03, 0x23), (0x55, 0)]
)
def test_a_setting_that_the_drive_has_not_is_aborted(bench, feature, count):
    bench.command(Command.SET_FEATURES, count=count, feature=feature)
    assert failed(bench, ABRT)


@pytest.mark.parametrize(("feature", "multiple"), [(0x66, 4), (0xCC, 16)])
def test_a_software_reset_reverts_all_settings_or_none(bench, feature, multiple):
    bench.command(Command.SET_MULTIPLE_MODE, count=4)
    bench.command(Command.SET_FEATURES, feature=feature)
    bench.control(0x04)
    bench.control(0x00)
    assert identity(bench)["MULTIPLE"] == 0x100 | multiple


# -- time


def test_the_medium_takes_its_time_for_each_block():
    bench = Bench(Disk.of(IMAGE), latency=1000)
    assert bench.command(Command.READ_SECTORS, 3, 2) == READY | BSY
    bench.clock.advance(999)
    assert bench.status & BSY
    bench.clock.advance(1)
    assert bench.acknowledge() == READY | DRQ
    assert bench.take() == sectors(3)
    assert bench.status == READY | BSY
    bench.clock.advance(1000)
    assert bench.take() == sectors(4)
    assert (bench.clock.now, bench.edges) == (2000, 2)


def test_a_write_is_busy_once_the_host_has_done_its_half():
    bench = Bench(Disk.of(IMAGE), latency=1000)
    assert bench.command(Command.WRITE_SECTORS, 3) == READY | DRQ
    bench.give(sectors(9))
    assert bench.status == READY | BSY
    assert bench.channel.drives[0].disk.read(3) == sectors(3)
    bench.clock.advance(1000)
    assert (bench.status, bench.edges) == (READY, 1)
    assert bench.channel.drives[0].disk.read(3) == sectors(9)


def test_a_busy_drive_hears_nothing_and_a_reset_ends_its_work():
    bench = Bench(Disk.of(IMAGE), latency=1000)
    bench.command(Command.READ_SECTORS, 3)
    bench.command(Command.RECALIBRATE)
    assert bench.status & BSY
    bench.control(0x04)
    bench.control(0x00)
    bench.clock.advance(5000)
    assert (bench.status, bench.edges) == (READY, 0)


def test_a_failure_is_seen_when_the_medium_has_been_asked():
    bench = Bench(Disk.of(IMAGE), latency=1000)
    assert bench.command(Command.READ_SECTORS, SECTORS) == READY | BSY
    bench.clock.advance(1000)
    assert failed(bench, IDNF)


def test_a_latency_needs_a_clock():
    with pytest.raises(ValueError, match="needs a clock"):
        Drive(Disk(SECTOR), latency=1)
