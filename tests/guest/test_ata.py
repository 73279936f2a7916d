"""The disk driver: on our controller, at once and with a medium that takes time, and on QEMU's.

What it costs the processor is counted by a `Recorder`, and is the same everywhere.
"""

import pytest

from tests.devices.ata.rig import SECTORS, AtaRig, image
from tests.needs import require
from virtlab.backends.disk import SECTOR, Disk
from virtlab.cpu import Recorder
from virtlab.guest.ata import PRIMARY, SECONDARY, AtaDriver, AtaError
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.hosts.remote import QtestMachine

IMAGE = image()
TABLE, BUFFER = 0x8000, 0x20000


class OnOurs:
    """Our controller; with a `latency` (ns) a port access takes time as well."""

    def __init__(self, latency=0):
        self.rig = AtaRig(Disk.of(IMAGE), latency=latency)
        self.rig.cpu.port_time = 700 if latency else 0
        self.cpu, self.bar = self.rig.cpu, self.rig.bar

    def close(self):
        pass


class OnQemu:
    """QEMU's, with the same sectors."""

    def __init__(self, path):
        require("QEMU")
        file = path / "disk.img"
        file.write_bytes(IMAGE)
        drive = f"if=ide,format=raw,file={file},cache=writeback"
        self.cpu = QtestMachine("pc", ["-drive", drive])
        self.bar = find(enumerate_pci(self.cpu), 0x8086, 0x7010).bar(4)

    def close(self):
        self.cpu.close()


@pytest.fixture(params=["ours", "timed", pytest.param("qemu", marks=pytest.mark.oracle)])
def board(request, tmp_path):
    made = (
        OnQemu(tmp_path)
        if request.param == "qemu"
        else OnOurs(100_000 * (request.param == "timed"))
    )
    made.recorder = Recorder(made.cpu)
    yield made
    made.close()


@pytest.fixture
def driver(board):
    made = AtaDriver(board.recorder, bus_master=board.bar, table=TABLE)
    made.mute()
    return made


@pytest.fixture
def ours():
    return OnOurs()


def listening(board, driver):
    pics = Pics(board.cpu)
    pics.remap()
    driver.listen(pics)
    return driver


def cost(board, action):
    """The accesses that `action` takes, by what they touch: DATA, other ports, memory."""
    start = len(board.recorder.accesses)
    action()
    done = board.recorder.accesses[start:]
    data = sum(each.region == "port" and each.address == PRIMARY.command for each in done)
    memory = sum(each.region == "memory" for each in done)
    return data, len(done) - data - memory, memory


# -- everywhere


def test_it_finds_the_drive_and_only_that(board, driver):
    assert driver.detect()
    assert not AtaDriver(board.cpu, device=1).detect()
    assert not AtaDriver(board.cpu, SECONDARY).detect()


def test_it_asks_who_the_drive_is(driver):
    identity = driver.identify()
    assert identity.model in ("VIRTLAB HARDDISK", "QEMU HARDDISK")
    assert (identity.sectors, identity.lba48, identity.multiple) == (SECTORS, True, 16)


@pytest.mark.parametrize("block", [1, 8])
def test_sectors_go_there_and_back_by_programmed_io(driver, block):
    driver.set_multiple(block)
    assert driver.read(100, 3) == IMAGE[100 * SECTOR : 103 * SECTOR]
    driver.write(101, b"there" * SECTOR)
    assert driver.read(100, 7) == (
        IMAGE[100 * SECTOR : 101 * SECTOR] + b"there" * SECTOR + IMAGE[106 * SECTOR : 107 * SECTOR]
    )
    driver.flush()
    driver.verify(0, 3)


def test_sectors_go_there_and_back_by_dma(board, driver):
    regions = [(BUFFER, 1000), (0x3FFFE, 24)]
    driver.read_dma(100, regions)
    moved = board.cpu.read(BUFFER, 1000) + board.cpu.read(0x3FFFE, 24)
    assert moved == IMAGE[100 * SECTOR : 102 * SECTOR]
    driver.write_dma(300, regions)
    assert driver.read(300, 2) == moved


