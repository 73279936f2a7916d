"""The bus master: the table, the two streams, and what BMISTA says when they end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.devices.ata.rig import BMICOM, BMIDTP, BMISTA, Bench, image
from virtlab.backends.disk import SECTOR, Disk
from virtlab.devices.ata import DMA_BLOCK, PRD, Command
from virtlab.devices.ata.registers import BOUNDARY, DRDY, DRQ, DSC, ERR, ERROR, IDNF, PRD_EOT
from virtlab.errors import DmaFault

SECTORS = 600
IMAGE = image(SECTORS)
READY = DRDY | DSC
READ, WRITE, STOP = 0x09, 0x01, 0x00
ACTIVE, FAILED, INTERRUPT = 0x01, 0x02, 0x04
TABLE, BUFFER = 0x8000, 0x20000
EOT = PRD_EOT.mask


@pytest.fixture
def bench():
    made = Bench(Disk.of(IMAGE))
    made.disk = made.channel.drives[0].disk
    return made


def table(*entries):
    """`(base, count)` each; the last one is marked."""
    rows = [(base, count % BOUNDARY, 0) for base, count in entries]
    rows[-1] = (*rows[-1][:2], EOT)
    return np.array(rows, PRD).tobytes()


def unmarked(*entries):
    return np.array([(*entry, 0) for entry in entries], PRD).tobytes()


def state(bench):
    return bench.master.read(BMISTA, 1)


# -- moving


def test_the_entry_is_declared_as_the_specification_draws_it():
    assert PRD.itemsize == 8
    assert table((0x12345678, 0x200)).hex() == "7856341200020080"


@pytest.mark.parametrize("code", [Command.READ_DMA, Command.READ_DMA_EXT])
def test_a_read_goes_where_the_table_says(bench, code):
    bench.command(code, 7, 2)
    assert bench.status == READY | DRQ
    assert bench.start(table((BUFFER, 700), (BUFFER + 0x1000, 324))) == INTERRUPT
    data = IMAGE[7 * SECTOR : 9 * SECTOR]
    assert bench.ram.read(BUFFER, 700) == data[:700]
    assert bench.ram.read(BUFFER + 0x1000, 324) == data[700:]
    assert (bench.status, bench.edges) == (READY, 1)


@pytest.mark.parametrize("code", [Command.WRITE_DMA, Command.WRITE_DMA_EXT])
def test_a_write_comes_from_where_the_table_says(bench, code):
    data = image(2, seed=3)
    bench.ram.write(BUFFER, data[:2])
    bench.ram.write(BUFFER + 0x100, data[2:])
    bench.command(code, 7, 2)
    assert bench.start(table((BUFFER, 2), (BUFFER + 0x100, 1022)), command=WRITE) == INTERRUPT
    assert bench.disk.read(7, 2) == data
    assert bench.disk.read(9) == IMAGE[9 * SECTOR : 10 * SECTOR]


def test_the_bus_master_may_be_started_before_the_command(bench):
    assert bench.start(table((BUFFER, 512))) == ACTIVE
    bench.command(Command.READ_DMA, 5)
    assert (state(bench), bench.ram.read(BUFFER, 512)) == (INTERRUPT, IMAGE[5 * 512 : 6 * 512])


def test_a_count_of_0_is_64_kib(bench):
    bench.command(Command.READ_DMA, 0, 128)
    assert bench.start(table((BUFFER, BOUNDARY))) == INTERRUPT
    assert bench.ram.read(BUFFER, BOUNDARY) == IMAGE[:BOUNDARY]


def test_a_transfer_larger_than_the_buffer_of_the_drive(bench):
    assert DMA_BLOCK < 256
    half = BOUNDARY // 2
    regions = table((BUFFER, half), (BUFFER + half, BOUNDARY), (BUFFER + 3 * half, half))
    bench.command(Command.READ_DMA, 0, 0)
    bench.start(regions)
    assert bench.ram.read(BUFFER, 2 * BOUNDARY) == IMAGE[: 256 * SECTOR]
    bench.ram.write(BUFFER, image(256, seed=4))
    bench.command(Command.WRITE_DMA, 300, 0)
    bench.start(regions, command=WRITE)
    assert bench.disk.read(300, 256) == image(256, seed=4)


def test_bit_0_of_base_and_count_is_not_there(bench):
    bench.command(Command.READ_DMA, 5)
    bench.start(table((BUFFER + 1, 513)))
    assert bench.ram.read(BUFFER, 514) == IMAGE[5 * 512 : 6 * 512] + bytes(2)


def test_a_region_that_crosses_64_kib_goes_on_behind_it(bench):
    bench.command(Command.READ_DMA, 5)
    bench.start(table((0x2FF00, 512)))
    assert bench.ram.read(0x2FF00, 512) == IMAGE[5 * 512 : 6 * 512]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 700).map(lambda half: 2 * half), min_size=1, max_size=40),
    st.integers(0, 500),
)
def test_how_the_memory_is_cut_makes_no_difference(lengths, sector):
    """Any even regions that are 20 sectors together get what one region gets."""
    bench, left, entries = Bench(Disk.of(IMAGE)), 20 * SECTOR, []
    for number, length in enumerate([*lengths, 20 * SECTOR]):
        if left:
            entries.append((BUFFER + 0x2000 * number, min(length, left)))
            left -= entries[-1][1]
    bench.command(Command.READ_DMA, sector, 20)
    assert bench.start(table(*entries)) == INTERRUPT
    data = b"".join(bench.ram.read(base, count) for base, count in entries)
    assert data == IMAGE[sector * SECTOR : (sector + 20) * SECTOR]


# -- how it ends (Bus Master IDE 1.0, 3.1)


def test_a_table_with_room_left_stays_active_until_it_is_stopped(bench):
    bench.command(Command.READ_DMA, 5)
    assert bench.start(table((BUFFER, 514))) == ACTIVE | INTERRUPT
    bench.master.write(BMICOM, 1, STOP)
    assert state(bench) == INTERRUPT


def test_a_table_without_its_mark_stays_active(bench):
    bench.command(Command.READ_DMA, 5)
    assert bench.start(unmarked((BUFFER, 512))) == ACTIVE | INTERRUPT


def test_a_table_that_is_too_short_ends_and_the_drive_waits(bench):
    bench.command(Command.READ_DMA, 5)
    assert bench.start(table((BUFFER, 300))) == 0
    assert bench.ram.read(BUFFER, 302) == IMAGE[5 * 512 : 5 * 512 + 300] + bytes(2)
    assert (bench.status, bench.edges) == (READY | DRQ, 0)
    bench.master.write(BMICOM, 1, STOP)
    assert bench.start(table((BUFFER + 300, 212))) == INTERRUPT
    assert bench.ram.read(BUFFER, 512) == IMAGE[5 * 512 : 6 * 512]


def test_a_stop_is_not_a_pause(bench):
    """Stopped, it forgets where it was: the next start is at the table's top (PIIX3, 2.7.1)."""
    bench.start(table((BUFFER, 512), (BUFFER + 512, 512)))
    bench.command(Command.READ_DMA, 5)
    bench.master.write(BMICOM, 1, STOP)
    bench.command(Command.READ_DMA, 6)
    assert bench.start(table((BUFFER, 512), (BUFFER + 512, 512))) == ACTIVE | INTERRUPT
    assert bench.ram.read(BUFFER, 1024) == IMAGE[6 * 512 : 7 * 512] + bytes(512)


