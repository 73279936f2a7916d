"""Our devices, unchanged, behind a socket; our drivers, unchanged, in front of it."""

from __future__ import annotations

import random

import pytest

from tests.descriptors import fd_count
from tests.virtio.net_rig import frame
from tests.virtio.vhost_user.front_end import FrontEnd, room
from virtlab.backends import Link, Terminal
from virtlab.backends.disk import Disk
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_blk_queue import Request
from virtlab.guest.virtio_console import ConsoleDriver
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_net import NET_FEATURES, NetDriver
from virtlab.guest.virtio_rng import RngDriver
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR, BlkStatus, BlkType
from virtlab.virtio.console import VirtioConsole
from virtlab.virtio.console_port import Port
from virtlab.virtio.features import Feature
from virtlab.virtio.net import DEFAULT_MAC, VirtioNet
from virtlab.virtio.net_layouts import NetFeature
from virtlab.virtio.rng import VirtioRng, seeded
from virtlab.virtio.vhost_user.layouts import VRING_STATE
from virtlab.virtio.vhost_user.layouts import Request as Ask
from virtlab.virtio.vhost_user.messages import pack

SECTORS = 2048
IMAGE = random.Random(5).randbytes(SECTORS * SECTOR)

F = Feature
WITHOUT = {
    "split": {F.RING_PACKED},
    "split, no indirect": {F.RING_PACKED, F.RING_INDIRECT_DESC},
    "split, no event_idx": {F.RING_PACKED, F.RING_EVENT_IDX},
    "split, any order": {F.RING_PACKED, F.IN_ORDER},
    "packed": set(),
    "packed, no indirect": {F.RING_INDIRECT_DESC},
    "packed, no event_idx": {F.RING_EVENT_IDX},
    "packed, any order": {F.IN_ORDER},
}


@pytest.fixture(params=WITHOUT)
def without(request):
    return WITHOUT[request.param]


@pytest.fixture(params=[False, True], ids=["", "inflight"])
def inflight(request):
    return request.param


def blk(front, without, **how):
    understood = (RING_FEATURES | BLK_FEATURES) - without
    driver = BlkDriver(front.cpu, front, room(), understood=understood, **how)
    driver.start()
    return driver


