"""Where memory order matters: the points at which one access must be seen before another.

    driver   descriptors and entries -> avail idx     lest the device read an entry not yet written
             avail idx -> avail_event, flags          lest both sides believe the other awake
             used idx -> used elements                lest it read an element not yet written
             used_event -> used idx                   lest both sides fall asleep
    device   the same four, with the rings exchanged

The idea: one processor runs both sides here, and every access is seen at once. So a barrier does
nothing, and its place is the lesson. Each side has a `barrier`, called with the point. Whoever sets
another can step the other side just there, or drain a store buffer, and see what breaks without.

The four that a processor of the PC needs an instruction for are those from a store to a load.

Source: virtio 1.3 2.7.13 (steps 4 and 6), 2.7.13.3.1, 2.7.13.4.1, 2.7.8.2, 2.7.14.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

Barrier = Callable[[str], None]
"""What a side calls between two accesses, with the name of the point."""


class Order(StrEnum):
    """The points of a split ring, by what comes before what."""

    ENTRY_THEN_AVAIL_IDX = "descriptors and entries before avail idx"  # driver, store to store
    AVAIL_IDX_THEN_EVENT = "avail idx before avail_event"  # driver, store to load
    USED_IDX_THEN_ELEMENT = "used idx before used elements"  # driver, load to load
    USED_EVENT_THEN_IDX = "used_event before used idx"  # driver, store to load

    AVAIL_IDX_THEN_ENTRY = "avail idx before entries and descriptors"  # device, load to load
    ELEMENT_THEN_USED_IDX = "used elements before used idx"  # device, store to store
    USED_IDX_THEN_EVENT = "used idx before used_event"  # device, store to load
    AVAIL_EVENT_THEN_IDX = "avail_event before avail idx"  # device, store to load


def no_barrier(point: str) -> None:
    """Do nothing: one processor sees its own accesses in order."""
