"""The IOMMU beside C: both sides find the same pages and reasons, and what does not is seen."""

import numpy as np
import pytest

from benchmarks import compiler, iommu_rows
from benchmarks.iommu_rows import (
    KINDS,
    AgainstScalar,
    Faults,
    Hits,
    Nanoseconds,
    Walking,
    few,
    near,
    spread,
)
from benchmarks.iommu_twin import IommuTwin
from tests.iommu.test_walk_many import ALL_REASONS, World
from tests.needs import needs_compiler
from virtlab.iommu.walk_many import BatchWalk


def turns(duel):
    """Any side may be called at any time."""
    for side in (duel.python, duel.twin, duel.twin, duel.python):
        duel.prepare()
        assert side() > 0
    duel.check()


@needs_compiler
@pytest.mark.parametrize(("kind", "place"), [(kind[1], kind[2]) for kind in KINDS])
def test_both_sides_agree(kind, place):
    turns(kind(64, place, compiler.FLAGS))


@needs_compiler
@pytest.mark.parametrize("kind", [AgainstScalar, Nanoseconds])
def test_other_sides(kind):
    turns(kind(32, few, compiler.FLAGS))


@needs_compiler
def test_each_row_is_what_it_says():
    """Near and spread are certain at once; large pages and faults are not; hits are hits."""
    for place, level in ((near, 2), (spread, 4)):
        duel = Walking(256, place, compiler.FLAGS)
        top = duel.walks._shared(duel.tables.start, duel.iovas, True)
        assert top.level == level
        assert duel.walks.certain(top, duel.iovas, True) is not None
    duel = Faults(256, near, compiler.FLAGS)
    duel.check()
    assert 0 < np.count_nonzero(duel.found[1]) < 20
    duel = Hits(64, few, compiler.FLAGS)
    misses = duel.dma.iotlb.misses
    duel.check()
    assert duel.dma.iotlb.misses == misses


@needs_compiler
def test_the_twin_gives_each_reason_as_the_library_does():
    """The same random tables as the walks are tested with: hostile ones too."""
    met = set()
    for seed in range(64):
        world = World(seed, (0, 0.01, 0.05, 0.3)[seed % 4])
        if not (world.start.read and world.start.write and world.start.top):
            continue  # a start that C does not know
        iovas = world.iovas(64)
        twin = IommuTwin(world.memory, world.start, world.unit, 64)
        twin.iovas[:] = iovas
        for write in (False, True):
            assert twin.walk(write) > 0
            found = BatchWalk(world.memory, world.unit).descend(world.start, iovas, write)
            assert np.array_equal(found.gpas, twin.gpas)
            assert np.array_equal(found.reasons, twin.reasons)
            met |= set(found.reasons.tolist())
    assert met == ALL_REASONS


@needs_compiler
def test_a_walk_that_differs_is_seen(monkeypatch):
    duel = Walking(64, near, compiler.FLAGS)
    real = BatchWalk.descend

    def wrong(self, *words):
        found = real(self, *words)
        found.gpas[5] ^= 4096
        return found

    monkeypatch.setattr(BatchWalk, "descend", wrong)
    with pytest.raises(AssertionError, match="the addresses differ"):
        duel.check()


@needs_compiler
def test_a_page_that_the_twin_does_not_know_is_seen():
    duel = Hits(64, few, compiler.FLAGS)
    duel.twin_side.iovas[3] = 0x5000
    with pytest.raises(AssertionError, match="does not know"):
        duel.twin()


@needs_compiler
def test_goals_and_gates():
    rows = iommu_rows.rows(compiler.FLAGS)
    assert iommu_rows.NOTES
    assert len({(row.name, row.batch, row.against) for row in rows}) == len(rows)
    gates = {(row.name, row.batch, row.goal) for row in rows if row.gate}
    assert gates == {("iommu, walk, near", 4096, 1.5), ("iommu, walk, spread", 4096, 1.5)}
    assert all("iommu" in row.name for row in rows)
