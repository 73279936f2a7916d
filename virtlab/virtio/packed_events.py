"""Notifications of a packed queue, the device's side: when to tell the driver, when to be told.

    driver's event suppression   read here    notify(): was a descriptor used that it asked about?
    device's event suppression   written here disable_notify, enable_notify, and each `pop`

The idea: each side writes what it wants to hear of, and reads what the other wants. With EVENT_IDX
that is one descriptor, by slot and wrap counter; without it, all or nothing.

The rule that keeps it simple: here are the two words and the two positions that they are compared
with. Which lists there are is `PackedQueue`'s business.

Source: virtio 1.3 2.8.10, 2.8.14, 2.8.22.
"""

from __future__ import annotations

from virtlab.virtio.chain import guests_memory
from virtlab.virtio.packed_chain import CLAUSES
from virtlab.virtio.packed_layouts import (
    DISABLE,
    ENABLE,
    EVENT,
    EVENT_DESC,
    PackedOrder,
    PackedRings,
    event_word,
    to_word,
    wants_event,
)
from virtlab.virtio.queue_events import QueueEvents


class Events(QueueEvents):
    """What a `PackedQueue` says to its driver, and hears from it."""

    rings: PackedRings

    # -- notifications: to the driver

    def _wanted(self, pushed: int) -> bool:
        # Flags first, then the question: else the driver may go to sleep in between.
        self.barrier(PackedOrder.USED_FLAGS_THEN_DRIVER_EVENT)
        with guests_memory(CLAUSES.ring):
            raw = self.dma.read(self.rings.driver, EVENT.itemsize)
        event = int.from_bytes(raw, "little")
        return wants_event(event, self._exact, self.used, pushed, self.rings.size)

    # -- notifications: from the driver

    def disable_notify(self) -> None:
        """Ask the driver not to ring. It is a hint: a ring may still come."""
        if self.ready:
            self._say(event_word(DISABLE))
        self.listening = False

    def enable_notify(self) -> bool:
        """Ask the driver to ring again. False if a list came in the meantime: look once more."""
        if self.ready and self._exact:
            self._ask_for(self.last_avail)
        elif self.ready:
            self._say(event_word(ENABLE))
        self.listening = True
        self.barrier(PackedOrder.DEVICE_EVENT_THEN_FLAGS)
        return not self.available()

    def _ask_for(self, position: int) -> None:
        """With EVENT_IDX: ask for a ring when the descriptor at `position` is available."""
        if self._exact:
            self._say(event_word(EVENT_DESC, to_word(position, self.rings.size)))

    def _say(self, event: int) -> None:
        """Both words in one write, so that the driver never sees one without the other."""
        with guests_memory(CLAUSES.ring):
            self.dma.write(self.rings.device, event.to_bytes(EVENT.itemsize, "little"))
