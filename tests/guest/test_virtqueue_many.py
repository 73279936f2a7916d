"""The plural calls of both drivers: what the singular calls do, again and again, and no more."""

import os
from itertools import product
from random import Random

import pytest

from tests.guest.twin_drivers import Twins
from virtlab.guest import virtqueue_driver, virtqueue_packed_many
from virtlab.virtio.features import Feature

OPTIONAL = (Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX, Feature.IN_ORDER)
COMBINATIONS = [
    frozenset(f for f, on in zip(OPTIONAL, bits, strict=True) if on)
    for bits in product((0, 1), repeat=3)
]
# with some of the features, neither none nor all, it is the same lines again
ALL = [
    pytest.param(features, marks=[pytest.mark.volume] if 0 < len(features) < 3 else [])
    for features in COMBINATIONS
]
RUNS = 250 if os.environ.get("VIRTLAB_SLOW") == "1" else 15


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("features", ALL, ids=lambda some: "+".join(f.name for f in some))
@pytest.mark.parametrize("lies", [False, True], ids=["honest", "lying"])
def test_plural_calls_are_singular_calls_repeated(layout, features, lies, monkeypatch):
    """Bytes, tokens, written, events and refusals, over random work and any size."""
    for seed in range(RUNS):
        random = Random(f"{layout} {sorted(features)} {lies} {seed}")
        size = random.randint(1, 40) if layout == "packed" else 1 << random.randrange(6)
        monkeypatch.setattr(virtqueue_driver, "FEW", random.choice([0, 4]))
        # A small ring in small stretches is what a large one is in large ones.
        monkeypatch.setattr(virtqueue_packed_many, "STRETCH", random.choice([2, 8, 64]))
        start = random.choice([0, 2 * size * (65536 // (2 * size)) - 2 * size])
        Twins(layout, size, features, random, start).run(40, lies)
