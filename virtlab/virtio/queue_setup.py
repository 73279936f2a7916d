"""One queue as a transport's registers know it: what the driver has set, and the queue itself.

    modern    size, three addresses        enable()          QUEUE_READY, queue_enable
    legacy    one page number              enable_legacy()   QUEUE_PFN, Queue Address

The idea: until the driver says "use it", its size and addresses are numbers that nobody has looked
at. Then all of them are checked at once, and the queue of the right layout is made.

The rule that keeps it simple: while the queue is in use, the numbers do not change (4.2.2.2). What
is refused, by `GuestError`, leaves the queue out of use.

Source: virtio 1.3 2.6.1 (reset), 2.7 and 2.8 (sizes), 2.7.2 (legacy), 4.1.4.3, 4.2.2, 4.2.4.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.errors import GuestError
from virtlab.memory import PAGE, Dma
from virtlab.virtio.device import Queue
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import MAX_SIZE, SplitRings
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PackedRings
from virtlab.virtio.split import SplitQueue
from virtlab.virtio.status import NO_VECTOR


class QueueSetup:
    """A queue of at most `max_size` entries, a power of two, in the memory behind `dma`.

    `interrupt` is called when the driver shall hear of used buffers. `vector` is the MSI-X vector
    for that, where there is MSI-X.
    """

    def __init__(self, max_size: int, dma: Dma, interrupt: Callable[[], None]) -> None:
        if not 0 < max_size <= MAX_SIZE or max_size & (max_size - 1):
            raise ValueError(f"a queue's largest size is a power of two to {MAX_SIZE}: {max_size}")
        self.max_size = max_size
        self.dma = dma
        self.interrupt = interrupt
        self.queue: Queue = SplitQueue(dma, interrupt)
        self.reset()

    def reset(self) -> None:
        """All as at first: out of use, the largest size, no address, no vector (2.6.1.1.1)."""
        self.size = self.max_size
        self.desc = self.driver = self.device = 0
        self.frame, self.align = 0, PAGE
        self.vector = NO_VECTOR
        self.disable()

    def disable(self) -> None:
        """Out of use. What the driver has set stays, but for a legacy queue's page number."""
        self.frame = 0
        self.queue.reset()

    @property
    def ready(self) -> bool:
        """Whether it is in use."""
        return self.queue.ready

    def resize(self, size: int, packed: bool) -> None:
        """The driver chooses `size`. `GuestError` for one that is not allowed."""
        # The driver MUST write a size that is not 0 and not above the largest; a power of two, if
        # the queue is split.
        if not 0 < size <= self.max_size:
            why = f"a queue of {size}, where {self.max_size} is the largest"
            raise GuestError(why, "virtio 1.3 4.1.4.3.2, 4.2.2.2")
        if size & (size - 1) and not packed:
            why = f"a split queue of {size}, which is no power of two"
            raise GuestError(why, "virtio 1.3 4.1.4.3.2, 4.2.2.2")
        self.size = size

    def enable(self, features: Features) -> None:
        """Use the queue at the three addresses. `GuestError` if no queue may lie there."""
        parts = self.size, self.desc, self.driver, self.device
        queue: Queue
        if Feature.RING_PACKED in features:
            queue = PackedQueue(self.dma, self.interrupt)
            queue.enable(PackedRings(*parts), features)
        else:
            queue = SplitQueue(self.dma, self.interrupt)
            queue.enable(SplitRings(*parts), features)
        self.queue = queue

    def enable_legacy(self, frame: int, page: int, features: Features) -> None:
        """Use the queue that begins in page number `frame`, of `page` bytes (2.7.2).

        `GuestError` if no queue may lie there.
        """
        # Both the page size and the alignment should be powers of two; an alignment of 0 is none.
        for what, value in (("page", page), ("queue align", self.align)):
            if value <= 0 or value & (value - 1):
                raise GuestError(f"a {what} of {value} bytes", "virtio 1.3 4.2.4")
        queue = SplitQueue(self.dma, self.interrupt)
        queue.enable(SplitRings.placed(frame * page, self.size, self.align), features)
        self.queue, self.frame = queue, frame

    def set_address(self, part: str, value: int, lanes: int) -> None:
        """Set those bits of `desc`, `driver` or `device` that `lanes` has."""
        old: int = getattr(self, part)
        setattr(self, part, old & ~lanes | value & lanes)