def test_what_was_left_of_a_region_is_forgotten(bench):
    bench.command(Command.READ_DMA, 5)
    bench.start(table((BUFFER, 514)))
    bench.master.write(BMICOM, 1, STOP)
    bench.command(Command.READ_DMA, 6)
    assert bench.start(table((BUFFER + 0x1000, 512))) == INTERRUPT
    assert bench.ram.read(BUFFER + 0x1000, 512) == IMAGE[6 * 512 : 7 * 512]


def test_start_written_again_starts_nothing(bench):
    bench.command(Command.READ_DMA, 5)
    bench.start(table((BUFFER, 512)))
    bench.command(Command.READ_DMA, 6)
    bench.master.write(BMICOM, 1, READ)
    assert bench.status == READY | DRQ


def test_a_command_that_fails_leaves_it_active(bench):
    bench.command(Command.READ_DMA, SECTORS - 1, 2)
    assert bench.start(table((BUFFER, 1024))) == ACTIVE | INTERRUPT
    assert (bench.status, bench.get(ERROR)) == (DRDY | ERR, IDNF)
    assert bench.ram.read(BUFFER, 1024) == bytes(1024)


@pytest.mark.parametrize("command", [READ, WRITE])
def test_memory_that_is_not_there_is_an_error(bench, command):
    code = Command.READ_DMA if command == READ else Command.WRITE_DMA
    bench.command(code, 5, 2)
    assert bench.start(table((BUFFER, 514), (0xF000_0000, 510)), command=command) == FAILED
    assert bench.status == READY | DRQ
    assert bench.disk.read(5, 2) == IMAGE[5 * 512 : 7 * 512]


def test_a_table_that_is_not_there_is_an_error(bench):
    bench.master.write(BMIDTP, 4, 0xF000_0000)
    bench.command(Command.READ_DMA, 5)
    bench.master.write(BMICOM, 1, READ)
    assert state(bench) == FAILED
    bench.master.write(BMISTA, 1, FAILED)
    assert state(bench) == 0


def test_a_table_ends_where_64_kib_end(bench):
    """It may not cross a multiple of 64 KiB (1.2): the last entry before it is the last."""
    at = 2 * BOUNDARY - 16
    buffer = 0x50000
    bench.ram.write(2 * BOUNDARY, table((buffer, 512)))
    bench.command(Command.READ_DMA, 5)
    assert bench.start(unmarked((buffer, 2), (buffer + 2, 2)), at) == 0
    assert bench.ram.read(buffer, 6) == IMAGE[5 * 512 : 5 * 512 + 4] + bytes(2)
    assert bench.start(unmarked((buffer, 2)), 2 * BOUNDARY - 4) == 0
    assert bench.status == READY | DRQ


