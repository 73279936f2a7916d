"""What a device must and must not do over PCI: virtio 1.3 4.1, where no other file has it.

`docs/conformance.md` says which rule has which test.
"""

import itertools

import pytest

from tests.virtio.devices import Echo
from tests.virtio.every_device import DEVICES
from tests.virtio.rig import DATA, Rig
from tests.virtio.test_pci import sent, with_msix
from virtlab.guest.pci import capability_list
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_pci_structures import virtio_capabilities
from virtlab.pci.capabilities import Msix
from virtlab.pci.config import Header
from virtlab.virtio.features import BITS, Feature
from virtlab.virtio.pci import PCI_FEATURES, PORTS_BAR, VirtioPci
from virtlab.virtio.pci_layouts import TRANSITIONAL, CfgType, CommonConfig, NotifyCap, VirtioCap
from virtlab.virtio.status import NO_VECTOR, Interrupt

MODERN = ["pci", "pci-transitional"]
LEGACY = ["pci-legacy", "pci-transitional-legacy"]
OFFERS = [PCI_FEATURES, PCI_FEATURES - {Feature.NOTIFICATION_DATA}]


def ring(rig, index=0):
    """A request of one byte, and the doorbell."""
    rig.guest.queues[index].add_buf([(DATA, 1)], [], "it")
    rig.guest.queues[index].kick()


def select(rig, index):
    rig.transport.put(CommonConfig.QUEUE_SELECT, index)
    return rig.transport


# -- who it is (4.1.2)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("interface", ["modern", "transitional", "legacy"])
def test_ids_say_what_it_is(name, interface):
    """4.1.2.1, 4.1.2.3: vendor 0x1AF4; 0x1040 and the type, or 0x1000 to 0x103F and revision 0."""
    device = DEVICES[name]()
    header = VirtioPci(device, interface).header
    assert header.VENDOR_ID == 0x1AF4
    if interface == "modern":
        assert header.DEVICE_ID == 0x1040 + device.device_id
    else:
        assert 0x1000 <= header.DEVICE_ID <= 0x103F
        assert TRANSITIONAL[header.DEVICE_ID] == device.device_id
        assert (header.REVISION_ID, header.SUBSYSTEM_ID) == (0, device.device_id)


@pytest.mark.parametrize("transport", LEGACY)
def test_the_legacy_interface_is_bar_0_among_the_ports(transport):
    """4.1.4.10, 4.1.5.1.1.1: the first I/O region, whatever else there is."""
    rig = Rig(Echo(), transport, vectors=3)
    bar = next(bar for bar in rig.found.bars if bar.index == PORTS_BAR)
    assert bar.space == "port"
    assert rig.cpu.inp(bar.address + 12, 2) == 8
    assert rig.cpu.inp(bar.address + 20, 1) == 0


# -- structures and their capabilities (4.1.4)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("transport", MODERN)
def test_each_structure_is_there_once_and_aligned(name, transport):
    """4.1.4.3.1, 4.1.4.4.1, 4.1.4.5.1, 4.1.4.6, 4.1.4.6.1, 4.1.4.9.1. No shared memory, no vendor
    data (4.1.4.7, 4.1.4.8)."""
    rig = Rig(DEVICES[name](), transport)
    listed = [at for ident, at in capability_list(rig.access, rig.found.place) if ident == 9]
    kinds = [rig.access.read(rig.found.place, at + VirtioCap.CFG_TYPE.offset, 1) for at in listed]
    expected = {1, 2, 3, 5} | ({4} if rig.device.config else set())
    assert sorted(kinds) == sorted(expected)
    sizes = {bar.index: bar.size for bar in rig.found.bars}
    for kind, cap in virtio_capabilities(rig.access, rig.found.place).items():
        if kind != CfgType.PCI_CFG:
            assert cap.offset % 4 == 0
            assert cap.offset + cap.length <= sizes[cap.bar]


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("offered", OFFERS, ids=["data", "no data"])
def test_there_is_a_doorbell_for_every_queue(name, offered):
    """4.1.4.4.1: length >= offset x multiplier + 2, or + 4 where NOTIFICATION_DATA is offered."""
    rig = Rig(DEVICES[name](), "pci", ring=offered)
    cap = virtio_capabilities(rig.access, rig.found.place)[CfgType.NOTIFY_CFG]
    at = cap.at + NotifyCap.NOTIFY_OFF_MULTIPLIER.offset
    multiplier = rig.access.read(rig.found.place, at, 4)
    assert multiplier % 4 == 0
    assert multiplier & multiplier - 1 == 0
    width = 4 if Feature.NOTIFICATION_DATA in offered else 2
    assert cap.length >= width
    for index in range(len(rig.core.queues)):
        off = select(rig, index).get(CommonConfig.QUEUE_NOTIFY_OFF)
        assert cap.length >= off * multiplier + width


def test_half_of_a_field_of_64_bits_is_read_by_itself():
    """4.1.3.2: the capacity of a disk, either half first."""
    rig = Rig(DEVICES["blk"](), "pci")
    rig.device.config = (0x1122_3344_5566_7788).to_bytes(8, "little") + rig.device.config[8:]
    assert rig.transport.config_read(4, 4) == 0x1122_3344
    assert rig.transport.config_read(0, 4) == 0x5566_7788


# -- the common configuration (4.1.4.3.1)


