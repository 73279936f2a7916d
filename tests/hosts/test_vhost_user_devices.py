"""Our drivers, unchanged, on our devices behind a socket: block, network, console, entropy."""

import random

import pytest

from tests.hosts.vhost_user_threads import ROOM, in_thread, new_cpu
from tests.virtio.net_rig import frame
from virtlab.backends import Link, Terminal
from virtlab.backends.disk import Disk
from virtlab.errors import GuestError
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_console import ConsoleDriver
from virtlab.guest.virtio_device import RING_FEATURES, VirtioDriver
from virtlab.guest.virtio_net import NET_FEATURES, NetDriver
from virtlab.guest.virtio_rng import RngDriver
from virtlab.hosts.vhost_user import VhostUserDevice
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.console import VirtioConsole
from virtlab.virtio.console_port import Port
from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.features import Feature
from virtlab.virtio.net import DEFAULT_MAC, VirtioNet
from virtlab.virtio.rng import VirtioRng, seeded
from virtlab.virtio.vhost_user.layouts import ProtocolFeature
from virtlab.virtio.vhost_user.session import PROTOCOL

IMAGE = random.Random(3).randbytes(1 << 18)
RINGS = {"split": RING_FEATURES - {Feature.RING_PACKED}, "packed": RING_FEATURES}


@pytest.fixture(params=RINGS)
def ring(request):
    return RINGS[request.param]


def connected(path, device, **how):
    return VhostUserDevice(path, new_cpu(), device.device_id, queue_size=64, **how)


def test_a_disk(ring, path):
    device = VirtioBlk(Disk.of(IMAGE), "a disk")
    with in_thread(device, path), connected(path, device) as it:
        disk = BlkDriver(it.cpu, it, Room(*ROOM), understood=ring | BLK_FEATURES)
        disk.start()
        assert disk.get_id() == "a disk"
        assert disk.read(0, disk.capacity) == IMAGE
        disk.write(3, b"\x33" * 1024)
        assert disk.read(2, 4) == IMAGE[1024:1536] + b"\x33" * 1024 + IMAGE[2560:3072]


def test_a_card_sends_and_receives(ring, path):
    """Frames of the guest come back from the far end of the wire, which turns them round."""
    link, heard = Link("cable"), []
    device = VirtioNet(link.a)

    def turn_round(data):
        heard.append(data)
        link.b.send(data[6:12] + data[:6] + data[12:])

    link.b.listener = turn_round
    with in_thread(device, path), connected(path, device) as it:
        card = NetDriver(it.cpu, it, Room(*ROOM), understood=ring | NET_FEATURES)
        card.start()
        assert card.address == DEFAULT_MAC
        peer = bytes.fromhex("02aabbccddee")
        for number in range(20):
            sent = [frame(60 + n, peer, DEFAULT_MAC, fill=number) for n in range(10)]
            card.send(*sent)
            found = []
            while len(found) < len(sent):
                packets = card.receive(10**9)
                assert packets, "nothing came back"
                found += [packet.frame for packet in packets]
            assert found == [data[6:12] + data[:6] + data[12:] for data in sent]
        assert len(heard) == 200


def test_random_bytes(ring, path):
    device = VirtioRng(seeded(9))
    with in_thread(device, path), connected(path, device) as it:
        rng = RngDriver(it.cpu, it, Room(*ROOM), understood=ring)
        rng.start()
        assert len(rng.read(5000)) == 5000


def test_a_console(path):
    terminal = Terminal()
    device = VirtioConsole([Port(terminal)])
    with in_thread(device, path), connected(path, device) as it:
        console = ConsoleDriver(it.cpu, it, Room(*ROOM))
        console.start()
        console.ports[0].write(b"login: ")
        assert terminal.text == "login: "


@pytest.mark.parametrize("left_out", [set(), {"STATUS"}, {"REPLY_ACK", "STATUS"}, set(PROTOCOL)])
def test_whatever_extensions_there_are(left_out, path):
    protocol = {bit for bit in PROTOCOL if not {bit, bit.name} & left_out}
    device = VirtioBlk(Disk.of(IMAGE))
    with (
        in_thread(device, path, protocol=protocol),
        connected(path, device, config=device.config) as it,
    ):
        disk = BlkDriver(it.cpu, it, Room(*ROOM))
        for _ in range(2):
            disk.start()
            assert disk.read(0, disk.capacity) == IMAGE
            assert it.session.protocol <= protocol


class Strict(VirtioDevice):
    """A device that finds fault with everything."""

    device_id = 99

    def handle(self, index, queue):
        if queue.pop() is not None:
            raise GuestError("not even this", "virtio 1.3 2.1.2")


@pytest.mark.parametrize("status", [True, False], ids=["status", "event only"])
def test_a_driver_that_breaks_a_rule_needs_a_reset(status, path):
    device = Strict([64])
    protocol = PROTOCOL if status else PROTOCOL - {ProtocolFeature.STATUS}
    with in_thread(device, path, protocol=protocol), connected(path, device, vector=5) as it:
        driver = VirtioDriver(it.cpu, it, Room(*ROOM))
        for _ in range(2):
            driver.begin()
            driver.negotiate({Feature.VERSION_1})
            queue = driver.add_queue(0)
            driver.ready()
            queue.add_buf([(ROOM[0] + 4096, 8)], [], "a buffer")
            assert not driver.needs_reset
            queue.kick()
            # It may call for the ring first: one event too many is harmless.
            assert 5 in {it.cpu.wait(), it.cpu.wait()}
            assert driver.needs_reset
