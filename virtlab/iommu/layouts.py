"""The structures that VT-d reads in memory, each declared once.

    RTADDR -> [ root table ] -> [ context table ] -> [ second-level tables ] -> page
               256 entries       256 entries          512 entries, 3 to 5 levels
               by bus            by device, function

    IRTA   -> [ interrupt-remapping table ] -> a message, or [ posted-interrupt descriptor ]
    IQA    -> [ invalidation queue ]           descriptors of 16 bytes
    FRO    -> [ fault records ]                in the registers

The idea: an entry is one little-endian number, of 8, 16 or 64 bytes. Its fields carry the bit
numbers of the manual's figures, so `CONTEXT.DID` is bits 87:72.

The rule that keeps it simple: bits that no field has are reserved. `reserved(value)` shows which of
them are set. The fields of second-level entries lie in 64 bits, so they work on arrays as well.

Source: VT-d 3.0, 9.1 (root), 9.3 (context), 9.8 (second level), 9.10 and 9.11 (interrupt entries),
9.12 (posted-interrupt descriptor), 6.5.2 (invalidation descriptors), 10.4.14 (fault record), 5.1.2
(interrupt requests). Left out: scalable mode, first-level tables, page requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from types import MappingProxyType

from virtlab.memory import PAGE
from virtlab.wire import Bits, all_ones


class Structure:
    """A structure of `size` bytes: its `fields` by name, and where the manual has it.

    A field is an attribute: `CONTEXT.DID` is its `Bits`.

    >>> entry = CONTEXT.pack(P=1, TT=0, SLPTPTR=0x1234, AW=2, DID=7)
    >>> hex(entry), CONTEXT.DID.get(entry)
    ('0x7020000000001234001', 7)
    """

    def __init__(self, name: str, size: int, spec: str, fields: Mapping[str, Bits]) -> None:
        self.name, self.size, self.spec = name, size, spec
        self.fields: Mapping[str, Bits] = MappingProxyType(dict(fields))
        taken = 0
        for field, bits in self.fields.items():
            if bits.hi >= 8 * size or taken & bits.mask:
                raise ValueError(f"{name}: field {field} ({bits}) overlaps another or is outside")
            taken |= bits.mask
            self.__dict__.setdefault(field, bits)
        self.reserved_mask = all_ones(size) & ~taken

    def __getattr__(self, field: str) -> Bits:
        """Reached by a name that is no attribute, and so no field."""
        raise AttributeError(f"{self.__dict__.get('name')} has no field {field!r}")

    def pack(self, **values: int) -> int:
        """The number with these fields set. `ValueError` where a value does not fit.

        A field that points begins at its lowest bit: a page's frame number, not its address.
        """
        number = 0
        for field, value in values.items():
            bits = getattr(self, field)
            if value >> bits.width:
                raise ValueError(f"{self.name}: {value:#x} does not fit in {field} ({bits})")
            number |= value << bits.lo
        return number

    def decode(self, value: int) -> dict[str, int]:
        """Every field with its value in `value`, lowest bit first."""
        return {name: bits.get(value) for name, bits in self.fields.items()}

    def reserved(self, value: int) -> int:
        """The reserved bits that are set in `value`."""
        return value & self.reserved_mask

    def __repr__(self) -> str:
        return f"Structure({self.name!r}, {self.size} bytes)"


# -- tables of DMA remapping

ROOT = Structure("root entry", 16, "VT-d 9.1", {"P": Bits(0), "CTP": Bits(63, 12)})
"""Of one bus: where its context table is."""

CONTEXT = Structure(
    "context entry",
    16,
    "VT-d 9.3",
    {
        "P": Bits(0),
        "FPD": Bits(1),  # do not record faults
        "TT": Bits(3, 2),  # a `TranslationType`
        "SLPTPTR": Bits(63, 12),  # the top second-level table
        "AW": Bits(66, 64),  # address width: levels, less 2
        "AVAIL": Bits(70, 67),  # ignored: software's own
        "DID": Bits(87, 72),  # domain id
    },
)
"""Of one device and function: its domain, and that domain's tables."""


class TranslationType(IntEnum):
    """What `CONTEXT.TT` asks for."""

    UNTRANSLATED = 0
    DEVICE_TLB = 1
    PASS_THROUGH = 2
    RESERVED = 3


SECOND_LEVEL = Structure(
    "second-level entry",
    8,
    "VT-d 9.8",
    {
        "R": Bits(0),
        "W": Bits(1),
        "X": Bits(2),  # ignored in legacy mode
        "IGNORED_LOW": Bits(6, 3),
        "PS": Bits(7),  # maps a page, where it stands above level 1
        "IGNORED": Bits(10, 8),
        "SNP": Bits(11),  # of a page: snoop
        "ADDRESS": Bits(51, 12),  # the next table, or the page
        "IGNORED_HIGH": Bits(61, 52),
        "TM": Bits(62),  # of a page: transient mapping, for device TLBs
        "IGNORED_TOP": Bits(63),
    },
)
"""Of one page or one table of pages. What is reserved depends on level: `walk.reserved_bits`."""

