"""The split ring follows the model, with any features, and calls exactly when it was asked to."""

from itertools import chain, combinations

import pytest
from hypothesis import settings

from tests.virtio.model import MEMORY, MemoryCpu, Pair, QueueMachine
from virtlab.guest.virtqueue import Tables
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split import SplitQueue

OPTIONAL = (Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX, Feature.IN_ORDER)
COMBINATIONS = tuple(
    frozenset(some) for some in chain.from_iterable(combinations(OPTIONAL, n) for n in range(4))
)
ENTRIES = 4


class SplitMachine(QueueMachine):
    sizes = (1, 2, 4, 8, 16)
    choices = COMBINATIONS

    def build(self, size, features, start):
        ram = GuestMemory(MEMORY)
        rings = SplitRings.legacy(1, size) if size == 4 else SplitRings.placed(0x1000, size)
        indirect = Feature.RING_INDIRECT_DESC in features
        pair = Pair(None, None, ram, None, ENTRIES if indirect else 0)
        pair.device = SplitQueue(ram, lambda: pair.interrupts.append(None))
        pair.driver = SplitDriver(
            MemoryCpu(ram),
            rings,
            features,
            lambda: pair.bells.append(None),
            Tables(0x8000, ENTRIES),
        )

        def enable():
            pair.device.enable(rings, features)
            self.counts = {"exposed": 0, "signalled": 0}

        pair.enable = enable
        enable()
        self.travel(pair, rings, start)
        return pair

    def travel(self, pair, rings, start):
        """To where `start` buffers have come and gone, so that the indices soon wrap."""
        driver = pair.driver
        driver.added = driver.exposed = driver.last_used = driver._batch_end = start
        pair.device.enable(rings, pair.driver.features, base=start)
        for address in (rings.avail_field("idx"), rings.used_field("idx")):
            pair.ram.store(address, 2, start)
        driver.enable_cb()
        pair.device.enable_notify()
        self.counts = {"exposed": start, "signalled": start}

    def passed(self, count, new, event):
        """Whether entry `event`, of 16 bits, is among the `new` ones from `count` on."""
        return any((count + i) & 0xFFFF == event for i in range(new))

    def expect_bell(self, rang, new):
        rings, count = self.driver.rings, self.counts["exposed"]
        self.counts["exposed"] += new
        if Feature.RING_EVENT_IDX in self.features:
            event = self.ram.load(rings.used_field("avail_event"), 2)
            assert rang == self.passed(count, new, event)
        else:
            assert rang == (new > 0 and self.device_asks)

    def expect_interrupt(self, rang, new):
        rings, count = self.driver.rings, self.counts["signalled"]
        self.counts["signalled"] += new
        if Feature.RING_EVENT_IDX in self.features:
            event = self.ram.load(rings.avail_field("used_event"), 2)
            assert rang == self.passed(count, new, event)
        else:
            assert rang == (new > 0 and self.driver_asks)


TestSplitMachine = pytest.mark.volume(pytest.mark.timeout(900)(SplitMachine.TestCase))
TestSplitMachine.settings = settings(stateful_step_count=130)
