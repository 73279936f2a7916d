"""Our block driver on QEMU's virtio-blk: queues reset and stopped, both interfaces, interrupts."""

import pytest

from tests.guest.paper_virtio import ring_name
from tests.needs import needs_qemu
from tests.oracles.virtio_blk_qemu import (
    IMAGE,
    PACKED,
    SECTORS,
    SERIAL,
    E,
    I,
    Load,
    P,
    V,
    machine_with,
    started,
    work,
)
from virtlab.guest.msix import MsixDriver
from virtlab.guest.pci import PortAccess
from virtlab.guest.pic import Pics
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_legacy import LegacyPci
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.virtio.blk_layouts import SECTOR
from virtlab.virtio.features import Feature, from_bits
from virtlab.virtio.pci_layouts import CfgType
from virtlab.virtio.status import Status


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(IMAGE)
    return path


# -- queues


@needs_qemu
@pytest.mark.parametrize("options", ["", PACKED])
def test_one_queue_is_reset_and_goes_on(options, image):
    with started("pci", image, options) as disk:
        Load(disk, bytearray(IMAGE), 1).run(100)
        assert disk.virtio.reset_queue(0) == []
        assert disk.get_id() == SERIAL


@needs_qemu
def test_qemu_offers_a_queue_reset_on_mmio_that_it_does_not_have(image):
    """7.2 offers RING_RESET there, but has no QueueReset: it reads as 0, and QueueReady stays 1.

    The driver sees that, since both are 0 after a reset (4.2.2.1).
    """
    with started("mmio", image) as disk:
        if disk.cpu.qmp("query-version")["qemu"]["major"] > 7:
            pytest.skip("a later QEMU: see whether it still does")
        assert Feature.RING_RESET in disk.virtio.features
        with pytest.raises(VirtioFailed, match="still in use after its reset"):
            disk.virtio.reset_queue(0)


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy", "mmio", "mmio-legacy"])
def test_a_device_is_reset_and_begins_anew(bus, image):
    with started(bus, image, PACKED) as disk:
        disk.write(3, b"\x33" * 512)
        disk.start()
        assert disk.read(3) == b"\x33" * 512
        disk.virtio.reset()
        assert disk.virtio.transport.status() == 0
        assert disk.virtio.transport.queue_max(0) == (1024 if "mmio" in bus else 256)


@needs_qemu
@pytest.mark.parametrize("bus", ["mmio", "mmio-legacy"])
def test_a_queue_is_stopped(bus, image):
    with started(bus, image) as disk:
        transport = disk.virtio.transport
        assert transport.queue_max(0) == 0
        transport.stop_queue(0)
        assert transport.queue_max(0) == 1024


@needs_qemu
def test_a_driver_that_breaks_the_ring_must_reset(image):
    """An avail index that jumps past the ring: the device says that it needs a reset (2.1.2)."""
    with started("pci", image) as disk:
        rings = disk.requests.slots.queue.rings
        disk.cpu.store(rings.avail_field("idx"), 1000, 2)
        disk.virtio.transport.notify(0, 0)
        disk.cpu.settle()
        assert disk.virtio.needs_reset
        disk.start()
        assert not disk.virtio.needs_reset
        assert disk.get_id() == SERIAL


@needs_qemu
def test_sizes_that_are_none(image):
    with machine_with("pci", image) as (machine, transport):
        for size in (0, 3, 257):
            with pytest.raises(ValueError, match=r"1 to 256 entries|a power of two"):
                BlkDriver(machine, transport, Room(0x10_0000, 1 << 20), size=size).start()


@needs_qemu
def test_a_legacy_function_has_one_size(image):
    with machine_with("pci-legacy", image) as (machine, transport):
        disk = BlkDriver(machine, transport, Room(0x10_0000, 1 << 20), size=128)
        with pytest.raises(ValueError, match="queue 0 has 256 entries, whoever asks for 128"):
            disk.start()


@needs_qemu
@pytest.mark.parametrize("bus", ["mmio", "mmio-legacy", "pci"])
def test_a_smaller_queue_is_the_drivers_choice(bus, image):
    ring = {I, E} if "legacy" in bus else {V, I, E}
    work(bus, image, ring, 200, size=16)


# -- the two faces of a transitional device


@needs_qemu
def test_both_interfaces_of_a_transitional_device(image):
    """Modern first, then legacy, on one function: each begins with a reset (3.1.1)."""
    with machine_with("transitional", image) as (machine, modern):
        legacy = LegacyPci(machine, PortAccess(machine), modern.function)
        assert modern.function.device == 0x1001
        assert modern.device_id == legacy.device_id == 2
        for transport in (modern, legacy, modern):
            disk = BlkDriver(machine, transport, Room(0x10_0000, 1 << 20))
            disk.start()
            assert disk.get_id() == SERIAL
            assert (V in disk.virtio.features) == (transport is modern)


