"""Our network driver, unchanged, on QEMU's virtio-net: every transport, both rings, all frames.

The far end of its wire is a socket, on which every frame has its length before it.
"""

import random
import socket
from contextlib import contextmanager

import pytest

from tests.needs import needs_qemu
from tests.oracles.virtio_qemu import LAYOUTS, behind, only, room
from tests.wires import wait_until_connected
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_net import NET_FEATURES, NetDriver
from virtlab.guest.virtio_net_control import CommandFailed
from virtlab.guest.virtio_net_rings import Offload
from virtlab.guest.virtio_transport import poll
from virtlab.virtio.features import Feature
from virtlab.virtio.net import DEFAULT_MAC
from virtlab.virtio.net_layouts import CTRL_RX, NetFeature, Rx
from virtlab.virtio.status import DeviceId, Interrupt

TIMEOUT = 20.0
"""Real seconds that a receive on the socket may take."""

SOON = 2_000_000_000
"""Virtual nanoseconds in which a packet comes in."""

PREFIX = 4
"""Bytes before each frame on the socket: its length, big-endian."""

PEER = bytes.fromhex("02aabbccddee")
OTHER, GROUP = bytes.fromhex("020000000099"), bytes.fromhex("01005e000001")


def frame(length=60, to=DEFAULT_MAC, source=PEER, fill=0, kind=b"\x88\xb5"):
    return (to + source + kind).ljust(length, bytes([fill]))


class Wire:
    """The far end of QEMU's wire."""

    def __init__(self, connection, machine):
        self.connection, self.machine = connection, machine
        connection.settimeout(TIMEOUT)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._bytes = b""

    def arrive(self, *frames):
        """Frames come along the wire: QEMU has read them when this returns."""
        parts = [len(each).to_bytes(PREFIX, "big") + each for each in frames]
        self.connection.sendall(b"".join(parts))
        self.machine.settle()

    def sent(self, count):
        """The next `count` frames that came out."""
        found = []
        for number in range(count):
            try:
                found.append(self._exactly(int.from_bytes(self._exactly(PREFIX), "big")))
            except TimeoutError:
                pytest.fail(f"{number} of {count} frames came, and {len(self._bytes)} bytes more")
        return found

    def _exactly(self, length):
        while len(self._bytes) < length:
            self._bytes += self.connection.recv(1 << 20)
        found, self._bytes = self._bytes[:length], self._bytes[length:]
        return found