def test_it_sleeps_until_the_drive_interrupts(board, driver):
    listening(board, driver)
    assert driver.read(100, 3) == IMAGE[100 * SECTOR : 103 * SECTOR]
    driver.write(5, IMAGE[: 2 * SECTOR])
    driver.read_dma(5, [(BUFFER, 2 * SECTOR)])
    assert board.cpu.read(BUFFER, 2 * SECTOR) == IMAGE[: 2 * SECTOR]
    driver.reset()
    driver.mute()
    assert driver.read(6) == IMAGE[SECTOR : 2 * SECTOR]


def test_a_sector_that_is_not_there_is_an_error_and_the_next_one_is_not(driver):
    with pytest.raises(AtaError, match="read: status 0x41, error 0x") as caught:
        driver.read(SECTORS)
    assert caught.value.error in (0x04, 0x10)
    with pytest.raises(AtaError, match="DMA: status 0x41"):
        driver.read_dma(SECTORS - 1, [(BUFFER, 2 * SECTOR)])
    assert driver.read(SECTORS - 1) == IMAGE[-SECTOR:]


def test_a_setting_is_taken_or_refused(driver):
    driver.set_features(0x82)
    with pytest.raises(AtaError, match="ABRT"):
        driver.set_features(0x77)
    with pytest.raises(AtaError, match="SET MULTIPLE"):
        driver.set_multiple(3)
    assert driver.block == 1
    driver.set_multiple(0)
    assert driver.read(7, 2) == IMAGE[7 * SECTOR : 9 * SECTOR]


# -- what it costs


def test_programmed_io_costs_an_instruction_for_each_word(board, driver):
    """One sector: 256 accesses of 16 bits or 128 of 32, and eight more, if no poll is in vain."""
    data, others, memory = cost(board, lambda: driver.read(5))
    assert (data, memory) == (256, 0)
    assert others >= 8
    driver.size = 4
    assert cost(board, lambda: driver.read(5, 4))[0] == 4 * 128


def test_dma_costs_the_same_for_one_sector_as_for_a_hundred(ours):
    """Seven registers of the drive, eight of the bus master, one table."""
    ours.recorder = Recorder(ours.cpu)
    driver = AtaDriver(ours.recorder, bus_master=ours.bar, table=TABLE)
    costs = [cost(ours, lambda n=n: driver.read_dma(5, [(BUFFER, n * SECTOR)])) for n in (1, 100)]
    assert costs == [(0, 15, 1)] * 2
    assert cost(ours, lambda: driver.read(5)) == (256, 8, 0)


def test_a_block_of_many_sectors_takes_one_interrupt(ours):
    driver = listening(ours, AtaDriver(ours.cpu))
    edges = []
    line, sink = ours.rig.ide.channels[0].irq, ours.rig.ide.channels[0].irq.sink
    line.sink = lambda level: (edges.append(level), sink(level))
    driver.read(0, 16)
    assert edges.count(True) == 16
    driver.set_multiple(16)
    edges.clear()
    driver.read(0, 16)
    assert edges.count(True) == 1


def test_the_processor_is_free_while_the_medium_works():
    """It polls the bus master once, after the interrupt."""
    board = OnOurs(latency=100_000)
    recorder = Recorder(board.cpu)
    driver = listening(board, AtaDriver(recorder, bus_master=board.bar, table=TABLE))
    seen = []
    board.cpu.clock.after(60_000, lambda: seen.append(board.rig.ide.channels[0].status))
    driver.read_dma(5, [(BUFFER, SECTOR)])
    assert seen[0] & 0x80
    polls = [each for each in recorder.accesses if each.address == board.bar + 2]
    assert [each.write for each in polls] == [True, False]
    assert board.cpu.read(BUFFER, SECTOR) == IMAGE[5 * SECTOR : 6 * SECTOR]


# -- on ours


