"""Where our IDE controller and QEMU's differ on purpose: both answers, and the clause.

Each test shows ours first, QEMU's second. The rows stand in `docs/deviations.md`.
"""

import pytest

from tests.devices.ata.rig import SECTORS, image
from tests.needs import needs_qemu
from tests.oracles.ata_pair import (
    ACTIVE,
    BMICOM,
    BMIDTP,
    BMISTA,
    BUFFERS,
    CONTROL,
    FAILED,
    HOB,
    IDE,
    INTERRUPT,
    NIEN,
    READ_DMA,
    SRST,
    START,
    TABLE,
    TO_MEMORY,
    both_machines,
    prd_entries,
)
from virtlab.backends.disk import SECTOR
from virtlab.devices.ata.registers import ABRT, BSY, DRQ, IDNF, PRD_EOT, Command
from virtlab.guest.ata import SECONDARY


@pytest.fixture
def pair(tmp_path):
    with both_machines(tmp_path) as made:
        yield made


def start_dma(pair, code, table, sector=1000, count=1, settle=DRQ):
    """A DMA command with a table of entries, started on both."""
    pair.write_memory(TABLE, prd_entries(table))
    pair.out(BMIDTP, TABLE, 4)
    way = TO_MEMORY if code in READ_DMA else 0
    pair.out(BMICOM, way)
    pair.out(BMISTA, INTERRUPT | FAILED)
    pair.command(code, sector, count)
    pair.out(BMICOM, way | START)
    pair.settle(settle)


@needs_qemu
def test_deviation_an_address_beyond_the_end(pair):
    """ATA-6, READ SECTOR(S), error outputs: IDNF, and the address of the first sector in error."""
    pair.command(Command.READ_MULTIPLE, SECTORS - 3, 8)
    assert pair.both(IDE + 1) == (IDNF, ABRT)
    assert pair.both(IDE + 3) == (SECTORS & 0xFF, SECTORS - 3 & 0xFF)
    assert pair.both(IDE + 4) == (SECTORS >> 8, SECTORS - 3 >> 8)


@needs_qemu
def test_deviation_verify_looks(pair):
    """ATA-6, READ VERIFY SECTOR(S): as READ SECTOR(S), but no data is transferred."""
    pair.command(Command.READ_VERIFY_SECTORS, SECTORS - 1, 2)
    assert pair.both(IDE + 1) == (IDNF, 0)


@needs_qemu
def test_deviation_a_chs_address_that_is_none(pair):
    """ATA-5, 6.2: sectors of a track are numbered from 1. QEMU reads the one before."""
    pair.command(Command.READ_SECTORS, 1 << 8, 1, device=0xA0)
    assert pair.both(IDE + 1) == (IDNF, 0)


@needs_qemu
def test_deviation_the_diagnostic_code_after_power_on(pair):
    """ATA-6, Power-on and hardware reset: ERROR has the diagnostic code."""
    assert pair.both(IDE + 1) == (0x01, 0x00)


@needs_qemu
def test_deviation_an_interrupt_while_nien_is_set(pair):
    """ATA-6, Device Control register: nIEN lets go of INTRQ; what was to be told stays."""
    pair.out(CONTROL, NIEN)
    pair.command(Command.RECALIBRATE)
    pair.out(CONTROL, 0)
    assert (pair.channel.irq.level, pair.their_irq()) == (True, False)
    pair.command(Command.RECALIBRATE)
    pair.out(CONTROL, NIEN)
    assert (pair.channel.irq.level, pair.their_irq()) == (False, True)


@needs_qemu
def test_deviation_the_line_is_the_selected_drives(pair):
    """ATA-6, INTRQ: a device that is not selected lets go of the line."""
    pair.command(Command.RECALIBRATE)
    pair.out(IDE + 6, 0xF0)
    assert (pair.channel.irq.level, pair.their_irq()) == (False, True)


@needs_qemu
def test_deviation_a_software_reset(pair):
    """ATA-6, Software reset: BSY while SRST is set, and no interrupt at the end."""
    pair.out(CONTROL, SRST)
    pair.settle()
    assert pair.both(CONTROL) == (BSY, 0x50)
    pair.out(CONTROL, 0)
    assert pair.both(CONTROL) == (0x50, 0x50)
    assert (pair.channel.irq.level, pair.their_irq()) == (False, True)


