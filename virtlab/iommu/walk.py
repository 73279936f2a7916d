"""The second half of a walk: from an address to a page, one entry after another.

    iova    [ level 4 ][ level 3 ][ level 2 ][ level 1 ][ offset ]
                 |          |          |          |         |
    SLPTPTR -> entry ---> entry ---> entry ---> entry --> page

The idea: a walk is a list of entries that were read, and how it ended: at a page, or by a `Reason`.
It keeps every entry, so a picture can light them, and a test can compare them.

The rules that keep it simple:

1. Nothing here remembers. `caches` keeps what a walk gives, and says where one may begin.
2. At each entry three questions, in this order: is it in memory, does it give the right that is
   asked for, is a reserved bit set. The first "no" is the reason. So the rights of a page are what
   all entries on its way give.
3. A walk has at most five steps, whatever memory holds.

Source: VT-d 3.0, 3.7 (second level), 7.1.3 (fault conditions), 9.8. The manual leaves the order of
two faults open; this is QEMU's. Left out: scalable mode, atomics, accessed and dirty flags.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Self

from virtlab.interrupts import INTERRUPT_RANGE
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import Memory, Step, beyond_width, find_context, load_entry
from virtlab.iommu.layouts import SECOND_LEVEL, TranslationType, index_bits
from virtlab.iommu.reasons import Reason
from virtlab.memory import PAGE

_R, _W, _ADDRESS = SECOND_LEVEL.R.mask, SECOND_LEVEL.W.mask, SECOND_LEVEL.ADDRESS.mask


class Start(NamedTuple):
    """Where a descent begins: the table of `level`, and the rights that are left on the way to it.

    `top` is set for the table that the context entry names.
    """

    level: int
    table: int
    read: bool = True
    write: bool = True
    top: bool = True

    @classmethod
    def below(cls, entry: int, level: int, read: bool, write: bool) -> Self:
        """The table that an entry of `level` names, with the rights on the way down to it."""
        read, write = read and bool(entry & _R), write and bool(entry & _W)
        return cls(level - 1, entry & _ADDRESS, read, write, top=False)


class Walk(NamedTuple):
    """How a walk ended: at `gpa`, in a page of `size` bytes with these rights, or by a `reason`."""

    steps: tuple[Step, ...]
    reason: Reason | None = None
    gpa: int = 0
    size: int = 0
    read: bool = False
    write: bool = False


def rights_text(read: bool, write: bool) -> str:
    """What is allowed, as in a list of files.

    >>> rights_text(False, True)
    '-w'
    """
    return f"{'r' if read else '-'}{'w' if write else '-'}"


@lru_cache(256)
def reserved_bits(level: int, is_page: bool, capabilities: Capabilities) -> int:
    """The bits that must be 0 in a second-level entry of `level` that maps a page, or does not.

    >>> hex(reserved_bits(1, True, Capabilities(snoop=False, device_tlb=False)))
    '0x400fc00000000800'
    """
    mask = _ADDRESS & -1 << capabilities.host_width
    if is_page:
        mask |= _ADDRESS & (1 << index_bits(level).lo) - 1  # a large page's own offset
    if not (is_page and capabilities.snoop):
        mask |= SECOND_LEVEL.SNP.mask
    if not (is_page and capabilities.device_tlb):
        mask |= SECOND_LEVEL.TM.mask
    if level > 1 and level not in capabilities.large_levels:
        mask |= SECOND_LEVEL.PS.mask
    return mask


def maps_page(entry: int, level: int) -> bool:
    """Whether a second-level entry maps a page, and names no table."""
    return level == 1 or bool(entry & SECOND_LEVEL.PS.mask)


def descend(
    memory: Memory, capabilities: Capabilities, start: Start, iova: int, write: bool
) -> Walk:
    """From the table at `start` to the page of `iova`, for a read or for a `write`."""
    steps: list[Step] = []
    at = start
    while True:
        entry_at = at.table + SECOND_LEVEL.size * index_bits(at.level).get(iova)
        entry = load_entry(memory, entry_at, SECOND_LEVEL.size)
        if entry is None:
            # The table that the context entry names: that entry is wrong. Else the one above is.
            why = Reason.CONTEXT_INVALID if at.top else Reason.PAGING_ACCESS
            return Walk(tuple(steps), why)
        steps.append(Step("second level", at.level, entry_at, entry))
        below = Start.below(entry, at.level, at.read, at.write)
        if not (below.write if write else below.read):
            return Walk(tuple(steps), Reason.WRITE if write else Reason.READ)
        is_page = maps_page(entry, at.level)
        if entry & reserved_bits(at.level, is_page, capabilities):
            return Walk(tuple(steps), Reason.PAGING_RESERVED)
        if is_page:
            size = 1 << index_bits(at.level).lo
            gpa = entry & _ADDRESS | iova & (size - 1)  # the bits below are reserved: they are 0
            return Walk(tuple(steps), None, gpa, size, below.read, below.write)
        at = below


def judged(walk: Walk, write: bool) -> Walk:
    """A page that was found, or remembered: whether this access may have it."""
    if walk.reason is not None:
        return walk
    if not (walk.write if write else walk.read):
        return Walk(walk.steps, Reason.WRITE if write else Reason.READ)
    if walk.gpa in INTERRUPT_RANGE:
        return Walk(walk.steps, Reason.INTERRUPT_RANGE)
    return walk


def translate(
    memory: Memory,
    root_table: int,
    capabilities: Capabilities,
    source_id: int,
    iova: int,
    write: bool,
) -> Walk:
    """The whole walk, with nothing remembered: what `source_id` reaches at `iova`.

    The steps are those of root, context and second level together.
    """
    context = find_context(memory, root_table, capabilities, source_id)
    if context.reason is not None:
        return Walk(context.steps, context.reason)
    if beyond_width(context, capabilities, iova):
        return Walk(context.steps, Reason.BEYOND_WIDTH)
    if context.kind == TranslationType.PASS_THROUGH:
        return judged(Walk(context.steps, None, iova, PAGE, read=True, write=True), write)
    walk = descend(memory, capabilities, Start(context.levels, context.table), iova, write)
    return judged(walk._replace(steps=context.steps + walk.steps), write)
