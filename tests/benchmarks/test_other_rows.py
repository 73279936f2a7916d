"""The rows whose other side is Python too: both sides do the same, and a difference is seen."""

import numpy as np
import pytest

from benchmarks import compiler, driver_rows, fused_rows
from benchmarks.driver_rows import DriverDuel, PackedSides, SplitSides
from benchmarks.fused_rows import CHAINS, QUEUES, FusedDuel
from virtlab.virtio.features import Feature


@pytest.mark.parametrize("module", [fused_rows, driver_rows])
def test_more_is_better(module):
    rows = module.rows(compiler.FLAGS)
    assert rows
    assert module.NOTES
    assert all(row.least and row.against != "C" for row in rows)


@pytest.mark.parametrize("features", [frozenset(), {Feature.IN_ORDER}])
def test_fused_and_one_by_one(features):
    """Both sides take all that the drivers offer, in any turn."""
    duel = FusedDuel(frozenset(features))
    duel.check()
    for turn, side in enumerate((duel.python, duel.twin, duel.twin, duel.python)):
        before = [queue.used for queue in duel.queues]
        duel.prepare()
        assert side() > 0, turn
        assert [queue.used - count for queue, count in zip(duel.queues, before, strict=True)] == (
            [CHAINS] * QUEUES
        )


def test_a_queue_that_is_served_otherwise_is_seen(monkeypatch):
    duel = FusedDuel(frozenset())
    push = duel.fused.push_many
    monkeypatch.setattr(duel.fused, "push_many", lambda queue, heads: push(queue, heads, 1))
    with pytest.raises(AssertionError, match="the used rings differ"):
        duel.check()


@pytest.mark.parametrize("sides", [SplitSides, PackedSides])
def test_plural_and_singular_driver(sides):
    duel = DriverDuel(16, sides)
    duel.check()
    for side in (duel.python, duel.twin, duel.twin, duel.python):
        duel.prepare()
        duel.returned = [], []
        assert side() > 0
        assert duel.returned == (list(range(16)), [0] * 16)
    assert duel.sides.driver.free == 16


def test_a_driver_that_names_another_buffer_is_seen(monkeypatch):
    duel = DriverDuel(16, SplitSides)
    add = duel.sides.driver.add_bufs

    def other(gpas, lengths, tokens):
        return add(np.asarray(gpas) + 1, lengths, tokens)

    monkeypatch.setattr(duel.sides.driver, "add_bufs", other)
    with pytest.raises(AssertionError, match="the addresses differ"):
        duel.check()
