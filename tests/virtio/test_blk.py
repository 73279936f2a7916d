"""The block device over every transport and layout: virtio 1.3 5.2."""

import random

import pytest

from tests.virtio.rig import DATA, RAM, ROOM, WORLDS, Rig
from virtlab.backends import Disk
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_device import RING_FEATURES, Room
from virtlab.virtio.blk import SLAB, VirtioBlk
from virtlab.virtio.blk_layouts import (
    FLUSH_OUT,
    REQUEST,
    SECTOR,
    BlkFeature,
    BlkStatus,
    BlkType,
)
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import packer

SECTORS = 4096
HEAD, STATUS = DATA, DATA + 0x100
OUT = DATA + 0x1000


def image(seed=1, sectors=SECTORS):
    return random.Random(seed).randbytes(sectors * SECTOR)


class Raw:
    """Requests by hand: whatever a driver could place."""

    def __init__(self, disk, transport="mmio", layout="split", shape=None, **how):
        self.disk = disk
        self.rig = Rig(VirtioBlk(disk, "a name", shape=shape), transport)
        self.queue = self.rig.start(layout, understood=set(BlkFeature), **how)

    def request(self, kind, sector, out=(), in_=()):
        """Place one; gives its status and what the device says that it wrote."""
        self.rig.ram.write(HEAD, packer(REQUEST).pack(kind, 0, sector))
        self.rig.ram.store(STATUS, 1, 0xEE)
        self.queue.add_buf([(HEAD, 16), *out], [*in_, (STATUS, 1)], "it")
        self.queue.kick()
        used = self.queue.get_buf()
        return self.rig.ram.load(STATUS, 1), used.written if used else None


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_random_requests_keep_a_model(transport, layout):
    """Reads and writes of any place and length, against a copy of the disk."""
    rng = random.Random(3)
    model = bytearray(image())
    raw = Raw(Disk.of(bytes(model)), transport, layout, entries=8)
    ram = raw.rig.ram
    for _ in range(60):
        count = rng.randrange(1, 9)
        sector = rng.randrange(SECTORS - count)
        here = slice(sector * SECTOR, (sector + count) * SECTOR)
        cut = rng.randrange(1, count * SECTOR)
        pieces = [(OUT, cut), (OUT + 0x3000, count * SECTOR - cut)]
        if rng.random() < 0.5:
            data = rng.randbytes(count * SECTOR)
            ram.write(OUT, data[:cut])
            ram.write(OUT + 0x3000, data[cut:])
            assert raw.request(BlkType.OUT, sector, out=pieces) == (BlkStatus.OK, 1)
            model[here] = data
        else:
            expected = (BlkStatus.OK, count * SECTOR + 1)
            assert raw.request(BlkType.IN, sector, in_=pieces) == expected
            found = ram.read(*pieces[0]) + ram.read(*pieces[1])
            assert found == model[here]
    assert raw.disk.read(0, SECTORS) == model
    assert not raw.rig.broken


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_the_guest_s_block_driver_drives_it(transport, layout):
    """The product of `guest/`: capacity, many requests in flight, flush, its name."""
    rig = Rig(VirtioBlk(Disk.of(image()), "twenty bytes exactly"), transport)
    understood = RING_FEATURES | BLK_FEATURES
    if layout == "split":
        understood -= {Feature.RING_PACKED}
    driver = BlkDriver(rig.cpu, rig.transport, Room(ROOM, RAM - ROOM), understood=understood)
    driver.start()
    assert driver.capacity == SECTORS
    assert driver.read(0, 300) == image()[: 300 * SECTOR]
    driver.write(10, image(2, 200))
    driver.flush()
    assert driver.read(10, 200) == image(2, 200)
    assert driver.get_id() == "twenty bytes exactly"


