"""virtio-pci, the modern interface: virtio 1.3 4.1.2 to 4.1.4.9, 4.1.5."""

from itertools import pairwise

import pytest

from tests.pci.rig import Rig as PciRig
from tests.virtio.devices import Echo
from tests.virtio.rig import ALL_STEPS, DATA, ROOM, Rig
from virtlab.guest.pci import PortAccess, capability_list, find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.virtio_device import RING_FEATURES as UNDERSTOOD
from virtlab.guest.virtio_device import Room, VirtioDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_legacy import LegacyPci
from virtlab.guest.virtio_pci_structures import virtio_capabilities
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.interrupts import Msi
from virtlab.pci.capabilities import Msix
from virtlab.pci.config import Header
from virtlab.pci.express import RootPort, make_express
from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, SplitRings, packer
from virtlab.virtio.pci import MSIX_BAR, STRUCTURES_BAR, VirtioPci
from virtlab.virtio.pci_common import MULTIPLIER, PART
from virtlab.virtio.pci_layouts import CfgType, CommonConfig, NotifyCap, PciCfgCap
from virtlab.virtio.rng import VirtioRng, seeded
from virtlab.virtio.status import NO_VECTOR, DeviceId, Status

MODERN = ["pci", "pci-transitional", "pci-window"]


def ring(rig, index=0):
    """A request of one byte, and the doorbell."""
    queue = rig.guest.queues[index]
    queue.add_buf([(DATA, 1)], [], "it")
    queue.kick()


def identity(card):
    header = card.header
    return (
        header.VENDOR_ID,
        header.DEVICE_ID,
        header.REVISION_ID,
        header.SUBSYSTEM_ID,
        header.CLASS_CODE,
    )


# -- who it is (4.1.2)


def test_a_modern_function_is_0x1040_and_its_type_revision_1():
    """4.1.2.1: and a subsystem of 0x40 or higher."""
    assert identity(VirtioPci(Echo())) == (0x1AF4, 0x1041, 1, 0x1100, 0x020000)
    assert identity(VirtioPci(VirtioRng(seeded(1)))) == (0x1AF4, 0x1044, 1, 0x1100, 0x00FF00)


@pytest.mark.parametrize("interface", ["transitional", "legacy"])
def test_a_transitional_function_has_an_old_id_and_revision_0(interface):
    """4.1.2.3: the subsystem is the virtio device id."""
    assert identity(VirtioPci(Echo(), interface)) == (0x1AF4, 0x1000, 0, 1, 0x020000)
    rng = VirtioPci(VirtioRng(seeded(1)), interface)
    assert identity(rng) == (0x1AF4, 0x1005, 0, 4, 0x00FF00)


class Gpu(VirtioDevice):
    device_id = DeviceId.GPU


def test_a_type_of_after_1_0_has_no_transitional_id():
    assert identity(VirtioPci(Gpu([8])))[1] == 0x1050
    with pytest.raises(ValueError, match="virtio device 16 has no transitional"):
        VirtioPci(Gpu([8]), "transitional")


# -- where its structures are (4.1.4)


def test_five_structures_are_found():
    rig = Rig(Echo(), "pci")
    found = virtio_capabilities(rig.access, rig.found.place)
    assert set(found) == {1, 2, 3, 4, 5}
    places = {kind: (cap.bar, cap.offset, cap.length) for kind, cap in found.items()}
    assert places[CfgType.COMMON_CFG] == (STRUCTURES_BAR, 0, CommonConfig.length)
    assert places[CfgType.ISR_CFG] == (STRUCTURES_BAR, PART, 1)
    assert places[CfgType.DEVICE_CFG] == (STRUCTURES_BAR, 2 * PART, 12)
    assert places[CfgType.NOTIFY_CFG] == (STRUCTURES_BAR, 3 * PART, 2 * MULTIPLIER)
    at = found[CfgType.NOTIFY_CFG].at + NotifyCap.NOTIFY_OFF_MULTIPLIER.offset
    assert rig.access.read(rig.found.place, at, 4) == MULTIPLIER


def test_the_capability_list_is_whole_and_each_says_its_length():
    rig = Rig(Echo(), "pci", vectors=3)
    place = rig.found.place
    found = capability_list(rig.access, place)
    assert sorted(ident for ident, _ in found) == [0x09] * 5 + [0x11]
    ends = []
    for ident, at in found:
        length = rig.access.read(place, at + 2, 1) if ident == 9 else 12
        assert length in (12, 16, 20)
        ends.append((at, at + length))
    ends.sort()
    assert all(end <= start for (_, end), (start, _) in pairwise(ends))


