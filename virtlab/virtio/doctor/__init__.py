"""The ring doctor: what is wrong with a live virtqueue, where, and which clause says so.

    report = examine(dma, Ring("split", 256, desc, avail, used, features, last_avail, used_idx))
    report = examine(queue.dma, ring_of(queue))         # the same of a device's queue of ours
    for finding in report.findings:
        print(finding)

A queue that does not move gives no reason. The device sees a descriptor it may not follow and asks
for a reset; the driver sees nothing. The doctor takes memory, the three addresses, and how far the
device is, and checks everything that the two sides wrote against the specification.

The rule that keeps it simple: it only reads, so it can look at a queue that is in use. What it sees
then is a moment, and a `warning` may be gone in the next.

Source: virtio 1.3 2.7, 2.8. Left out: what the buffers hold.
"""

from __future__ import annotations

from virtlab.memory import Dma
from virtlab.virtio.doctor.packed import examine_packed
from virtlab.virtio.doctor.records import (
    MAX_DESCRIPTORS,
    MAX_FINDINGS,
    Finding,
    Layout,
    Notes,
    Pending,
    Report,
    Ring,
)
from virtlab.virtio.doctor.split import examine_split
from virtlab.virtio.layouts import MAX_SIZE
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.split import SplitQueue

__all__ = [
    "MAX_DESCRIPTORS",
    "MAX_FINDINGS",
    "Finding",
    "Layout",
    "Pending",
    "Report",
    "Ring",
    "examine",
    "ring_of",
]


def examine(dma: Dma, ring: Ring, whole: bool = True) -> Report:
    """Check `ring` in `dma`, and list what is pending.

    `whole` says that `dma` has all of the guest's memory. Where it does not, as in a snapshot,
    buffers are not looked at, and what is not there is a warning.

    `ValueError` for a size or a layout that no queue can have.
    """
    if not 1 <= ring.size <= MAX_SIZE:
        raise ValueError(f"a queue has 1 to {MAX_SIZE} entries, not {ring.size}")
    notes = Notes(dma, whole)
    if ring.layout == "split":
        return examine_split(notes, ring)
    if ring.layout == "packed":
        return examine_packed(notes, ring)
    raise ValueError(f"a ring is 'split' or 'packed', not {ring.layout!r}")


def ring_of(queue: SplitQueue | PackedQueue) -> Ring:
    """Where a device's queue lies, and how far the device is now."""
    if isinstance(queue, SplitQueue):
        counts = queue.last_avail & 0xFFFF, queue.used & 0xFFFF
        return Ring("split", *queue.rings, queue.features, *counts)
    slots = queue.last_avail % queue.size, queue.used % queue.size
    return Ring("packed", *queue.rings, queue.features, *slots)