def test_what_is_no_whole_sector_or_off_the_disk_is_an_error_of_that_request():
    """5.2.6: IOERR, and the device goes on. The disk is as it was, and so is the buffer."""
    raw = Raw(Disk.of(image()))
    raw.rig.ram.write(OUT, b"\xaa" * 0x1000)
    for sector, length in ((SECTORS, 512), (SECTORS - 1, 1024), (0, 511), ((1 << 64) - 1, 512)):
        assert raw.request(BlkType.OUT, sector, out=[(OUT, length)]) == (BlkStatus.IOERR, 1)
    assert raw.disk.read(0, SECTORS) == image()
    assert raw.request(BlkType.IN, SECTORS - 1, in_=[(OUT, 1024)]) == (BlkStatus.IOERR, 0)
    assert raw.request(BlkType.IN, 0, in_=[(OUT, 511)]) == (BlkStatus.IOERR, 0)
    assert raw.rig.ram.read(OUT, 1024) == b"\xaa" * 1024
    assert raw.request(BlkType.IN, SECTORS - 1, in_=[(OUT, 512)]) == (BlkStatus.OK, 513)
    assert not raw.rig.broken


def test_a_request_of_no_data_is_done_at_once():
    raw = Raw(Disk.of(image()))
    assert raw.request(BlkType.IN, 0) == (BlkStatus.OK, 1)
    assert raw.request(BlkType.OUT, 0) == (BlkStatus.OK, 1)


@pytest.mark.parametrize("kind", [2, 5, 7, 10, 14, 15, 16, 18, 20, 22, 24, 26, 0xFFFFFFFF])
def test_what_it_does_not_know_is_unsupported(kind):
    """5.2.6: UNSUPP. Nothing before the status is written, and none is claimed (2.7.8.2)."""
    raw = Raw(Disk.of(image()))
    raw.rig.ram.write(OUT, b"\xaa" * 8)
    assert raw.request(kind, 0, in_=[(OUT, 8)]) == (BlkStatus.UNSUPP, 0)
    assert raw.request(kind, 0) == (BlkStatus.UNSUPP, 1)
    assert raw.rig.ram.read(OUT, 8) == b"\xaa" * 8


def test_a_legacy_driver_may_call_a_flush_by_its_other_name():
    """5.2.6.3: FLUSH_OUT, which no modern device knows."""
    disk = Noted(SECTORS * SECTOR)
    raw = Raw(disk, "mmio-legacy")
    assert raw.request(FLUSH_OUT, 0) == (BlkStatus.OK, 1)
    assert disk.flushes == 1


@pytest.mark.parametrize(("room", "written"), [(3, 4), (20, 21), (24, 20)])
def test_its_name_is_padded_with_zeros_to_20_bytes(room, written):
    raw = Raw(Disk.of(image()))
    raw.rig.ram.write(OUT, b"\xaa" * 24)
    assert raw.request(BlkType.GET_ID, 0, in_=[(OUT, room)]) == (BlkStatus.OK, written)
    name = b"a name".ljust(20, b"\0")[:room]
    assert raw.rig.ram.read(OUT, 24) == name.ljust(24, b"\xaa")


def test_a_name_is_short_and_plain():
    with pytest.raises(ValueError, match="at most 20 bytes, not 21"):
        VirtioBlk(Disk(SECTOR), "x" * 21)
    with pytest.raises(ValueError, match="ascii"):
        VirtioBlk(Disk(SECTOR), "ä")


def test_a_disk_to_read_only_says_so_and_refuses_to_be_written():
    """5.2.6.2: IOERR for a write if RO is offered, and no data is written."""
    raw = Raw(Disk.of(image(), read_only=True))
    assert BlkFeature.RO in raw.queue.features
    assert raw.request(BlkType.OUT, 0, out=[(OUT, 512)]) == (BlkStatus.IOERR, 1)
    assert raw.request(BlkType.IN, 0, in_=[(OUT, 512)]) == (BlkStatus.OK, 513)
    assert raw.disk.read(0) == image()[:SECTOR]


class Noted(Disk):
    """A disk that notes its flushes, and fails if told to."""

    flushes = 0
    fails = False

    def flush(self):
        self.flushes += 1
        if self.fails:
            raise OSError("the medium is gone")


