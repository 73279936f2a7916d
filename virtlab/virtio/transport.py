r"""The core of every transport: a session with its queues. One, behind any registers.

    VirtioMmio   CommonStructure   LegacyPorts      registers: what the driver sees
          \             |              /
                    Transport                       status, features, queues; it catches GuestError
                        |
                   VirtioDevice                     chains

The idea: a register file turns accesses into a few calls here. So whatever a driver does, through
whichever registers, is decided in one place: `Session` has status and features, and this class what
concerns the queues.

The rule that keeps it simple: one doorbell at a time. A ring while a queue is being handled waits
its turn, even if the device's own DMA or a driver's interrupt handler rang it; and whatever would
pull the queue away from under the device is refused. One ring sets off a bounded amount of work.

Source: virtio 1.3 2.1.2, 2.3, 2.6, 2.9, 3.1; the registers in 4.1 and 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from virtlab.memory import Dma
from virtlab.trace import Trace
from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.features import Feature
from virtlab.virtio.queue_setup import QueueSetup
from virtlab.virtio.session import RING_FEATURES, Session, Signal
from virtlab.virtio.status import NO_VECTOR, Interrupt
from virtlab.wire import all_ones

ROUNDS = 2
"""How often each queue is handled, at most, for one doorbell."""


class Transport(Session):
    """What carries `device`, whose queues lie in the memory behind `dma`.

    The other arguments are those of `Session`. `queues` has a `QueueSetup` for each queue;
    `vectors` is how many MSI-X vectors there are, `config_vector` the one for the configuration.
    """

    def __init__(
        self,
        device: VirtioDevice,
        dma: Dma,
        interrupt: Signal,
        legacy: bool | None = False,
        trace: Trace | None = None,
        ring: Iterable[int] = RING_FEATURES,
    ) -> None:
        self.queues: list[QueueSetup] = []
        super().__init__(device, interrupt, legacy, trace, ring)
        for index, size in enumerate(device.queue_sizes):
            self.queues.append(QueueSetup(size, dma, self._signal(index)))
        self.vectors = 0
        self.config_vector = NO_VECTOR
        self._rung: dict[int, None] = {}
        self._serving = False
        device.host = self

    def _signal(self, index: int) -> Callable[[], None]:
        return lambda: self.interrupt(Interrupt.QUEUE, index)

    # -- the session, seen from the queues

    def reset(self) -> None:
        """Every queue as at first, then the session and the device (2.4)."""
        self.config_vector = NO_VECTOR
        for setup in self.queues:
            setup.reset()
        super().reset()

    @property
    def settled(self) -> bool:
        """Whether the features cannot change. A legacy driver settles them by using a queue."""
        if self.legacy:
            return any(setup.ready for setup in self.queues)
        return super().settled

    def write_status(self, value: int) -> None:
        """A step of the driver, or 0 to reset. With DRIVER_OK the device begins."""
        was_live = self.live
        super().write_status(value)
        if self.live and not was_live:
            # The driver may have filled queues before: each is looked at once.
            self._rung = dict.fromkeys(range(len(self.queues)))
        self._serve_rung()

    # -- setting queues up

    def setup(self, index: int) -> QueueSetup | None:
        """Queue `index`, or None: there is no such queue."""
        return self.queues[index] if index < len(self.queues) else None

    def _settable(self, index: int) -> QueueSetup | None:
        """Queue `index`, if its size and addresses may be written now; else it is refused."""
        setup = self.setup(index)
        if setup is None:
            self.refuse(f"there is no queue {index}", "virtio 1.3 4.1.4.3.1, 4.2.2")
            return None
        # While the queue is in use, the driver MUST NOT access its size and addresses.
        if setup.ready:
            self.refuse(f"queue {index} is in use", "virtio 1.3 4.2.2.2")
            return None
        return setup

    def resize(self, index: int, size: int) -> None:
        """The driver chooses the size of queue `index`."""
        setup = self._settable(index)
        if setup is not None:
            with self.guarded():
                setup.resize(size, Feature.RING_PACKED in self.features)

    def set_address(self, index: int, part: str, value: int, lanes: int = all_ones(8)) -> None:
        """The driver sets `desc`, `driver` or `device` of queue `index`: the bits of `lanes`."""
        setup = self._settable(index)
        if setup is not None:
            setup.set_address(part, value, lanes)

    def set_align(self, index: int, align: int) -> None:
        """A legacy driver says where the used ring of queue `index` begins (4.2.4)."""
        setup = self._settable(index)
        if setup is not None:
            setup.align = align

    def enable(self, index: int) -> None:
        """The driver wants queue `index` used."""
        setup = self._settable(index)
        if setup is None or not self.at_rest("a queue"):
            return
        # Queues are set up once the features are settled, for these decide the layout.
        if not self.settled:
            self.refuse("a queue enabled before FEATURES_OK", "virtio 1.3 3.1.1")
            return
        with self.guarded():
            setup.enable(self.features)

    def enable_legacy(self, index: int, frame: int, page: int) -> None:
        """The driver says in which page queue `index` begins; 0 takes it out of use (4.2.4)."""
        if frame == 0:
            self.disable(index)
            return
        setup = self._settable(index)
        if setup is not None and self.at_rest("a queue"):
            with self.guarded():
                setup.enable_legacy(frame, page, self.features)

    def disable(self, index: int) -> None:
        """The driver takes queue `index` out of use: nothing in it is looked at any more."""
        setup = self.setup(index)
        if setup is not None and self.at_rest("a queue"):
            setup.disable()
            self.device.queue_reset(index)

    def reset_queue(self, index: int) -> None:
        """The driver resets queue `index` alone (2.6.1)."""
        setup = self.setup(index)
        if setup is None or not self.settled or Feature.RING_RESET not in self.features:
            self.refuse(f"a reset of queue {index}", "virtio 1.3 2.6.1")
        elif self.at_rest("a queue"):
            setup.reset()
            self.device.queue_reset(index)

    def vector(self, wanted: int) -> int:
        """The MSI-X vector that an event gets when the driver asks for `wanted` (4.1.5.1.2)."""
        return wanted if wanted < self.vectors else NO_VECTOR

    # -- doorbells

    def notify(self, index: int) -> None:
        """The driver rang for queue `index`, or the device has news for it."""
        if index >= len(self.queues):
            self.refuse(f"a doorbell for queue {index}", "virtio 1.3 2.9")
            return
        self._rung[index] = None
        self._serve_rung()

    def _serve_rung(self) -> None:
        """Handle every queue that was rung for. Before the device is live, they wait."""
        if self._serving:
            return
        self._serving = True
        try:
            for _ in range(ROUNDS * len(self.queues)):
                if not self._rung or not self.live:
                    break
                index = next(iter(self._rung))
                del self._rung[index]
                self._serve(self.queues[index], index)
        finally:
            self._serving = False

    def _serve(self, setup: QueueSetup, index: int) -> None:
        """Let the device handle one queue, then tell the driver if it wants to know."""
        if not setup.ready:
            return
        with self.guarded():
            self.handling = True
            try:
                self.device.handle(index, setup.queue)
            finally:
                self.handling = False
        with self.guarded():
            setup.queue.notify()
