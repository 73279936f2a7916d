"""Driver and device with plural calls on both sides: nothing lost, doubled, or out of order."""

from itertools import product
from random import Random

import numpy as np
import pytest

from tests.guest.twin_drivers import ENTRIES, LAYOUTS, RING, TABLE
from tests.virtio.model import MemoryCpu
from virtlab.guest.virtqueue import Tables
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature

BUFFERS, SIZE = 0x10000, 64
OPTIONAL = (Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX, Feature.IN_ORDER)


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("bits", list(product((False, True), repeat=3)))
@pytest.mark.parametrize("each", [1, 3])
def test_plural_on_both_sides(layout, bits, each):
    """A buffer's place says whose it is, and the device gives it back with some bytes written."""
    features = frozenset(feature for feature, on in zip(OPTIONAL, bits, strict=True) if on)
    driver_of, rings_of, queue_of = LAYOUTS[layout]
    ram, rings, random = GuestMemory(0x40000), rings_of.placed(RING, SIZE), Random(each)
    driver = driver_of(MemoryCpu(ram), rings, features, tables=Tables(TABLE, ENTRIES))
    queue = queue_of(ram)
    queue.enable(rings, features)
    added, flying, expected = 0, [], []
    for _ in range(30):
        added += add(driver, random, added, each)
        driver.kick()
        flying += take(queue, random)
        if Feature.IN_ORDER not in features:
            random.shuffle(flying)
        count = random.randint(0, len(flying))
        back, flying = flying[:count], flying[count:]
        expected += give_back(queue, random, back)
        queue.notify()
        tokens, written = driver.get_bufs(random.choice([None, 5]))
        found = list(zip(tokens, written.tolist(), strict=True))
        assert found == expected[: len(found)]
        del expected[: len(found)]
        driver._check()
        queue._check()
    assert 2 * SIZE < added < 3000


def add(driver, random, first, each):
    """Up to a ring full of buffers, each in a place that says who it is; gives how many."""
    n = random.randint(1, SIZE)
    tokens = np.arange(first, first + n)
    gpas = BUFFERS + (tokens * 64)[:, None] + 16 * np.arange(each)
    return driver.add_bufs(gpas, 16, tokens, write=[False] * (each - 1) + [True])


def take(queue, random):
    """What is there: the head of each chain, and where it is to be written."""
    batch = queue.pop_many(random.choice([None, 7]))
    last = batch.starts[1:] - 1
    assert batch.write[last].all()
    assert batch.writable().tolist() == [16] * len(batch)
    return list(zip(batch.heads.tolist(), batch.offset[last].tolist(), strict=True))


def give_back(queue, random, back):
    """Give each back, and say which tokens shall come, with how many bytes."""
    written = [random.choice([16, 16, random.randint(0, 16)]) for _ in back]
    queue.push_many([head for head, _ in back], written)
    tokens = [(offset - BUFFERS) // 64 for _, offset in back]
    return list(zip(tokens, written, strict=True))
