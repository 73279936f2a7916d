"""Our block driver with several request queues, unchanged, on QEMU's virtio-blk."""

import pytest

from tests.needs import needs_qemu
from tests.oracles.virtio_blk_qemu import IMAGE, PACKED, E, I, Load, P, V, started
from virtlab.guest.virtio_blk import BLK_FEATURES
from virtlab.virtio.blk_layouts import BlkFeature
from virtlab.virtio.features import Feature

QUEUES = 4
FOUR = f",num-queues={QUEUES}"

CELLS = [(bus, ring) for bus in ("pci", "mmio") for ring in ({V, I, E}, {V, P, I, E}, {V}, {V, P})]
CELLS += [("transitional", {V, P}), *((bus, {I, E}) for bus in ("pci-legacy", "mmio-legacy"))]


def name(value):
    if isinstance(value, str):
        return value
    return "-".join(sorted(Feature(bit).name.removeprefix("RING_") for bit in value))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(IMAGE)
    return path


@needs_qemu
@pytest.mark.parametrize(("bus", "ring"), CELLS, ids=name)
def test_a_thousand_requests_over_four_queues(bus, ring, image):
    """Data, and the file behind the disk; every queue has had its share, as QEMU says."""
    content = bytearray(IMAGE)
    how = {"shared": True, "queues": QUEUES, "slots": 16, "chunk": 2048}
    understood = frozenset(ring) | BLK_FEATURES
    with started(bus, image, PACKED + FOUR, understood=understood, **how) as disk:
        assert disk.config["num_queues"] == len(disk.requests.queues) == QUEUES
        assert BlkFeature.MQ in disk.virtio.features
        assert disk.virtio.features & frozenset(Feature) == ring
        load = Load(disk, content, seed=4)
        load.run(1000)
        disk.flush()
        assert load.count == 1000
        assert not disk.virtio.needs_reset
        (device,) = disk.cpu.machine.qmp("x-query-virtio")
        for number in range(QUEUES):
            status = disk.cpu.machine.qmp(
                "x-query-virtio-queue-status", path=device["path"], queue=number
            )
            assert status["inuse"] == 0
            assert status["used-idx"] or P in ring
            assert status["vring-desc"] == disk.virtio.queues[number].rings.desc
    assert image.read_bytes() == content


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "mmio"])
def test_fewer_queues_than_there_are(bus, image):
    how = {"queues": 2, "slots": 8, "understood": frozenset({V}) | BLK_FEATURES, "shared": True}
    with started(bus, image, FOUR, **how) as disk:
        assert len(disk.requests.queues) == 2
        load = Load(disk, bytearray(IMAGE), seed=5)
        load.run(200)
        assert load.count == 200


@needs_qemu
def test_without_mq_one_queue_is_used(image):
    """5.2.2. QEMU offers it where there are several queues."""
    understood = (frozenset({V}) | BLK_FEATURES) - {BlkFeature.MQ}
    with started("pci", image, FOUR, understood=understood, queues=QUEUES) as disk:
        assert BlkFeature.MQ in disk.virtio.offered
        assert (len(disk.requests.queues), "num_queues" in disk.config) == (1, False)
        disk.write(8, b"\x5a" * 1024)
        assert disk.read(8, 2) == b"\x5a" * 1024
