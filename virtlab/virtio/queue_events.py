"""What both layouts have in common in their notifications: who calls, and when it was last asked.

    used        chains or slots given back             notify(): has the driver asked to hear
    signalled   of those, the ones already told        of any that lie between the two?

The rule that keeps it simple: `signalled` moves when the question has been answered, so a question
that cannot be read has moved nothing.

Source: virtio 1.3 2.7.7 (split), 2.8.10 (packed).
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.memory import Dma
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.ordering import Barrier


class QueueEvents:
    """The device's side of a queue, as far as it tells its driver something."""

    ready: bool
    features: Features
    last_avail: int
    used: int
    signalled: int
    listening: bool

    def __init__(self, dma: Dma, interrupt: Callable[[], None] | None, barrier: Barrier) -> None:
        self.dma = dma
        self.interrupt = interrupt or _nobody
        self.barrier = barrier

    def available(self) -> int:
        """Whether something waits to be taken; a split ring says how many chains."""
        raise NotImplementedError

    def should_notify(self) -> bool:
        """Whether the driver asked to hear of what was pushed since this was last asked."""
        pushed = self.used - self.signalled
        if not pushed:
            return False
        wanted = self._wanted(pushed)
        self.signalled = self.used
        return wanted

    def notify(self) -> bool:
        """Interrupt the driver if it asked for that. Gives whether it did."""
        wanted = self.should_notify()
        if wanted:
            self.interrupt()
        return wanted

    def _wanted(self, pushed: int) -> bool:
        """What the driver wrote: does it want to hear of one of the last `pushed`?"""
        raise NotImplementedError

    @property
    def _exact(self) -> bool:
        """Whether notifications are asked for by position."""
        return Feature.RING_EVENT_IDX in self.features


def _nobody() -> None:
    """Nobody is to be told."""