@contextmanager
def card(bus, tmp_path, layout="split", options="", without=(), **how):
    """Our driver at work on QEMU's card, and the wire."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "wire"))
        door.listen(1)
        door.settimeout(TIMEOUT)
        netdev = f"stream,id=wire,server=off,addr.type=unix,addr.path={tmp_path / 'wire'}"
        mac = ":".join(f"{byte:02x}" for byte in DEFAULT_MAC)
        options = f",id=nic,netdev=wire,mac={mac}{options}"
        options += ",packed=on" if layout == "packed" else ""
        more = ["-netdev", netdev]
        with behind(bus, "virtio-net", DeviceId.NETWORK, tmp_path / "ram", options, more) as (
            cpu,
            transport,
        ):
            connection, _ = door.accept()
            wait_until_connected(cpu.machine)
            understood = only(layout, (RING_FEATURES | NET_FEATURES) - set(without))
            driver = NetDriver(cpu, transport, room(), understood=understood, **how)
            driver.start()
            with connection:
                yield driver, Wire(connection, cpu.machine)


def received(driver, count):
    """The next `count` packets that come in."""
    found = []
    while len(found) < count:
        more = driver.receive(SOON)
        assert more, f"{len(found)} of {count} came"
        found += more
    return [packet.frame for packet in found]


@needs_qemu
@pytest.mark.parametrize(("bus", "layout"), LAYOUTS)
def test_a_thousand_frames_each_way(bus, layout, tmp_path):
    rng = random.Random(6)
    with card(bus, tmp_path, layout) as (driver, wire):
        assert driver.address == DEFAULT_MAC
        assert driver.link
        assert (Feature.RING_PACKED in driver.virtio.features) == (layout == "packed")
        for _ in range(20):
            out = [frame(rng.randrange(60, 1515), PEER, fill=n) for n in range(50)]
            driver.send(*out)
            assert wire.sent(50) == out
            made = [frame(rng.randrange(60, 1515), fill=n) for n in range(50)]
            wire.arrive(*made)
            assert received(driver, 50) == made
        assert not driver.virtio.needs_reset


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy", "mmio-legacy"])
@pytest.mark.parametrize("without", [{NetFeature.MRG_RXBUF}, set(NET_FEATURES)])
def test_without_merging_and_without_anything(bus, without, tmp_path):
    """A truly minimal driver (5.1.5); a legacy one has a header of 10 bytes then."""
    with card(bus, tmp_path, without=without) as (driver, wire):
        assert driver.receiving[0].header == (12 if bus == "pci" else 10)
        driver.send(frame(100, PEER, fill=1))
        assert wire.sent(1) == [frame(100, PEER, fill=1)]
        wire.arrive(frame(1514, fill=2), frame(60))
        assert received(driver, 2) == [frame(1514, fill=2), frame(60)]


@needs_qemu
@pytest.mark.parametrize("layout", ["split", "packed"])
def test_long_frames_in_small_buffers(layout, tmp_path):
    with card("pci", tmp_path, layout, slot=256) as (driver, wire):
        for length in (244, 245, 500, 501, 1514):
            wire.arrive(frame(length, fill=length & 0xFF))
            assert received(driver, 1) == [frame(length, fill=length & 0xFF)]


@needs_qemu
def test_checksums_are_not_offered_on_a_wire_that_carries_none(tmp_path):
    """QEMU offers CSUM only where the other end takes packets with their headers."""
    with card("pci", tmp_path) as (driver, _wire):
        assert NetFeature.CSUM not in driver.virtio.offered
        with pytest.raises(ValueError, match="CSUM was not negotiated"):
            driver.send(frame(60, PEER), offload=Offload(34, 6))


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy", "mmio"])
def test_commands(bus, tmp_path):
    """Modes, tables, addresses, VLANs: the same packets come in as at our device."""
    with card(bus, tmp_path) as (driver, wire):
        control = driver.control

        def let_in(*frames):
            wire.arrive(*frames, frame(60, fill=0xFF))
            found = received(driver, 1)
            while found[-1] != frame(60, fill=0xFF):
                found += received(driver, 1)
            return found[:-1]

        strange = [frame(60, OTHER), frame(60, GROUP)]
        # Where it differs from ours: its PROMISC is on at first, and more data than it needs is OK.
        assert let_in(*strange) == strange
        control.command((CTRL_RX, Rx.PROMISC), bytes(2))
        assert let_in(*strange) == []
        control.set_tables([OTHER], [])
        assert let_in(*strange) == strange[:1]
        control.set_tables([], [GROUP])
        assert let_in(*strange) == strange[1:]
        control.set_tables([], [])
        control.switch(Rx.ALLMULTI, True)
        assert let_in(*strange) == strange[1:]
        control.switch(Rx.PROMISC, True)
        assert let_in(*strange) == strange
        control.switch(Rx.PROMISC, False)
        control.set_mac(OTHER)
        wire.arrive(frame(60), frame(60, OTHER))
        assert received(driver, 1) == [frame(60, OTHER)]
        driver.refresh()
        assert driver.address == OTHER
        tagged = frame(60, OTHER, kind=b"\x81\x00\x00\x05")
        wire.arrive(tagged, frame(60, OTHER, fill=1))
        assert received(driver, 1) == [frame(60, OTHER, fill=1)]
        control.add_vlan(5)
        wire.arrive(tagged)
        assert received(driver, 1) == [tagged]
        with pytest.raises(CommandFailed):
            control.command((9, 9))


@needs_qemu
@pytest.mark.parametrize(("bus", "layout"), LAYOUTS)
def test_a_pulled_cable_is_seen(bus, layout, tmp_path):
    with card(bus, tmp_path, layout) as (driver, wire):
        driver.virtio.causes()
        wire.machine.qmp("set_link", name="nic", up=False)
        driver.refresh()
        assert not driver.link
        assert driver.virtio.causes() & Interrupt.CONFIG
        wire.machine.qmp("set_link", name="nic", up=True)
        driver.refresh()
        assert driver.link


@needs_qemu
def test_a_driver_can_be_asked_to_announce_itself(tmp_path):
    """QEMU asks after a migration, or when it is told to."""
    with card("pci", tmp_path) as (driver, wire):
        how = {"initial": 50, "max": 550, "rounds": 1, "step": 100}
        wire.machine.qmp("announce-self", **how)
        assert poll(driver.cpu, lambda: driver.refresh() and driver.asked_to_announce)
        driver.control.acknowledge_announce()
        driver.refresh()
        assert not driver.asked_to_announce


@needs_qemu
def test_the_mtu_is_told(tmp_path):
    with card("pci", tmp_path, options=",host_mtu=1400") as (driver, _):
        assert driver.config["mtu"] == 1400
