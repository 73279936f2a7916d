"""The model of a split queue, with plural calls among its steps: mixed with `pop` and `push`."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.virtio.test_split_model import SplitMachine
from virtlab.virtio import split_many
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.features import Feature


class SplitManyMachine(SplitMachine):
    @rule(few=st.sampled_from([1, 5]), limit=st.sampled_from([None, 1, 2, 6, 16]))
    def pop_many(self, few, limit):
        split_many.FEW = few
        batch = self.device.pop_many(limit)
        expected = len(self.waiting) if limit is None else min(limit, len(self.waiting))
        assert len(batch) == expected
        for k in range(len(batch)):
            self.take(batch, k)
        self.device_sleeps = self.device_asks and not len(batch)

    def take(self, batch, k):
        job = self.waiting.popleft()
        expected = [(*piece, False) for piece in job.out] + [(*piece, True) for piece in job.in_]
        one = slice(batch.starts[k], batch.starts[k + 1])
        pieces = zip(
            batch.offset[one].tolist(), batch.length[one].tolist(), batch.write[one], strict=True
        )
        assert list(pieces) == expected  # memory is one region from 0: an offset is an address
        assert batch.slots[k] == job.slots
        buffers = tuple(Buffer(*piece) for piece in expected)
        job.chain = Chain(int(batch.heads[k]), buffers, job.slots)
        assert job.chain.read(self.ram) == job.data
        self.flying.append(job)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def push_many(self, data):
        """Some, or in order the first few, each written completely or not."""
        count = data.draw(st.integers(1, len(self.flying)))
        done = self.flying[:count]
        if Feature.IN_ORDER not in self.features:
            done = data.draw(st.permutations(self.flying))[:count]
        part = data.draw(st.sampled_from([0, 1, 30, 200]))
        for job in done:
            job.answer = bytes([job.token % 256]) * min(part, job.writable)
            job.chain.write(self.ram, job.answer)
            self.flying.remove(job)
        heads = [job.chain.head for job in done]
        self.device.push_many(heads, [len(job.answer) for job in done])
        self.returned += done
        self.pushed += count
        self.since += count

    @precondition(lambda self: not self.flying)
    @rule()
    def batch_turn(self):
        """Take all by one call and give all back by another."""
        batch = self.device.pop_many()
        for k in range(len(batch)):
            self.take(batch, k)
        self.device_sleeps = self.device_asks and not len(batch)
        for job in self.flying:
            job.answer = bytes([job.token % 256]) * job.writable
            job.chain.write(self.ram, job.answer)
        self.device.push_many(batch, batch.writable())
        self.returned += self.flying
        self.pushed += len(batch)
        self.since += len(batch)
        self.flying = []


TestSplitManyMachine = pytest.mark.volume(pytest.mark.timeout(900)(SplitManyMachine.TestCase))
TestSplitManyMachine.settings = settings(stateful_step_count=100)
