"""The entropy device over every transport and layout: virtio 1.3 5.4."""

import pytest

from tests.virtio.rig import DATA, WORLDS, Rig
from virtlab.virtio.features import Feature
from virtlab.virtio.rng import MOST, REQUESTQ, VirtioRng, seeded
from virtlab.virtio.status import DeviceId


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_buffer_comes_back_full_of_the_source_s_bytes(transport, layout):
    rig = Rig(VirtioRng(seeded(7)), transport)
    queue = rig.start(layout)
    expected = seeded(7)
    assert rig.transport.device_id == DeviceId.ENTROPY
    for number in range(200):
        queue.add_buf([], [(DATA, 10), (DATA + 100, 54)], number)
        queue.kick()
        assert queue.get_buf() == (number, 64)
        assert rig.ram.read(DATA, 10) + rig.ram.read(DATA + 100, 54) == expected(64)
    assert not rig.broken


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_full_queue_is_served_by_one_doorbell(transport, layout):
    rig = Rig(VirtioRng(seeded(7), 16), transport)
    queue = rig.start(layout)
    for number in range(16):
        queue.add_buf([], [(DATA + 16 * number, 16)], number)
    queue.kick()
    assert [queue.get_buf().token for _ in range(16)] == list(range(16))
    assert rig.ram.read(DATA, 256) == b"".join(_bytes(16, 16))


def _bytes(count, length):
    source = seeded(7)
    return [source(length) for _ in range(count)]


def test_a_long_buffer_is_filled_in_part():
    """5.4.6.2: the device may use less than the whole length, and at least one byte."""
    rig = Rig(VirtioRng(seeded(7)))
    queue = rig.start()
    queue.add_buf([], [(DATA, MOST + 1)], "long")
    queue.kick()
    assert queue.get_buf() == ("long", MOST)
    assert rig.ram.load(DATA + MOST, 1) == 0


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_readable_buffer_is_a_driver_s_mistake(layout):
    """5.4.6.1: the driver must not place device-readable buffers into the queue."""
    rig = Rig(VirtioRng(seeded(7)))
    rig.trace.on = True
    queue = rig.start(layout)
    queue.add_buf([(DATA, 4)], [(DATA + 4, 4)], "wrong")
    queue.kick()
    assert rig.broken
    assert queue.get_buf() is None
    assert any("5.4.6.1" in note for note in rig.notes("guest error"))
    assert rig.ram.load(DATA + 4, 4) == 0


def test_it_has_one_queue_no_feature_of_its_own_and_no_configuration():
    """5.4.2 to 5.4.4. In order is how it works, so it says so."""
    rng = VirtioRng(seeded(7), 32)
    assert rng.queue_sizes == (32,)
    assert REQUESTQ == 0
    assert rng.features == {Feature.IN_ORDER}
    assert rng.config == b""
