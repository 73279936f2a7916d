"""The block driver with several request queues: our device behind every transport."""

import random

import pytest

from tests.virtio.rig import RAM, ROOM, WORLDS, Rig
from virtlab.backends import Disk
from virtlab.guest.calls import BlocksFailed
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_blk_queue import Request, RequestQueues
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR, BlkFeature, BlkType
from virtlab.virtio.features import Feature

SECTORS = 256
IMAGE = random.Random(7).randbytes(SECTORS * SECTOR)
V = Feature.VERSION_1


class World:
    """A disk with `queues` queues, and our driver for `wanted` of them, at work."""

    def __init__(self, transport="mmio", layout="split", queues=4, wanted=4, without=(), **how):
        self.device = VirtioBlk(Disk(bytearray(IMAGE)), queue_size=32, queues=queues)
        self.handled = []
        handle = self.device.handle
        self.device.handle = lambda index, queue: self.handled.append(index) or handle(index, queue)
        self.rig = Rig(self.device, transport)
        ring = {Feature.RING_PACKED} if layout == "split" else set()
        understood = (RING_FEATURES | BLK_FEATURES) - ring - set(without)
        where = self.rig.cpu, self.rig.transport, Room(ROOM, RAM - ROOM)
        how = {"slots": 8, "chunk": 2048, **how}
        self.disk = BlkDriver(*where, understood=understood, queues=wanted, **how)
        self.disk.start()
        self.handled.clear()


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_random_requests_are_dealt_out_to_all_queues(transport, layout):
    world = World(transport, layout)
    rng, content = random.Random(transport + layout), bytearray(IMAGE)
    for _ in range(4):
        asked = []
        for place in rng.sample(range(SECTORS // 4), 50):
            size = rng.randint(1, 4) * SECTOR
            reads = rng.random() < 0.5
            data = b"" if reads else rng.randbytes(size)
            kind, length = (BlkType.IN, size) if reads else (BlkType.OUT, 0)
            asked.append(Request(kind, place * 4, data, length))
        for request, answer in zip(asked, world.disk.done(asked), strict=True):
            at = slice(request.sector * SECTOR, request.sector * SECTOR + request.size)
            if request.type == BlkType.IN:
                assert answer.data == content[at]
            else:
                content[at] = request.data
    assert set(world.handled) == {0, 1, 2, 3}
    assert world.disk.read(0, SECTORS) == content
    assert not world.rig.broken


@pytest.mark.parametrize(
    ("queues", "wanted", "without", "used"),
    [
        (4, 4, set(), 4),
        (4, 2, set(), 2),
        (2, 4, set(), 2),
        (1, 4, set(), 1),
        (4, 4, {BlkFeature.MQ}, 1),
    ],
)
def test_as_many_are_used_as_both_have(queues, wanted, without, used):
    """5.2.2: without MQ there is one, whatever `num_queues` would say."""
    world = World(queues=queues, wanted=wanted, without=without)
    assert len(world.disk.requests.queues) == used
    assert sorted(world.disk.virtio.queues) == list(range(used))
    assert ("num_queues" in world.disk.config) == (queues > 1 and not without)
    world.disk.read(0, 100)
    assert set(world.handled) == set(range(used))


def test_each_queue_has_slots_of_its_own():
    """So many requests fly at once as all queues together have slots."""
    world = World(slots=2)
    flying = []

    def handle(index, queue):
        flying.append(sum(each.slots.in_flight for each in world.disk.requests.queues))
        VirtioBlk.handle(world.device, index, queue)

    world.device.handle = handle
    world.disk.done([Request(BlkType.IN, number, length=SECTOR) for number in range(8)])
    assert flying == [2, 4, 6, 8]


def test_answers_come_in_the_order_asked_whoever_is_first():
    """The queues answer in the order 3, 2, 1, 0; more requests wait than fly."""
    world = World(slots=2)
    rung = []
    world.device.handle = lambda index, queue: rung.append((index, queue))

    def work():
        for index, queue in reversed(rung):
            VirtioBlk.handle(world.device, index, queue)
            queue.notify()
        rung.clear()

    world.disk.cpu.wait = lambda timeout=0: work()
    asked = [Request(BlkType.IN, sector, length=SECTOR) for sector in range(50, 90)]
    answers = world.disk.done(asked)
    assert [answer.data for answer in answers] == [
        IMAGE[sector * SECTOR :][:SECTOR] for sector in range(50, 90)
    ]


def test_one_interrupt_wakes_for_whichever_queue():
    """All busy queues ask for it while the driver sleeps, and none while it works."""
    world = World(interrupts=True)
    waits, waiting = [], []
    world.device.handle = lambda index, queue: waiting.append((index, queue))

    def wait(timeout=0):
        waits.append(timeout)
        index, queue = waiting.pop()
        VirtioBlk.handle(world.device, index, queue)
        queue.notify()
        return 33 if world.rig.irq.level else None

    world.disk.cpu.wait = wait
    asked = [Request(BlkType.IN, number, length=SECTOR) for number in range(3)]
    answers = world.disk.done(asked)
    assert [answer.data for answer in answers] == [IMAGE[at * SECTOR :][:SECTOR] for at in range(3)]
    assert len(waits) == 3
    pins = len(world.rig.pins)
    del world.device.handle
    for number in range(8):
        world.disk.read(number)
    assert len(world.rig.pins) == pins
    assert not world.rig.irq.level


def test_a_vector_is_mapped_for_every_queue():
    device = VirtioBlk(Disk(bytearray(IMAGE)), queues=3)
    rig = Rig(device, "pci", vectors=2)
    room = Room(ROOM, RAM - ROOM)
    BlkDriver(rig.cpu, rig.transport, room, queues=3, vectors=(0, 1)).start()
    assert rig.core.config_vector == 0
    assert [setup.vector for setup in rig.core.queues] == [1, 1, 1]


def test_what_one_queue_still_has_must_be_answered_first():
    world = World()
    world.disk.requests.queues[2].slots.submit(BlkType.IN, 0, [SECTOR])
    with pytest.raises(BlocksFailed, match="still in flight"):
        world.disk.read(0)


def test_no_queue_at_all_is_a_mistake():
    with pytest.raises(ValueError, match="one request queue, or more, not 0"):
        World(wanted=0)
    with pytest.raises(ValueError, match="one request queue, or more"):
        RequestQueues([])