def test_a_long_transfer_is_several_commands(ours):
    driver = AtaDriver(ours.cpu, size=4)
    assert driver.read(100, 257) == IMAGE[100 * SECTOR : 357 * SECTOR]
    driver.write(500, IMAGE[: 257 * SECTOR])
    assert (
        ours.rig.disks[0].read(500, 258)
        == IMAGE[: 257 * SECTOR] + IMAGE[757 * SECTOR : 758 * SECTOR]
    )
    driver.verify(0, SECTORS)
    with pytest.raises(AtaError, match="IDNF"):
        driver.verify(0, SECTORS + 1)


def test_sectors_beyond_28_bits_take_the_long_commands(ours):
    class Huge(Disk):
        """A disk of 2**33 sectors, each with its number in it."""

        sectors = 1 << 33

        def __init__(self):
            self.read_only = False
            self.written = {}

        def read(self, sector, count=1):
            return b"".join(n.to_bytes(8, "little") * 64 for n in range(sector, sector + count))

        def write(self, sector, data):
            self.written[sector] = data

    rig = AtaRig(disk := Huge())
    driver = AtaDriver(rig.cpu, bus_master=rig.bar, table=TABLE)
    assert driver.identify().sectors == 1 << 33
    for sector in ((1 << 28) - 1, 1 << 28, 0x1_2345_6789):
        assert driver.read(sector, 2) == disk.read(sector, 2)
        driver.read_dma(sector, [(BUFFER, SECTOR)])
        assert rig.cpu.read(BUFFER, SECTOR) == disk.read(sector)
        driver.write(sector, IMAGE[:SECTOR])
        assert disk.written == {sector: IMAGE[:SECTOR]}
        disk.written.clear()


def test_memory_that_is_not_there_is_an_error_and_the_drive_works_again(ours):
    driver = AtaDriver(ours.cpu, bus_master=ours.bar, table=TABLE)
    with pytest.raises(AtaError, match=r"did not move everything.*bus master 0x02"):
        driver.read_dma(5, [(0xE000_0000, SECTOR)])
    assert driver.read(5) == IMAGE[5 * SECTOR : 6 * SECTOR]


def test_the_second_channel_has_ports_and_a_bus_master_of_its_own():
    rig = AtaRig(second=(Disk.of(IMAGE),))
    driver = AtaDriver(rig.cpu, SECONDARY, bus_master=rig.bar, table=TABLE)
    driver.read_dma(5, [(BUFFER, SECTOR)])
    assert rig.cpu.read(BUFFER, SECTOR) == IMAGE[5 * SECTOR : 6 * SECTOR]


def test_an_interrupt_that_does_not_come_is_seen(ours):
    driver = listening(ours, AtaDriver(ours.cpu))
    ours.rig.ide.channels[0].irq.sink = None
    with pytest.raises(TimeoutError, match="IRQ 14 did not come, but None"):
        driver.read(0)


# -- what it refuses before it begins


@pytest.mark.parametrize(
    ("regions", "why"),
    [
        ([], "1 to 256"),
        ([(BUFFER, 100)], "1 to 256"),
        ([(BUFFER, 257 * SECTOR)], "1 to 256"),
        ([(BUFFER + 1, SECTOR)], "whole words"),
        ([(BUFFER, 511), (BUFFER, 1)], "whole words"),
        ([(BUFFER, 1024), (BUFFER, -512)], "whole words"),
        ([(0xFFFF_FF00, SECTOR)], "below 4 GiB"),
        ([(-2, SECTOR)], "below 4 GiB"),
    ],
)
def test_it_refuses_regions_that_no_table_can_have(ours, regions, why):
    driver = AtaDriver(ours.cpu, bus_master=ours.bar, table=TABLE)
    with pytest.raises(ValueError, match=why):
        driver.read_dma(0, regions)


def test_dma_needs_a_bus_master_and_a_table(ours):
    for driver in (AtaDriver(ours.cpu, table=TABLE), AtaDriver(ours.cpu, bus_master=ours.bar)):
        with pytest.raises(ValueError, match="needs the bus master"):
            driver.read_dma(0, [(BUFFER, SECTOR)])
