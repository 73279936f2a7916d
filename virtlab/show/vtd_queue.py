"""What stands in the invalidation queue: each descriptor by its bytes, its type, its fields.

    at     bytes                    what                  fields
    0x30   32 00 01 00 ...          IOTLB invalidation    G=3 DID=1 AM=0 ADDR=0x18000
    0x40   25 00 00 00 ...          wait                  SW=1 STDATA=4, written at 0x10f000

The idea: the queue is memory. So it can be looked at, and what a driver asked for stays there until
the ring comes round.

The rule that keeps it simple: the layout is found by the type, as the unit finds it. A type that is
not known has no fields.

Source: VT-d 3.0, 6.5.2.1 to 6.5.2.8.
"""

from __future__ import annotations

from virtlab.iommu.context import Memory
from virtlab.iommu.descriptors import (
    CONTEXT_INVALIDATE,
    DESCRIPTOR_SIZE,
    DESCRIPTORS,
    IOTLB_INVALIDATE,
    TYPE,
    TYPE_HIGH,
    WAIT,
    DescriptorType,
)
from virtlab.memory import PAGE
from virtlab.show.tables import Table

_KNOWN = {int(kind): kind for kind in DescriptorType}
_SHOWN = {
    CONTEXT_INVALIDATE.name: ("G", "DID", "SID"),
    IOTLB_INVALIDATE.name: ("G", "DID", "AM", "IH"),
    WAIT.name: ("IF", "SW", "FN"),
}


def queue_table(memory: Memory, queue_gpa: int, first: int, end: int, caption: str = "") -> Table:
    """The descriptors from offset `first` up to `end` of a queue of one page at `queue_gpa`.

    Offsets are bytes. The queue is a circle: `end` may be the smaller one.
    """
    offsets = range(first, end if end >= first else end + PAGE, DESCRIPTOR_SIZE)
    rows = []
    for offset in offsets:
        at = queue_gpa + offset % PAGE
        descriptor = memory.load(at, DESCRIPTOR_SIZE)
        dump = descriptor.to_bytes(DESCRIPTOR_SIZE, "little").hex(" ")
        rows.append((f"{offset % PAGE:#x}", dump, *descriptor_words(descriptor)))
    many = f"{len(rows)} descriptor{'s' * (len(rows) != 1)} of the invalidation queue"
    return Table(caption or many, ("at", "bytes", "what", "it says"), tuple(rows))


def descriptor_words(descriptor: int) -> tuple[str, str]:
    """What a descriptor is called, and what its fields say."""
    kind = _KNOWN.get(TYPE.get(descriptor))
    if kind is None or TYPE_HIGH.get(descriptor):
        return "of no known type", ""
    layout = DESCRIPTORS[kind]
    names = _SHOWN.get(layout.name, tuple(layout.fields)[2:])
    words = [f"{name}={layout.fields[name].get(descriptor)}" for name in names]
    if layout is IOTLB_INVALIDATE:
        words.append(f"page {layout.ADDR.get(descriptor) * PAGE:#x}")
    if layout is WAIT and WAIT.SW.get(descriptor):
        data, at = WAIT.STDATA.get(descriptor), WAIT.STADDR.get(descriptor) << 2
        words.append(f"writes {data} at {at:#x}")
    return layout.name, " ".join(words)
