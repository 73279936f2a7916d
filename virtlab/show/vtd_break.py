"""Break one entry of a walk, let the card ask, and mend it: what the unit says of it.

    entry          bits turned      fault
    level 1        W                5h   a write, and no permission to write
    context entry  P                2h   the context entry is not present

The idea: a reason is best learned from its cause. So an entry is changed in memory, the unit is
told to forget, the card tries, and a driver reads the record. Then all is put back.

The rule that keeps it simple: one entry at a time, and what was read is freed.

Source: VT-d 3.0, 7.1.3, 7.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from virtlab.guest.vtd import VtdDriver
from virtlab.guest.vtd_faults import Fault
from virtlab.guest.vtd_tables import WORD
from virtlab.memory import GuestMemory
from virtlab.show.tables import Table
from virtlab.show.vtd_rows import Row


class Break(NamedTuple):
    """Which entry, by the name of its row; which bits are turned; and what that does, in words."""

    name: str
    mask: int
    words: str


def broken(
    memory: GuestMemory, vtd: VtdDriver, row: Row, mask: int, act: Callable[[], object]
) -> list[Fault]:
    """Turn the bits of `mask` in the first 8 bytes of an entry, and `act`: the faults of that.

    The entry is as it was afterwards, the unit has forgotten it, and the records are free.
    """
    whole = memory.load(row.entry_at, WORD)
    vtd.faults.read()
    memory.store(row.entry_at, WORD, whole ^ mask)
    vtd.forget_all()
    try:
        act()
        return vtd.faults.read()
    finally:
        memory.store(row.entry_at, WORD, whole)
        vtd.forget_all()


def break_all(
    memory: GuestMemory,
    vtd: VtdDriver,
    rows: Iterable[Row],
    breaks: Iterable[Break],
    act: Callable[[], object],
) -> dict[Break, Fault | None]:
    """Each of `breaks` by itself, and the first fault that it led to; None if there was none."""
    named = {row.name: row for row in rows}
    found: dict[Break, Fault | None] = {}
    for each in breaks:
        faults = broken(memory, vtd, named[each.name], each.mask, act)
        found[each] = faults[0] if faults else None
    return found


def break_table(found: dict[Break, Fault | None], caption: str = "") -> Table:
    """What was broken beside what the record said."""
    rows = tuple((each.name, each.words, *_fault_words(fault)) for each, fault in found.items())
    heads = ("entry", "what was done", "reason", "the manual's meaning")
    return Table(caption or f"{len(rows)} entries broken, one by one", heads, rows)


def _fault_words(fault: Fault | None) -> tuple[str, str]:
    if fault is None:
        return "none", "no record was made"
    return f"{fault.code:#x}", fault.reason.meaning if fault.reason else "not known"
