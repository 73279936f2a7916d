"""A driver for a virtio entropy device: random bytes, over any transport and any ring.

    rng = RngDriver(cpu, transport, Room(gpa, 1 << 20))
    rng.start()
    rng.read(32)

The idea: the smallest driver there is, and so the best one to read first. Find out that the device
is one, agree on the ring, hand over buffers, and look at what comes back.

The rule that keeps it simple: the device may give less than was asked for. So the driver believes
the length that came with each buffer, and asks again for the rest.

Source: virtio 1.3 5.4.5, 5.4.6. Left out: interrupts; the driver looks again and again.
"""

from __future__ import annotations

import numpy as np

from virtlab.cpu import Cpu
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import RING_FEATURES, VirtioDriver
from virtlab.guest.virtio_transport import Transport, VirtioFailed, poll
from virtlab.virtio.features import Features
from virtlab.virtio.rng import REQUESTQ
from virtlab.virtio.status import DeviceId

SLOTS, CHUNK = 16, 256
"""Buffers that are in flight at once, and bytes of each, if nobody says otherwise."""


class RngDriver:
    """The entropy device behind `transport`; its ring and buffers lie in `room`.

    `understood` are the features to accept if offered; `size` is the queue's, the largest if None.
    At most `slots` buffers of `chunk` bytes are in flight. What the device does not do is
    `VirtioFailed`.
    """

    def __init__(
        self,
        cpu: Cpu,
        transport: Transport,
        room: Room,
        *,
        understood: Features = RING_FEATURES,
        size: int | None = None,
        slots: int = SLOTS,
        chunk: int = CHUNK,
    ) -> None:
        if slots <= 0 or chunk <= 0:
            raise ValueError(f"one buffer of one byte, or more, not {slots} of {chunk}")
        self.cpu = cpu
        self.virtio = VirtioDriver(cpu, transport, room)
        self.understood = understood
        self.size, self.slots, self.chunk = size, slots, chunk
        self._data = 0

    def start(self) -> None:
        """The eight steps. `VirtioFailed` if it is no entropy device, or does not want to be ours.

        There is no feature of its own, and no configuration (5.4.3, 5.4.4).
        """
        self.virtio.begin()
        if self.virtio.transport.device_id != DeviceId.ENTROPY:
            self.virtio.fail(f"no entropy device, but type {self.virtio.transport.device_id}")
        self.virtio.negotiate(self.understood)
        queue = self.virtio.add_queue(REQUESTQ, self.size)
        queue.disable_cb()
        self._data = self.virtio.room.take(min(self.slots, queue.size) * self.chunk)
        self.virtio.ready()

    def read(self, length: int) -> bytes:
        """`length` random bytes. `VirtioFailed` if the device gives none, or does not answer."""
        if REQUESTQ not in self.virtio.queues:
            raise ValueError("the driver has not been started")
        if length < 0:
            raise ValueError(f"0 bytes or more, not {length}")
        found: list[bytes] = []
        left = length
        while left > 0:
            pieces = self._ask(left)
            found += pieces
            left -= sum(map(len, pieces))
        return b"".join(found)

    def _ask(self, length: int) -> list[bytes]:
        """Up to `length` bytes, in as many buffers as there are, in the order of the buffers."""
        queue = self.virtio.queues[REQUESTQ]
        count = min(self.slots, queue.size, -(-length // self.chunk))
        places = np.arange(count) * self.chunk
        queue.add_bufs(self._data + places, np.minimum(self.chunk, length - places), write=True)
        queue.kick()
        written: dict[int, int] = {}

        def answered() -> bool:
            tokens, lengths = queue.get_bufs()
            written.update(zip(tokens, lengths.tolist(), strict=True))
            return len(written) == count

        if not poll(self.cpu, answered):
            raise VirtioFailed("the entropy device does not answer")
        # The device MUST place one or more random bytes into the buffer.
        if not all(written.values()):
            raise VirtioFailed("the entropy device gave a buffer back empty (5.4.6.2)")
        return [self._piece(slot, written[slot]) for slot in range(count)]

    def _piece(self, slot: int, length: int) -> bytes:
        return self.cpu.read(self._data + slot * self.chunk, length)