@pytest.mark.parametrize("transport", MODERN)
def test_features_are_there_for_any_selector(transport):
    """4.1.4.3.1: 32 at a time, of what is offered and of what was written; none from bit 64 on."""
    rig = Rig(Echo(features={0, 5, 50, 63}), transport)
    rig.guest.begin()
    offered, written = 0, 0xA5A5_0001_0000_0021
    for word in (0, 1):
        rig.transport.put(CommonConfig.DEVICE_FEATURE_SELECT, word)
        offered |= rig.transport.get(CommonConfig.DEVICE_FEATURE) << 32 * word
        rig.transport.put(CommonConfig.DRIVER_FEATURE_SELECT, word)
        rig.transport.put(CommonConfig.DRIVER_FEATURE, written >> 32 * word & 0xFFFF_FFFF)
    assert {bit for bit in range(BITS) if offered >> bit & 1} == rig.core.offered
    for word, value in ((1, 0xA5A5_0001), (0, 0x21), (2, 0), (0xFFFF_FFFF, 0)):
        rig.transport.put(CommonConfig.DRIVER_FEATURE_SELECT, word)
        assert rig.transport.get(CommonConfig.DRIVER_FEATURE) == value
        if word > 1:
            rig.transport.put(CommonConfig.DEVICE_FEATURE_SELECT, word)
            assert rig.transport.get(CommonConfig.DEVICE_FEATURE) == 0


@pytest.mark.parametrize("transport", MODERN)
def test_queue_reset_and_queue_enable_through_a_life(transport):
    """4.1.4.3.1: 0 on reset; queue_reset 0 after queue_enable; 1 resets, and then both are 0."""
    rig = Rig(Echo(), transport)

    def both():
        common = select(rig, 0)
        return common.get(CommonConfig.QUEUE_RESET), common.get(CommonConfig.QUEUE_ENABLE)

    assert both() == (0, 0)
    rig.start()
    assert both() == (0, 1)
    ring(rig)
    rig.transport.put(CommonConfig.QUEUE_RESET, 1)
    assert both() == (0, 0)
    assert rig.core.queues[0].queue.last_avail == 0
    assert rig.device.queue_resets == [0]
    rig.transport.set_status(0)
    assert rig.transport.status() == 0
    assert both() == (0, 0)


@pytest.mark.parametrize("transport", MODERN)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 8, 9, 16, 0x8000, 0xFFFF])
def test_a_split_queue_s_size_reads_as_a_power_of_two(transport, size):
    """4.1.4.3.1: without RING_PACKED 0 or a power of two, whatever a driver writes."""
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    rig.guest.negotiate(RING_FEATURES - {Feature.RING_PACKED})
    for index in range(4):
        common = select(rig, index)
        common.put(CommonConfig.QUEUE_SIZE, size)
        found = common.get(CommonConfig.QUEUE_SIZE)
        assert found & found - 1 == 0
        assert bool(found) == (index < 2)


# -- interrupts (4.1.4.5.1, 4.1.5.1.2.1, 4.1.5.3.1, 4.1.5.4.1)


class Calls:
    """Takes what is appended, and notes what the ISR status and the PCI status say just then."""

    def __init__(self, rig):
        self.rig, self.found = rig, []

    def append(self, item):
        pending = Header.STATUS.INTERRUPT_STATUS.get(self.rig.card.header.STATUS)
        self.found.append((item, self.rig.card.isr, pending))


@pytest.mark.parametrize("transport", [*MODERN, *LEGACY])
def test_the_isr_is_set_before_the_pin_rises(transport):
    """4.1.4.5.1: the Queue or Configuration bit first; with it, Interrupt Status in PCI's."""
    for event, bit in (
        (lambda rig: ring(rig), Interrupt.QUEUE),
        (lambda rig: rig.device.configure(bytes(12)), Interrupt.CONFIG),
    ):
        rig = Rig(Echo(), transport)
        rig.start()
        rig.pins = calls = Calls(rig)
        event(rig)
        assert [(level, isr) for level, isr, _ in calls.found] == [(True, bit)]
        status = Header.STATUS.INTERRUPT_STATUS
        assert status.get(rig.card.header.STATUS)
        assert rig.transport.interrupts() == bit
        assert not status.get(rig.card.header.STATUS)
        assert rig.transport.interrupts() == 0


def test_with_msix_the_configuration_bit_is_set_before_the_message():
    """4.1.4.5.1: the Device Configuration Interrupt bit, in any case."""
    rig = with_msix()
    rig.messages = calls = Calls(rig)
    rig.device.configure(bytes(12))
    assert [(message.data, isr) for message, isr, _ in calls.found] == [(0x40, Interrupt.CONFIG)]


def test_the_table_is_as_large_as_it_says():
    """4.1.5.1.2.1: Table Size is the number of vectors, less one."""
    for vectors in (1, 2, 3, 17, 2048):
        rig = Rig(Echo(), "pci", vectors=vectors)
        at = dict(capability_list(rig.access, rig.found.place))[Msix.id] + Msix.CONTROL.offset
        control = rig.access.read(rig.found.place, at, 2)
        assert Msix.CONTROL.TABLE_SIZE.get(control) == vectors - 1


@pytest.mark.parametrize("transport", ["pci", "pci-legacy"])
@pytest.mark.parametrize("vectors", list(itertools.product(range(3), repeat=3)))
def test_any_event_gets_any_vector_and_gives_it_back(transport, vectors):
    """4.1.5.1.2.1: mapped, read back, unmapped with NO_VECTOR; then no interrupt (4.1.5.3.1)."""
    config, *queues = vectors
    rig = with_msix(transport, 3, config, queues)
    events = [
        lambda: rig.device.configure(bytes(12)),
        *(lambda index=index: ring(rig, index) for index in range(2)),
    ]
    for event in events:
        event()
    assert sent(rig) == [0x40 + vector for vector in vectors]
    assert rig.core.config_vector == config
    rig.transport.set_config_vector(NO_VECTOR)
    for index in range(2):
        rig.transport.set_queue_vector(index, NO_VECTOR)
    for event in events:
        event()
    assert sent(rig) == []
    assert rig.pins == []
