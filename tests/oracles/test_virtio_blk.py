"""Our block driver, unchanged, on QEMU's virtio-blk: every transport, both rings, data verified."""

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
    P,
    V,
    machine_with,
    started,
    work,
)
from virtlab.guest.calls import BlocksFailed
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.guest.virtio_blk_queue import Request
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.virtio.blk_layouts import SECTOR, BlkFeature, BlkStatus, BlkType
from virtlab.virtio.features import Feature
from virtlab.virtio.status import Interrupt


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(IMAGE)
    return path


# -- ten thousand requests

RINGS = {
    "split": ("pci", {V}),
    "packed": ("pci", {V, P}),
    "split-indirect": ("pci", {V, I}),
    "packed-indirect": ("pci", {V, P, I}),
    "split-event-idx": ("pci", {V, E}),
    "packed-event-idx": ("pci", {V, P, E}),
    "packed-all": ("mmio", {V, P, I, E}),
    "legacy-all": ("pci-legacy", {I, E}),
    "legacy-mmio": ("mmio-legacy", {I, E}),
}


@needs_qemu
@pytest.mark.parametrize("name", RINGS)
def test_ten_thousand_requests(name, image):
    bus, ring = RINGS[name]
    features = work(bus, image, ring, 10_000)
    assert features & RING_FEATURES == ring


@needs_qemu
def test_ten_thousand_requests_with_no_feature_at_all(image):
    assert work("pci-legacy", image, set(), 10_000, features=frozenset()) == frozenset()


ODD = {
    "5": (5, {V, P, I}),
    "37": (37, {V, P, E}),
    "255": (255, {V, P}),
}
"""Packed rings of other sizes than powers of two (2.8)."""


@needs_qemu
@pytest.mark.parametrize("name", ODD)
def test_a_packed_ring_has_any_size(name, image):
    size, ring = ODD[name]
    work("pci", image, ring, 10_000, size=size)


SMALL = {"5": (5, {V, P}), "3": (3, {V, P, I, E})}
"""With room for one request, or for three: a round trip to QEMU for each few."""


@needs_qemu
@pytest.mark.parametrize("name", SMALL)
def test_a_small_ring(name, image):
    size, ring = SMALL[name]
    work("mmio", image, ring, 500, size=size, shared=True)


@needs_qemu
@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", SMALL)
def test_ten_thousand_requests_on_a_small_ring(name, image):
    size, ring = SMALL[name]
    work("mmio", image, ring, 10_000, size=size)


@needs_qemu
@pytest.mark.parametrize("bus", ["transitional", "mmio"])
@pytest.mark.parametrize("ring", [{V, I, E}, {V, P, I, E}], ids=ring_name)
def test_a_thousand_requests_on_other_transports(bus, ring, image):
    work(bus, image, ring, 1000)


@needs_qemu
@pytest.mark.parametrize("bus", ["pci-legacy", "transitional-legacy", "mmio-legacy"])
def test_a_thousand_requests_on_each_legacy_interface(bus, image):
    """All that 32 bits can say; the ring is split, whatever is asked (2.8: VERSION_1 first)."""
    assert P not in work(bus, image, {I, E}, 1000)


@needs_qemu
@pytest.mark.parametrize("ring", [{V}, {V, I}, {V, P}, {V, P, I}], ids=ring_name)
def test_data_in_many_pieces(ring, image):
    """16 pieces of 512 bytes, and two more descriptors: a chain of 18, or a table."""
    work("pci", image, ring, 600, chunk=8192, piece=512)


# -- what is offered

NAMED = {24: "NOTIFY_ON_EMPTY", 27: "ANY_LAYOUT", 28: "INDIRECT_DESC", 29: "EVENT_IDX"}
"""How QEMU calls what it offers, where the name is not ours."""


def told(features):
    """The names in one of QEMU's lists of features, without `VIRTIO_F_` and the like."""
    words = [text.split(":")[0] for text in features["dev-features"] + features["transports"]]
    words = [word for word in words if "VHOST" not in word]
    return {word.split("_F_")[1] for word in words}


