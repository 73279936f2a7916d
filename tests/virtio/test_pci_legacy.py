"""virtio-pci, the legacy interface, and the two interfaces of a transitional function: 4.1.4.10."""

import pytest

from tests.virtio.devices import Echo
from tests.virtio.rig import DATA, ROOM, Rig
from tests.virtio.test_pci import sent, switch, with_msix
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_legacy import LegacyPci
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.negotiation import ANY_LAYOUT
from virtlab.virtio.pci_layouts import LegacyHeader, LegacyMsixHeader
from virtlab.virtio.status import NO_VECTOR

LEGACY = ["pci-legacy", "pci-transitional-legacy"]
NONE = frozenset()


def port(rig, offset, size, value=None):
    """Read the I/O BAR, or write it."""
    at = rig.transport.port + offset
    if value is None:
        return rig.cpu.inp(at, size)
    return rig.cpu.out(at, value, size)


@pytest.mark.parametrize("transport", LEGACY)
def test_the_header_offers_32_features(transport):
    rig = Rig(Echo(features={0, 5}), transport, ring={Feature.RING_PACKED})
    assert rig.transport.get(LegacyHeader.DEVICE_FEATURES) == 1 << ANY_LAYOUT | 1 << 5 | 1
    rig.guest.begin()
    rig.transport.put(LegacyHeader.DRIVER_FEATURES, 0xFFFF_FFFF)
    assert rig.transport.get(LegacyHeader.DRIVER_FEATURES) == 1 << ANY_LAYOUT | 1 << 5 | 1


@pytest.mark.parametrize("transport", LEGACY)
def test_a_queue_is_one_page_number_of_4096(transport):
    """4.1.5.1.3.1, 2.7.2: the size is the device's, the used ring begins at a page border."""
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    rig.transport.put(LegacyHeader.QUEUE_SELECT, 1)
    assert rig.transport.get(LegacyHeader.QUEUE_SIZE) == 16
    rig.transport.put(LegacyHeader.QUEUE_ADDRESS, ROOM >> 12)
    assert rig.core.queues[1].queue.rings == SplitRings.legacy(ROOM >> 12, 16)
    assert rig.transport.get(LegacyHeader.QUEUE_ADDRESS) == ROOM >> 12
    rig.transport.put(LegacyHeader.QUEUE_ADDRESS, 0)
    assert rig.transport.get(LegacyHeader.QUEUE_ADDRESS) == 0
    assert not rig.core.queues[1].ready
    assert rig.device.queue_resets == [1]


@pytest.mark.parametrize("transport", LEGACY)
def test_the_size_cannot_be_chosen(transport):
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    port(rig, LegacyHeader.QUEUE_SIZE.offset, 2, 4)
    assert rig.transport.get(LegacyHeader.QUEUE_SIZE) == 8


@pytest.mark.parametrize("transport", LEGACY)
def test_of_a_queue_that_is_not_there_everything_reads_0(transport):
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    rig.transport.put(LegacyHeader.QUEUE_SELECT, 2)
    rig.transport.put(LegacyHeader.QUEUE_ADDRESS, 5)
    rig.transport.put(LegacyHeader.QUEUE_NOTIFY, 2)
    assert rig.transport.get(LegacyHeader.QUEUE_SIZE) == 0
    assert rig.transport.get(LegacyHeader.QUEUE_ADDRESS) == 0
    assert not rig.broken


@pytest.mark.parametrize("transport", LEGACY)
def test_a_part_of_an_address_is_no_address(transport):
    """A queue would begin at another page with every byte that is written."""
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    for at, size in ((0, 1), (1, 1), (0, 2), (2, 2)):
        port(rig, LegacyHeader.QUEUE_ADDRESS.offset + at, size, 1)
        assert not rig.core.queues[0].ready


@pytest.mark.parametrize("transport", LEGACY)
def test_the_configuration_moves_when_msix_is_switched(transport):
    """4.1.4.10: "If you turn it off again, they move back!"."""
    rig = Rig(Echo(), transport, vectors=3)
    assert port(rig, 20, 4) == 0x03020100
    switch(rig, True)
    assert port(rig, 20, 2) == NO_VECTOR
    assert port(rig, 22, 2) == NO_VECTOR
    assert port(rig, 24, 4) == 0x03020100
    assert rig.transport.config_read(8, 4) == 0x0B0A0908
    switch(rig, False)
    assert port(rig, 20, 4) == 0x03020100