class Counting:
    """Memory that counts what is read of it, and that holds nothing but zeros and small regions."""

    def __init__(self):
        self.reads = self.largest = 0

    def read(self, iova, length):
        self.reads += 1
        self.largest = max(self.largest, length)
        return np.array([(BUFFER, 2, 0)], PRD).tobytes() if length == 8 else bytes(length)

    def write(self, iova, data):
        self.largest = max(self.largest, len(data))


def test_a_start_reads_8192_entries_at_most():
    bench = Bench(Disk(65536 * SECTOR))
    bench.master.dma = Counting()
    bench.command(Command.READ_DMA_EXT, 0, 0)
    bench.master.write(BMICOM, 1, READ)
    assert bench.master.dma.reads == 8192
    assert bench.master.dma.largest <= BOUNDARY
    assert state(bench) == 0
    assert bench.status == READY | DRQ


def test_the_pointer_that_moves_meanwhile_moves_no_end():
    bench = Bench(Disk(65536 * SECTOR))
    bench.master.dma = Counting()
    bench.master.write(BMICOM, 1, READ)
    bench.master.write(BMIDTP, 4, 0xFFFF_0000)
    bench.command(Command.READ_DMA_EXT, 0, 0)
    assert bench.master.dma.reads == 8192


class Changing(Counting):
    """Memory in which each entry is another one when it is read again."""

    def read(self, iova, length):
        self.reads += 1
        base = BUFFER if self.reads == 1 else 0xF000_0000
        return np.array([(base, 512, EOT)], PRD).tobytes()

    def write(self, iova, data):
        if iova >= 0xF000_0000:
            raise DmaFault("not there", iova)


def test_an_entry_is_read_once(bench):
    bench.master.dma = Changing()
    bench.command(Command.READ_DMA, 5)
    bench.master.write(BMICOM, 1, READ)
    assert (bench.master.dma.reads, state(bench)) == (1, INTERRUPT)


# -- the registers


def test_the_interrupt_bit_is_set_by_an_edge_and_cleared_by_a_one(bench):
    bench.command(Command.READ_SECTORS, 0, 3)
    assert state(bench) == INTERRUPT
    bench.master.write(BMISTA, 1, INTERRUPT)
    assert state(bench) == 0
    bench.take()
    assert (bench.interrupt, state(bench)) == (True, 0)
    bench.acknowledge()
    bench.take()
    assert state(bench) == INTERRUPT


def test_nien_hides_the_interrupt_from_it_too(bench):
    bench.control(0x02)
    bench.command(Command.READ_DMA, 5)
    assert bench.start(table((BUFFER, 512))) == 0
    bench.control(0x00)
    assert state(bench) == INTERRUPT


def test_which_bits_can_be_written(bench):
    bench.master.write(BMICOM, 1, 0xFE)
    bench.master.write(BMISTA, 1, 0xF9)
    bench.master.write(BMIDTP, 4, 0xFFFF_FFFF)
    assert bench.master.read(BMICOM, 4) == 0x0060_0008
    assert bench.master.read(BMIDTP, 4) == 0xFFFF_FFFC
    bench.master.write(BMIDTP + 1, 1, 0x12)
    assert bench.master.read(BMIDTP, 4) == 0xFFFF_12FC


def test_the_data_is_in_memory_before_the_interrupt_comes(bench):
    seen = []
    bench.channel.irq.sink = lambda level: seen.append(bench.ram.read(BUFFER, 512))
    bench.command(Command.READ_DMA, 5)
    bench.start(table((BUFFER, 512)))
    assert seen == [IMAGE[5 * 512 : 6 * 512]]


def test_a_write_interrupts_when_all_of_it_is_stored(bench):
    seen = []
    bench.ram.write(BUFFER, image(200, seed=4))
    bench.channel.irq.sink = lambda level: seen.append(bench.disk.read(0, 200))
    bench.command(Command.WRITE_DMA, 0, 200)
    bench.start(table((BUFFER, BOUNDARY), (BUFFER + BOUNDARY, 0x9000)), command=WRITE)
    assert seen == [image(200, seed=4)]


def test_with_a_latency_the_processor_is_free_meanwhile():
    bench = Bench(Disk.of(IMAGE), latency=1000)
    bench.command(Command.READ_DMA, 5, 200)
    assert bench.start(table((BUFFER, BOUNDARY), (BUFFER + BOUNDARY, 0x9000))) == ACTIVE
    bench.clock.advance(999)
    assert not bench.interrupt
    bench.clock.advance(1)
    assert (state(bench), bench.interrupt) == (INTERRUPT, True)
    assert bench.ram.read(BUFFER, 200 * SECTOR) == IMAGE[5 * SECTOR : 205 * SECTOR]
