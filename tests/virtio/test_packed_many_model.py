"""The model of a packed ring again, with the plural calls among the steps."""

from collections import deque

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.virtio.test_packed_model import PackedMachine
from virtlab.virtio import packed_many, packed_shadow
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.features import Feature


def chains_of(batch):
    """What `pop` would have given: here an offset in memory is an address."""
    for number, head in enumerate(batch.heads.tolist()):
        pieces = slice(batch.starts[number], batch.starts[number + 1])
        fields = (batch.offset, batch.length, batch.write)
        buffers = zip(*(array[pieces].tolist() for array in fields), strict=True)
        yield Chain(head, tuple(Buffer(*one) for one in buffers), int(batch.slots[number]))


class ManyMachine(PackedMachine):
    """Batches of any length, down to one: the scalar calls are steps of their own."""

    sizes = (1, 3, 5, 8, 13, 16, 32)
    plural = 0

    def build(self, size, features, start):
        self.before = packed_many.FEW, packed_shadow.RELEARN
        packed_many.FEW, packed_shadow.RELEARN = 1, 2
        return super().build(size, features, start)

    def forget(self):
        super().forget()
        self.batch, self.taken = None, []

    @rule(places=st.lists(st.sampled_from([([8], []), ([], [9]), ([5, 6], [7])]), min_size=5))
    def many_more(self, places):
        """Get all that came back, and add as much again in one go."""
        while self.returned:
            self.get()
        for outs, ins in places:
            self.add(outs, ins)
        self.kick()

    @rule(data=st.data(), part=st.sampled_from([0, 5, 130]))
    def device_turn_many(self, data, part):
        """Take all there is and give it back, tell the driver, and wait."""
        self.pop_many(None)
        self.pop_many(None)
        while self.flying:
            self.push_many(data, part)
        self.notify()

    @rule(limit=st.one_of(st.none(), st.integers(0, 16)))
    def pop_many(self, limit):
        batch = self.device.pop_many(limit)
        count = len(self.waiting) if limit is None else min(limit, len(self.waiting))
        assert len(batch) == count
        for chain in chains_of(batch):
            job = self.waiting.popleft()
            expected = [(*piece, False) for piece in job.out]
            expected += [(*piece, True) for piece in job.in_]
            assert [tuple(buffer) for buffer in chain.buffers] == expected
            assert (chain.slots, chain.read(self.ram)) == (job.slots, job.data)
            job.chain = chain
            self.flying.append(job)
        if limit is None:
            self.device_sleeps = self.device_asks and not count
        elif count:
            self.device_sleeps = False
        self.batch, self.taken = batch, self.flying[len(self.flying) - count :]
        type(self).plural += count  # lists that came in batches

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), part=st.sampled_from([0, 5, 130]))
    def push_many(self, data, part):
        """Often what the last batch took, else some of those that fly, in any order."""
        whole = self.taken == self.flying and data.draw(st.booleans())
        jobs = list(self.flying)
        if not whole:
            if Feature.IN_ORDER not in self.features:
                jobs = data.draw(st.permutations(jobs))
            jobs = jobs[: data.draw(st.integers(1, len(jobs)))]
        for job in jobs:
            job.answer = bytes([job.token % 256]) * min(part, job.writable)
            job.chain.write(self.ram, job.answer)
            self.flying.remove(job)
        lengths = np.array([len(job.answer) for job in jobs])
        heads = self.batch if whole else np.array([job.chain.head for job in jobs])
        self.device.push_many(heads, lengths if part else 0)
        self.returned += deque(jobs)
        self.pushed += len(jobs)
        self.since += len(jobs)

    def teardown(self):
        try:
            super().teardown()
        finally:
            if hasattr(self, "before"):
                packed_many.FEW, packed_shadow.RELEARN = self.before


# ten times as many steps with VIRTLAB_SLOW=1
pytestmark = [pytest.mark.timeout(900), pytest.mark.volume]

TestManyMachine = ManyMachine.TestCase
TestManyMachine.settings = settings(stateful_step_count=150)


def test_the_machine_took_ten_thousand_steps():
    """It runs after the machine: pytest keeps the order of a file."""
    assert ManyMachine.steps >= 10_000 or ManyMachine.steps == 0
    assert ManyMachine.plural >= 1000 or ManyMachine.steps == 0
