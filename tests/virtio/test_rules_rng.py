"""The entropy device, clause by clause."""

import pytest

from tests.virtio.rig import DATA, WORLDS, Rig
from virtlab.virtio.rng import MOST, VirtioRng, seeded


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_each_buffer_gets_one_byte_or_more_and_no_more_than_it_has(transport, layout):
    """5.4.6.2: the used length says how many, and behind them nothing is touched."""
    rig = Rig(VirtioRng(seeded(3)), transport)
    queue, expected = rig.start(layout), seeded(3)
    for length in (1, 2, 31, 4096, MOST, MOST + 1, 3 * MOST):
        rig.ram.write(DATA, bytes(3 * MOST + 8))
        queue.add_buf([], [(DATA, length)], length)
        queue.kick()
        token, written = queue.get_buf()
        assert token == length
        assert 1 <= written <= length
        assert rig.ram.read(DATA, written) == expected(written)
        assert not any(rig.ram.read(DATA + written, 8))
    assert not rig.broken


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@pytest.mark.parametrize("in_", [[], [(DATA + 64, 16)]])
def test_a_readable_buffer_is_a_mistake(transport, layout, in_):
    """5.4.6.1: the driver MUST NOT; no byte of it is changed, and the device needs a reset."""
    rig = Rig(VirtioRng(seeded(3)), transport)
    rig.trace.on = True
    queue = rig.start(layout)
    queue.add_buf([(DATA, 16)], in_, "wrong")
    queue.kick()
    assert "5.4.6.1" in rig.notes("guest error")[0]
    assert rig.ram.read(DATA, 96) == bytes(96)
    assert queue.get_buf() is None
