"""Discard and write zeroes: virtio 1.3 5.2.6, 5.2.6.1, 5.2.6.2."""

import random

import pytest

from tests.virtio.rig import WORLDS, Rig
from tests.virtio.test_blk import OUT, Noted, Raw, image
from tests.virtio.test_blk_config import Plain
from virtlab.backends.disk import Disk
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_config import BlkShape
from virtlab.virtio.blk_layouts import SECTOR, SEGMENT, UNMAP, BlkFeature, BlkStatus, BlkType
from virtlab.virtio.blk_segments import SLAB, Limits, write_zeroes
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import packer

D, Z = BlkType.DISCARD, BlkType.WRITE_ZEROES
SHAPE = BlkShape(
    max_discard_sectors=16, max_discard_seg=3, max_write_zeroes_sectors=16, max_write_zeroes_seg=3
)
SECTORS = 64


class Given:
    """Segments by hand, to a disk of 64 sectors; `kept` is what it held."""

    def __init__(self, disk=None, transport="mmio", layout="split", shape=SHAPE, **how):
        self.kept = image(sectors=SECTORS)
        self.raw = Raw(disk or Disk.of(self.kept), transport, layout, shape=shape, **how)

    def __call__(self, kind, *segments, tail=b""):
        data = b"".join(packer(SEGMENT).pack(*segment) for segment in segments) + tail
        self.raw.rig.ram.write(OUT, data)
        pieces = [(OUT, len(data))] if data else []
        status, written = self.raw.request(kind, 0, out=pieces)
        assert written == 1
        return status

    @property
    def content(self):
        return self.raw.disk.read(0, SECTORS)

    def zeroed(self, *stretches):
        """What it held, with zeros in these stretches."""
        expected = bytearray(self.kept)
        for sector, count in stretches:
            expected[sector * SECTOR : (sector + count) * SECTOR] = bytes(count * SECTOR)
        return bytes(expected)


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@pytest.mark.parametrize("kind", [D, Z])
def test_each_segment_is_done(kind, transport, layout):
    """After a write zeroes, reads MUST return zeros. A discard of ours reads as zeros too."""
    given = Given(transport=transport, layout=layout)
    assert given(kind, (3, 2, 0), (10, 16, 0), (SECTORS - 1, 1, 0)) == BlkStatus.OK
    assert given.content == given.zeroed((3, 2), (10, 16), (63, 1))
    assert not given.raw.rig.broken


@pytest.mark.parametrize("flags", [0, UNMAP])
@pytest.mark.parametrize("wrap", [lambda disk: disk, Plain])
def test_zeros_are_zeros_whether_sectors_are_given_up_or_not(wrap, flags):
    given = Given(wrap(Disk.of(image(sectors=SECTORS))))
    assert given(Z, (5, 9, flags)) == BlkStatus.OK
    assert given.content == given.zeroed((5, 9))


def test_only_with_unmap_are_sectors_given_up():
    """5.2.6.2: the device MAY deallocate them if `unmap` is set."""
    given_up = []

    class Thin(Disk):
        def discard(self, sector, count):
            given_up.append((sector, count))
            super().discard(sector, count)

    given = Given(Thin.of(image(sectors=SECTORS)))
    assert given(Z, (5, 9, 0), (20, 2, UNMAP)) == BlkStatus.OK
    assert given_up == [(20, 2)]
    assert given.content == given.zeroed((5, 9), (20, 2))


@pytest.mark.parametrize(("kind", "flags"), [(D, UNMAP), (D, 2), (Z, 2), (Z, 1 << 31), (Z, 3)])
def test_an_unknown_flag_is_unsupported(kind, flags):
    """The device MUST set UNSUPP; and nothing is done, not even the segments before it."""
    given = Given()
    assert given(kind, (0, 4, 0), (8, 1, flags)) == BlkStatus.UNSUPP
    assert given.content == given.kept


@pytest.mark.parametrize("kind", [D, Z])
@pytest.mark.parametrize(
    "segment",
    [
        (SECTORS, 1, 0),
        (SECTORS - 1, 2, 0),
        ((1 << 64) - 1, 1, 0),
        ((1 << 64) - 1, 0, 0),
        (0, 17, 0),  # more than the configuration allows
        (0, 0xFFFF_FFFF, 0),
    ],
)
def test_what_is_too_far_or_too_much_is_an_error(kind, segment):
    given = Given()
    assert given(kind, (0, 4, 0), segment) == BlkStatus.IOERR
    assert given.content == given.kept


@pytest.mark.parametrize("kind", [D, Z])
def test_the_list_is_whole_and_not_too_long(kind):
    """5.2.6.1: a multiple of 16 bytes, and no more segments than the configuration says."""
    given = Given()
    assert given(kind) == BlkStatus.IOERR
    assert given(kind, tail=bytes(15)) == BlkStatus.IOERR
    assert given(kind, (0, 1, 0), tail=b"\0") == BlkStatus.IOERR
    assert given(kind, *[(at, 1, 0) for at in range(4)]) == BlkStatus.IOERR
    assert given.content == given.kept
    assert given(kind, *[(at, 1, 0) for at in range(3)]) == BlkStatus.OK


