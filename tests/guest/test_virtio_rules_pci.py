"""What a driver must and must not do over PCI: capabilities, window, vectors, legacy devices."""

import pytest

from tests.guest.virtio_watch import DRIVERS, life
from tests.virtio.devices import Echo
from tests.virtio.rig import DATA, LEGACY, Rig
from virtlab.guest.pci import capability_list
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_legacy import LegacyPci, pci_transport
from virtlab.guest.virtio_pci_structures import virtio_capabilities
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.pci_layouts import CfgType, CommonConfig, PciCfgCap
from virtlab.virtio.status import NO_VECTOR

# -- PCI: capabilities, the window, vectors


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("transport", ["pci", "pci-transitional", "pci-window", *LEGACY[1:]])
def test_no_capability_is_written_but_the_window(name, transport):
    """4.1.4.1: no field of any capability, but those that aim PCI_CFG, and its data."""
    found = life(name, transport)
    written = [one.at for one in found.seen if one.part == "space" and one.write]
    assert bool(written) == (transport == "pci-window")
    if written:
        window = virtio_capabilities(found.rig.access, found.rig.found.place)[CfgType.PCI_CFG].at
        aims = PciCfgCap.BAR, PciCfgCap.OFFSET, PciCfgCap.STRUCTURE_LENGTH
        assert set(written) <= {window + reg.offset for reg in (*aims, PciCfgCap.PCI_CFG_DATA)}


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("layout", ["split", "packed"])
def test_the_window_is_aimed_at_a_structure_and_aligned(name, layout):
    """4.1.4.9.2: an offset is a multiple of the length, and all of it is in another structure."""
    found = life(name, "pci-window", layout)
    caps = virtio_capabilities(found.rig.access, found.rig.found.place)
    window = caps.pop(CfgType.PCI_CFG).at
    aim, data = {}, 0
    for one in found.seen:
        if one.part != "space" or one.at < window or one.at >= window + PciCfgCap.length:
            continue
        if one.write and one.at < window + PciCfgCap.PCI_CFG_DATA.offset:
            aim[one.at - window] = one.value
            if one.at == window + PciCfgCap.OFFSET.offset:
                assert one.value % aim[PciCfgCap.STRUCTURE_LENGTH.offset] == 0
        elif one.at == window + PciCfgCap.PCI_CFG_DATA.offset:
            bar, at, length = (
                aim[reg.offset]
                for reg in (PciCfgCap.BAR, PciCfgCap.OFFSET, PciCfgCap.STRUCTURE_LENGTH)
            )
            assert length == one.size
            assert any(
                bar == cap.bar and cap.offset <= at and at + length <= cap.offset + cap.length
                for cap in caps.values()
            )
            data += 1
    assert data > 100


@pytest.mark.parametrize("vectors", [0, 1, 2, 3, 64, 2048])
@pytest.mark.parametrize("transport", ["pci", "pci-legacy"])
def test_any_size_of_an_msix_table_will_do(vectors, transport):
    """4.1.5.1.2.2: any size is supported, and no vector is asked for that is not in the table."""
    rig = Rig(Echo(), transport, vectors=vectors)
    if vectors:
        switch(rig)
    rig.guest.begin()
    rig.guest.negotiate(RING_FEATURES)
    mapped = []
    for vector in (0, 1, vectors - 1, vectors, 0x7FF, 0x800):
        try:
            rig.transport.set_queue_vector(0, vector)
            mapped.append(rig.core.queues[0].vector)
        except (VirtioFailed, ValueError):
            assert not 0 <= vector < vectors
            assert rig.core.queues[0].vector == (mapped[-1] if mapped else NO_VECTOR)
    assert mapped == [v for v in (0, 1, vectors - 1, vectors, 0x7FF, 0x800) if 0 <= v < vectors]
    queue = rig.guest.add_queue(0)
    rig.guest.ready()
    queue.add_buf([(DATA, 1)], [], "it")
    queue.kick()
    assert queue.get_buf() == ("it", 0)


def switch(rig):
    """Turn MSI-X on."""
    at = dict(capability_list(rig.access, rig.found.place))[0x11]
    rig.access.write(rig.found.place, at + 2, 2, 0x8000)


def test_any_revision_and_subsystem_is_driven():
    """4.1.2.2: a driver must match any Revision ID."""
    for revision in (0, 1, 7, 255):
        rig = Rig(Echo(), "pci")
        rig.card.header.preset(REVISION_ID=revision, SUBSYSTEM_ID=revision)
        assert rig.access.read(rig.found.place, 8, 1) == revision
        transport = ModernPci(rig.cpu, rig.access, rig.found)
        assert transport.device_id == 1
        assert transport.get(CommonConfig.NUM_QUEUES) == 2


@pytest.mark.parametrize(
    ("interface", "kind"),
    [("pci", ModernPci), ("pci-transitional", ModernPci), ("pci-legacy", LegacyPci)],
)
def test_a_transitional_driver_takes_what_there_is(interface, kind):
    """4.1.5.1.1.1: virtio capabilities are looked for; without them, the legacy interface."""
    rig = Rig(Echo(), interface)
    rig.guest.transport = pci_transport(rig.cpu, rig.access, rig.found)
    assert isinstance(rig.guest.transport, kind)
    rig.guest.begin()
    rig.guest.negotiate(RING_FEATURES)
    queue = rig.guest.add_queue(0)
    rig.guest.ready()
    queue.add_buf([(DATA, 1)], [], "it")
    queue.kick()
    assert queue.get_buf() == ("it", 0)


def test_a_structure_may_be_longer_than_a_driver_knows():
    """2.5.1, 4.1.4.1: the configuration may be of any size; a large length is no error."""
    for transport in ("mmio", "pci", "pci-legacy"):
        rig = Rig(Echo(config=bytes(range(200))), transport)
        assert rig.guest.begin()
        assert rig.guest.config([(0, 4), (196, 4)]) == [0x03020100, 0xC7C6C5C4]
    function = VirtioPci(Echo())
    assert function.core.device.config == bytes(range(12))