@needs_qemu
def test_deviation_settings_and_a_software_reset(pair):
    """ATA-6, SET FEATURES, 66h and CCh: a reset reverts all settings, or none."""
    for feature in (0x66, 0xCC):
        pair.command(Command.SET_FEATURES, feature=feature)
        pair.command(Command.SET_FEATURES, feature=0x82)
        pair.command(Command.SET_MULTIPLE_MODE, count=4)
        pair.out(CONTROL, SRST)
        pair.settle()
        pair.out(CONTROL, 0)
        pair.command(Command.IDENTIFY_DEVICE)
        words = [pair.both(IDE, 2) for _ in range(SECTOR // 2)]
        multiple, cache = words[59], tuple(word >> 5 & 1 for word in words[85])
        if feature == 0x66:
            assert (multiple, cache) == ((0x104, 0x110), (0, 0))
        else:
            assert (multiple, cache) == ((0x110, 0x110), (1, 0))


@needs_qemu
def test_deviation_identify_tells_the_current_settings(pair):
    """ATA-6, IDENTIFY DEVICE, words 54 to 59. QEMU keeps what it said first."""
    for count in (16, 4):
        pair.command(Command.SET_MULTIPLE_MODE, count=count)
        pair.command(Command.IDENTIFY_DEVICE)
        words = [pair.both(IDE, 2) for _ in range(SECTOR // 2)]
    assert words[59] == (0x104, 0x110)


@needs_qemu
def test_deviation_a_diagnostic_is_for_both(pair):
    """ATA-6, EXECUTE DEVICE DIAGNOSTIC: both perform it, DEV is cleared, device 0 answers."""
    pair.command(Command.EXECUTE_DEVICE_DIAGNOSTIC, sector=0x55, device=0xF0)
    assert pair.both(IDE + 6) == (0xA0, 0xA0)
    pair.out(IDE + 6, 0xE0)
    assert pair.both(IDE + 3) == (0x01, 0x55)


@needs_qemu
def test_deviation_power_modes(pair):
    """ATA-6, CHECK POWER MODE, SLEEP: 00h is standby; only a reset wakes a sleeping drive."""
    pair.command(Command.STANDBY_IMMEDIATE)
    pair.command(Command.CHECK_POWER_MODE)
    assert pair.both(IDE + 2) == (0x00, 0xFF)
    pair.command(Command.SLEEP)
    pair.command(Command.IDENTIFY_DEVICE)
    assert [status & DRQ for status in pair.both(IDE + 7)] == [0, DRQ]


@needs_qemu
@pytest.mark.parametrize(
    ("code", "count", "feature", "why"),
    [
        (Command.SET_FEATURES, 0, 0xAA, "no read look-ahead: IDENTIFY word 82, bit 6"),
        (Command.SET_FEATURES, 0x47, 0x03, "no Ultra DMA mode 7: word 88"),
        (Command.INITIALIZE_DEVICE_PARAMETERS, 0, 0, "a track of no sectors"),
        (0x21, 1, 0, "READ SECTORS without retries, obsolete"),
        (0x98, 0, 0, "the old CHECK POWER MODE, retired"),
        (0xF8, 0, 0, "no host protected area: word 82, bit 10"),
        (0xF5, 0, 0, "no security: word 82, bit 1"),
    ],
)
def test_deviation_what_the_drive_has_not_is_aborted(pair, code, count, feature, why):
    """ATA-6, Error register: ABRT for a command, or a parameter, that is not supported."""
    pair.command(code, 0, count, feature=feature)
    assert pair.both(IDE + 1) == (ABRT, 0), why


@needs_qemu
def test_deviation_error_is_one_byte_deep(pair):
    """ATA-6, 48-bit Address feature set: HOB shows the registers that have two bytes."""
    pair.reset()
    pair.out(IDE + 1, 0x77)
    pair.out(IDE + 1, 0x66)
    pair.out(CONTROL, HOB)
    assert pair.both(IDE + 1) == (0x00, 0x77)


@needs_qemu
def test_deviation_an_empty_cable_floats(pair):
    """ATA-6, Electrical characteristics: DD7 is pulled down; the other lines float high."""
    assert pair.both(SECONDARY.command + 7) == (0x7F, 0x00)
    assert pair.both(SECONDARY.control) == (0x7F, 0x00)
    assert pair.both(SECONDARY.command, 2) == (0xFF7F, 0x0000)


@needs_qemu
def test_deviation_half_of_a_wide_access_to_data(pair):
    """A 32-bit access is two words. One is left: QEMU gives none."""
    pair.command(Command.READ_SECTORS)
    words = [pair.both(IDE, 2) for _ in range(255)]
    assert all(ours == theirs for ours, theirs in words)
    ours, theirs = pair.both(IDE, 4)
    assert (ours, theirs) == (int.from_bytes(pair.rig.disks[0].read(0)[-2:], "little"), 0)


@needs_qemu
def test_deviation_a_wide_access_to_registers(pair):
    """The registers are 8 bits wide, so a wider access is several. QEMU has none of 32 bits."""
    pair.command(Command.RECALIBRATE, 0x123456, 7)
    assert pair.both(IDE + 4, 4) == (0x50E0_1234, 0xFFFF_FFFF)


@needs_qemu
def test_deviation_the_bus_masters_registers_take_any_size(pair):
    """Bus Master IDE 1.0, 2: "may be accessed as byte, word, or Dword quantities"."""
    pair.out(BMICOM, TO_MEMORY)
    assert pair.both(BMICOM, 2) == (0x0008, 0xFFFF)
    assert pair.both(BMICOM + 1) == (0x00, 0xFF)


@needs_qemu
def test_deviation_a_table_that_is_too_short(pair):
    """Bus Master IDE 1.0, 3.1: the bus master ends with the table, and the drive still waits."""
    pair.write_memory(BUFFERS, bytes(1024))
    start_dma(pair, Command.READ_DMA, [(BUFFERS, 256, PRD_EOT.mask)], settle=0)
    assert pair.both(BMISTA) == (0, 0)
    assert [status & DRQ for status in pair.both(CONTROL)] == [DRQ, 0]
    half = pair.rig.disks[0].read(1000)[:256]
    assert (pair.ours.read(BUFFERS, 256), pair.theirs.read(BUFFERS, 256)) == (half, bytes(256))


@needs_qemu
def test_deviation_a_drive_that_fails_leaves_the_bus_master_active(pair):
    """Bus Master IDE 1.0, 2.2: ACTIVE falls at the table's end, or with START."""
    start_dma(pair, Command.READ_DMA, [(BUFFERS, 512, PRD_EOT.mask)], sector=SECTORS)
    assert pair.both(BMISTA) == (INTERRUPT | ACTIVE, INTERRUPT)


@needs_qemu
def test_deviation_a_table_of_more_than_a_page(pair):
    """Bus Master IDE 1.0, 1.2: a table may have 64 KiB. QEMU stops after 4096 bytes."""
    table = [(BUFFERS + 4 * n, 2, 0) for n in range(1023)] + [(0x90000, 2, PRD_EOT.mask)]
    start_dma(pair, Command.READ_DMA, table, count=4)
    assert pair.both(BMISTA) == (INTERRUPT, 0)
    data = pair.rig.disks[0].read(1000, 4)
    assert pair.ours.read(0x90000, 2) == data[-2:] != pair.theirs.read(0x90000, 2)


@needs_qemu
def test_deviation_bit_0_of_a_base_is_not_there(pair):
    """Bus Master IDE 1.0, 1.2: a region begins at a word."""
    pair.write_memory(BUFFERS, bytes(1024))
    start_dma(pair, Command.READ_DMA, [(BUFFERS + 1, 512, PRD_EOT.mask)])
    sector = pair.rig.disks[0].read(1000)
    assert pair.ours.read(BUFFERS, 512) == sector
    assert pair.theirs.read(BUFFERS + 1, 512) == sector


@needs_qemu
def test_deviation_the_interrupt_bit_waits_for_an_edge(pair):
    """Bus Master IDE 1.0, 2.2: "set by the rising edge of the IDE interrupt line"."""
    pair.command(Command.READ_SECTORS, count=2)
    pair.out(BMISTA, INTERRUPT)
    for _ in range(SECTOR // 4):
        pair.same(IDE, 4)
    pair.settle()
    assert pair.both(BMISTA) == (0, INTERRUPT)


@needs_qemu
def test_deviation_a_region_where_no_memory_is(pair):
    """Bus Master IDE 1.0, 2.2: ERROR, where the bus answers with an abort."""
    start_dma(pair, Command.READ_DMA, [(0xE000_0000, 512, PRD_EOT.mask)])
    assert pair.both(BMISTA) == (FAILED, INTERRUPT)


@needs_qemu
def test_deviation_an_absent_drive_has_the_registers_of_the_other(tmp_path):
    """ATA-6, 9.16.1: reads complete as if device 0 was selected; STATUS reads 00h."""
    with both_machines(tmp_path, [image(SECTORS)]) as pair:
        pair.command(0xFF)
        pair.out(IDE + 6, 0xF0)
        assert pair.both(IDE + 1) == (ABRT, 0)
        assert pair.both(IDE + 6) == (0xF0, 0xF0)
        assert pair.both(CONTROL) == (0, 0)
        pair.out(IDE + 7, Command.IDENTIFY_DEVICE)
        assert pair.both(IDE + 7) == (0, 0)
