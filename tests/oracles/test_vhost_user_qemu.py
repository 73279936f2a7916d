"""QEMU as the front-end of our back-end: its `vhost-user-blk-pci`, driven by our own driver.

The driver speaks to QEMU's registers over the test protocol. QEMU hands the rings on to us, and the
requests are served here, in the memory that all three share.
"""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest

from tests.needs import needs_qemu
from tests.oracles.served import Served
from tests.oracles.shared_ram import SharedRam, backend
from tests.oracles.virtio_blk_qemu import IMAGE, SECTORS, E, I, Load, P, V
from tests.virtio.net_rig import PEER, frame
from virtlab.backends import Link
from virtlab.backends.disk import Disk
from virtlab.guest.pci import PortAccess
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_net import NET_FEATURES, NetDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.hosts.remote import QtestMachine
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR
from virtlab.virtio.net import VirtioNet
from virtlab.virtio.pci_layouts import VENDOR

ROOM = (0x10_0000, 16 << 20)
MODERN = ["-global", "virtio-pci.disable-legacy=on"]


@contextmanager
def device_of_qemu(tmp_path, words, chardev=""):
    """QEMU with the one virtio device that `words` name, whose socket is the chardev `c`."""
    ram = tmp_path / "ram"
    words = ["-chardev", f"socket,id=c,path={tmp_path / 'socket'}{chardev}", *words]
    words += [*MODERN, *backend(ram, 64)]
    with QtestMachine("q35,memory-backend=ram", words) as qemu:
        functions = enumerate_pci(qemu)
        (function,) = (found for found in functions if found.vendor == VENDOR)
        cpu = SharedRam(qemu, ram)
        yield cpu, ModernPci(cpu, PortAccess(qemu), function)


@contextmanager
def machine(tmp_path, options="", queues=1, chardev="", **driver):
    """QEMU with our back-end's disk, which is served already, and our driver at work."""
    device = f"vhost-user-blk-pci,chardev=c,num-queues={queues}{options}"
    with device_of_qemu(tmp_path, ["-device", device], chardev) as (cpu, transport):
        disk = BlkDriver(cpu, transport, Room(*ROOM), queues=queues, **driver)
        disk.start()
        yield disk


@contextmanager
def started(tmp_path, disk, options="", queues=1, poll_us=0, **driver):
    """Our driver, QEMU, and our back-end: gives the driver and the session."""
    device = VirtioBlk(disk, queues=queues)
    with (
        Served(device, tmp_path / "socket", poll_us=poll_us) as served,
        machine(tmp_path, options, queues, **driver) as at_work,
    ):
        yield at_work, served.sessions[-1]


RINGS = {
    "split": ({V, I, E}, ""),
    "split, no indirect": ({V, E}, ""),
    "split, no event_idx": ({V, I}, ""),
    "packed": ({V, I, E, P}, ",packed=on"),
    "packed, no event_idx": ({V, P}, ",packed=on"),
}


@needs_qemu
@pytest.mark.parametrize("name", RINGS)
def test_a_thousand_requests_through_qemu(tmp_path, name):
    ring, options = RINGS[name]
    disk, content = Disk.of(IMAGE), bytearray(IMAGE)
    understood = frozenset(ring) | BLK_FEATURES
    with started(tmp_path, disk, options, understood=understood, chunk=2048) as (driver, session):
        load = Load(driver, content, seed=1)
        load.run(1000)
        driver.flush()
        assert driver.virtio.features & {V, I, E, P} == ring
        assert session.statistics.requests == 1001
        assert session.statistics.errors == 0
    assert disk.read(0, SECTORS) == content


@needs_qemu
def test_two_queues_through_qemu(tmp_path):
    disk, content = Disk.of(IMAGE), bytearray(IMAGE)
    with started(tmp_path, disk, queues=2, chunk=2048, poll_us=200) as (driver, session):
        Load(driver, content, seed=2).run(1000)
        assert all(vring.queue.used for vring in session.rings)
    assert disk.read(0, SECTORS) == content


@needs_qemu
def test_the_configuration_comes_from_our_device(tmp_path):
    disk = Disk.of(bytes(7 * SECTOR))
    with started(tmp_path, disk) as (driver, _):
        assert driver.config["capacity"] == 7


@needs_qemu
def test_a_driver_that_starts_again(tmp_path):
    """As a firmware and then a system: QEMU stops the rings, and starts others."""
    disk, content = Disk.of(IMAGE), bytearray(IMAGE)
    with started(tmp_path, disk, chunk=2048) as (driver, session):
        for seed in range(3):
            Load(driver, content, seed).run(100)
            driver.start()
        assert session.statistics.errors == 0
    assert disk.read(0, SECTORS) == content


def wait_for(condition):
    """Until it holds; QEMU connects once a second."""
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@needs_qemu
@pytest.mark.parametrize("name", ["split", "packed"])
def test_qemu_goes_on_with_another_back_end(tmp_path, name):
    """The connection breaks, another back-end comes: the driver does not notice."""
    ring, options = RINGS[name]
    disk, content = Disk.of(IMAGE), bytearray(IMAGE)
    path, understood = tmp_path / "socket", frozenset(ring) | BLK_FEATURES
    first = Served(VirtioBlk(disk), path)
    with (
        first,
        machine(
            tmp_path, options, chardev=",reconnect=1", understood=understood, chunk=2048
        ) as driver,
    ):
        Load(driver, content, seed=1).run(200)
        first.close()
        path.unlink()
        with Served(VirtioBlk(disk), path) as second:
            wait_for(lambda: second.sessions and second.sessions[-1].running)
            Load(driver, content, seed=2).run(200)
            assert second.sessions[-1].inflight is not None
    assert disk.read(0, SECTORS) == content


@needs_qemu
@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_frames_through_qemu(tmp_path, packed):
    """QEMU's card in front of ours. With MSI-X version 7.2 crashes under TCG, so it has none."""
    link, heard = Link("cable"), []
    link.b.listener = heard.append
    words = ["-netdev", "vhost-user,id=n,chardev=c", "-device"]
    words += [f"virtio-net-pci,netdev=n,vectors=0,packed={'on' if packed else 'off'}"]
    understood = (RING_FEATURES | NET_FEATURES) - (set() if packed else {P})
    with (
        Served(VirtioNet(link.a), tmp_path / "socket") as served,
        device_of_qemu(tmp_path, words) as (cpu, transport),
    ):
        card = NetDriver(cpu, transport, Room(*ROOM), understood=understood)
        card.start()
        assert (P in card.virtio.features) == packed
        own = card.address
        sent = [frame(60 + n, to=PEER, source=own, fill=n & 0xFF) for n in range(300)]
        for n in range(0, 300, 10):
            card.send(*sent[n : n + 10])
        wait_for(lambda: len(heard) == 300)
        assert heard == sent
        answers, got = [frame(60 + n, to=own, fill=n & 0xFF) for n in range(300)], []
        for at in range(0, 300, 20):
            some = answers[at : at + 20]
            served.loop.call(lambda some=some: [link.b.send(each) for each in some])
            wait_for(lambda: got.extend(card.receive()) or len(got) % 20 == 0)
        wait_for(lambda: got.extend(card.receive()) or len(got) == 300)
        assert [packet.frame for packet in got] == answers
        assert served.sessions[-1].statistics.errors == 0