RIGHTS = SECOND_LEVEL.R.mask | SECOND_LEVEL.W.mask
"""Both rights of a second-level entry: with neither it maps nothing (VT-d 9.8)."""

ENTRIES = 256
"""Entries of a root table, and of a context table."""

LEVEL_BITS = 9
"""Bits of an address that choose an entry at one level: a table has 512."""

PAGE_BITS = PAGE.bit_length() - 1
"""Bits of the offset in a page of 4 KiB."""


@cache
def index_bits(level: int) -> Bits:
    """The bits of an address that choose its entry at `level`, 1 the lowest.

    >>> str(index_bits(1)), str(index_bits(4))
    ('20:12', '47:39')
    """
    low = PAGE_BITS + LEVEL_BITS * (level - 1)
    return Bits(low + LEVEL_BITS - 1, low)


# -- fault records, in the registers

FAULT_RECORD = Structure(
    "fault record",
    16,
    "VT-d 10.4.14",
    {
        "FI": Bits(63, 12),  # the page that was asked for; of an interrupt, see `FI_INDEX`
        "SID": Bits(79, 64),  # who asked
        "T2": Bits(92),  # with T1: the type of the request
        "PRIV": Bits(93),
        "EXE": Bits(94),
        "PP": Bits(95),  # 0: no PASID
        "FR": Bits(103, 96),  # a `Reason`
        "PV": Bits(123, 104),
        "AT": Bits(125, 124),  # address type of the request, 1 for a translation request
        "T1": Bits(126),  # 1: a read, 0: a write
        "F": Bits(127),  # this record is in use; a written 1 frees it
    },
)
"""What is kept of one fault."""

FI_INDEX = Bits(63, 48)
"""Of an interrupt request that was refused: its index, in the record's first 64 bits."""

# -- interrupts

IRTE = Structure(
    "interrupt-remapping entry",
    16,
    "VT-d 9.10",
    {
        "P": Bits(0),
        "FPD": Bits(1),
        "DM": Bits(2),  # destination mode: 1 is logical
        "RH": Bits(3),  # redirection hint
        "TM": Bits(4),  # trigger mode: 1 is level
        "DLM": Bits(7, 5),  # delivery mode
        "AVAIL": Bits(11, 8),
        "IM": Bits(15),  # 0: this form
        "V": Bits(23, 16),  # vector
        "DST": Bits(63, 32),  # x2APIC id; in xAPIC mode, bits 47:40 alone
        "SID": Bits(79, 64),
        "SQ": Bits(81, 80),  # bits of the function number that are not compared
        "SVT": Bits(83, 82),  # how the source id is checked
    },
)
"""Of one interrupt: the message that it becomes. With IM set, the entry is an `IRTE_POSTED`."""

DST_XAPIC = Bits(47, 40)
"""The part of `IRTE.DST` that an xAPIC id is in; the rest is then reserved."""

IRTE_POSTED = Structure(
    "interrupt-remapping entry, posted",
    16,
    "VT-d 9.11",
    {
        "P": Bits(0),
        "FPD": Bits(1),
        "AVAIL": Bits(11, 8),
        "URG": Bits(14),  # urgent: notify though SN is set
        "IM": Bits(15),  # 1: this form
        "VV": Bits(23, 16),  # the virtual vector
        "PDAL": Bits(63, 38),  # bits 31:6 of the descriptor's gpa
        "SID": Bits(79, 64),
        "SQ": Bits(81, 80),
        "SVT": Bits(83, 82),
        "PDAH": Bits(127, 96),  # bits 63:32 of it
    },
)
"""Of one interrupt that is posted to a virtual processor."""


def descriptor_gpa(entry: int) -> int:
    """Where the descriptor of a posted entry lies: the gpa that PDAH and PDAL are halves of."""
    return IRTE_POSTED.PDAH.get(entry) << 32 | IRTE_POSTED.PDAL.get(entry) << 6


POSTED_DESCRIPTOR = Structure(
    "posted-interrupt descriptor",
    64,
    "VT-d 9.12",
    {
        "PIR": Bits(255, 0),  # a bit for each vector that was posted
        "ON": Bits(256),  # a notification is on its way
        "SN": Bits(257),  # suppress notifications
        "NV": Bits(279, 272),  # their vector
        "NDST": Bits(319, 288),  # and the processor that gets them; an xAPIC id in 303:296
    },
)
"""Of one virtual processor: what was posted to it, and whom to tell."""

REQUEST_ADDRESS = Structure(
    "interrupt request, address",
    4,
    "VT-d 5.1.2.2",
    {
        "IGNORED": Bits(1, 0),
        "HANDLE_15": Bits(2),
        "SHV": Bits(3),  # the subhandle in the data counts
        "FORMAT": Bits(4),  # 1: remappable, 0: compatibility
        "HANDLE": Bits(19, 5),
        "FEE": Bits(31, 20),  # FEEh
    },
)
"""Where a remappable interrupt request is written to."""

REQUEST_DATA = Structure("interrupt request, data", 4, "VT-d 5.1.2.2", {"SUBHANDLE": Bits(15, 0)})
"""What is written there, if SHV is set. Without SHV all of it is ignored."""
