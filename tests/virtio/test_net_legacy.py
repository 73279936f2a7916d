"""The legacy interface of the network device: whose order numbers have, and who writes `mac`.

Its guest is little-endian here, as every other guest of this PC.
"""

import pytest

from tests.virtio.net_rig import BROADCAST, GROUP, PEER, World, frame
from tests.virtio.rig import LEGACY, MODERN
from tests.virtio.watched import watch
from virtlab.guest.virtio_net_rings import Offload
from virtlab.virtio.net import DEFAULT_MAC
from virtlab.virtio.net_layouts import NetFeature

OTHER = bytes.fromhex("020000000099")


@pytest.mark.parametrize("transport", LEGACY)
def test_numbers_are_in_the_order_of_the_legacy_guest(transport):
    """5.1.4.3, 5.1.6.1, 5.1.6.5.2.3, 5.1.6.5.3.2, 5.1.6.5.6.3: fields, header, commands."""
    world = World(transport, device={"pairs": 2})
    driver = world.start(pairs=2)
    assert driver.config == {"status": 1, "max_virtqueue_pairs": 2}
    assert world.device.active == 2
    assert [world.rig.transport.config_read(at, 1) for at in range(6, 10)] == [1, 0, 2, 0]
    seen = watch(world.device)
    packet = frame(14, PEER) + bytes(2) + b"\x12\x34"
    driver.send(packet, offload=Offload(14, 0))
    assert world.heard == [packet[:14] + b"\xed\xcb\x12\x34"]
    driver.control.set_tables([OTHER], [GROUP, BROADCAST])
    assert world.device.filter.stations == {OTHER}
    assert world.device.filter.groups == {GROUP, BROADCAST}
    driver.control.add_vlan(0x105)
    assert world.device.filter.vlans == {0x105}
    driver.control.use_pairs(1)
    assert world.device.active == 1
    sent, tables, vlan, pairs = (each.data for each in seen)
    assert sent[:12] == bytes.fromhex("01 00 0000 0000 0e00 0000 0000")
    assert tables[2:6] == b"\1\0\0\0"
    assert (vlan, pairs) == (b"\2\0\5\1", b"\4\0\1\0")


@pytest.mark.parametrize("transport", LEGACY)
def test_a_legacy_driver_writes_its_address(transport):
    """5.1.4.3: without a command, byte by byte; the filter follows, and nobody is told."""
    world = World(transport, without={NetFeature.CTRL_MAC_ADDR})
    driver = world.start()
    driver.virtio.causes()
    driver.set_mac(OTHER)
    assert driver.address == OTHER == world.device.mac
    assert driver.virtio.causes() == 0
    world.arrive(frame(60), frame(60, OTHER))
    assert [packet.frame for packet in driver.receive()] == [frame(60, OTHER)]
    driver.virtio.reset()
    assert world.device.config[:6] == DEFAULT_MAC


@pytest.mark.parametrize("transport", LEGACY)
def test_a_legacy_driver_may_write_it_before_anything_else(transport):
    """3.1.2: it has no FEATURES_OK to wait for."""
    world = World(transport)
    world.rig.transport.set_status(3)
    for at, byte in enumerate(OTHER):
        world.rig.transport.config_write(at, 1, byte)
    assert world.device.config[:6] == OTHER


@pytest.mark.parametrize("transport", [*MODERN])
def test_no_other_driver_writes_its_address(transport):
    """5.1.4.2: all fields are read-only; 5.1.4.3 is about the legacy interface alone."""
    world = World(transport)
    driver = world.start()
    world.rig.transport.config_write(5, 1, 0x99)
    assert driver.refresh() is driver.config
    assert driver.address == DEFAULT_MAC
    assert world.rig.notes("refused")


@pytest.mark.parametrize(("at", "value"), [(0, 1), (6, 0), (8, 2), (10, 2)])
def test_a_legacy_driver_writes_nothing_else(at, value):
    """Another field, or a group's address."""
    world = World("pci-legacy", device={"pairs": 2, "mtu": 1500})
    world.start()
    before = world.device.config
    world.rig.transport.config_write(at, 1, value)
    assert world.device.config == before
    assert "configuration written" in world.rig.notes("refused")[-1]


def test_an_address_that_is_not_offered_cannot_be_written():
    """`mac` is only meant where MAC is offered. What reaches past it is no address."""
    world = World("pci-legacy", device={"offered": {NetFeature.STATUS}})
    world.start()
    world.rig.transport.config_write(5, 1, 7)
    assert world.device.mac == DEFAULT_MAC
    world = World("pci-legacy")
    world.start()
    assert not world.device.write_config(5, b"\7\7")
    assert world.device.write_config(4, b"\7\7")
    assert world.device.mac == DEFAULT_MAC[:4] + b"\7\7"