def test_a_device_without_a_configuration_has_no_structure_for_it():
    """4.1.4.6: it is for any device type which has a device-specific configuration."""
    rig = Rig(VirtioRng(seeded(1)), "pci")
    assert CfgType.DEVICE_CFG not in virtio_capabilities(rig.access, rig.found.place)


def test_a_legacy_function_has_no_virtio_capability_and_a_modern_one_no_ports():
    """4.1.5.1.1.1."""
    legacy, modern = Rig(Echo(), "pci-legacy"), Rig(Echo(), "pci")
    assert virtio_capabilities(legacy.access, legacy.found.place) == {}
    assert {bar.space for bar in modern.found.bars} == {"memory"}
    with pytest.raises(VirtioFailed, match="no structure"):
        ModernPci(legacy.cpu, legacy.access, legacy.found)
    with pytest.raises(VirtioFailed, match="no I/O BAR"):
        LegacyPci(modern.cpu, modern.access, modern.found)


def test_it_may_be_an_express_endpoint_as_well():
    """4.1: any kind of PCI device. The capabilities leave room for those of PCI Express."""
    rig = PciRig()
    port = RootPort()
    rig.bus.plug(port, 2)
    card = port.below.plug(make_express(VirtioPci(Echo(), vectors=3)))
    functions = enumerate_pci(rig.cpu)
    found = find(functions, 0x1AF4, 0x1041)
    driver = VirtioDriver(
        rig.cpu, ModernPci(rig.cpu, PortAccess(rig.cpu), found), Room(0x10000, 0x10000)
    )
    driver.begin()
    driver.negotiate(UNDERSTOOD)
    queue = driver.add_queue(0)
    driver.ready()
    queue.add_buf([(0x30000, 4)], [(0x30010, 4)], "it")
    queue.kick()
    assert queue.get_buf() == ("it", 4)
    assert card.core.live


# -- the common structure (4.1.4.3)


@pytest.mark.parametrize("transport", MODERN)
def test_the_driver_reads_back_what_it_has_set(transport):
    rig = Rig(Echo(), transport)
    common = rig.transport
    rig.guest.begin()
    assert common.get(CommonConfig.NUM_QUEUES) == 2
    common.accept(frozenset({Feature.VERSION_1, Feature.RING_EVENT_IDX}))
    found = []
    for select in range(3):
        common.put(CommonConfig.DRIVER_FEATURE_SELECT, select)
        found.append(common.get(CommonConfig.DRIVER_FEATURE))
    assert found == [1 << 29, 1, 0]
    common.set_status(11)
    for index in range(2):
        common.put(CommonConfig.QUEUE_SELECT, index)
        common.put(CommonConfig.QUEUE_SIZE, 4)
        for part, reg in enumerate(
            (CommonConfig.QUEUE_DESC, CommonConfig.QUEUE_DRIVER, CommonConfig.QUEUE_DEVICE)
        ):
            common.put(reg, 0x1_2345_0000_0000 + (index << 8) + part)
    for index in range(2):
        common.put(CommonConfig.QUEUE_SELECT, index)
        assert common.get(CommonConfig.QUEUE_SIZE) == 4
        assert common.get(CommonConfig.QUEUE_NOTIFY_OFF) == index
        assert common.get(CommonConfig.QUEUE_DESC) == 0x1_2345_0000_0000 + (index << 8)
        assert common.get(CommonConfig.QUEUE_DRIVER) == 0x1_2345_0000_0001 + (index << 8)
        assert common.get(CommonConfig.QUEUE_DEVICE) == 0x1_2345_0000_0002 + (index << 8)


def test_half_an_address_may_be_written():
    """4.1.3.1: each half of a 64-bit field may be accessed by itself."""
    rig = Rig(Echo(), "pci")
    rig.guest.begin()
    rig.transport.put(CommonConfig.QUEUE_DESC, 0x1111_2222_3333_4444)
    rig.transport.common.write(CommonConfig.QUEUE_DESC.offset + 4, 4, 0x5555)
    assert rig.core.queues[0].desc == 0x5555_3333_4444
    rig.transport.put(CommonConfig.QUEUE_SELECT, 1)
    rig.transport.common.write(CommonConfig.QUEUE_DESC.offset, 4, 0x7777)
    assert [setup.desc for setup in rig.core.queues] == [0x5555_3333_4444, 0x7777]