def named(features):
    """Our names for them; bit 30 was never a feature (6.3), and QEMU 7.2 has no name for 40."""
    ours = {int(bit): bit.name for bit in (*Feature, *BlkFeature)} | NAMED
    return {ours[bit] for bit in features} - {"RING_RESET"}


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "mmio"])
def test_the_features_are_what_qemu_says(bus, image):
    with started(bus, image, PACKED) as disk:
        (device,) = disk.cpu.qmp("x-query-virtio")
        status = disk.cpu.qmp("x-query-virtio-status", path=device["path"])
        hidden = {"ANY_LAYOUT", "NOTIFY_ON_EMPTY"}  # a modern driver does not see these two
        assert named(disk.virtio.offered) == told(status["host-features"]) - hidden
        assert named(disk.virtio.features) == told(status["guest-features"])
        assert Feature.RING_RESET in disk.virtio.features
        assert len(status["status"]["statuses"]) == 4
        assert disk.virtio.transport.status() == 0x0F


@needs_qemu
def test_a_legacy_driver_sees_two_features_more(image):
    with started("pci-legacy", image) as disk:
        assert {24, 30} <= disk.virtio.offered
        assert BlkFeature.SCSI in disk.virtio.offered
        assert max(disk.virtio.offered) < 32


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy", "mmio", "mmio-legacy"])
@pytest.mark.parametrize("options", ["", PACKED])
def test_the_queue_lies_where_qemu_says(bus, options, image):
    with started(bus, image, options) as disk:
        (device,) = disk.cpu.qmp("x-query-virtio")
        queue = disk.cpu.qmp("x-query-virtio-queue-status", path=device["path"], queue=0)
        ours = disk.requests.slots.queue
        places = tuple(queue[name] for name in ("vring-desc", "vring-avail", "vring-used"))
        assert places == tuple(gpa for gpa, _ in ours.rings.parts)
        assert queue["vring-num"] == ours.rings.size == (1024 if "mmio" in bus else 256)
        assert isinstance(ours, PackedDriver) == (bool(options) and "legacy" not in bus)


@needs_qemu
def test_in_order_is_used_where_it_is_offered(image):
    """QEMU 7.2 does not offer it. A later one that does must keep the order."""
    order = Feature.IN_ORDER
    with started("pci", image, PACKED) as disk:
        offered = order in disk.virtio.offered
        assert (order in disk.virtio.features) == offered
        version = disk.cpu.qmp("query-version")["qemu"]
        assert not (offered and version["major"] == 7)
    assert (order in work("pci", image, {V, P, order}, 500)) == offered


@needs_qemu
def test_doorbell_data_is_not_offered(image):
    with started("pci", image, PACKED) as disk:
        assert not {Feature.NOTIFICATION_DATA, Feature.NOTIF_CONFIG_DATA} & disk.virtio.offered


# -- the configuration

SHAPE = ",logical_block_size=1024,physical_block_size=4096,min_io_size=8192,opt_io_size=16384"


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy", "mmio", "mmio-legacy"])
def test_the_configuration_is_what_qemu_was_told(bus, image):
    options = f"{SHAPE},cyls=4,heads=16,secs=32,discard_granularity=4096,max-discard-sectors=2048"
    with started(bus, image, options) as disk:
        expected = {
            "capacity": SECTORS,
            "seg_max": 254,
            "cylinders": 4,
            "heads": 16,
            "sectors": 32,
            "blk_size": 1024,
            "physical_block_exp": 2,
            "alignment_offset": 0,
            "min_io_size": 8,
            "opt_io_size": 16,
            "writeback": 1,
            "max_discard_sectors": 2048,
            "discard_sector_alignment": 8,
        }
        assert {name: disk.config[name] for name in expected} == expected
        assert "num_queues" not in disk.config


@needs_qemu
def test_only_what_was_negotiated_is_read(image):
    with started("pci", image, understood=frozenset({V})) as disk:
        assert disk.config == {"capacity": SECTORS}