def random_requests(count, seed, most=8):
    """Requests that do not meet in one batch, and what the disk must hold at the end."""
    rng, content = random.Random(seed), bytearray(IMAGE)
    batches = []
    for _ in range(count // 50):
        batch = []
        for place in rng.sample(range(SECTORS // most), 50):
            size = rng.randint(1, most) * SECTOR
            if rng.random() < 0.5:
                batch.append(Request(BlkType.IN, place * most, length=size))
            else:
                batch.append(Request(BlkType.OUT, place * most, rng.randbytes(size)))
        batches.append(batch)
    return batches, content


def run(driver, batches, content):
    for batch in batches:
        for request, answer in zip(batch, driver.run(batch), strict=True):
            at = slice(request.sector * SECTOR, request.sector * SECTOR + request.size)
            assert answer.status == BlkStatus.OK
            if request.type == BlkType.IN:
                assert answer.data == content[at]
            else:
                content[at] = request.data


@pytest.mark.parametrize("queues", [1, 2], ids=["one queue", "two"])
def test_a_disk_keeps_what_is_written(without, inflight, queues):
    before = fd_count()
    disk = Disk.of(IMAGE)
    front = FrontEnd(VirtioBlk(disk, queues=queues), inflight=inflight)
    driver = blk(front, without, queues=queues)
    batches, content = random_requests(200, seed=queues)
    run(driver, batches, content)
    counts = front.back_end.statistics
    assert counts.requests == 200
    assert counts.errors == 0
    assert counts.batches < 100
    assert disk.read(0, SECTORS) == content
    front.close()
    assert fd_count() == before


def test_a_disk_in_memory_that_is_scattered(without):
    """Regions that are no neighbours: each buffer lies in one, and all of them are one array."""
    disk = Disk.of(IMAGE)
    regions = [(0, 0x100000), (0x100000, 0x80000), (0x180000, 0x180000), (0x400000, 0x100000)]
    front = FrontEnd(VirtioBlk(disk), regions)
    driver = blk(front, without)
    batches, content = random_requests(100, seed=3)
    run(driver, batches, content)
    assert len(front.back_end.memory.shapes) == 4
    assert disk.read(0, SECTORS) == content
    front.close()


def test_what_is_wrong_with_a_request_is_its_status(without):
    front = FrontEnd(VirtioBlk(Disk.of(IMAGE)))
    driver = blk(front, without)
    (answer,) = driver.run([Request(BlkType.IN, SECTORS, length=SECTOR)])
    assert answer.status == BlkStatus.IOERR
    assert driver.config["capacity"] == SECTORS
    front.close()


def test_the_driver_writes_the_configuration(without):
    front = FrontEnd(VirtioBlk(Disk.of(IMAGE)))
    blk(front, without)
    assert front.device.writeback
    front.config_write(32, 1, 0)
    assert not front.device.writeback
    front.close()


def test_a_driver_that_starts_again(without):
    """SeaBIOS, then the system: reset, and all of it once more."""
    front = FrontEnd(VirtioBlk(Disk.of(IMAGE)))
    for _ in range(3):
        driver = blk(front, without)
        (answer,) = driver.run([Request(BlkType.IN, 5, length=SECTOR)])
        assert answer.data == IMAGE[5 * SECTOR : 6 * SECTOR]
        driver.virtio.reset()
    front.close()


@pytest.fixture(params=["split", "packed"])
def layout(request):
    return WITHOUT[request.param]


def net(front, layout, **how):
    """As QEMU has it: the control queue is the front-end's own business."""
    understood = (RING_FEATURES | NET_FEATURES) - layout - {NetFeature.CTRL_VQ, NetFeature.MQ}
    understood -= {NetFeature.CTRL_RX, NetFeature.CTRL_VLAN, NetFeature.CTRL_RX_EXTRA}
    understood -= {NetFeature.GUEST_ANNOUNCE, NetFeature.CTRL_MAC_ADDR}
    card = NetDriver(front.cpu, front, room(), understood=understood, **how)
    card.start()
    return card


def test_frames_out_and_in(layout, inflight):
    link, heard = Link("cable"), []
    link.b.listener = heard.append
    front = FrontEnd(VirtioNet(link.a), inflight=inflight)
    card = net(front, layout)
    sent = [frame(60 + n, to=b"\xff" * 6, source=DEFAULT_MAC, fill=n) for n in range(100)]
    card.send(*sent)
    assert heard == sent
    got = []
    for n in range(300):
        link.b.send(frame(60 + n, fill=n & 0xFF))
        if n % 20 == 19:
            got += [packet.frame for packet in card.receive()]
    assert got == [frame(60 + n, fill=n & 0xFF) for n in range(300)]
    front.close()


def test_two_cards_on_one_cable(layout):
    link = Link("cable")
    fronts = [FrontEnd(VirtioNet(end)) for end in (link.a, link.b)]
    cards = [net(front, layout) for front in fronts]
    for n in range(50):
        cards[n % 2].send(frame(100 + n, fill=n))
        (packet,) = cards[1 - n % 2].receive()
        assert packet.frame == frame(100 + n, fill=n)
    for front in fronts:
        front.close()


def test_a_disabled_ring_for_sending_is_emptied(layout):
    """It MUST process and discard TX packets, and MUST NOT supply RX packets."""
    link, heard = Link("cable"), []
    link.b.listener = heard.append
    front = FrontEnd(VirtioNet(link.a))
    card = net(front, layout)
    for ring in (0, 1):
        front.tell(Ask.SET_VRING_ENABLE, pack(VRING_STATE, ring, 0))
    card.send(frame())
    link.b.send(frame())
    assert not heard
    assert not card.receive()
    front.tell(Ask.SET_VRING_ENABLE, pack(VRING_STATE, 0, 1))
    assert len(card.receive()) == 1
    front.close()


def test_a_console_and_entropy_come_for_free(layout):
    terminal = Terminal()
    front = FrontEnd(VirtioConsole([Port(terminal, "tty", size=(80, 25))], 2))
    understood = RING_FEATURES - layout
    console = ConsoleDriver(front.cpu, front, room(), understood=understood)
    console.start()
    console.ports[0].write(b"hello")
    assert terminal.output == b"hello"
    front.close()

    front = FrontEnd(VirtioRng(seeded(1)))
    rng = RngDriver(front.cpu, front, room(), understood=RING_FEATURES - layout)
    rng.start()
    assert rng.read(100) == seeded(1)(100)
    front.close()
