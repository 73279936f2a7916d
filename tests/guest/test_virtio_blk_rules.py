"""The block driver, clause by clause: what it reads, when, and what it asks for."""

import random

import pytest

from tests.virtio.rig import LEGACY, MODERN, RAM, ROOM, WORLDS, Rig
from tests.virtio.test_rules_blk import LEFT_OUT
from tests.virtio.watched import Spy, watch
from virtlab.backends import Disk
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import REQUEST, SECTOR, BlkFeature, BlkType, config_field
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import packer
from virtlab.virtio.status import Status

SECTORS = 64
HEAD = REQUEST.itemsize
WRITEBACK = config_field("writeback")[0]


class World:
    """Our driver on our device; each call is in `spy`, each request in `seen`."""

    def __init__(self, transport="mmio", layout="split", without=(), **how):
        self.device = VirtioBlk(Disk(SECTORS * SECTOR))
        self.rig = Rig(self.device, transport)
        self.spy, self.seen = Spy(self.rig.transport), watch(self.device)
        ring = {Feature.RING_PACKED} if layout == "split" else set()
        understood = (RING_FEATURES | BLK_FEATURES) - ring - set(without)
        room = Room(ROOM, RAM - ROOM)
        self.disk = BlkDriver(self.rig.cpu, self.spy, room, understood=understood, **how)

    def started(self):
        self.disk.start()
        return self

    def asked(self):
        """`(type, sector, data pieces)` of each request; head and status have their own pieces."""
        found = []
        for each in self.seen:
            kind, _, sector = packer(REQUEST).unpack(each.data[:HEAD])
            assert each.pieces[0] == (HEAD, False)
            assert each.pieces[-1] == (1, True)
            found.append((kind, sector, each.pieces[1:-1]))
        self.seen.clear()
        return found


def everything(world):
    """A call of each verb of the driver; the requests of each."""
    disk, data = world.disk, random.Random(1).randbytes(5 * SECTOR)
    calls = {
        "read": lambda: disk.read(3, 5),
        "write": lambda: disk.write(3, data),
        "flush": disk.flush,
        "name": disk.get_id,
        "discard": lambda: disk.discard(8, 2),
        "zeroes": lambda: disk.write_zeroes(8, 2),
        "unmap": lambda: disk.write_zeroes(8, 2, unmap=True),
    }
    found = {}
    for name, call in calls.items():
        call()
        found[name] = world.seen[:], world.asked()
    return found


def test_it_accepts_nothing_that_it_cannot_do():
    """Zones of any model, lifetimes, secure erase, SCSI: even if a device offers them."""
    assert not BLK_FEATURES & LEFT_OUT
    world = World()
    world.rig.core.offered |= LEFT_OUT
    assert not world.started().disk.virtio.features & LEFT_OUT


@pytest.mark.parametrize("transport", MODERN)
def test_no_field_is_read_before_features_ok(transport):
    """5.2.5.1: writeback MUST NOT be read before the driver has set FEATURES_OK."""
    world = World(transport).started()
    told = [name for name, *more in world.spy.log if name != "set_status" or more[0] & 8]
    assert world.disk.config["writeback"] == 1
    assert told.index("set_status") < told.index("config_read")
    assert [WRITEBACK, 1] in world.spy.calls("config_read")


@pytest.mark.parametrize("transport", LEGACY)
def test_of_a_legacy_device_it_is_read_when_the_features_are_written(transport):
    world = World(transport).started()
    told = [name for name, *_ in world.spy.log]
    assert told.index("accept") < told.index("config_read")


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_each_request_is_laid_out_as_the_clauses_say(transport, layout):
    """5.2.6.1; 5.2.6.4: the head is one piece, the status another, of one byte, at the end."""
    found = everything(World(transport, layout).started())
    asked = {name: requests for name, (_, requests) in found.items()}
    assert asked["read"] == [(BlkType.IN, 3, [(5 * SECTOR, True)])]
    assert asked["write"] == [(BlkType.OUT, 3, [(5 * SECTOR, False)])]
    assert asked["flush"] == [(BlkType.FLUSH, 0, [])]
    assert asked["name"] == [(BlkType.GET_ID, 0, [(20, True)])]
    for name, kind, flags in (
        ("discard", BlkType.DISCARD, 0),
        ("zeroes", BlkType.WRITE_ZEROES, 0),
        ("unmap", BlkType.WRITE_ZEROES, 1),
    ):
        assert asked[name] == [(kind, 0, [(16, False)])]
        (seen,) = found[name][0]
        assert seen.data[HEAD:] == b"\x08" + bytes(7) + b"\2\0\0\0" + bytes([flags, 0, 0, 0])


@pytest.mark.parametrize("piece", [512, 1536, 4096])
def test_data_is_whole_sectors_however_it_is_cut(piece):
    """5.2.6.1: the length of data is a multiple of 512 for reads and for writes."""
    world = World(piece=piece, chunk=4096).started()
    for count in range(1, 20):
        world.disk.read(0, count)
        world.disk.write(0, bytes(count * SECTOR))
        for _, _, pieces in world.asked():
            assert sum(length for length, _ in pieces) % SECTOR == 0
    for length in (1, 2, 256, 511, 513, 1000):
        with pytest.raises(ValueError, match="whole sectors"):
            world.disk.write(0, bytes(length))
    assert not world.seen


def test_nothing_beyond_the_capacity_is_asked():
    """5.2.6.1; the last sector is."""
    world = World().started()
    calls = [
        lambda sector, count: world.disk.read(sector, count),
        lambda sector, count: world.disk.write(sector, bytes(count * SECTOR)),
        lambda sector, count: world.disk.discard(sector, count),
        lambda sector, count: world.disk.write_zeroes(sector, count),
    ]
    for call in calls:
        for sector, count in ((SECTORS, 1), (SECTORS - 1, 2), (0, SECTORS + 1), (-1, 1)):
            with pytest.raises(ValueError, match="the disk has 64 sectors"):
                call(sector, count)
        assert not world.seen
        call(SECTORS - 1, 1)
        assert len(world.asked()) == 1


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_no_more_segments_than_the_device_takes(layout):
    """5.2.6.1: max_discard_seg and max_write_zeroes_seg; one at a time is never too many."""
    world = World(layout=layout).started()
    world.disk.discard(0, SECTORS)
    world.disk.write_zeroes(0, SECTORS)
    for (_, _, pieces), most in zip(
        world.asked(), ("max_discard_seg", "max_write_zeroes_seg"), strict=True
    ):
        assert sum(length for length, _ in pieces) == 16
        assert world.disk.config[most] >= 1


def test_what_it_never_does_needs_no_proof_elsewhere():
    """No secure erase, no lifetime, no zone: it has no verb for them."""
    world = World().started()
    known = {BlkType.IN, BlkType.OUT, BlkType.FLUSH, BlkType.GET_ID}
    known |= {BlkType.DISCARD, BlkType.WRITE_ZEROES}
    for _, requests in everything(world).values():
        assert {kind for kind, _, _ in requests} <= known
    assert world.rig.core.status == 15 == Status.DRIVER_OK | 11
    assert BlkFeature.DISCARD in world.disk.virtio.features