@needs_qemu
def test_the_cache_can_be_switched(image):
    with started("pci", image) as disk:
        disk.virtio.transport.config_write(32, 1, 0)
        assert disk.refresh()["writeback"] == 0
        disk.write(0, bytes(512))


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy", "mmio", "mmio-legacy"])
def test_a_disk_that_grows_says_so(bus, image):
    """A configuration interrupt, another generation, another capacity (5.2.6.2, 2.5).

    QEMU sets the queue's bit with it, though no buffer was used (4.2.2.1 forbids it on MMIO).
    """
    with started(bus, image) as disk:
        disk.virtio.causes()
        before = disk.virtio.transport.generation()
        disk.cpu.qmp("block_resize", device="disk", size=2 * SECTORS * SECTOR)
        assert disk.virtio.causes() == Interrupt.CONFIG | Interrupt.QUEUE
        assert disk.virtio.causes() == 0
        assert disk.refresh()["capacity"] == 2 * SECTORS
        assert (disk.virtio.transport.generation() != before) == ("legacy" not in bus)
        assert disk.read(2 * SECTORS - 1) == bytes(512)


# -- the requests


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy", "mmio", "mmio-legacy"])
def test_the_disk_says_its_name(bus, image):
    with started(bus, image) as disk:
        assert disk.get_id() == SERIAL


@needs_qemu
def test_a_flush_reaches_the_backend(image):
    def flushes():
        (stats,) = disk.cpu.qmp("query-blockstats")
        return stats["stats"]["flush_operations"]

    with started("pci", image) as disk:
        disk.write(7, b"\x77" * 512)
        before = flushes()
        disk.flush()
        assert flushes() == before + 1
        assert image.read_bytes()[7 * 512 : 8 * 512] == b"\x77" * 512


@needs_qemu
def test_without_flush_there_is_nothing_to_ask(image):
    with started("pci", image, understood=frozenset({V})) as disk:
        disk.write(7, b"\x77" * 512)
        disk.flush()
        assert image.read_bytes()[7 * 512 : 8 * 512] == b"\x77" * 512


@needs_qemu
def test_sectors_can_be_zeroed_and_given_up(image):
    with started("pci", image) as disk:
        disk.write_zeroes(8, 8)
        disk.write_zeroes(24, 8, unmap=True)
        disk.discard(40, 8)
        assert disk.read(7, 10) == IMAGE[7 * 512 : 8 * 512] + bytes(8 * 512) + IMAGE[8192:8704]
        assert disk.read(24, 8) == bytes(8 * 512)
        assert disk.read(48) == IMAGE[48 * 512 : 49 * 512]


@needs_qemu
def test_what_the_device_refuses(image):
    """Past the end is IOERR; what it does not know is UNSUPP (5.2.6)."""
    with started("pci", image) as disk:
        asked = [
            Request(BlkType.IN, SECTORS - 1, length=1024),
            Request(BlkType.OUT, SECTORS, bytes(512)),
            Request(99, 0, bytes(512)),
            Request(BlkType.IN, SECTORS - 2, length=1024),
        ]
        answers = disk.run(asked)
        statuses = [BlkStatus.IOERR, BlkStatus.IOERR, BlkStatus.UNSUPP, BlkStatus.OK]
        assert [answer.status for answer in answers] == statuses
        assert answers[3].data == IMAGE[-1024:]
        assert answers[3].wrote == 1025
        with pytest.raises(BlocksFailed, match="IN of sector 4095: the device answered IOERR"):
            disk.done(asked)


@needs_qemu
def test_a_disk_that_cannot_be_written(image):
    with machine_with("pci", image, drive=",readonly=on") as (machine, transport):
        disk = BlkDriver(machine, transport, Room(0x10_0000, 1 << 20))
        disk.start()
        assert disk.read_only
        with pytest.raises(BlocksFailed, match="IOERR"):
            disk.write(0, bytes(512))
        assert disk.read(0) == IMAGE[:512]
    assert image.read_bytes() == IMAGE