@needs_qemu
def test_a_modern_device_has_no_legacy_interface(image):
    with machine_with("pci", image) as (machine, modern):
        assert modern.function.device == 0x1042
        with pytest.raises(VirtioFailed, match="no I/O BAR 0"):
            LegacyPci(machine, PortAccess(machine), modern.function)


@needs_qemu
def test_a_legacy_device_has_no_modern_interface(image):
    with machine_with("pci-legacy", image) as (machine, legacy):
        access = PortAccess(machine)
        with pytest.raises(VirtioFailed, match="no structure COMMON_CFG"):
            ModernPci(machine, access, legacy.function)


@needs_qemu
def test_the_whole_driver_through_configuration_space(image):
    """No BAR is touched: every register goes through the window of 4.1.4.9."""
    with machine_with("pci", image, PACKED) as (machine, modern):
        access = PortAccess(machine)
        there = modern.function
        transport = ModernPci(machine, access, there, window=True)
        access.write(there.place, 4, 2, access.read(there.place, 4, 2) & ~2)
        disk = BlkDriver(machine, transport, Room(0x10_0000, 1 << 20))
        disk.start()
        assert disk.capacity == SECTORS
        assert disk.read(5) == IMAGE[5 * 512 : 6 * 512]
        assert CfgType.PCI_CFG in transport.capabilities


# -- interrupts


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy"])
@pytest.mark.parametrize("understood", [{V}, {V, E}, {V, P}, {V, P, E}], ids=ring_name)
def test_the_driver_sleeps_until_the_pin_calls(bus, understood, image):
    with machine_with(bus, image, PACKED) as (machine, transport):
        pics = Pics(machine)
        pics.remap()
        pics.unmask(transport.function.line)
        features = frozenset(understood) | BLK_FEATURES
        room = Room(0x10_0000, 1 << 20)
        disk = BlkDriver(machine, transport, room, understood=features, interrupts=True)
        disk.start()
        for sector in range(5):
            assert disk.read(sector) == IMAGE[sector * 512 : sector * 512 + 512]
            pics.eoi(transport.function.line)


@needs_qemu
@pytest.mark.parametrize("understood", [{V}, {V, E}, {V, P}, {V, P, E}], ids=ring_name)
def test_while_the_driver_polls_nothing_interrupts(understood, image):
    """With EVENT_IDX on a split ring QEMU calls once, before it has looked at `used_event`."""
    features = frozenset(understood) | BLK_FEATURES
    with started("pci", image, PACKED, understood=features) as disk:
        disk.cpu.command("irq_intercept_in ioapic")
        Load(disk, bytearray(IMAGE), 3).run(500)
        calls = sum(irq.level for irq in disk.cpu.irqs if irq.line > 15)
        assert calls == (understood == {V, E})


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy", "transitional-legacy"])
def test_msix_calls_by_a_write_to_memory(bus, image):
    """Vector 1 is the queue's, vector 0 the configuration's. Their address is RAM: we see them."""
    word = 0x8000
    with machine_with(bus, image) as (machine, transport):
        msix = MsixDriver(machine, PortAccess(machine), transport.function)
        assert msix.vectors == 2
        msix.set(0, word, 0xC0)
        msix.set(1, word + 4, 0xD1)
        msix.enable()
        disk = BlkDriver(machine, transport, Room(0x10_0000, 1 << 20), vectors=(0, 1))
        disk.start()
        disk.requests.slots.queue.enable_cb()
        disk.read(0)
        assert machine.load(word + 4, 4) == 0xD1
        assert machine.load(word, 4) == 0
        machine.qmp("block_resize", device="disk", size=SECTORS * SECTOR // 2)
        assert machine.load(word, 4) == 0xC0
        assert disk.refresh()["capacity"] == SECTORS // 2


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy"])
def test_a_vector_that_the_device_does_not_have(bus, image):
    """4.1.5.1.2.2: the driver looks at the table's size, and does not ask."""
    with machine_with(bus, image) as (machine, transport):
        MsixDriver(machine, PortAccess(machine), transport.function).enable()
        disk = BlkDriver(machine, transport, Room(0x10_0000, 1 << 20), vectors=(0, 7))
        with pytest.raises(VirtioFailed, match="has 2 MSI-X vectors, and no vector 7"):
            disk.start()


# -- who is there


@needs_qemu
def test_another_device_is_not_driven(image, tmp_path):
    with machine_with("pci", image) as (machine, transport):
        transport.function.device = 0x1041
        with pytest.raises(VirtioFailed, match="no block device, but type 1"):
            BlkDriver(machine, transport, Room(0x10_0000, 1 << 20)).start()
        assert transport.status() & Status.FAILED
        assert from_bits(transport.device_features())
