"""Whole devices beside C: both sides leave the same memory, and what does not is seen."""

import numpy as np
import pytest

from benchmarks import blk_rows, compiler, net_rows
from benchmarks.blk_rows import Requests, Scattered
from benchmarks.net_rows import Packets
from tests.needs import needs_compiler
from virtlab.virtio.blk_layouts import BlkType
from virtlab.virtio.blk_plan import Plan
from virtlab.virtio.net_places import Places


def turns(duel):
    """Any side may be called at any time."""
    for side in (duel.python, duel.twin, duel.twin, duel.python, duel.python):
        duel.prepare()
        assert side() > 0
    duel.check()


@needs_compiler
@pytest.mark.parametrize("board", ["mmio", "pci"])
@pytest.mark.parametrize("kind", [BlkType.IN, BlkType.OUT])
@pytest.mark.parametrize("ring", blk_rows.RINGS)
def test_blocks(ring, kind, board):
    turns(Requests(16, kind, frozenset(blk_rows.RINGS[ring]), compiler.FLAGS, board))


@needs_compiler
def test_blocks_in_buffers_here_and_there():
    turns(Scattered(16, BlkType.IN, frozenset(), compiler.FLAGS))


@needs_compiler
@pytest.mark.parametrize("switched", [False, True])
@pytest.mark.parametrize("ring", net_rows.RINGS)
def test_packets(ring, switched):
    turns(Packets(16, frozenset(net_rows.RINGS[ring]), switched, compiler.FLAGS))


@needs_compiler
@pytest.mark.parametrize("at", [0, 12, 75])
def test_a_packet_that_differs_is_seen(at, monkeypatch):
    duel = Packets(16, frozenset(), False, compiler.FLAGS)
    real = Places.write

    def wrong(self, where, data):
        real(self, where, data)
        if where:  # the frame, behind the header
            self._memory[self._begin + at] ^= 1

    monkeypatch.setattr(Places, "write", wrong)
    with pytest.raises(AssertionError, match="the memory differs"):
        duel.check()


@needs_compiler
def test_a_block_that_differs_is_seen(monkeypatch):
    duel = Requests(16, BlkType.IN, frozenset(), compiler.FLAGS)
    for _ in range(40):
        duel.prepare()
        duel.python()
    real = Plan.move
    monkeypatch.setattr(Plan, "move", lambda self, disk, index: real(self, disk, np.sort(index)))
    with pytest.raises(AssertionError, match="the payload differs"):
        duel.check()


@needs_compiler
@pytest.mark.parametrize("module", [blk_rows, net_rows])
def test_each_row_has_its_batch(module):
    rows = module.rows(compiler.FLAGS)
    assert module.NOTES
    assert all(row.against == "C" and not row.gate for row in rows)
    assert len({(row.name, row.batch) for row in rows}) == len(rows)
    if module is net_rows:
        assert {row.batch for row in rows} == {32, 256, 1024, 4096}
