"""The legacy interface of QEMU's virtio-net: who writes `mac`, and how a header must be cut."""

from contextlib import contextmanager

import pytest

from tests.needs import needs_qemu
from tests.oracles.test_virtio_net import OTHER, PEER, card, frame, received
from tests.virtio.net_rig import World
from virtlab.guest.virtio_net_control import CommandFailed
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.virtio.negotiation import ANY_LAYOUT
from virtlab.virtio.net import DEFAULT_MAC
from virtlab.virtio.net_layouts import CTRL_RX, NetFeature, Rx

LEGACY = ["pci-legacy", "transitional-legacy", "mmio-legacy"]


@needs_qemu
@pytest.mark.parametrize("bus", LEGACY)
def test_a_legacy_driver_writes_its_address(bus, tmp_path):
    """5.1.4.3: byte by byte; the filter follows, and after a reset it is the first one again."""
    with card(bus, tmp_path, without={NetFeature.CTRL_MAC_ADDR}) as (driver, wire):
        driver.control.switch(Rx.PROMISC, False)
        driver.set_mac(OTHER)
        assert driver.address == OTHER
        wire.arrive(frame(60), frame(60, OTHER))
        assert received(driver, 1) == [frame(60, OTHER)]
        assert driver.receive() == []
        driver.start()
        assert driver.address == DEFAULT_MAC


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "mmio"])
def test_no_other_driver_writes_its_address(bus, tmp_path):
    """5.1.4.2. QEMU ignores it, as ours does."""
    with card(bus, tmp_path, without={NetFeature.CTRL_MAC_ADDR}) as (driver, _):
        driver.virtio.transport.config_write(5, 1, 0x99)
        driver.refresh()
        assert driver.address == DEFAULT_MAC
        with pytest.raises(ValueError, match="no way to take another address"):
            driver.set_mac(OTHER)


@needs_qemu
@pytest.mark.parametrize("bus", LEGACY)
def test_a_device_that_minds_the_framing_is_given_up(bus, tmp_path):
    """5.1.6.6: it is one without ANY_LAYOUT. Where QEMU offers that, our driver accepts it."""
    with card(bus, tmp_path) as (driver, _):
        assert ANY_LAYOUT in driver.virtio.features
    (tmp_path / "wire").unlink()
    with (
        pytest.raises(VirtioFailed, match="each header in a buffer of its own"),
        card(bus, tmp_path, options=",any_layout=off"),
    ):
        raise AssertionError("the driver has started")


@needs_qemu
@pytest.mark.parametrize("bus", LEGACY)
def test_commands_that_a_legacy_driver_has(bus, tmp_path):
    """Numbers are in the guest's byte order, which is a PC's on both sides (5.1.6.5.2.3)."""
    with card(bus, tmp_path) as (driver, wire):
        driver.control.switch(Rx.PROMISC, False)
        driver.control.set_tables([OTHER, PEER], [])
        wire.arrive(frame(60, OTHER), frame(60, PEER[:5] + b"\1"), frame(60, PEER))
        assert received(driver, 2) == [frame(60, OTHER), frame(60, PEER)]
        driver.control.add_vlan(0x105)
        tagged = [frame(60, kind=b"\x81\x00" + n.to_bytes(2, "big")) for n in (0x105, 0x501)]
        wire.arrive(*tagged)
        assert received(driver, 1) == tagged[:1]
        with pytest.raises(CommandFailed):
            driver.control.command((CTRL_RX, 9), b"\0")


# -- where the two differ: each row of `docs/deviations.md` is seen on both


@contextmanager
def ours(bus, without):
    """Our driver on our device."""
    kind = {"transitional-legacy": "pci-transitional-legacy"}.get(bus, bus)
    yield World(kind, without=without).start()


@contextmanager
def qemus(bus, without, tmp_path):
    """Our driver on QEMU's."""
    with card(bus, tmp_path, without=without) as (driver, _):
        yield driver


def written(driver, at, value):
    """What `mac` is after one of its bytes was written."""
    driver.virtio.transport.config_write(at, 1, value)
    driver.refresh()
    return driver.address


@needs_qemu
@pytest.mark.parametrize("bus", LEGACY)
def test_where_the_two_differ_they_still_do(bus, tmp_path):
    """A group's address; an address that could be set by a command as well."""
    group = b"\x53" + DEFAULT_MAC[1:]
    other = DEFAULT_MAC[:5] + b"\x57"
    without = {NetFeature.CTRL_MAC_ADDR}
    with ours(bus, without) as mine, qemus(bus, without, tmp_path) as theirs:
        assert [written(each, 0, 0x53) for each in (mine, theirs)] == [DEFAULT_MAC, group]
    (tmp_path / "wire").unlink()
    with ours(bus, set()) as mine, qemus(bus, set(), tmp_path) as theirs:
        assert [written(each, 5, 0x57) for each in (mine, theirs)] == [other, DEFAULT_MAC]
