"""The invalidation queue's descriptors: what a driver may ask of the caches, 16 bytes each.

      1  context cache    global, domain, device
      2  IOTLB            global, domain, pages of a domain
      3  device TLB       pages of one device's own cache (ATS)
      4  interrupt entry  global, or a run of indices
      5  wait             tell when all before it is done

The idea: the first four bits are the type. Types have four more bits at 11:9, which are 0 in all of
these.

The rule that keeps it simple: `DESCRIPTORS` finds the layout by the type. What it does not find is
an error of the queue.

Source: VT-d 3.0, 6.5.2.1 to 6.5.2.8. Left out: types 6 to 9, which need scalable mode;
what needs page requests (PD of a wait) or throttled invalidations (PFSID) is reserved without them.
"""

from __future__ import annotations

from enum import IntEnum

from virtlab.iommu.layouts import Structure
from virtlab.wire import Bits

TYPE = Bits(3, 0)
TYPE_HIGH = Bits(11, 9)
"""The type of a descriptor: bits 3:0, and above them bits 11:9."""

DESCRIPTOR_SIZE = 16
"""Bytes of a descriptor."""


class Granularity(IntEnum):
    """How much is asked for, and how much was done: the same numbers everywhere.

    The last one is a device for the context cache, and pages of a domain for the IOTLB.
    """

    RESERVED = 0
    GLOBAL = 1
    DOMAIN = 2
    SELECTIVE = 3


class DescriptorType(IntEnum):
    """The types that legacy mode has."""

    CONTEXT = 1
    IOTLB = 2
    DEVICE_TLB = 3
    INTERRUPT_ENTRY = 4
    WAIT = 5


def _descriptor(name: str, spec: str, fields: dict[str, Bits]) -> Structure:
    types = {"TYPE": TYPE, "TYPE_HIGH": TYPE_HIGH}
    return Structure(name, DESCRIPTOR_SIZE, spec, {**types, **fields})


CONTEXT_INVALIDATE = _descriptor(
    "context-cache invalidation",
    "VT-d 6.5.2.1",
    {
        "G": Bits(5, 4),  # a `Granularity`
        "DID": Bits(31, 16),
        "SID": Bits(47, 32),
        "FM": Bits(49, 48),  # upper bits of the function number that do not count
    },
)
IOTLB_INVALIDATE = _descriptor(
    "IOTLB invalidation",
    "VT-d 6.5.2.3",
    {
        "G": Bits(5, 4),
        "DW": Bits(6),  # drain writes
        "DR": Bits(7),  # drain reads
        "DID": Bits(31, 16),
        "AM": Bits(69, 64),  # address mask: 2**AM pages
        "IH": Bits(70),  # hint: only page entries have changed
        "ADDR": Bits(127, 76),
    },
)
DEVICE_TLB_INVALIDATE = _descriptor(
    "device-TLB invalidation",
    "VT-d 6.5.2.5",
    {
        "MIP": Bits(20, 16),  # invalidations that may be on their way
        "SID": Bits(47, 32),
        "S": Bits(64),  # more than one page: the lowest 0 of ADDR says how many
        "ADDR": Bits(127, 76),
    },
)
IEC_INVALIDATE = _descriptor(
    "interrupt-entry-cache invalidation",
    "VT-d 6.5.2.7",
    {
        "G": Bits(4),  # 0: all, 1: 2**IM entries from IIDX
        "IM": Bits(31, 27),
        "IIDX": Bits(47, 32),
    },
)
WAIT = _descriptor(
    "invalidation wait",
    "VT-d 6.5.2.8",
    {
        "IF": Bits(4),  # interrupt when done
        "SW": Bits(5),  # write STDATA when done
        "FN": Bits(6),  # fence: nothing after it begins before
        "STDATA": Bits(63, 32),
        "STADDR": Bits(127, 66),  # bits 63:2 of where it is written
    },
)

DESCRIPTORS = {
    DescriptorType.CONTEXT: CONTEXT_INVALIDATE,
    DescriptorType.IOTLB: IOTLB_INVALIDATE,
    DescriptorType.DEVICE_TLB: DEVICE_TLB_INVALIDATE,
    DescriptorType.INTERRUPT_ENTRY: IEC_INVALIDATE,
    DescriptorType.WAIT: WAIT,
}
"""The layout of each type."""
