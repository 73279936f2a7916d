"""A virtio device behind a socket: the back-end of one front-end's connection.

    back_end = BackEnd(VirtioBlk(disk), sock)
    back_end.receive()              a message has come
    back_end.kicked(0)              the driver rang for ring 0
    back_end.close()

The idea: to the device this is a transport like any other. It calls `handle` when there is
something in a queue, and takes `GuestError` where a driver broke a rule. What is not here, since
the front-end has it, are registers and interrupts: descriptors that count events stand for both.

The rule that keeps it simple: one ring at a time. A doorbell that rings while a ring is handled
waits its turn, and a turn is a bounded amount of work. `pending` says that there is more to do.

Who waits has two ways. `kicked` is for who sleeps until the doorbell; `look` is for who does not
sleep, and then `hush` asks the drivers not to ring, and `listen` to ring again.

Source: vhost-user.rst, "Ring states"; virtio 1.3 2.7.10, 2.8.10.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from virtlab.errors import GuestError
from virtlab.virtio.device import VirtioDevice, waiting
from virtlab.virtio.status import DeviceId
from virtlab.virtio.vhost_user.layouts import ProtocolFeature
from virtlab.virtio.vhost_user.rings import Rings
from virtlab.virtio.vhost_user.session import PROTOCOL, RING_FEATURES
from virtlab.virtio.vhost_user.statistics import Watch
from virtlab.virtio.vhost_user.vring import Vring

ROUNDS = 2
"""How often each ring is handled, at most, in one turn."""


class BackEnd(Rings):
    """`device` for the front-end on `sock`. `watch` is told of every event of a ring.

    The other arguments are those of `Session`. The device is reset, and belongs to the back-end
    until that is closed.
    """

    def __init__(
        self,
        device: VirtioDevice,
        sock: socket.socket,
        ring: Iterable[int] = RING_FEATURES,
        protocol: Iterable[ProtocolFeature] = PROTOCOL,
        migration: bool = False,
        watch: Watch | None = None,
    ) -> None:
        super().__init__(device, sock, ring, protocol, migration, watch)
        self._rung: dict[int, None] = {}
        self._serving = False
        device.host = self

    def close(self) -> None:
        """Hang up; the device is as at first, and nothing is shared any more."""
        super().close()
        self.device.host = None

    # -- doorbells

    def kick_fds(self) -> Iterator[tuple[int, int]]:
        """The `(descriptor, ring)` of each doorbell."""
        for vring in self.rings:
            if vring.kick.fd is not None:
                yield vring.kick.fd, vring.index

    def kicked(self, index: int) -> None:
        """Something was written to the doorbell of ring `index`."""
        vring = self.rings[index]
        if vring.kick.drain():
            self._kick(vring)

    # -- serving

    @property
    def pending(self) -> bool:
        """Whether there is more to do than one turn has done."""
        return bool(self._rung)

    def notify(self, index: int) -> None:
        """Ring `index` shall be looked at: the driver rang, or the device has news for it."""
        if index < len(self.rings):
            self._rung[index] = None
            self.work()

    def work(self) -> None:
        """One turn: handle the rings that were rung for."""
        if self._serving:
            return
        self._serving = True
        try:
            for _ in range(ROUNDS * len(self.rings)):
                if not self._rung:
                    break
                index = next(iter(self._rung))
                del self._rung[index]
                self._serve(self.rings[index])
        finally:
            self._serving = False

    def _serve(self, vring: Vring) -> None:
        """Let the device handle one ring, then tell the driver if it wants to know."""
        queue, counts = vring.queue, self.statistics
        if queue is None or not vring.sound or not (vring.enabled or self._discards(vring)):
            return
        before = counts.requests
        try:
            if vring.enabled:
                self.device.handle(vring.index, queue)
            else:
                for chain in waiting(queue):
                    queue.push(chain)
        except GuestError as error:
            self._break(vring, str(error))
        try:
            if queue.signalled != queue.used and not queue.notify():
                vring.ledger.quiet()
            # A driver that adds as fast as the device takes may not ring for what is left.
            if counts.requests != before and not vring.broken and queue.available():
                self._rung[vring.index] = None
        except GuestError as error:
            self._break(vring, str(error))

    def _discards(self, vring: Vring) -> bool:
        """Whether a disabled ring is emptied: that of a network device for sending."""
        return self.device.device_id == DeviceId.NETWORK and vring.index % 2 == 1

    # -- without doorbells

    @property
    def polled(self) -> bool:
        """Whether a ring has no doorbell, so that somebody must look."""
        return any(vring.polled and vring.served for vring in self.rings)

    def look(self) -> bool:
        """Look into every ring: whether anything was found."""
        before = self.statistics.requests
        for vring in self.rings:
            if vring.served and self._waits(vring):
                self._rung[vring.index] = None
        self.work()
        found = self.statistics.requests != before
        self.statistics.polled += found
        return found

    def hush(self) -> None:
        """Ask the drivers not to ring: somebody looks."""
        for vring in self.rings:
            if vring.served and vring.queue is not None:
                with self._guarded(vring):
                    vring.queue.disable_notify()

    def listen(self) -> None:
        """Ask the drivers to ring again, and look at what came in the meantime."""
        for vring in self.rings:
            if vring.served and vring.queue is not None:
                with self._guarded(vring):
                    if not vring.queue.enable_notify():
                        self._rung[vring.index] = None
        self.work()

    def _waits(self, vring: Vring) -> bool:
        try:
            return vring.queue is not None and bool(vring.queue.available())
        except GuestError as error:
            self._break(vring, str(error))
            return False

    @contextmanager
    def _guarded(self, vring: Vring) -> Iterator[None]:
        """What the driver did wrong ends here."""
        try:
            yield
        except GuestError as error:
            self._break(vring, str(error))
