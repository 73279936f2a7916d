"""The entropy device: one queue, and every buffer in it comes back full of random bytes.

    driver                      device
    [ write 64 ]  ---------->   64 bytes of the source
    used, length 64  <-------

The idea: the smallest device there is. No configuration, no feature, one rule in each direction.

The rule that keeps it simple: the source is given, and it is a stream. A test gives it a seed and
knows every byte; a machine of ours that shall be replayed does the same. A stream does not care
where it is cut, so a batch of chains may be filled by one call.

Source: virtio 1.3 5.4. A buffer longer than `MOST` comes back partly filled, as 5.4.6.2 allows.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import ClassVar

import numpy as np

from virtlab.errors import GuestError
from virtlab.memory import Flat, is_flat
from virtlab.virtio.batch import Batch
from virtlab.virtio.chain import Chain
from virtlab.virtio.device import Queue, RequestDevice
from virtlab.virtio.status import DeviceId
from virtlab.virtio.streams import batches, check_all, scatter, shortened, slabs, split_off

MOST = 1 << 16
"""Bytes that one request gets: a guest's number decides nothing here."""

REQUESTQ = 0
"""Its only queue."""

WORD = 4
"""Bytes that the seeded generator makes at a time."""

READABLE = ("a readable buffer in the entropy queue", "virtio 1.3 5.4.6.1")
"""What a driver must not place into the queue, and where it says so."""

Source = Callable[[int], bytes]
"""Gives as many random bytes as it is asked for, one or more, the next ones of a stream."""


class _Seeded:
    """The stream of a seeded generator, cut anywhere: what is left of a word comes next."""

    def __init__(self, seed: int) -> None:
        self._more = Random(seed).randbytes
        self._left = b""

    def __call__(self, length: int) -> bytes:
        missing = length - len(self._left)
        data = self._left + self._more(max(0, -(-missing // WORD)) * WORD)
        self._left = data[length:]
        return data[:length]


def seeded(seed: int) -> Source:
    """A source that gives the same bytes to whoever knows the seed: for tests and replays.

    >>> one, other = seeded(1), seeded(1)
    >>> one(3) + one(5) == other(8)
    True
    """
    return _Seeded(seed)


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
            raise GuestError(*READABLE)
        return chain.write(queue.dma, self.source(min(chain.writable, MOST)))

    def handle(self, index: int, queue: Queue) -> None:
        """Fill what waits: the same as `serve` for each chain, in batches."""
        dma = queue.dma
        if not is_flat(dma):
            super().handle(index, queue)
            return
        for batch in batches(queue):
            good, refused = split_off(batch, batch.readable())
            if len(good):
                self._fill(good, dma)
                queue.push_many(good, np.minimum(good.writable(), MOST))
            check_all(refused, *READABLE)

    def _fill(self, batch: Batch, dma: Flat) -> None:
        """Random bytes into each chain, up to `MOST`."""
        length = shortened(batch, MOST)
        for begin, end in slabs(length):
            sizes = length[begin:end]
            scatter(dma.bytes, batch.offset[begin:end], sizes, self.source(int(sizes.sum())))
