"""Few requests are taken one by one, many in batches; nobody can tell which it was."""

from __future__ import annotations

import random

import pytest

from tests.virtio.rig import DATA, Rig
from tests.virtio.test_blk_many import IN, OUT, SECTOR, Asked, Guest, image
from virtlab.backends.disk import Disk
from virtlab.memory import GuestMemory
from virtlab.virtio import blk
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_few import few
from virtlab.virtio.blk_layouts import REQUEST
from virtlab.virtio.blk_many import FEW
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import packer
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.split import SplitQueue

WAYS = [("split", True), ("split", False), ("packed", True), ("packed", False)]
"""The layout, and whether a request is a table of descriptors."""


@pytest.fixture
def batches(monkeypatch):
    """The size of each batch that was taken, but for empty ones."""
    sizes = []
    for kind in (SplitQueue, PackedQueue):

        def noting(self, limit=None, real=kind.pop_many):
            batch = real(self, limit)
            sizes.extend([len(batch)] if len(batch) else [])
            return batch

        monkeypatch.setattr(kind, "pop_many", noting)
    return sizes


def asked(count, seed=0):
    """Reads and writes of one sector each, some of them of the same."""
    rng = random.Random(seed)
    kinds = [rng.choice((IN, OUT)) for _ in range(count)]
    return [Asked(kind, rng.randrange(8), (SECTOR,), kind == OUT) for kind in kinds]


def guest(layout, tables, flat=True):
    without = set() if tables else {Feature.RING_INDIRECT_DESC}
    return Guest(Disk.of(image()), layout=layout, flat=flat, without=without)


@pytest.mark.parametrize(("layout", "tables"), WAYS)
@pytest.mark.parametrize("count", range(1, FEW + 3))
def test_the_border_cannot_be_seen(layout, tables, count):
    for seed in range(5):
        requests = asked(count, seed)
        both = [guest(layout, tables, flat).run(requests, seed) for flat in (True, False)]
        assert both[0] == both[1]
        assert len(both[0][0]) == count


@pytest.mark.parametrize(("layout", "tables"), WAYS)
def test_many_are_a_batch_and_few_are_not(layout, tables, batches):
    """With three descriptors each, as many as are just enough to be many."""
    machine = guest(layout, tables)
    for count in range(1, FEW):
        machine.run(asked(count))
    assert batches == []
    machine.run(asked(FEW + 1))
    assert batches == [FEW + 1]


@pytest.mark.parametrize(("layout", "tables"), WAYS)
def test_who_gets_many_asks_again_behind_a_small_batch(layout, tables, batches, monkeypatch):
    questions = []
    monkeypatch.setattr(blk, "few", lambda queue: questions.append(queue) or few(queue))
    machine, asked_for = guest(layout, tables), []
    for count in (8, 9, 2, 3, 8, 8, FEW - 1, 3, 8, FEW, 2):
        before = len(questions)
        machine.run(asked(count))
        asked_for.append(len(questions) > before)
    # Behind 8 and 9 it does not ask, and so 2 are a batch.
    assert batches == [8, 9, 2, 8, 8, FEW - 1, 8, FEW, 2]
    assert asked_for[:2] == [True, False]
    assert asked_for[3:6] == [True, True, False]


@pytest.mark.parametrize(("layout", "tables"), WAYS)
def test_few_are_served_lap_after_lap(layout, tables, batches):
    """What stands ahead in the ring is from the lap before, and does not count."""
    machine = guest(layout, tables)
    for lap in range(60):
        assert len(machine.run(asked(FEW - 1, lap), lap)[0]) == FEW - 1
    assert batches == []


@pytest.mark.parametrize(("layout", "size"), [("split", 4), ("packed", 4), ("packed", 3)])
def test_in_a_small_ring_there_are_always_few(layout, size, batches):
    rig = Rig(VirtioBlk(Disk.of(image()), "a name", queue_size=4))
    queue = rig.start(layout, size=size, without={Feature.RING_INDIRECT_DESC})
    place = DATA
    for lap in range(10):
        head = packer(REQUEST).pack(IN, 0, lap)
        rig.ram.write(place, head)
        queue.add_buf([(place, 16)], [(place + 0x400, SECTOR), (place + 0x300, 1)], lap)
        queue.kick()
        assert queue.get_buf().written == SECTOR + 1
        assert rig.ram.read(place + 0x400, SECTOR) == image()[lap * SECTOR : (lap + 1) * SECTOR]
    assert batches == []


@pytest.mark.parametrize("kind", [SplitQueue, PackedQueue])
def test_in_a_queue_that_is_not_ready_there_is_nothing(kind, batches):
    device = VirtioBlk(Disk.of(image()), "a name")
    device.handle(0, kind(GuestMemory(4096)))
    assert batches == []


def test_no_more_are_served_in_one_turn_than_the_queue_has_entries(monkeypatch):
    """A driver that adds as fast as the device takes is not served for ever."""
    served, turns = [], []
    machine, (again,) = guest("split", True), asked(1)
    serve, handle = VirtioBlk.serve, VirtioBlk.handle

    def serving(self, chain, queue):
        served.append(chain)
        if len(served) < 600:
            place = DATA + len(served) % 8 * 0x6000
            machine._place(place, None, again, machine.rig.ram, random.Random(0))
            machine.queue.kick()
            while machine.queue.get_buf():
                pass
        return serve(self, chain, queue)

    def handling(self, index, queue):
        before = len(served)
        handle(self, index, queue)
        turns.append(len(served) - before)

    monkeypatch.setattr(VirtioBlk, "serve", serving)
    monkeypatch.setattr(VirtioBlk, "handle", handling)
    machine.run([again])
    assert max(turns) == machine.queue.rings.size
