"""What a block device says of itself, and whose cache it is: virtio 1.3 5.2.3 to 5.2.5."""

import numpy as np
import pytest

from tests.virtio.rig import DATA, LEGACY, MODERN, WORLDS, Rig
from tests.virtio.test_blk import HEAD, OUT, STATUS, Noted, Raw
from virtlab.backends.disk import Disk
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_config import BlkShape
from virtlab.virtio.blk_layouts import (
    CONFIG,
    GUARD,
    REQUEST,
    SECTOR,
    BlkFeature,
    BlkStatus,
    BlkType,
    config_field,
)
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import packer
from virtlab.virtio.status import Status

WCE, FLUSH = BlkFeature.CONFIG_WCE, BlkFeature.FLUSH
WRITEBACK = config_field("writeback")[0]

FULL = BlkShape(
    blk_size=4096,
    physical_block_exp=1,
    alignment_offset=2,
    min_io_size=3,
    opt_io_size=4,
    geometry=(5, 6, 7),
    size_max=8192,
    seg_max=9,
    max_discard_sectors=10,
    max_discard_seg=11,
    discard_sector_alignment=12,
    max_write_zeroes_sectors=13,
    max_write_zeroes_seg=14,
)


class Plain:
    """A storage that can do what every one can, and nothing else."""

    def __init__(self, disk):
        self.disk = disk
        self.read, self.write, self.flush = disk.read, disk.write, disk.flush

    sectors = property(lambda self: self.disk.sectors)
    read_only = property(lambda self: self.disk.read_only)


def fields(device):
    """The configuration by name."""
    config = np.frombuffer(device.config, CONFIG)[0]
    return {name: config[name].tolist() for name in CONFIG.names}


# -- the fields (5.2.4)


def test_each_field_says_what_the_shape_says():
    found = fields(VirtioBlk(Disk(77 * SECTOR), shape=FULL, queues=3))
    expected = {
        "capacity": 77,
        "size_max": 8192,
        "seg_max": 9,
        "cylinders": 5,
        "heads": 6,
        "sectors": 7,
        "blk_size": 4096,
        "physical_block_exp": 1,
        "alignment_offset": 2,
        "min_io_size": 3,
        "opt_io_size": 4,
        "writeback": 1,
        "num_queues": 3,
        "max_discard_sectors": 10,
        "max_discard_seg": 11,
        "discard_sector_alignment": 12,
        "max_write_zeroes_sectors": 13,
        "max_write_zeroes_seg": 14,
        "write_zeroes_may_unmap": 1,
    }
    assert {name: value for name, value in found.items() if value and any([value])} == {
        **expected,
        "unused1": [0, 0, 0],
    }
    assert found["unused0"] == 0, "5.2.5.2: padding is 0"


def test_what_is_not_offered_is_zero():
    everything = frozenset(GUARD.values())
    device = VirtioBlk(Disk(SECTOR), shape=FULL, queues=3, without=everything)
    assert not device.features & everything
    assert device.config == (1).to_bytes(8, "little") + bytes(CONFIG.itemsize - 8)


@pytest.mark.parametrize(
    ("size", "room"), [(256, 126), (128, 126), (64, 62), (4, 2), (2, 1), (1, 1)]
)
def test_as_many_pieces_as_any_queue_of_that_size_or_of_128_has_room_for(size, room):
    assert fields(VirtioBlk(Disk(SECTOR), queue_size=size))["seg_max"] == room


def test_a_disk_to_read_only_offers_nothing_that_changes_it():
    offered = VirtioBlk(Disk(SECTOR, read_only=True)).features
    assert BlkFeature.RO in offered
    assert not offered & {BlkFeature.DISCARD, BlkFeature.WRITE_ZEROES}


def test_a_storage_that_cannot_give_sectors_up_says_so():
    """5.2.6.2: write_zeroes_may_unmap is clear if and only if nothing can be given up."""
    device = VirtioBlk(Plain(Disk(SECTOR)))
    assert BlkFeature.DISCARD not in device.features
    assert fields(device)["write_zeroes_may_unmap"] == 0


@pytest.mark.parametrize("size", [0, 256, 513, 768, -512])
def test_a_block_is_a_power_of_two_of_sectors(size):
    with pytest.raises(ValueError, match="a block has"):
        BlkShape(blk_size=size)


def test_what_may_not_be_offered_is_refused():
    with pytest.raises(ValueError, match="CONFIG_WCE is offered without FLUSH"):
        VirtioBlk(Disk(SECTOR), without={FLUSH})
    with pytest.raises(ValueError, match="without RO"):
        VirtioBlk(Disk(SECTOR, read_only=True), without={BlkFeature.RO})
    assert FLUSH not in VirtioBlk(Disk(SECTOR), without={FLUSH, WCE}).features


@pytest.mark.parametrize("transport", MODERN + LEGACY)
def test_a_disk_that_has_grown_says_so(transport):
    """5.2.6.2: another capacity, and a configuration change notification."""
    disk = Plain(Disk(8 * SECTOR))
    rig = Rig(VirtioBlk(disk), transport)
    rig.start()
    rig.guest.causes()
    assert rig.guest.config([(0, 8)]) == (8,) or rig.guest.config([(0, 8)]) == [8]
    disk.disk = Disk(16 * SECTOR)
    rig.device.resized()
    assert rig.guest.causes() & 2
    assert list(rig.guest.config([(0, 8)])) == [16]


