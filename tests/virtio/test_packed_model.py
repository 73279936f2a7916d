"""Both sides of a packed ring against the model: random steps, all features, any size."""

from itertools import product

import pytest
from hypothesis import settings

from tests.virtio.model import MEMORY, MemoryCpu, Pair, QueueMachine
from virtlab.guest.virtqueue import Tables
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PackedRings

RINGS, TABLES, ENTRIES = 0x1000, 0x8000, 4
CHOICES = tuple(
    frozenset({Feature.VERSION_1, Feature.RING_PACKED, *filter(None, some)})
    for some in product(
        (None, Feature.RING_INDIRECT_DESC),
        (None, Feature.RING_EVENT_IDX),
        (None, Feature.IN_ORDER),
    )
)


def pair_of(size, features, start):
    """Two sides over one memory, both at the beginning of the lap of `start`."""
    ram = GuestMemory(MEMORY)
    rings = PackedRings.placed(RINGS, size)
    start -= start % (2 * size)
    device = PackedQueue(ram, lambda: pair.interrupts.append(None))
    driver = PackedDriver(
        MemoryCpu(ram),
        rings,
        features,
        lambda: pair.bells.append(None),
        Tables(TABLES, ENTRIES),
    )
    driver.added = driver.exposed = driver.last_used = start
    entries = ENTRIES if Feature.RING_INDIRECT_DESC in features else 0
    pair = Pair(driver, device, ram, lambda: device.enable(rings, features), entries)
    device.enable(rings, features, start)
    return pair


def walk_round(size, start, count):
    """The (slot, wrap counter) of `count` descriptors, as a side that flips a bit counts them."""
    slot, wrap = start % size, 1 - start // size % 2
    for _ in range(count):
        yield slot, wrap
        slot += 1
        if slot == size:
            slot, wrap = 0, wrap ^ 1


def heard(size, features, raw, start, count):
    """Whether 2.8.10 asks for an event for these descriptors, said in the other way."""
    desc, flags = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little")
    if flags == 2 and Feature.RING_EVENT_IDX in features:
        return (desc & 0x7FFF, desc >> 15) in walk_round(size, start, count)
    return flags == 0 and count > 0


class PackedMachine(QueueMachine):
    sizes = (1, 2, 3, 4, 5, 7, 8, 11, 16)
    choices = CHOICES

    def build(self, size, features, start):
        return pair_of(size, features, start)

    def forget(self):
        super().forget()
        self.told = self.device.used

    def expect_bell(self, rang, new):
        count = sum(job.slots for job in self.unexposed)
        raw = self.ram.read(self.driver.rings.device, 4)
        start = self.driver.exposed - count
        assert rang == heard(self.size, self.features, raw, start, count)

    def expect_interrupt(self, rang, new):
        raw = self.ram.read(self.driver.rings.driver, 4)
        count = self.device.used - self.told
        assert rang == heard(self.size, self.features, raw, self.told, count)
        self.told = self.device.used


# ten times as many steps with VIRTLAB_SLOW=1
pytestmark = [pytest.mark.timeout(900), pytest.mark.volume]

TestPackedMachine = PackedMachine.TestCase
TestPackedMachine.settings = settings(stateful_step_count=150)


def test_the_machine_took_ten_thousand_steps():
    """It runs after the machine: pytest keeps the order of a file."""
    assert PackedMachine.steps >= 10_000 or PackedMachine.steps == 0
