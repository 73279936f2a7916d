"""The block device, clause by clause: what no other test of it says in so many words."""

import numpy as np
import pytest

from tests.virtio.rig import LEGACY, WORLDS, Rig
from tests.virtio.test_blk import OUT, Noted, Raw, image
from tests.virtio.test_blk_config import FULL, Plain
from virtlab.backends import Disk
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_config import BlkShape
from virtlab.virtio.blk_layouts import (
    CONFIG,
    SECTOR,
    SEGMENT,
    BlkFeature,
    BlkStatus,
    BlkType,
    config_field,
)
from virtlab.virtio.layouts import packer
from virtlab.virtio.status import Status

WCE, FLUSH = BlkFeature.CONFIG_WCE, BlkFeature.FLUSH
WRITEBACK = config_field("writeback")[0]
LEFT_OUT = {BlkFeature.ZONED, BlkFeature.LIFETIME, BlkFeature.SECURE_ERASE, BlkFeature.SCSI}
ZONE_TYPES = (15, 16, 18, 20, 22, 24, 26)
"""Append, report, open, close, finish, reset, reset all: `VIRTIO_BLK_T_ZONE_`."""


def devices():
    """One of each kind: any disk, any shape, one queue and many."""
    for shape in (BlkShape(), FULL):
        yield VirtioBlk(Disk(64 * SECTOR), shape=shape)
        yield VirtioBlk(Disk(64 * SECTOR), shape=shape, queues=4)
        yield VirtioBlk(Plain(Disk(64 * SECTOR)), shape=shape)
        yield VirtioBlk(Disk.of(image(), read_only=True), shape=shape)


# -- what is offered (5.2.3, 5.2.5.2)


def test_what_is_left_out_is_not_offered():
    """Zones, lifetimes, secure erase, SCSI: what is said of them is about other devices."""
    for device in devices():
        assert not device.features & LEFT_OUT


@pytest.mark.parametrize("transport", LEGACY)
def test_a_legacy_interface_offers_no_zones(transport):
    """5.2.5.2; nor anything else that is left out."""
    offered = Rig(VirtioBlk(Disk(64 * SECTOR)), transport).transport.device_features()
    assert not any(offered >> bit & 1 for bit in LEFT_OUT)


def test_flush_is_offered_with_a_cache_that_can_be_switched():
    """5.2.5.2: and a device that would not is none."""
    for device in devices():
        assert WCE not in device.features or FLUSH in device.features
    with pytest.raises(ValueError, match="CONFIG_WCE is offered without FLUSH"):
        VirtioBlk(Disk(64 * SECTOR), without={FLUSH})


def test_padding_is_zero():
    """5.2.5.2: unused0 and unused1, whatever the driver writes and the disk becomes."""
    for device in devices():
        for change in (
            lambda: None,
            lambda device=device: device.agreed(frozenset({WCE})),
            lambda device=device: device.write_config(WRITEBACK + 1, b"\xff"),
            lambda device=device: device.write_config(WRITEBACK, b"\1"),
            lambda device=device: device.resized(),
        ):
            change()
            config = np.frombuffer(device.config, CONFIG)[0]
            assert config["unused0"] == 0
            assert not config["unused1"].any()


