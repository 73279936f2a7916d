"""Our entropy driver, unchanged, on QEMU's virtio-rng: every transport, both rings, data verified.

QEMU's source is a file here, so that each byte is known.
"""

import random
from contextlib import contextmanager

import pytest

from tests.needs import needs_qemu
from tests.oracles.virtio_qemu import LAYOUTS, behind, only, room
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_rng import RngDriver
from virtlab.virtio.features import Feature
from virtlab.virtio.status import DeviceId

RANDOM = random.Random(6).randbytes(2 << 20)


@contextmanager
def started(tmp_path, bus, layout, ring=RING_FEATURES, **how):
    """The driver at work, and what it must give, byte by byte."""
    source = tmp_path / "source"
    source.write_bytes(RANDOM)
    more = ["-object", f"rng-random,id=source,filename={source}"]
    options = ",rng=source" + (",packed=on" if layout == "packed" else "")
    device = ("virtio-rng", DeviceId.ENTROPY, tmp_path / "ram", options)
    with behind(bus, *device, more=more) as (cpu, transport):
        driver = RngDriver(cpu, transport, room(), understood=only(layout, ring), **how)
        driver.start()
        yield driver


@needs_qemu
@pytest.mark.parametrize(("bus", "layout"), LAYOUTS)
def test_a_thousand_requests(bus, layout, tmp_path):
    rng = random.Random(bus + layout)
    with started(tmp_path, bus, layout) as driver:
        assert (Feature.RING_PACKED in driver.virtio.features) == (layout == "packed")
        at = 0
        for _ in range(1000):
            length = rng.choice([1, 7, 64, rng.randrange(1, 1500)])
            assert driver.read(length) == RANDOM[at : at + length]
            at += length
        assert not driver.virtio.needs_reset


@needs_qemu
@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("without", [Feature.RING_EVENT_IDX, Feature.RING_INDIRECT_DESC])
def test_other_rings(layout, without, tmp_path):
    ring = RING_FEATURES - {without}
    with started(tmp_path, "pci", layout, ring, slots=8, chunk=100) as driver:
        assert driver.read(100_000) == RANDOM[:100_000]


@needs_qemu
def test_it_has_no_feature_of_its_own(tmp_path):
    """5.4.3: what it offers are features of ring and transport."""
    with started(tmp_path, "pci", "packed") as driver:
        assert min(driver.virtio.offered) >= 24
