"""The entropy device: one queue, and every buffer in it comes back full of random bytes.

    driver                      device
    [ write 64 ]  ---------->   64 bytes of the source
    used, length 64  <-------

The idea: the smallest device there is. No configuration, no feature, one rule in each direction.

The rule that keeps it simple: the source is given. A test gives it a seed and knows every byte; a
machine of ours that shall be replayed does the same.

Source: virtio 1.3 5.4. A buffer longer than `MOST` comes back partly filled, as 5.4.6.2 allows.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import ClassVar

from virtlab.errors import GuestError
from virtlab.virtio.chain import Chain
from virtlab.virtio.device import Queue, RequestDevice
from virtlab.virtio.status import DeviceId

MOST = 1 << 16
"""Bytes that one request gets: a guest's number decides nothing here."""

REQUESTQ = 0
"""Its only queue."""

Source = Callable[[int], bytes]
"""Gives as many random bytes as it is asked for, one or more."""


def seeded(seed: int) -> Source:
    """A source that gives the same bytes to whoever knows the seed: for tests and replays.

    >>> seeded(1)(4) == seeded(1)(4)
    True
    """
    return Random(seed).randbytes


class VirtioRng(RequestDevice):
    """An entropy device whose bytes come from `source`."""

    device_id: ClassVar[int] = DeviceId.ENTROPY

    def __init__(self, source: Source, queue_size: int = 64) -> None:
        super().__init__([queue_size])
        self.source = source

    def serve(self, chain: Chain, queue: Queue) -> int:
        """Fill the chain. `GuestError` for one that has something to read."""
        # The driver MUST NOT place device-readable buffers into the queue.
        if chain.readable:
            raise GuestError("a readable buffer in the entropy queue", "virtio 1.3 5.4.6.1")
        return chain.write(queue.dma, self.source(min(chain.writable, MOST)))