@pytest.mark.parametrize("transport", LEGACY)
def test_any_width_gives_the_same_bytes(transport):
    """4.1.4.10: the same results as with the natural access."""
    rig = Rig(Echo(), transport)
    bytes_ = [port(rig, 20 + at, 1) for at in range(12)]
    words = [port(rig, 20 + at, 2) for at in range(0, 12, 2)]
    assert bytes_ == list(range(12))
    assert words == [at | (at + 1) << 8 for at in range(0, 12, 2)]
    port(rig, 24, 1, 0xAA)
    port(rig, 26, 2, 0xCCBB)
    assert rig.device.config[4:8] == bytes([0xAA, 5, 0xBB, 0xCC])


def test_reading_the_isr_through_the_ports_clears_it():
    rig = Rig(Echo(), "pci-legacy")
    rig.start()
    queue = rig.guest.queues[0]
    queue.add_buf([(DATA, 1)], [], "it")
    queue.kick()
    assert rig.pins == [True]
    assert port(rig, LegacyHeader.ISR_STATUS.offset, 1) == 1
    assert rig.pins == [True, False]
    assert port(rig, LegacyHeader.ISR_STATUS.offset, 1) == 0


def test_vectors_that_the_table_does_not_have_are_not_mapped():
    rig = with_msix("pci-legacy")
    for reg in (LegacyMsixHeader.CONFIG_MSIX_VECTOR, LegacyMsixHeader.QUEUE_MSIX_VECTOR):
        rig.transport.put(reg, 3)
        assert rig.transport.get(reg) == NO_VECTOR
    rig.transport.put(LegacyHeader.QUEUE_SELECT, 9)
    rig.transport.put(LegacyMsixHeader.QUEUE_MSIX_VECTOR, 1)
    assert rig.transport.get(LegacyMsixHeader.QUEUE_MSIX_VECTOR) == NO_VECTOR
    assert sent(rig) == []


# -- one function, two interfaces


def both():
    """A transitional function that nobody uses yet, and a driver's view of each interface."""
    rig = Rig(Echo(), "pci-transitional")
    return (
        rig,
        ModernPci(rig.cpu, rig.access, rig.found),
        LegacyPci(rig.cpu, rig.access, rig.found),
    )


def test_the_first_interface_that_is_written_is_the_one_in_use():
    """2.2.3: a device is used through one of them."""
    rig, modern, legacy = both()
    legacy.set_status(1)
    assert rig.core.legacy
    modern.set_status(3)
    assert rig.core.status == 1
    assert rig.trace.counts["refused"] == 1
    modern.config_write(4, 1, 0xAA)
    modern.bells = {0: (0, 0)}
    modern.notify(0, 0)
    assert rig.device.config[4] == 4
    assert rig.trace.counts["refused"] == 3


def test_both_show_the_same_status_and_both_can_reset():
    rig, modern, legacy = both()
    modern.set_status(1)
    assert not rig.core.legacy
    legacy.set_status(3)
    assert (modern.status(), legacy.status()) == (1, 1)
    legacy.set_status(0)
    assert modern.status() == 0
    legacy.set_status(1)
    assert rig.core.legacy
    modern.set_status(0)
    modern.set_status(1)
    assert not rig.core.legacy


def test_after_a_reset_either_kind_of_driver_finds_a_new_device():
    rig, modern, legacy = both()
    for transport in (modern, legacy, modern):
        rig.guest.transport = transport
        rig.start()
        queue = rig.guest.queues[0]
        queue.add_buf([(DATA, 1)], [(DATA + 8, 1)], "it")
        queue.kick()
        assert queue.get_buf() == ("it", 1)


def test_features_of_the_modern_interface_are_unknown_to_the_legacy_one():
    """4.1.4.10: features 32 to 63 are not acknowledged."""
    rig, modern, legacy = both()
    assert modern.device_features() >> 32 & 1
    assert not modern.device_features() >> ANY_LAYOUT & 1
    rig.core.reset()
    legacy.set_status(3)
    legacy.accept(NONE)
    assert rig.core.features == NONE
