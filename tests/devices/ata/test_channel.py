"""Two drives on a cable: who hears, who answers, and who pulls the interrupt line."""

import pytest

from tests.devices.ata.rig import DEVICE_0, DEVICE_1, Bench, image
from virtlab.backends.disk import SECTOR, Disk
from virtlab.devices.ata import Channel, Command, Drive
from virtlab.devices.ata.registers import (
    ABRT,
    BSY,
    DEVICE,
    DRDY,
    DRQ,
    DSC,
    ERROR,
    FEATURES,
    LBA_HIGH,
    LBA_LOW,
    LBA_MID,
    SECTOR_COUNT,
    STATUS,
)

READY = DRDY | DSC
NIEN, SRST, HOB = 0x02, 0x04, 0x80
DATA_IN_STEPS = (SECTOR_COUNT, LBA_LOW, LBA_MID, LBA_HIGH)
FIRST, SECOND = image(64, seed=1), image(32, seed=2)


@pytest.fixture
def one():
    return Bench(Disk.of(FIRST))


@pytest.fixture
def two():
    return Bench(Disk.of(FIRST), Disk.of(SECOND))


# -- after a reset


def test_after_power_on_the_signature_and_the_diagnostic_code_are_there(two):
    assert [two.get(reg) for reg in DATA_IN_STEPS] == [1, 1, 0, 0]
    assert (two.get(ERROR), two.get(DEVICE), two.status) == (0x01, 0xA0, READY)
    assert not two.interrupt


def test_both_drives_are_busy_while_srst_is_set(two):
    two.command(Command.READ_SECTORS, device=DEVICE_1)
    two.control(SRST)
    assert (two.status, two.interrupt) == (BSY, False)
    two.put(DEVICE, DEVICE_1)
    two.command(Command.RECALIBRATE)
    assert (two.status, two.interrupt) == (BSY, False)
    two.control(0)
    assert (two.status, two.get(DEVICE), two.get(ERROR)) == (READY, 0xA0, 0x01)
    assert [two.get(reg) for reg in DATA_IN_STEPS] == [1, 1, 0, 0]
    two.put(DEVICE, DEVICE_1)
    assert two.status == READY


def test_srst_that_stays_set_resets_once(one):
    one.control(SRST)
    one.control(SRST | NIEN)
    assert one.status == BSY
    one.control(0)
    one.control(0)
    assert one.status == READY


def test_a_hardware_reset_restores_everything(two):
    two.command(Command.SET_MULTIPLE_MODE, count=2, device=DEVICE_1)
    two.control(NIEN)
    two.channel.reset()
    assert two.get(DEVICE) == 0xA0
    assert two.channel.peek()["DEVICE_CONTROL"] == 0
    assert [drive.settings.multiple for drive in two.channel.drives] == [16, 16]
    assert not two.interrupt


# -- who hears, and who answers


def test_both_drives_hear_a_register_and_one_does_the_command(two):
    two.command(Command.READ_SECTORS, 5, device=DEVICE_1)
    assert two.take() == SECOND[5 * SECTOR : 6 * SECTOR]
    assert two.get(LBA_LOW) == 6
    two.put(DEVICE, DEVICE_0)
    assert two.get(LBA_LOW) == 5
    assert two.status == READY
    two.command(Command.READ_SECTORS, 5)
    assert two.take() == FIRST[5 * SECTOR : 6 * SECTOR]


def test_a_drive_with_drq_hears_no_register(one):
    one.command(Command.READ_SECTORS, 5)
    for reg in (*DATA_IN_STEPS, FEATURES, DEVICE):
        one.put(reg, 0x5A)
    one.command(Command.RECALIBRATE)
    assert one.status == READY | DRQ
    assert one.take() == FIRST[5 * SECTOR : 6 * SECTOR]
    assert (one.get(LBA_LOW), one.get(DEVICE)) == (6, 0xE0)


def test_device_bits_7_and_5_read_as_ones(one):
    one.put(DEVICE, 0x0C)
    assert one.get(DEVICE) == 0xAC


def test_hob_shows_the_byte_before_and_any_write_ends_that(one):
    for reg in DATA_IN_STEPS:
        one.put(reg, 0x11)
        one.put(reg, 0x22)
    one.control(HOB)
    assert [one.get(reg) for reg in DATA_IN_STEPS] == [0x11] * 4
    assert one.get(ERROR) == 0x01
    one.put(FEATURES, 0)
    assert [one.get(reg) for reg in DATA_IN_STEPS] == [0x22] * 4


# -- drive 1 is not there (ATA-6, 9.16.1)


def test_an_absent_drive_1_has_status_0_and_the_registers_of_drive_0(one):
    one.command(0xFF)
    one.put(DEVICE, DEVICE_1)
    assert (one.status, one.get(STATUS)) == (0, 0)
    assert (one.get(ERROR), one.get(DEVICE)) == (ABRT, 0xF0)
    one.put(LBA_LOW, 0x77)
    assert one.get(LBA_LOW) == 0x77


