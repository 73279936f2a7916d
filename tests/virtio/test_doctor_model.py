"""The ring doctor beside the model: after every step of both sides it sees what there is."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import invariant

from tests.virtio.test_packed_model import PackedMachine
from tests.virtio.test_split_model import SplitMachine
from virtlab.virtio.doctor import examine, ring_of
from virtlab.virtio.features import Feature


def shown(jobs):
    return sorted([[*job.out, *job.in_] for job in jobs])


class Seen:
    """What both layouts have in common. `gone` counts chains that became available."""

    def examined(self):
        before = self.ram.bytes.tobytes()
        report = examine(self.ram, ring_of(self.device))
        assert self.ram.bytes.tobytes() == before
        assert report.sound, report.findings
        return report

    def compare(self, report):
        found = [
            [(buffer.addr, buffer.length) for buffer in chain.buffers] for chain in report.pending
        ]
        assert sorted(found) == shown([*self.flying, *self.waiting])
        taken = [chain for chain in report.pending if chain.taken]
        assert len(taken) == len(self.flying)


class SplitDoctor(Seen, SplitMachine):
    """Pending chains are known as long as no more than `size` became available, or in order.

    What a driver writes before it moves the index covers the oldest entries.
    """

    steps = 0

    @invariant()
    def doctor(self):
        if not hasattr(self, "pair") or not self.device.ready:
            return
        report = self.examined()
        assert (report.in_flight, report.waiting) == (len(self.flying), len(self.waiting))
        assert len(report.pending) == len(self.flying) + len(self.waiting)
        start = self.start if self.driver.exposed >= self.start else 0
        young = self.driver.exposed - start <= self.size and not (start and self.unexposed)
        if young or Feature.IN_ORDER in self.features:
            self.compare(report)


class PackedDoctor(Seen, PackedMachine):
    """Pending lists are known in order; their descriptors are counted right in any."""

    steps = 0

    @invariant()
    def doctor(self):
        if not hasattr(self, "pair") or not self.device.ready:
            return
        flying = sum(job.slots for job in self.flying)
        waiting = sum(job.slots for job in self.waiting)
        if sum(job.slots for job in self.unexposed) == self.size:
            return  # a ring about to be filled at once may look otherwise, until its first flags
        report = self.examined()
        assert report.in_flight + report.waiting == flying + waiting
        if flying < self.size:
            assert (report.in_flight, report.waiting) == (flying, waiting)
            if Feature.IN_ORDER in self.features:
                self.compare(report)


pytestmark = pytest.mark.volume

TestSplitDoctor = SplitDoctor.TestCase
TestSplitDoctor.settings = settings(
    stateful_step_count=60, max_examples=60, phases=[Phase.generate]
)

TestPackedDoctor = PackedDoctor.TestCase
TestPackedDoctor.settings = settings(
    stateful_step_count=60, max_examples=60, phases=[Phase.generate]
)