@pytest.mark.parametrize("transport", MODERN)
def test_of_a_queue_that_is_not_there_everything_reads_0(transport):
    """4.1.4.3.1: 0 in queue_size if the virtqueue is unavailable."""
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    common = rig.transport
    common.put(CommonConfig.QUEUE_SELECT, 2)
    common.put(CommonConfig.QUEUE_SIZE, 4)
    common.put(CommonConfig.QUEUE_DESC, 4096)
    common.put(CommonConfig.QUEUE_MSIX_VECTOR, 0)
    common.put(CommonConfig.QUEUE_ENABLE, 1)
    values = {reg.name: common.get(reg) for reg in CommonConfig.registers if reg.offset >= 0x18}
    assert values.pop("QUEUE_MSIX_VECTOR") == NO_VECTOR
    assert set(values.values()) == {0}
    assert not rig.broken


def test_a_queue_is_never_disabled_by_a_0():
    """4.1.4.3.2: the driver MUST NOT write a 0 to queue_enable."""
    rig = Rig(Echo(), "pci")
    rig.start()
    rig.transport.put(CommonConfig.QUEUE_ENABLE, 0)
    assert rig.transport.get(CommonConfig.QUEUE_ENABLE) == 1
    rig.transport.put(CommonConfig.QUEUE_RESET, 0)
    assert rig.transport.get(CommonConfig.QUEUE_ENABLE) == 1


def test_selectors_are_forgotten_by_a_reset():
    rig = Rig(Echo(), "pci")
    rig.guest.begin()
    rig.transport.put(CommonConfig.QUEUE_SELECT, 1)
    rig.transport.set_status(0)
    assert rig.transport.get(CommonConfig.QUEUE_SELECT) == 0


# -- doorbells (4.1.4.4, 4.1.5.2)


def test_each_queue_has_a_doorbell_four_bytes_apart():
    rig = Rig(Echo(), "pci")
    rig.start(queues=2, without={Feature.NOTIFICATION_DATA})
    rig.device.calls.clear()
    bells = rig.transport.doorbells
    assert bells.read(0, 4) == 0
    bells.write(4, 2, 0)
    bells.write(0, 2, 77)
    assert rig.device.calls == [1, 0]
    rig.card.bars[-1].write(3 * PART + 8, 2, 0)
    rig.card.bars[-1].write(3 * PART + 2, 2, 0)
    assert rig.device.calls == [1, 0]


@pytest.mark.parametrize("data", [True, False])
def test_a_doorbell_of_the_wrong_width_is_refused(data):
    """4.1.5.2.1: 16 bits, or 32 with NOTIFICATION_DATA."""
    rig = Rig(Echo(), "pci")
    rig.start(without=set() if data else {Feature.NOTIFICATION_DATA})
    rig.device.calls.clear()
    for size in (1, 2, 4):
        rig.transport.doorbells.write(0, size, 0)
    assert len(rig.device.calls) == 1


@pytest.mark.parametrize("agreed", [True, False])
def test_with_notif_config_data_the_device_says_what_a_doorbell_is_told(agreed):
    rig = Rig(Echo(), "pci")
    without = set() if agreed else {Feature.NOTIF_CONFIG_DATA}
    rig.start(queues=2, without=without)
    rig.transport.put(CommonConfig.QUEUE_SELECT, 1)
    assert rig.transport.get(CommonConfig.QUEUE_NOTIF_CONFIG_DATA) == agreed
    ring(rig, 1)
    assert rig.guest.queues[1].get_buf().token == "it"


# -- the pin (4.1.4.5)


@pytest.mark.parametrize("transport", MODERN)
def test_reading_the_isr_clears_it_and_lets_the_pin_fall(transport):
    rig = Rig(Echo(), transport)
    rig.start()
    ring(rig)
    assert rig.pins == [True]
    status = Header.STATUS.INTERRUPT_STATUS
    assert status.get(rig.card.header.STATUS)
    assert rig.transport.interrupts() == 1
    assert rig.pins == [True, False]
    assert not status.get(rig.card.header.STATUS)
    assert rig.guest.queues[0].get_buf() == ("it", 0)
    rig.device.configure(bytes(12))
    ring(rig)
    assert rig.transport.interrupts() == 3
    assert rig.transport.interrupts() == 0