# -- requests (5.2.6.2)


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_request_for_zones_is_unsupported(transport, layout):
    """If ZONED is not negotiated, the device MUST reject it with UNSUPP. Nothing is changed."""
    raw = Raw(Disk.of(image()), transport, layout)
    raw.rig.ram.write(OUT, b"\xaa" * SECTOR)
    for kind in ZONE_TYPES:
        assert raw.request(kind, 0, out=[(OUT, SECTOR)]) == (BlkStatus.UNSUPP, 1)
        assert raw.request(kind, 8, in_=[(OUT, SECTOR)]) == (BlkStatus.UNSUPP, 0)
    assert raw.rig.ram.read(OUT, SECTOR) == b"\xaa" * SECTOR
    assert raw.disk.read(0, 64) == image()[: 64 * SECTOR]
    assert not raw.rig.broken


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_data_that_is_no_whole_sector_is_an_error(layout):
    """5.2.6.1: a multiple of 512, in one piece or in many. Nothing moves."""
    raw = Raw(Disk.of(image()), layout=layout)
    raw.rig.ram.write(OUT, b"\xaa" * 2 * SECTOR)
    for length in (1, 2, 256, 510, 513, 768, 1022):
        assert raw.request(BlkType.OUT, 0, out=[(OUT, length)]) == (BlkStatus.IOERR, 1)
        assert raw.request(BlkType.IN, 0, in_=[(OUT, length)]) == (BlkStatus.IOERR, 0)
    assert raw.request(BlkType.OUT, 0, out=[(OUT, 256), (OUT, 512)]) == (BlkStatus.IOERR, 1)
    assert raw.disk.read(0, 4) == image()[: 4 * SECTOR]
    assert raw.rig.ram.read(OUT, 2 * SECTOR) == b"\xaa" * 2 * SECTOR
    assert not raw.rig.broken


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_what_was_zeroed_reads_as_zeros(transport, layout):
    """5.2.6.2: as soon as the command is completed, and only there."""
    raw, kept = Raw(Disk.of(image()), transport, layout), image()
    for flags, first in ((0, 3), (1, 23)):
        raw.rig.ram.write(OUT, packer(SEGMENT).pack(first, 5, flags))
        assert raw.request(BlkType.WRITE_ZEROES, 0, out=[(OUT, 16)])[0] == BlkStatus.OK
        assert raw.request(BlkType.IN, first - 1, in_=[(OUT, 7 * SECTOR)])[0] == BlkStatus.OK
        around = kept[(first - 1) * SECTOR : (first + 6) * SECTOR]
        expected = around[:SECTOR] + bytes(5 * SECTOR) + around[6 * SECTOR :]
        assert raw.rig.ram.read(OUT, 7 * SECTOR) == expected


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@pytest.mark.parametrize("kind", [BlkType.DISCARD, BlkType.WRITE_ZEROES])
def test_flags_are_judged_before_anything_is_done(transport, layout, kind):
    """5.2.6.2: UNSUPP for each unknown flag, and for unmap of a discard."""
    raw = Raw(Disk.of(image()), transport, layout)
    wrong = [1 << bit for bit in range(kind == BlkType.WRITE_ZEROES, 32, 5)]
    for flags in wrong:
        pack = packer(SEGMENT).pack
        raw.rig.ram.write(OUT, pack(0, 1, 0) + pack(1, 1, flags))
        assert raw.request(kind, 0, out=[(OUT, 32)]) == (BlkStatus.UNSUPP, 1)
    assert raw.disk.read(0, 4) == image()[: 4 * SECTOR]


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_read_only_disk_is_not_written(transport, layout):
    """5.2.6.2: IOERR if RO is offered, whether the driver has accepted it or not."""
    for without in (set(), {BlkFeature.RO}):
        raw = Raw(Disk.of(image(), read_only=True), transport, layout, without=without)
        raw.rig.ram.write(OUT, b"\xaa" * SECTOR)
        for _ in range(3):
            assert raw.request(BlkType.OUT, 1, out=[(OUT, SECTOR)]) == (BlkStatus.IOERR, 1)
        assert raw.disk.read(0, 64) == image()[: 64 * SECTOR]


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@pytest.mark.parametrize("stable", [False, True])
def test_a_write_is_completed_when_it_is_stable(transport, layout, stable):
    """5.2.6.2: flushed before its buffer is used, or before that of the flush behind it."""
    disk = Noted(64 * SECTOR)
    raw = Raw(disk, transport, layout, without={WCE, FLUSH} if stable else {WCE})
    used = []
    queue = raw.rig.core.queues[0].queue
    for name in ("push", "push_many"):
        give = getattr(queue, name)
        setattr(queue, name, lambda *how, give=give: used.append(disk.flushes) or give(*how))
    raw.request(BlkType.OUT, 0, out=[(OUT, SECTOR)])
    assert used == [int(stable)]
    raw.request(BlkType.FLUSH, 0)
    assert used[1] == disk.flushes == (2 if stable else 1)


# -- the legacy interface


@pytest.mark.parametrize("transport", LEGACY)
def test_numbers_are_in_the_order_of_the_legacy_guest(transport):
    """5.2.4.1, 5.2.6.3: a PC's guest is little-endian; capacity, block size, type and sector."""
    raw = Raw(Disk.of(image(sectors=0x1FF)), transport, shape=BlkShape(blk_size=0x2000))
    config = raw.rig.transport
    assert [config.config_read(at, 1) for at in (0, 1, 20, 21)] == [0xFF, 1, 0, 0x20]
    assert raw.request(BlkType.IN, 0x101, in_=[(OUT, SECTOR)])[0] == BlkStatus.OK
    assert raw.rig.ram.read(OUT, SECTOR) == raw.disk.read(0x101, 1)


@pytest.mark.parametrize("transport", LEGACY)
@pytest.mark.parametrize("accepts", [set(), {WCE}, {FLUSH}, {WCE, FLUSH}])
@pytest.mark.parametrize("mode", [0, 1])
def test_no_step_of_a_legacy_driver_changes_the_cache(transport, accepts, mode):
    """5.2.5.3: neither a status bit nor a feature bit, in whichever order it writes them."""
    rig = Rig(VirtioBlk(Noted(64 * SECTOR)), transport)
    seen = []
    rig.transport.config_write(WRITEBACK, 1, mode)
    for status in (Status.ACKNOWLEDGE, Status.DRIVER, Status.DRIVER_OK):
        rig.transport.set_status(rig.transport.status() | status)
        seen.append(rig.transport.config_read(WRITEBACK, 1))
        rig.transport.accept(frozenset(accepts))
        seen.append(rig.transport.config_read(WRITEBACK, 1))
    assert seen == [mode] * 6


@pytest.mark.parametrize("transport", LEGACY)
def test_a_legacy_flush_has_two_names(transport):
    """5.2.6.3: FLUSH_OUT is a synonym, with any bytes behind it."""
    disk = Noted(64 * SECTOR)
    raw = Raw(disk, transport)
    for kind in (4, 5):
        assert raw.request(kind, 0) == (BlkStatus.OK, 1)
    assert disk.flushes == 2