# -- the cache (5.2.5, 5.2.6.2)

CACHE = {
    "neither": ({WCE, FLUSH}, False),
    "flush": ({WCE}, True),
    "wce alone": ({FLUSH}, False),
    "both": (set(), True),
}
"""What the driver does without, and whether the cache then writes back."""


@pytest.mark.parametrize("name", CACHE)
@pytest.mark.parametrize("transport", ["mmio", "pci"])
def test_a_write_is_stable_or_not_as_was_agreed(transport, name):
    without, volatile = CACHE[name]
    disk = Noted(64 * SECTOR)
    raw = Raw(disk, transport, without=without)
    assert raw.request(BlkType.OUT, 0, out=[(OUT, 512)]) == (BlkStatus.OK, 1)
    assert disk.flushes == (0 if volatile else 1)
    assert raw.request(BlkType.IN, 0, in_=[(OUT, 512)]) == (BlkStatus.OK, 513)
    assert disk.flushes == (0 if volatile else 1), "a read flushes nothing"


@pytest.mark.parametrize("transport", MODERN)
def test_without_flush_the_cache_writes_through_from_the_beginning(transport):
    """5.2.5.2: if CONFIG_WCE is negotiated but FLUSH is not, writeback MUST be 0."""
    rig = Raw(Noted(64 * SECTOR), transport, without={FLUSH}).rig
    assert rig.transport.config_read(WRITEBACK, 1) == 0
    rig.start(understood={WCE, FLUSH})
    assert rig.transport.config_read(WRITEBACK, 1) == 1


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_the_driver_switches_the_cache(transport, layout):
    """5.2.6.1: 0 is writethrough, 1 is writeback; a reset brings the first mode back."""
    disk = Noted(64 * SECTOR)
    raw = Raw(disk, transport, layout)
    rig = raw.rig
    for mode, flushes in ((1, 0), (0, 1), (1, 1), (0, 2)):
        rig.transport.config_write(WRITEBACK, 1, mode)
        assert rig.transport.config_read(WRITEBACK, 1) == mode
        assert raw.request(BlkType.OUT, 0, out=[(OUT, 512)])[0] == BlkStatus.OK
        assert disk.flushes == flushes
    rig.guest.reset()
    assert rig.device.writeback


@pytest.mark.parametrize("value", [2, 0xFF])
def test_no_other_mode_is_known(value):
    rig = Raw(Noted(64 * SECTOR)).rig
    rig.trace.on = True
    rig.transport.config_write(WRITEBACK, 1, value)
    assert rig.transport.config_read(WRITEBACK, 1) == 1
    assert rig.notes("refused")


def test_only_who_negotiated_it_switches_the_cache():
    rig = Raw(Noted(64 * SECTOR), without={WCE}).rig
    rig.trace.on = True
    rig.transport.config_write(WRITEBACK, 1, 0)
    assert rig.device.writeback
    assert rig.notes("refused")


@pytest.mark.parametrize("transport", LEGACY)
def test_a_legacy_driver_switches_it_whenever_it_likes(transport):
    """5.2.5.3: before DRIVER, and no status bit or feature changes the mode."""
    rig = Rig(VirtioBlk(Noted(64 * SECTOR)), transport)
    rig.transport.config_write(WRITEBACK, 1, 0)
    assert rig.transport.config_read(WRITEBACK, 1) == 0
    rig.transport.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
    assert not rig.device.writeback


def test_every_other_field_is_for_reading_only():
    rig = Raw(Noted(64 * SECTOR)).rig
    before = rig.device.config
    for offset in (*range(WRITEBACK), *range(WRITEBACK + 1, CONFIG.itemsize)):
        rig.transport.config_write(offset, 1, 1)
    assert rig.device.config == before
    assert not rig.device.write_config(WRITEBACK, b"\0\0")


def test_a_write_that_cannot_be_made_stable_has_failed():
    disk = Noted(64 * SECTOR)
    raw = Raw(disk, without={WCE, FLUSH})
    disk.fails = True
    assert raw.request(BlkType.OUT, 0, out=[(OUT, 512)]) == (BlkStatus.IOERR, 1)


# -- many queues (5.2.2)


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_each_queue_takes_requests(transport, layout):
    rig = Rig(VirtioBlk(Disk.of(bytes(range(256)) * 2 * 8), queues=3), transport)
    rig.start(layout, understood=set(BlkFeature), queues=3)
    for index, queue in enumerate(rig.guest.queues[number] for number in range(3)):
        head = HEAD + 0x20 * index
        rig.ram.write(head, packer(REQUEST).pack(BlkType.IN, 0, index))
        queue.add_buf([(head, 16)], [(DATA + 0x2000, 512), (STATUS, 1)], index)
        queue.kick()
        assert queue.get_buf().token == index
        assert rig.ram.read(DATA + 0x2000, 512) == bytes(range(256)) * 2
    assert not rig.broken


def test_without_mq_there_is_one_queue():
    """5.2.2: N is 1 if MQ is not negotiated."""
    rig = Rig(VirtioBlk(Disk(64 * SECTOR), queues=2))
    rig.start(understood={FLUSH}, queues=2)
    queue = rig.guest.queues[1]
    queue.add_buf([(HEAD, 16)], [(STATUS, 1)], "no")
    queue.kick()
    assert rig.broken
    assert Feature.VERSION_1 in queue.features
