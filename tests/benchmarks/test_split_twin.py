"""The C twin gives the same arrays as the library, and refuses what that refuses."""

from random import Random

import numpy as np
import pytest

from benchmarks import compiler, disk_rows, split_rows
from benchmarks.split_twin import SplitTwin
from tests.needs import needs_compiler
from tests.virtio.split_pair import FIELDS, random_pair, random_round
from virtlab.virtio.batch import Batch


@needs_compiler
@pytest.mark.parametrize("part", range(4))
def test_random_rings(part):
    for seed in range(100 * part, 100 * part + 100):
        random = Random(seed)
        pair = random_pair(random)
        random_round(pair, random, random.choice((0, 0.02, 0.1)))
        side = pair.scalar
        twin = SplitTwin(side.ram, pair.rings, pair.features, pieces=4096)
        queue = side.queue
        twin.at(queue.last_avail, queue.used)
        waiting = (side.ram.load(pair.rings.avail_field("idx"), 2) - queue.last_avail) & 0xFFFF
        if waiting > pair.size:
            assert twin.library.pop_batch(twin._by_reference, 64) == -1
            continue
        found = twin.pop(64)
        chains, _ = pair.pop_scalar()
        expected = Batch.of(chains, side.ram)
        for name in FIELDS:
            assert np.array_equal(getattr(found, name), getattr(expected, name)), (seed, name)


@needs_compiler
@pytest.mark.parametrize("duel", [*split_rows.GOALS, *split_rows.OPEN])
@pytest.mark.parametrize("size", [16, 256])
def test_every_row_is_checked(duel, size):
    duel(size, compiler.FLAGS).check()


@needs_compiler
@pytest.mark.parametrize("duel", [disk_rows.BlockReads, disk_rows.ScatteredReads])
def test_payload(duel):
    duel(16, compiler.FLAGS).check()


@needs_compiler
def test_a_check_can_fail():
    """A library that gave another offset would be found."""
    duel = split_rows.SplitDuel(16, compiler.FLAGS)
    pop = duel.queue.pop_many

    def wrong():
        batch = pop()
        batch.offset[3] += 1
        return batch

    duel.queue.pop_many = wrong
    with pytest.raises(AssertionError, match="offset differs"):
        duel.check()