def test_the_limit_holds_whoever_read_the_list():
    data = packer(SEGMENT).pack(0, 1, 0) * 4
    assert write_zeroes(Disk(SECTORS * SECTOR), data, Limits(3, 1, 0)) == BlkStatus.IOERR
    assert write_zeroes(Disk(SECTORS * SECTOR), data, Limits(4, 1, 0)) == BlkStatus.OK


def test_a_list_of_gigabytes_is_not_read():
    given = Given(entries=64)
    piece = (OUT, 1 << 20)
    status = given.raw.request(Z, 0, out=[piece] * 60)
    assert status == (BlkStatus.IOERR, 1)


@pytest.mark.parametrize("kind", [D, Z])
def test_a_segment_of_no_sectors_is_done_at_once(kind):
    given = Given()
    assert given(kind, (0, 0, 0), (SECTORS, 0, 0)) == BlkStatus.OK
    assert given.content == given.kept


@pytest.mark.parametrize(
    ("kind", "feature"), [(D, BlkFeature.DISCARD), (Z, BlkFeature.WRITE_ZEROES)]
)
def test_what_was_not_negotiated_is_unsupported(kind, feature):
    given = Given(without={feature})
    assert given(kind, (0, 1, 0)) == BlkStatus.UNSUPP
    assert given.content == given.kept


@pytest.mark.parametrize("kind", [D, Z])
def test_a_disk_to_read_only_keeps_its_sectors(kind):
    given = Given(Disk.of(image(sectors=SECTORS), read_only=True))
    assert given(kind, (0, 1, 0)) == BlkStatus.UNSUPP
    assert given.content == given.kept


def test_zeros_are_stable_where_writes_are():
    disk = Noted(SECTORS * SECTOR)
    given = Given(disk, without={BlkFeature.FLUSH, BlkFeature.CONFIG_WCE})
    assert given(Z, (0, 1, 0)) == BlkStatus.OK
    assert disk.flushes == 1
    assert given(Z, (0, 1, 2)) == BlkStatus.UNSUPP
    assert disk.flushes == 1


def test_many_zeros_are_written_in_slabs():
    size = 2 * SLAB + SECTOR
    disk = Plain(Disk.of(b"\xff" * (size + 2 * SECTOR)))
    sizes, write = [], disk.write
    disk.write = lambda sector, data: (sizes.append(len(data)), write(sector, data))
    given = Given(disk, shape=BlkShape())
    assert given(Z, (1, size // SECTOR, 0)) == BlkStatus.OK
    assert sizes == [SLAB, SLAB, SECTOR]
    whole = disk.read(0, disk.sectors)
    assert whole == b"\xff" * SECTOR + bytes(size) + b"\xff" * SECTOR


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_the_guest_s_driver_zeroes_and_discards(transport, layout):
    kept = image(sectors=SECTORS)
    rig = Rig(VirtioBlk(Disk.of(kept)), transport)
    understood = RING_FEATURES | BLK_FEATURES
    if layout == "split":
        understood -= {Feature.RING_PACKED}
    driver = BlkDriver(rig.cpu, rig.transport, Room(0x100000, 1 << 20), understood=understood)
    driver.start()
    driver.write_zeroes(8, 8)
    driver.write_zeroes(24, 8, unmap=True)
    driver.discard(40, 8)
    assert driver.read(8, 8) == driver.read(24, 8) == bytes(8 * SECTOR)
    assert driver.read(0, 8) == kept[: 8 * SECTOR]
    assert driver.read(48, 16) == kept[48 * SECTOR :]


def test_any_list_is_answered_and_the_disk_is_what_the_answers_say():
    """Random segments, right and wrong ones: OK means all of them, anything else means none."""
    rng = random.Random(5)
    given = Given()
    expected, answers = bytearray(given.kept), set()
    for _ in range(300):
        kind = rng.choice([D, Z])
        segments = [
            (rng.choice([rng.randrange(SECTORS), SECTORS, 1 << 63]), rng.randrange(18), flags)
            for flags in rng.choices([0, 0, 0, UNMAP, 2], k=rng.randrange(1, 5))
        ]
        status = given(kind, *segments)
        answers.add(status)
        if status == BlkStatus.OK:
            for sector, count, _ in segments:
                expected[sector * SECTOR : (sector + count) * SECTOR] = bytes(count * SECTOR)
            data = rng.randbytes(SECTOR * 8)
            given.raw.disk.write(place := rng.randrange(SECTORS - 8), data)
            expected[place * SECTOR : (place + 8) * SECTOR] = data
        assert given.content == expected
    assert answers == {BlkStatus.OK, BlkStatus.IOERR, BlkStatus.UNSUPP}