def test_without_msix_vectors_do_not_map():
    rig = Rig(Echo(), "pci")
    rig.guest.begin()
    rig.guest.negotiate(UNDERSTOOD)
    for reg in (CommonConfig.CONFIG_MSIX_VECTOR, CommonConfig.QUEUE_MSIX_VECTOR):
        rig.transport.put(reg, 0)
        assert rig.transport.get(reg) == NO_VECTOR


# -- MSI-X (4.1.5.1.2, 4.1.5.3, 4.1.5.4)


def with_msix(transport="pci", vectors=3, config=0, queues=(1, 2)):
    """A rig that is ready, each event with its vector; vector n sends datum 0x40 + n."""
    rig = Rig(Echo(), transport, vectors=vectors)
    table = rig.found.bar(MSIX_BAR)
    for vector in range(vectors):
        for at, word in ((0, 0xFEE0_0000), (4, 0), (8, 0x40 + vector), (12, 0)):
            rig.cpu.store(table + 16 * vector + at, word)
    switch(rig, True)
    rig.guest.begin()
    rig.guest.negotiate(UNDERSTOOD)
    if config is not None:
        rig.transport.set_config_vector(config)
    for index, vector in enumerate(queues):
        if vector is not None:
            rig.transport.set_queue_vector(index, vector)
        rig.guest.add_queue(index)
    rig.guest.ready()
    return rig


def switch(rig, on):
    """Turn MSI-X on or off."""
    at = dict(capability_list(rig.access, rig.found.place))[Msix.id] + Msix.CONTROL.offset
    rig.access.write(rig.found.place, at, 2, 0x8000 if on else 0)


def sent(rig):
    """The data of the messages since the last call."""
    found = [message.data for message in rig.messages]
    assert all(message == Msi(0xFEE0_0000, message.data) for message in rig.messages)
    rig.messages.clear()
    return found


@pytest.mark.parametrize("transport", [*MODERN, "pci-legacy", "pci-transitional-legacy"])
def test_each_event_has_its_vector(transport):
    rig = with_msix(transport)
    ring(rig, 0)
    assert sent(rig) == [0x41]
    ring(rig, 1)
    assert sent(rig) == [0x42]
    rig.device.configure(bytes(12))
    assert sent(rig) == [0x40]
    assert rig.pins == []


def test_all_events_may_share_one_vector():
    rig = with_msix(vectors=1, config=0, queues=(0, 0))
    ring(rig, 0)
    ring(rig, 1)
    rig.device.configure(bytes(12))
    assert sent(rig) == [0x40] * 3


def test_an_event_without_a_vector_does_not_interrupt():
    """4.1.5.3.1, 4.1.5.4.1: with NO_VECTOR the device MUST NOT deliver an interrupt."""
    rig = with_msix(config=None, queues=(1, None))
    ring(rig, 1)
    rig.device.configure(bytes(12))
    assert sent(rig) == []
    assert rig.pins == []
    ring(rig, 0)
    assert sent(rig) == [0x41]


def test_a_vector_that_the_table_does_not_have_is_not_mapped():
    """4.1.5.1.2.1: a failure is NO_VECTOR, read back."""
    rig = with_msix()
    for vector in (3, 0x7FF, 0xFFFE, 0xFFFF):
        for reg in (CommonConfig.CONFIG_MSIX_VECTOR, CommonConfig.QUEUE_MSIX_VECTOR):
            rig.transport.put(reg, vector)
            assert rig.transport.get(reg) == NO_VECTOR


def test_a_reset_unmaps_every_event():
    """4.1.5.1.2.1."""
    rig = with_msix()
    rig.transport.set_status(0)
    assert rig.core.config_vector == NO_VECTOR
    assert {setup.vector for setup in rig.core.queues} == {NO_VECTOR}


def test_the_isr_says_configuration_even_with_msix_and_the_pin_follows_when_it_is_off():
    """4.1.4.5.1: that bit is set in any case; the pin is the OR of all bits if MSI-X is off."""
    rig = with_msix()
    rig.device.configure(bytes(12))
    ring(rig)
    assert rig.card.isr == 2
    assert rig.pins == []
    switch(rig, False)
    assert rig.pins == [True]
    switch(rig, True)
    assert rig.pins == [True, False]
    assert not rig.irq.level
    switch(rig, False)
    assert rig.transport.interrupts() == 2
    assert rig.pins == [True, False, True, False]


