"""What the two twins share: the arrays of a batch that C fills, and how they become a `Batch`.

The C files declare the same six pointers, in this order, in their `Queue`.
"""

from __future__ import annotations

import ctypes

import numpy as np

from virtlab.virtio.batch import Batch
from virtlab.virtio.features import Feature, Features

POINTER, NUMBER = ctypes.c_void_p, ctypes.c_uint64
ARRAYS = ("heads", "slots", "starts", "offset", "length", "write")
"""The arrays of a batch, as both C files have them."""

_BITS = (Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX, Feature.IN_ORDER)


def arrays(size: int, pieces: int) -> dict[str, np.ndarray]:
    """Room for a batch of a queue of `size`, with `pieces` pieces."""
    return {
        "heads": np.zeros(size, np.int64),
        "slots": np.zeros(size, np.int64),
        "starts": np.zeros(size + 1, np.int64),
        "offset": np.zeros(pieces, np.int64),
        "length": np.zeros(pieces, np.int64),
        "write": np.zeros(pieces, np.bool_),
    }


def batch_of(filled: dict[str, np.ndarray], n: int) -> Batch:
    """The batch of `n` chains that `filled` holds: copies."""
    m = int(filled["starts"][n])
    ends = (n, n, n + 1, m, m, m)
    return Batch(*(filled[name][:end].copy() for name, end in zip(ARRAYS, ends, strict=True)))


def feature_bits(features: Features) -> int:
    """HAS_INDIRECT, HAS_EVENTS and HAS_ORDER of the C files."""
    return sum(1 << i for i, bit in enumerate(_BITS) if bit in features)


def same(one: Batch, other: Batch) -> None:
    """`AssertionError` unless all arrays of two batches are equal."""
    for name in ARRAYS:
        mine, theirs = getattr(one, name), getattr(other, name)
        assert np.array_equal(mine, theirs), f"{name} differs"
