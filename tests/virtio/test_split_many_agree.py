"""Call by call or by the batch: the same chains, the same refusals, the same memory.

10,000 random rings; 100,000 with ``VIRTLAB_SLOW=1``.
"""

import os

import pytest

from tests.virtio.split_pair import agree
from virtlab.virtio import split_many

RINGS = 1250
PARTS = 80 if os.environ.get("VIRTLAB_SLOW") == "1" else 8


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "part", [pytest.param(n, marks=pytest.mark.volume if n >= 2 else ()) for n in range(PARTS)]
)
def test_scalar_and_vector_agree(monkeypatch, part):
    for seed in range(part * RINGS, (part + 1) * RINGS):
        # Every other ring by arrays even where a few scalar calls would be quicker.
        monkeypatch.setattr(split_many, "FEW", 1 + 4 * (seed % 2))
        try:
            agree(seed)
        except Exception as error:
            raise AssertionError(f"ring {seed}: {error}") from error
