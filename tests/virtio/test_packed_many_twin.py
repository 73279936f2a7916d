"""The C twin of the packed queue takes what the library takes, and every row compares the two."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import compiler, packed_rows
from benchmarks.packed_twin import PackedTwin
from tests.needs import needs_compiler
from tests.virtio.packed_random import Game, arrays, one_by_one
from virtlab.virtio.batch import Batch


@needs_compiler
@pytest.mark.parametrize("part", range(3))
def test_random_rings(part):
    """Hostile ones too: the twin ends a batch before the first list that breaks a rule."""
    for seed in range(part * 100, part * 100 + 100):
        game = Game(seed, bad=(0, 0.02, 0.1)[part])
        game.bad = game.mistakes
        game.fill()
        queue, ram = game.slow, game.slow.dma
        queue.listening = True
        twin = PackedTwin(ram, game.rings, game.features, pieces=4096)
        twin.follow(queue)
        found = arrays(twin.pop(64))
        event = ram.load(game.rings.device, 4)
        ram.store(game.rings.device, 4, 0)
        chains, _ = one_by_one(queue, 64)
        assert found == arrays(Batch.of(chains, ram)), seed
        assert ram.load(game.rings.device, 4) == event
        if not chains:
            continue
        twin.push(len(chains))
        theirs = ram.bytes.copy()
        game.push_singly(queue, chains, [0] * len(chains))
        assert np.array_equal(ram.bytes, theirs), seed


@needs_compiler
@pytest.mark.parametrize("size", [16, 256])
@pytest.mark.parametrize("duel", [duel for _, duel, _ in packed_rows.GOALS])
def test_every_row_is_checked(duel, size):
    duel(size, compiler.FLAGS).check()


@needs_compiler
def test_a_check_can_fail():
    """A library that gave another offset would be found."""
    duel = packed_rows.PackedDuel(16, compiler.FLAGS)
    pop = duel.queue.pop_many

    def wrong():
        batch = pop()
        duel.queue._batch = moved = replace(batch, offset=batch.offset + 1)
        return moved

    duel.queue.pop_many = wrong
    with pytest.raises(AssertionError, match="offset differs"):
        duel.check()


def test_each_goal_has_a_row_and_the_gates_are_those_that_must_be_met():
    rows = [row for row in packed_rows.rows(()) if row.against == "C"]
    gates = {(row.name, row.batch): row.goal for row in rows if row.gate}
    assert gates == {
        ("packed, fresh", 1024): 1.4,
        ("packed, fresh", 4096): 0.75,
        ("packed, in order", 1024): 0.4,
        ("packed, in order", 4096): 0.18,
    }