def test_a_card_has_a_vector_for_each_queue_and_one_more():
    assert VirtioPci(Echo()).core.vectors == 3


# -- the window in configuration space (4.1.4.9)


def aim(rig, bar, offset, length):
    through = virtio_capabilities(rig.access, rig.found.place)[CfgType.PCI_CFG]
    for reg, value in (
        (PciCfgCap.BAR, bar),
        (PciCfgCap.OFFSET, offset),
        (PciCfgCap.STRUCTURE_LENGTH, length),
    ):
        rig.access.write(rig.found.place, through.at + reg.offset, reg.width, value)
    return through.at + PciCfgCap.PCI_CFG_DATA.offset


def test_the_window_reads_and_writes_a_structure():
    rig = Rig(Echo(), "pci")
    place = rig.found.place
    data = aim(rig, STRUCTURES_BAR, CommonConfig.DEVICE_STATUS.offset, 1)
    rig.access.write(place, data, 1, 1)
    assert rig.core.status == 1
    assert rig.access.read(place, data, 4) == 1
    rig.access.write(place, data, 4, 0xFFFF_FF03)
    assert rig.core.status == 3
    data = aim(rig, STRUCTURES_BAR, 2 * PART + 8, 4)
    assert rig.access.read(place, data, 4) == 0x0B0A0908


@pytest.mark.parametrize(
    ("bar", "offset", "length"),
    [
        (0, 0x14, 1),
        (1, 0, 4),
        (6, 0x14, 1),
        (255, 0x14, 1),
        (STRUCTURES_BAR, 0x14, 0),
        (STRUCTURES_BAR, 0x12, 3),
        (STRUCTURES_BAR, 0x10, 8),
        (STRUCTURES_BAR, 0x13, 2),
        (STRUCTURES_BAR, 0x16, 4),
        (STRUCTURES_BAR, 4 * PART, 4),
        (STRUCTURES_BAR, 0xFFFF_FFFC, 4),
    ],
)
def test_a_window_that_is_aimed_at_nothing_does_nothing(bar, offset, length):
    rig = Rig(Echo(), "pci", vectors=2)
    data = aim(rig, bar, offset, length)
    rig.access.write(rig.found.place, data, 4, 0x0101_0101)
    assert rig.access.read(rig.found.place, data, 4) == 0
    assert rig.core.status == 0


# -- resets from outside, and DMA that goes astray


def test_a_reset_of_the_bus_resets_the_device():
    rig = Rig(Echo(), "pci")
    rig.start()
    ring(rig)
    rig.card.reset()
    assert (rig.core.status, rig.card.isr, rig.irq.level) == (0, 0, False)
    assert not rig.core.queues[0].ready
    assert rig.device.resets == 2


def test_without_bus_mastering_the_queues_are_out_of_reach():
    """PCI 3.0 6.2.2: a request that may not be made; the device needs a reset."""
    rig = Rig(Echo(), "pci")
    rig.start()
    rig.access.write(rig.found.place, Header.COMMAND.offset, 2, 2)
    ring(rig)
    assert rig.broken


def test_a_ring_over_its_own_registers_is_no_memory():
    """A function's request does not come back to itself: it faults, and the device is broken."""
    rig = Rig(Echo(), "pci")
    rig.trace.on = True
    rig.guest.begin()
    rig.guest.negotiate(frozenset({Feature.VERSION_1}))
    rings = SplitRings.placed(ROOM, 8)
    home = rig.found.bar(STRUCTURES_BAR) + CommonConfig.DEVICE_STATUS.offset - 4
    rig.transport.set_queue(0, 8, (rings.desc, rings.avail, home))
    rig.guest.ready()
    rig.ram.write(rings.desc, packer(DESC).pack(DATA, 1, 0, 0))
    rig.ram.store(rings.avail_field("idx"), 2, 1)
    rig.transport.doorbells.write(0, 2, 0)
    assert rig.status == ALL_STEPS | Status.DEVICE_NEEDS_RESET
    assert "no memory there" in rig.notes("guest error")[0]
    rig.core.queues[0].queue._check()
