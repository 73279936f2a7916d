"""Our IDE controller against QEMU's piix3-ide: random gestures, and whole transfers.

Registers, data, interrupt line and bus master are compared after every gesture; memory and disks,
byte for byte, at the end. Where the two differ on purpose, `test_ata_deviations` shows both.
"""

import random

import pytest

from tests.devices.ata.rig import SECTORS, image
from tests.needs import needs_qemu
from tests.oracles.ata_host import Host
from tests.oracles.ata_pair import BUFFERS, BUFFERS_END, TABLE, both_machines
from virtlab.backends.disk import SECTOR
from virtlab.devices.ata.registers import BOUNDARY, DEVICE, Command
from virtlab.guest.ata import SECONDARY, AtaDriver

ROUNDS = 160
"""Gestures in a random run; each is some 100 accesses."""


@pytest.fixture
def pair(tmp_path):
    with both_machines(tmp_path) as made:
        yield made


@needs_qemu
@pytest.mark.parametrize("seed", [1, 2])
def test_seeded_random_gestures_agree(pair, seed):
    Host(pair, seed).run(ROUNDS)
    assert pair.accesses > 10_000
    assert pair.excused, "the deviation explained nothing"
    pair.reset()
    pair.same_memory()
    for unit, (disk, path) in enumerate(zip(pair.rig.disks, pair.paths, strict=True)):
        pair.command(Command.FLUSH_CACHE, device=DEVICE.DEV.put(0xE0, unit))
        assert path.read_bytes() == disk.read(0, disk.sectors)


# -- whole transfers, by the driver


@pytest.fixture
def drivers(pair):
    """The driver on both machines. Each may poll: its drive does not interrupt."""
    made = [
        AtaDriver(cpu, bus_master=base, table=TABLE)
        for cpu, base in ((pair.ours, pair.rig.bar), (pair.theirs, pair.base))
    ]
    for driver in made:
        driver.mute()
    return made


SHAPES = {
    "one region": [(0x20000, 4096)],
    "across 64 KiB": [(0x1FF00, 0x200)],
    "64 KiB, a count of 0": [(0x30000, BOUNDARY)],
    "two bytes each": [(0x20000 + 6 * n, 2) for n in range(256)],
    "backwards": [(0x40000 - 1024 * n, 512) for n in range(1, 17)],
    "odd lengths": [(0x12002, 510), (0x30000, 2), (0x1FFFE, 1022), (0x50006, 2)],
    "a whole command": [(0x20000, 128 * SECTOR), (0x60002, 128 * SECTOR)],
}


@needs_qemu
@pytest.mark.parametrize("regions", SHAPES.values(), ids=SHAPES)
def test_tables_of_odd_shapes_move_the_same_bytes(pair, drivers, regions):
    pair.write_memory(BUFFERS, random.Random(3).randbytes(BUFFERS_END - BUFFERS))
    sectors = sum(length for _, length in regions) // SECTOR
    for driver in drivers:
        driver.read_dma(1000, regions)
    pair.same_memory()
    data = b"".join(pair.ours.read(gpa, length) for gpa, length in regions)
    assert data == pair.rig.disks[0].read(1000, sectors)
    pair.write_memory(BUFFERS, random.Random(4).randbytes(BUFFERS_END - BUFFERS))
    for driver in drivers:
        driver.write_dma(2000, regions)
        driver.flush()
    data = b"".join(pair.ours.read(gpa, length) for gpa, length in regions)
    assert data == pair.rig.disks[0].read(2000, sectors)
    assert data == pair.paths[0].read_bytes()[2000 * SECTOR : (2000 + sectors) * SECTOR]


@needs_qemu
@pytest.mark.parametrize(("size", "block"), [(2, 1), (4, 4), (4, 16)])
def test_programmed_io_moves_the_same_bytes(pair, drivers, size, block):
    data = random.Random(5).randbytes(19 * SECTOR)
    read = []
    for driver in drivers:
        driver.size = size
        driver.set_multiple(block)
        read.append(driver.read(SECTORS - 19, 19))
        driver.write(77, data)
        driver.flush()
    assert read[0] == read[1] == pair.rig.disks[0].read(SECTORS - 19, 19)
    assert pair.rig.disks[0].read(77, 19) == data
    assert pair.paths[0].read_bytes()[77 * SECTOR : (77 + 19) * SECTOR] == data


@needs_qemu
def test_the_second_drive_is_another_one(pair):
    data = image(SECTORS // 2, 8)
    for cpu in (pair.ours, pair.theirs):
        driver = AtaDriver(cpu, device=1)
        assert driver.detect()
        assert driver.identify().sectors == SECTORS // 2
        assert driver.read(100, 3) == data[100 * SECTOR : 103 * SECTOR]
        assert not AtaDriver(cpu, SECONDARY).detect()
