"""Notifications of a split queue, the device's side: when to tell the driver, when to be told.

    avail ring   flags, used_event     read here     notify(): was a chain used that it asked about?
    used ring    flags, avail_event    written here  disable_notify, enable_notify, and each `pop`

The idea: each side writes what it wants to hear of, and reads what the other wants. With EVENT_IDX
that is one position; without it, all or nothing.

The rule that keeps it simple: here are the two wishes and the counts that they are compared with.
Which chains there are is `SplitQueue`'s business.

NOTIFY_ON_EMPTY of legacy devices is left out. Source: virtio 1.3 2.7.7, 2.7.10, 2.7.14.
"""

from __future__ import annotations

from virtlab.virtio.chain import guests_memory
from virtlab.virtio.layouts import NO_INTERRUPT, NO_NOTIFY, SplitRings, need_event
from virtlab.virtio.ordering import Order
from virtlab.virtio.queue_events import QueueEvents
from virtlab.virtio.split_chain import CLAUSES


class Events(QueueEvents):
    """What a `SplitQueue` says to its driver, and hears from it."""

    rings: SplitRings

    # -- notifications: to the driver

    def _wanted(self, pushed: int) -> bool:
        # Index first, then the question: else the driver may go to sleep in between.
        self.barrier(Order.USED_IDX_THEN_EVENT)
        if not self._exact:
            return not self._load(self.rings.avail_field("flags")) & NO_INTERRUPT
        event = self._load(self.rings.avail_field("used_event"))
        return pushed > 0xFFFF or need_event(event, self.used, self.signalled)

    # -- notifications: from the driver

    def disable_notify(self) -> None:
        """Ask the driver not to ring. It is a hint: a ring may still come."""
        if self.ready and self._exact:
            # The entry just passed comes again last of all.
            self._ask_for(self.last_avail - 1)
        elif self.ready:
            self._store(self.rings.used_field("flags"), NO_NOTIFY)
        self.listening = False

    def enable_notify(self) -> bool:
        """Ask the driver to ring again. False if chains came in the meantime: look once more."""
        if self.ready:
            self._listen(self.last_avail)
        self.listening = True
        return not self.available()

    def _listen(self, position: int) -> None:
        """Ask for a ring when the entry at `position` is available."""
        if self._exact:
            self._ask_for(position)
        else:
            self._store(self.rings.used_field("flags"), 0)
        # The wish first, then one more look: else a chain that came in between rings for nobody.
        self.barrier(Order.AVAIL_EVENT_THEN_IDX)

    def _ask_for(self, position: int) -> None:
        self._store(self.rings.used_field("avail_event"), position)

    # -- words of either ring

    def _load(self, iova: int) -> int:
        with guests_memory(CLAUSES.ring):
            return int.from_bytes(self.dma.read(iova, 2), "little")

    def _store(self, iova: int, value: int) -> None:
        with guests_memory(CLAUSES.ring):
            self.dma.write(iova, (value & 0xFFFF).to_bytes(2, "little"))
