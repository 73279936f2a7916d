"""Feature bits: what a device offers, and a driver accepts, before anything else happens.

The idea: a feature is a number, the position of its bit. The set that both sides agreed on is a
`frozenset` of those numbers. It is fixed when a queue is enabled, and never changes after.

    features = frozenset({Feature.VERSION_1, Feature.RING_EVENT_IDX})
    Feature.RING_EVENT_IDX in features

Here are the bits of the queue and of the transport, each declared once. Bits 0 to 23 and from 50
on belong to the device types.

Source: virtio 1.3 2.2 (which bits are whose), 6 (what the reserved ones mean).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

Features = frozenset[int]
"""Bit positions that were negotiated; a `Feature` is one."""

BITS = 64
"""Bits in the features word that the transports carry."""


class Feature(IntEnum):
    """The bits of queue and transport: virtio 1.3 6, without `VIRTIO_F_`.

    The first two are `VIRTIO_RING_F_INDIRECT_DESC` and `VIRTIO_RING_F_EVENT_IDX` in the headers.
    """

    RING_INDIRECT_DESC = 28  # a descriptor may refer to a table of descriptors
    RING_EVENT_IDX = 29  # notification thresholds instead of flags
    VERSION_1 = 32  # the device is no legacy device
    ACCESS_PLATFORM = 33  # the device's addresses go through what the platform puts there
    RING_PACKED = 34  # the packed layout
    IN_ORDER = 35  # buffers are used in the order in which they became available
    ORDER_PLATFORM = 36  # the device needs the platform's barriers
    SR_IOV = 37  # the function may have virtual functions
    NOTIFICATION_DATA = 38  # a doorbell says how far the driver is
    NOTIF_CONFIG_DATA = 39  # a doorbell says what the device asked for
    RING_RESET = 40  # one queue can be reset alone


def from_bits(word: int) -> Features:
    """The set whose bits are set in `word`.

    >>> sorted(from_bits(1 << 29 | 1 << 3))
    [3, 29]
    """
    return frozenset(bit for bit in range(BITS) if word >> bit & 1)


def to_bits(features: Iterable[int]) -> int:
    """The word in which exactly `features` are set. `ValueError` for what is no bit of 64.

    >>> hex(to_bits({Feature.VERSION_1}))
    '0x100000000'
    """
    word = 0
    for bit in features:
        if not 0 <= bit < BITS:
            raise ValueError(f"a feature is a bit from 0 to {BITS - 1}, not {bit}")
        word |= 1 << bit
    return word


def names(features: Iterable[int]) -> list[str]:
    """What `features` are called, in the order of their bits; `bit 3` for a device type's own.

    >>> names({Feature.RING_EVENT_IDX, 3})
    ['bit 3', 'RING_EVENT_IDX']
    """
    known = {int(feature): feature.name for feature in Feature}
    return [known.get(bit, f"bit {bit}") for bit in sorted(features)]
