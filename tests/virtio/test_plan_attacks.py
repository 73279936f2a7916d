"""Batches that come again, and a guest who knows that: nothing of before is used where it is wrong.

A block device is served twice, by plans and chain by chain. What a guest can see is the same.
"""

import random
from itertools import count, cycle

import pytest

from tests.virtio.served_twice import SLOT, SLOTS, STATUS_AT, N, Session, Twice, Ways, World
from virtlab.virtio.blk_plan import Plan

WAYS = [
    Ways(packed, tables, in_order, events)
    for packed in (False, True)
    for tables in (False, True)
    for in_order in (False, True)
    for events in (False, True)
]


def mutated_laps(transport, seed, laps):
    """So many laps, in sessions of all ways."""
    rng, twice, done = random.Random(seed), Twice(transport), 0
    for ways in cycle(WAYS):
        if done >= laps:
            return
        ways = ways._replace(flush=rng.random() < 0.5)
        twice.begin(ways)
        session = Session(ways, rng, rng.choice([0.1, 0.3]))
        for _ in range(rng.choice([40, 60])):
            if rng.random() < 0.02:
                twice.each(lambda world: setattr(world.disk, "read_only", not world.disk.read_only))
            if rng.random() < 0.02 and not twice.worlds[0].rig.remapped:
                twice.each(lambda world: setattr(world.ram, "generation", world.ram.generation + 1))
            done += 1
            if twice.serve(session.lap()):
                break
        assert twice.whole


@pytest.fixture
def plans(monkeypatch):
    """One item for each batch that was served by a plan."""
    served = []
    real = Plan.say
    monkeypatch.setattr(Plan, "say", lambda self, status: (served.append(1), real(self, status)))
    return served


@pytest.mark.volume
@pytest.mark.parametrize("transport", ["mmio", "pci"])
def test_mutated_laps(transport, plans):
    mutated_laps(transport, 1, 1000)
    assert len(plans) > 50


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 6))
@pytest.mark.parametrize("transport", ["mmio", "pci", "mmio, remapped"])
def test_very_many_mutated_laps(transport, seed, plans):
    mutated_laps(transport, seed, 2500)
    assert len(plans) > 100 or "remapped" in transport  # which is no array


# -- the way to memory, closed or watched in the middle of a batch


def interrupted(packed, at, change):
    """A device behind PCI. In the tenth lap `change(world)` is called at barrier number `at`."""
    world, ways = World("pci", True), Ways(packed, tables=False, in_order=False, events=False)
    world.begin(ways)
    session, points = Session(ways, random.Random(3), 0.0), count()
    session.size = 1024
    for lap in range(10):
        if lap == 9:
            queue = world.core.queues[0].queue
            queue.barrier = lambda point: change(world) if next(points) == at else None
        for gpa, data in session.lap():
            world.ram.write(gpa, data)
        world.core.notify(0)
    assert next(points) > at
    return world


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("packed", [False, True])
def test_a_watcher_in_the_middle_of_a_batch(packed, at):
    """Who begins to watch changes nothing for the guest."""
    world = interrupted(packed, at, lambda world: setattr(world.rig.trace, "on", True))
    assert not world.rig.broken
    assert world.core.queues[0].queue.in_flight == 0
    said = {world.ram.load(SLOTS + n * SLOT + STATUS_AT, 1) for n in range(N)}
    assert said == {0}


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("packed", [False, True])
def test_bus_mastering_off_in_the_middle_of_a_batch(packed, at):
    """The guest has broken its device, and nothing raises out of the bus (PCI 3.0 6.2.2)."""
    world = interrupted(packed, at, lambda world: world.rig.card.config.write(4, 2, 0))
    assert world.rig.broken
    assert all("Bus Master Enable is 0" in refusal for refusal in world.refusals)
