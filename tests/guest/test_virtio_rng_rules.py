"""The entropy driver, clause by clause."""

import pytest

from tests.guest.test_virtio_rng import driver_for
from tests.virtio.rig import WORLDS
from tests.virtio.watched import watch
from virtlab.virtio.rng import VirtioRng, seeded


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_no_buffer_of_it_can_be_read(transport, layout):
    """5.4.6.1: it MUST NOT place device-readable buffers into the queue."""
    device = VirtioRng(seeded(5))
    driver, _ = driver_for(device, transport, layout, chunk=100)
    seen = watch(device)
    driver.start()
    driver.read(1000)
    assert [each.readable for each in seen] == [[]] * 10
    assert sum(sum(each.writable) for each in seen) == 1000


class Stingy(VirtioRng):
    """It fills each buffer in part, one byte or more, and leaves a mark in the rest."""

    def serve(self, chain, queue):
        some = max(1, chain.writable // 3)
        chain.write(queue.dma, self.source(some) + b"\xee" * (chain.writable - some))
        return some

    def handle(self, index, queue):
        while chain := queue.pop():
            queue.push(chain, self.serve(chain, queue))


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_it_believes_the_length_and_nothing_else(transport, layout):
    """5.4.6.1: the driver MUST examine it to learn how many bytes were received."""
    driver, _ = driver_for(Stingy(seeded(5)), transport, layout, chunk=30)
    driver.start()
    assert driver.read(500) == seeded(5)(500)