@pytest.mark.parametrize(("understands", "flushes"), [(True, 0), (False, 1)])
def test_a_driver_that_cannot_flush_has_its_writes_flushed(understands, flushes):
    """5.2.6.2: without FLUSH a write is stable once it is completed."""
    disk = Noted(SECTORS * SECTOR)
    without = {BlkFeature.CONFIG_WCE} | (set() if understands else {BlkFeature.FLUSH})
    raw = Raw(disk, without=without)
    assert raw.request(BlkType.OUT, 0, out=[(OUT, 512)]) == (BlkStatus.OK, 1)
    assert disk.flushes == flushes
    assert raw.request(BlkType.FLUSH, 0) == (BlkStatus.OK, 1)
    assert disk.flushes == flushes + 1


def test_a_long_request_off_the_disk_is_refused_without_moving_it():
    """A guest's number decides no work: gigabytes asked of a disk of one sector."""
    raw = Raw(Disk(SECTOR), entries=64)
    piece = (ROOM + 0x80000, 2 << 20)
    before = raw.rig.ram.read(*piece)
    assert raw.request(BlkType.IN, 0, in_=[piece] * 60) == (BlkStatus.IOERR, 0)
    assert raw.request(BlkType.OUT, 0, out=[piece] * 60) == (BlkStatus.IOERR, 1)
    assert raw.rig.ram.read(*piece) == before


def test_a_medium_that_fails_is_an_error_of_that_request():
    disk = Noted(SECTORS * SECTOR)
    disk.fails = True
    raw = Raw(disk)
    assert raw.request(BlkType.FLUSH, 0) == (BlkStatus.IOERR, 1)
    disk.fails = False
    assert raw.request(BlkType.FLUSH, 0) == (BlkStatus.OK, 1)


@pytest.mark.parametrize(
    ("out", "in_"),
    [
        ([(HEAD, 15)], [(STATUS, 1)]),  # no whole head
        ([(HEAD, 16)], []),  # no room for a status
        ([], [(STATUS, 1)]),
    ],
)
def test_a_chain_that_is_no_request_breaks_the_device(out, in_):
    raw = Raw(Disk.of(image()))
    raw.rig.trace.on = True
    raw.queue.add_buf(out, in_, "wrong")
    raw.queue.kick()
    assert raw.rig.broken
    assert "5.2.6" in raw.rig.notes("guest error")[0]


def test_the_framing_does_not_matter():
    """2.7.4.1: a device makes no assumptions about how a message is cut into descriptors."""
    raw = Raw(Disk.of(image()), entries=32)
    raw.rig.ram.write(HEAD, packer(REQUEST).pack(BlkType.IN, 0, 5))
    out = [(HEAD + at, 1) for at in range(16)]
    raw.queue.add_buf(out, [(OUT, 1), (OUT + 0x1000, 512)], "status is the last byte")
    raw.queue.kick()
    assert raw.queue.get_buf().written == 513
    data = raw.rig.ram.read(OUT, 1) + raw.rig.ram.read(OUT + 0x1000, 512)
    assert data == image()[5 * SECTOR : 6 * SECTOR] + bytes([BlkStatus.OK])


def test_data_longer_than_a_slab_moves_in_slabs():
    raw = Raw(Disk.of(image()))
    length = 2 * SLAB + 1024
    assert raw.request(BlkType.IN, 1, in_=[(ROOM + 0x80000, length)]) == (BlkStatus.OK, length + 1)
    data = raw.rig.ram.read(ROOM + 0x80000, length)
    assert data == image()[SECTOR : SECTOR + length]
    raw.rig.ram.write(ROOM + 0x80000, data[::-1])
    out = [(ROOM + 0x80000, length)]
    assert raw.request(BlkType.OUT, 2, out=out) == (BlkStatus.OK, 1)
    assert raw.disk.read(2, length // SECTOR) == data[::-1]
