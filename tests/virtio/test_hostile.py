"""Every device, behind every transport, over every memory, against a guest that does anything.

Nothing raises or hangs, nothing that is kept or allocated grows, and no byte outside the guest's
memory changes. 20,000 steps in all; 200,000 in the long suite.
"""

import tracemalloc

import pytest

from tests.virtio.hostile import BlkAttack, RngAttack
from tests.virtio.hostile_console import ConsoleAttack
from tests.virtio.hostile_net import NetAttack
from tests.virtio.rig import RAM, WORLDS

ATTACKS = {"rng": RngAttack, "blk": BlkAttack, "net": NetAttack, "console": ConsoleAttack}
STEPS = 20_000 // (len(ATTACKS) * len(WORLDS)) + 1
LONG = 10 * STEPS


@pytest.mark.volume
@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@pytest.mark.parametrize("device", ATTACKS)
def test_a_walk_of_a_hostile_guest(device, transport, layout):
    ATTACKS[device](transport, layout, 1).walk(STEPS)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@pytest.mark.parametrize("device", ATTACKS)
def test_a_long_walk_of_a_hostile_guest(device, transport, layout):
    ATTACKS[device](transport, layout, 2).walk(LONG)


@pytest.mark.parametrize(("transport", "layout"), [("mmio", "split"), ("pci, remapped", "packed")])
@pytest.mark.parametrize("device", ATTACKS)
def test_no_allocation_by_the_guest_s_numbers(device, transport, layout):
    """Pieces of 16 MiB are named all the time. What lies in memory may be copied once or twice."""
    attack = ATTACKS[device](transport, layout, 3)
    tracemalloc.start()
    try:
        attack.walk(150)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < RAM // 2
