"""The first half of a walk: from who asks to the tables of its domain.

    source id   [  bus  ][ device, function ]
                    |             |
    RTADDR -->  [ root ] --> [ context ] -->  P  FPD  TT  SLPTPTR  AW  DID

The idea: a requester is 16 bits. The upper half chooses a root entry, the lower half a context
entry. That entry says which domain it is, where its tables are, and how many levels they have.

The rule that keeps it simple: a `Context` is the entry as it was read, and what is wrong with it.
Its fields are asked when they are needed.

Source: VT-d 3.0, 3.4.2, 7.1.3, 9.1, 9.3. Left out: scalable mode.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from virtlab.errors import DmaFault
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.layouts import CONTEXT, ROOT, Structure, TranslationType, index_bits
from virtlab.iommu.reasons import Reason
from virtlab.wire import Bits

_FPD, _TT, _AW, _DID = CONTEXT.FPD, CONTEXT.TT, CONTEXT.AW, CONTEXT.DID


class Memory(Protocol):
    """Where tables are."""

    def load(self, gpa: int, size: int) -> int:
        """The little-endian number of `size` bytes at `gpa`; `DmaFault` if they are not there."""


class Step(NamedTuple):
    """One entry that was read: which `table` it is of, where it lies (gpa), and its bits.

    `table` is `"root"`, `"context"` or `"second level"`; `level` is 0 for the first two.
    """

    table: str
    level: int
    entry_at: int
    entry: int


class Context(NamedTuple):
    """What the tables say of one source id. Without a `reason`, `entry` may be believed."""

    steps: tuple[Step, ...]
    entry: int = 0
    reason: Reason | None = None

    @property
    def domain(self) -> int:
        """Its domain id."""
        return _DID.get(self.entry)

    @property
    def kind(self) -> int:
        """Its `TranslationType`."""
        return _TT.get(self.entry)

    @property
    def levels(self) -> int:
        """How many levels its tables have."""
        return _AW.get(self.entry) + 2

    @property
    def table(self) -> int:
        """Where its top table lies (gpa)."""
        return self.entry & CONTEXT.SLPTPTR.mask

    @property
    def silent(self) -> bool:
        """Whether faults that are qualified go unrecorded. FPD counts even where P is 0."""
        return bool(_FPD.get(self.entry))


def find_context(
    memory: Memory, root_table: int, capabilities: Capabilities, source_id: int
) -> Context:
    """The context entry of `source_id`, by the root table at `root_table` (gpa)."""
    bus, function = source_id >> 8, source_id & 0xFF
    root_at = root_table + ROOT.size * bus
    root = load_entry(memory, root_at, ROOT.size)
    if root is None:
        return Context((), 0, Reason.ROOT_ACCESS)
    steps: tuple[Step, ...] = (Step("root", 0, root_at, root),)
    if not ROOT.P.get(root):
        return Context(steps, 0, Reason.ROOT_NOT_PRESENT)
    if reserved_in(ROOT, root, ROOT.CTP, capabilities):
        return Context(steps, 0, Reason.ROOT_RESERVED)

    entry_at = (root & ROOT.CTP.mask) + CONTEXT.size * function
    entry = load_entry(memory, entry_at, CONTEXT.size)
    if entry is None:
        return Context(steps, 0, Reason.CONTEXT_ACCESS)
    steps = (*steps, Step("context", 0, entry_at, entry))
    return Context(steps, entry, _context_reason(entry, capabilities))


def _context_reason(entry: int, capabilities: Capabilities) -> Reason | None:
    """Why a context entry may not be used; None if it may."""
    if not CONTEXT.P.get(entry):
        return Reason.CONTEXT_NOT_PRESENT
    if reserved_in(CONTEXT, entry, CONTEXT.SLPTPTR, capabilities):
        return Reason.CONTEXT_RESERVED
    if not capabilities.supports(CONTEXT.AW.get(entry) + 2):
        return Reason.CONTEXT_INVALID
    if not capabilities.allows(CONTEXT.TT.get(entry)):
        return Reason.CONTEXT_INVALID
    return None


def reserved_in(structure: Structure, entry: int, pointer: Bits, capabilities: Capabilities) -> int:
    """The reserved bits that are set: those without a field, and address bits the host has not."""
    beyond = pointer.mask & -1 << capabilities.host_width
    return structure.reserved(entry) | entry & beyond


def address_width(context: Context, capabilities: Capabilities) -> int:
    """Bits that an address may have: those of the unit and of the tables, whichever are fewer.

    Passed through, it may not have more than the host has, either.
    """
    width = min(capabilities.guest_width, index_bits(context.levels).hi + 1)
    if context.kind == TranslationType.PASS_THROUGH:
        width = min(width, capabilities.host_width)
    return width


def beyond_width(context: Context, capabilities: Capabilities, iova: int) -> bool:
    """Whether an address has more."""
    return bool(iova >> address_width(context, capabilities))


def load_entry(memory: Memory, gpa: int, size: int) -> int | None:
    """The entry at `gpa`; None where there is no memory."""
    try:
        return memory.load(gpa, size)
    except DmaFault:
        return None
