"""A virtio disk behind the unit: the driver of the disk speaks in iovas and does not know it."""

import random

import pytest

from tests.oracles.vtd_worlds import DISK, FRAMES, IMAGE, MIB, UNITS, each_world, world_of
from virtlab.guest.calls import BlocksFailed
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES
from virtlab.guest.virtio_blk_queue import Request
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.iommu.reasons import Reason
from virtlab.memory import PAGE
from virtlab.virtio.blk_layouts import SECTOR, BlkStatus, BlkType
from virtlab.virtio.features import Feature

IOVA = 0x40_0000_0000
"""Where the disk has its room: in nobody's way, and within 39 bits."""

PAGES = 96
RINGS = {"split": {Feature.VERSION_1}, "indirect": {Feature.VERSION_1, Feature.RING_INDIRECT_DESC}}


def scattered(pages=PAGES, seed=3):
    """Pages of memory in no order: neighbours in the room are not neighbours there."""
    frames = random.Random(seed).sample(range(1024), pages)
    return [(FRAMES + frame * PAGE, PAGE) for frame in frames]


def lent(world, vtd, levels, pieces=None):
    """The disk in a domain of so many levels: the domain, its driver's Cpu and room."""
    domain = vtd.new_domain(levels)
    vtd.attach(DISK, domain)
    pieces = pieces or scattered()
    cpu = vtd.lend(domain, IOVA, pieces)
    return domain, cpu, Room(IOVA, sum(length for _, length in pieces))


@pytest.fixture(scope="module", params=each_world())
def kind(request):
    return request.param


@pytest.fixture(params=[("3 levels", 3), ("4 levels", 3), ("4 levels", 4), ("caching mode", 4)])
def machine(kind, request, tmp_path):
    unit, levels = request.param
    with world_of(kind, tmp_path, *UNITS[unit]) as world:
        yield world, levels


@pytest.fixture
def world(kind, tmp_path):
    with world_of(kind, tmp_path, *UNITS["4 levels"]) as made:
        yield made


@pytest.mark.parametrize("queued", [True, False], ids=["queue", "registers"])
def test_requests_through_the_tables(machine, queued):
    """Sectors read and written are the disk's, and nothing was refused."""
    world, levels = machine
    vtd = world.driver(queued)
    _, cpu, room = lent(world, vtd, levels)
    vtd.enable()
    disk = world.disk(cpu, room)
    assert Feature.ACCESS_PLATFORM in disk.virtio.features
    assert disk.read(0, 64) == IMAGE[: 64 * SECTOR]
    data = random.Random(1).randbytes(100 * SECTOR)
    disk.write(1000, data)
    disk.flush()
    assert (
        disk.read(990, 120)
        == IMAGE[990 * SECTOR : 1000 * SECTOR] + data + IMAGE[1100 * SECTOR : 1110 * SECTOR]
    )
    assert world.content()[1000 * SECTOR : 1100 * SECTOR] == data
    assert vtd.faults.read() == []


@pytest.mark.parametrize("ring", RINGS)
def test_many_requests_on_scattered_pages(world, ring):
    vtd = world.driver()
    _, cpu, room = lent(world, vtd, 4)
    vtd.enable()
    understood = RINGS[ring] | BLK_FEATURES | {Feature.ACCESS_PLATFORM}
    disk = world.disk(cpu, room, understood=understood, chunk=2048)
    wanted = random.Random(2).choices(range(2048 - 4), k=300)
    asked = [Request(BlkType.IN, sector, length=2048) for sector in wanted]
    for sector, answer in zip(wanted, disk.run(asked), strict=True):
        assert answer.data == IMAGE[sector * SECTOR : sector * SECTOR + 2048]
    assert vtd.faults.read() == []


def test_a_device_that_speaks_in_iovas_wants_that_to_be_known(world):
    """6.2: a device may refuse to work without ACCESS_PLATFORM. QEMU's does, ours works on."""
    understood = RING_FEATURES | BLK_FEATURES
    if world.name == "qemu":
        with pytest.raises(VirtioFailed, match="does not agree"):
            world.disk(world.cpu, Room(FRAMES, MIB), understood=understood)
    else:
        disk = world.disk(world.cpu, Room(FRAMES, MIB), understood=understood)
        assert disk.read(0, 1) == IMAGE[:SECTOR]


def test_with_the_unit_off_iovas_are_gpas(world):
    """virtio 1.3 6.1 leaves open what the platform does; here it does nothing."""
    disk = world.disk(world.cpu, Room(FRAMES, MIB))
    assert disk.read(5, 3) == IMAGE[5 * SECTOR : 8 * SECTOR]


def test_a_buffer_that_is_taken_away_is_not_written(world):
    """What the disk would write there is refused, recorded, and lost."""
    vtd = world.driver()
    domain, cpu, room = lent(world, vtd, 4)
    vtd.enable()
    disk = world.disk(cpu, room)
    assert disk.read(0, 8) == IMAGE[: 8 * SECTOR]
    slots = disk.requests.slots
    first = -(-slots.data_at(0) // PAGE) * PAGE
    last = slots.data_at(slots.count) // PAGE * PAGE
    kept = [cpu.gpa_of(at) for at in range(first, last, PAGE)]
    for gpa in kept:
        world.cpu.write(gpa, b"\xa5" * PAGE)
    vtd.unmap(domain, first, last - first)
    asked = [Request(BlkType.IN, 8, length=4096)]
    if world.name == "ours":
        with pytest.raises(BlocksFailed):
            disk.run(asked)
        assert disk.virtio.needs_reset
    else:  # a deviation: QEMU's disk does not learn that its data went nowhere
        assert {answer.status for answer in disk.run(asked)} == {BlkStatus.OK}
    (fault,) = vtd.faults.read()
    assert (fault.source_id, fault.reason, fault.write) == (DISK, Reason.WRITE, True)
    assert first <= fault.iova < last
    for gpa in kept:
        assert world.cpu.read(gpa, PAGE) == b"\xa5" * PAGE
