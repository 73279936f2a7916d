"""The entropy driver over every transport and ring, and against devices that give little."""

import pytest

from tests.guest.paper_virtio import PaperTransport, RamCpu
from tests.virtio.rig import RAM, ROOM, WORLDS, Rig
from virtlab.backends import Disk
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_rng import RngDriver
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.memory import GuestMemory
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.features import Feature
from virtlab.virtio.rng import VirtioRng, seeded
from virtlab.virtio.status import Status


def driver_for(device, transport="mmio", layout="split", **how):
    rig = Rig(device, transport)
    understood = RING_FEATURES - ({Feature.RING_PACKED} if layout == "split" else set())
    room = Room(ROOM, RAM - ROOM)
    return RngDriver(rig.cpu, rig.transport, room, understood=understood, **how), rig


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@pytest.mark.parametrize(("slots", "chunk"), [(16, 256), (1, 1), (100, 33)])
def test_bytes_come_in_the_order_of_the_source(transport, layout, slots, chunk):
    driver, rig = driver_for(VirtioRng(seeded(5), 32), transport, layout, slots=slots, chunk=chunk)
    driver.start()
    expected = seeded(5)
    for length in (1, 0, 32, 3, 60, 9 * chunk * slots // 4):
        assert driver.read(length) == expected(length)
    assert not rig.broken


class Short(VirtioRng):
    """It gives at most three bytes to a request, and with `none` nothing at all."""

    most = 3

    def handle(self, index, queue):
        while chain := queue.pop():
            queue.push(chain, self.serve(chain, queue))

    def serve(self, chain, queue):
        return chain.write(queue.dma, self.source(min(self.most, chain.writable)))


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_what_is_missing_is_asked_for_again(layout):
    """5.4.6.1: the driver must examine the length to learn how many bytes were received."""
    driver, _ = driver_for(Short(seeded(5)), layout=layout)
    driver.start()
    assert driver.read(700) == seeded(5)(700)


def test_a_device_that_gives_nothing_is_given_up():
    """5.4.6.2: the device must place one or more random bytes into the buffer."""
    device = Short(lambda length: bytes(length))
    device.most = 0
    driver, _ = driver_for(device)
    driver.start()
    with pytest.raises(VirtioFailed, match=r"gave a buffer back empty \(5.4.6.2\)"):
        driver.read(1)


def test_a_device_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr("virtlab.guest.virtio_transport.POLLS", 70)
    paper = PaperTransport(device_id=4)
    driver = RngDriver(RamCpu(GuestMemory(RAM)), paper, Room(ROOM, RAM - ROOM))
    driver.start()
    with pytest.raises(VirtioFailed, match="does not answer"):
        driver.read(1)


def test_another_device_is_told_that_it_failed():
    driver, rig = driver_for(VirtioBlk(Disk(512)))
    with pytest.raises(VirtioFailed, match="no entropy device, but type 2"):
        driver.start()
    assert rig.status & Status.FAILED


def test_misuse_is_said_plainly():
    driver, _ = driver_for(VirtioRng(seeded(5)))
    with pytest.raises(ValueError, match="has not been started"):
        driver.read(1)
    driver.start()
    with pytest.raises(ValueError, match="0 bytes or more, not -1"):
        driver.read(-1)
    with pytest.raises(ValueError, match="one buffer of one byte, or more, not 0 of 256"):
        driver_for(VirtioRng(seeded(5)), slots=0)