def test_an_absent_drive_1_ignores_commands_and_data(one):
    one.acknowledge()
    assert one.command(Command.IDENTIFY_DEVICE, device=DEVICE_1) == 0
    one.give(bytes(4))
    assert one.take() == bytes(SECTOR)
    assert one.edges == 0


def test_a_diagnostic_is_for_both_and_drive_0_answers(two):
    for bench, device in ((Bench(Disk.of(FIRST)), DEVICE_1), (two, DEVICE_1), (two, DEVICE_0)):
        bench.command(Command.EXECUTE_DEVICE_DIAGNOSTIC, 0x123456, 9, device)
        assert (bench.get(DEVICE), bench.get(ERROR), bench.address()) == (0xA0, 0x01, 1)
        assert bench.interrupt
        assert bench.acknowledge() == READY
    two.put(DEVICE, DEVICE_1)
    assert (two.interrupt, two.address()) == (False, 1)


# -- nobody is there


def test_an_empty_cable_floats_high_but_for_dd7():
    bench = Bench()
    assert [bench.channel.commands.read(offset, 1) for offset in range(8)] == [0x7F] * 8
    assert bench.status == 0x7F
    assert bench.channel.commands.read(0, 2) == 0xFF7F
    assert bench.channel.commands.read(0, 4) == 0xFF7FFF7F
    assert bench.command(Command.IDENTIFY_DEVICE) == 0x7F
    bench.give(bytes(4))
    bench.control(SRST)
    bench.control(0)
    bench.channel.reset()
    assert not bench.interrupt
    assert set(bench.channel.peek()) == {"ALTERNATE_STATUS", "DEVICE_CONTROL"}


def test_a_cable_has_two_ends_for_drives():
    with pytest.raises(ValueError, match="two drives at most, not 3"):
        Channel(drives=[Drive(Disk(SECTOR)) for _ in range(3)])


# -- INTRQ


def test_status_takes_the_interrupt_back_and_alternate_status_does_not(one):
    one.command(Command.RECALIBRATE)
    assert one.status == READY
    assert one.interrupt
    one.acknowledge()
    assert not one.interrupt


def test_a_command_takes_the_interrupt_back(one):
    one.command(Command.RECALIBRATE)
    one.command(Command.WRITE_SECTORS)
    assert not one.interrupt
    one.control(SRST)
    one.control(0)
    one.command(Command.RECALIBRATE)
    one.command(Command.RECALIBRATE)
    assert one.edges == 3


def test_nien_lets_go_of_the_line_and_keeps_what_is_to_be_told(one):
    one.control(NIEN)
    one.command(Command.RECALIBRATE)
    assert not one.interrupt
    one.control(0)
    assert one.interrupt
    one.control(NIEN)
    assert not one.interrupt
    one.acknowledge()
    one.control(0)
    assert not one.interrupt


def test_the_line_is_the_selected_drives(two):
    two.command(Command.RECALIBRATE)
    two.put(DEVICE, DEVICE_1)
    assert not two.interrupt
    two.acknowledge()
    two.put(DEVICE, DEVICE_0)
    assert two.interrupt


# -- sizes of access, and a look with no effect


def test_a_register_is_8_bits_wide_and_a_wider_access_is_several(one):
    one.command(Command.RECALIBRATE, 0x123456, 0x44)
    assert one.channel.commands.read(2, 2) == 0x5644
    assert one.channel.commands.read(4, 4) == 0x50E0_1234
    assert not one.interrupt
    one.channel.commands.write(2, 4, 0x04030201)
    assert (one.get(SECTOR_COUNT), one.address()) == (0x01, 0x040302)


def test_a_byte_of_data_takes_a_whole_word_and_a_written_one_is_lost(one):
    one.command(Command.READ_SECTORS)
    assert one.channel.commands.read(0, 1) == FIRST[0]
    assert one.channel.commands.read(0, 2) == int.from_bytes(FIRST[2:4], "little")
    one.control(SRST)
    one.control(0)
    one.command(Command.WRITE_SECTORS)
    for _ in range(SECTOR):
        one.channel.commands.write(0, 1, 0xEE)
    assert one.status == READY | DRQ


def test_a_look_has_no_effect(one):
    one.command(Command.READ_SECTORS, 0x23, 1, feature=0x99)
    seen = one.channel.commands.peek()
    assert (seen["STATUS"], seen["FEATURES"], seen["LBA_LOW"]) == (READY | DRQ, 0x99, 0x24)
    assert seen["DEVICE"] == 0xE0
    assert one.channel.control.peek() == {"ALTERNATE_STATUS": READY | DRQ, "DEVICE_CONTROL": 0}
    assert one.interrupt
    assert one.take() == FIRST[0x23 * SECTOR : 0x24 * SECTOR]
