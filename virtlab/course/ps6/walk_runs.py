"""Task 1 of problem set 6: the questions that its cases ask, and what is said of an answer.

    asks(...)       one translation: the verdict, and that no entry was read twice
    looks, entries, tables_with       tables by hand, then questions to them

The idea: a case plants entries, and asks for addresses that meet them. What is right is the
library's own walk of the same tables.

The rule that keeps it simple: a report shows the entries that a walk meets, as far as it comes.

Source: VT-d 3.0, 3.7, 7.1.3, 9.8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import Memory, first
from virtlab.course.ps6.second_level import (
    Tables,
    page,
    text,
)
from virtlab.course.tasks import Difference, Run, compare, cut, same, shown
from virtlab.iommu.layouts import index_bits
from virtlab.iommu.reasons import Reason
from virtlab.iommu.walk import Walk

LOOK_WALK = "which bits of the iova at which level, and which bits stay (VT-d 3.7, 9.8)"
LOOK_STRAYED = (
    "an entry was read that is not on the way: which bits of the iova, and which of the entry "
    "above? (VT-d 3.7, 9.8)"
)
LOOK_ALLOWED = "nothing forbids this access: "
LOOK_WHAT = "what do you take for forbidden? (VT-d 9.8)"
LOOK_TWICE = "each entry is read once: the driver may change it in between"
LOOKS = {
    Reason.CONTEXT_INVALID: "AW 1, 2, 3 are 3, 4, 5 levels; and their top table is in memory "
    "(VT-d 9.3)",
    Reason.BEYOND_WIDTH: "tables of so many levels have so many bits of iova (VT-d 3.7)",
    Reason.WRITE: "a write needs W in every entry on its way, and it is asked at each (VT-d 9.8)",
    Reason.READ: "a read needs R in every entry on its way, and it is asked at each (VT-d 9.8)",
    Reason.PAGING_ACCESS: "is the entry in memory, all 8 bytes of it? (VT-d 7.1.3, 7h)",
    Reason.PAGING_RESERVED: "which bits of an entry must be 0, and the bit that is named there "
    "(VT-d 9.8)",
    Reason.INTERRUPT_RANGE: "where the page leads to, FEEh at the top of 32 bits (VT-d 7.1.3, Eh)",
}


def asks(answer: Answer, tables: Tables, iova: int, write: bool) -> Difference | None:
    """Let the student translate once."""
    walk = tables.ask(iova, write)
    right = ("gpa", walk.gpa) if walk.reason is None else ("fault", int(walk.reason))
    answer.given = (
        f"translate(memory, context, {iova:#x}, {write}), context {tables.context:#x}; {text(walk)}"
    )
    memory = tables.memory
    memory.accesses.clear()
    yours = answer.call("translate", memory, tables.raw, iova, write)
    if not same(right, yours):
        return _differ(right, yours, walk.reason, _strayed(memory, walk))
    answer.note_cost("loads", len(memory.accesses), len(walk.steps))
    if found := _outside(memory) or _twice(memory, walk):
        return found
    if any(access.verb in ("write", "store") for access in memory.accesses):
        return Difference("nothing is written", "a store", LOOK_WALK)
    return None


def _outside(memory: Memory) -> Difference | None:
    """Whether something was read where no memory is: there is nothing to load."""
    for access in memory.accesses:
        if access.address + access.length > memory.size:
            said = f"a load of {access.length} bytes at {access.address:#x}"
            right = f"no load beyond memory.size, {memory.size:#x}"
            return Difference(right, said, LOOKS[Reason.PAGING_ACCESS])
    return None


def _strayed(memory: Memory, walk: Walk) -> bool:
    """Whether something was read that the walk does not meet."""
    met = {step.entry_at for step in walk.steps}
    return any(access.address not in met for access in memory.accesses)


def _twice(memory: Memory, walk: Walk) -> Difference | None:
    """Whether an entry was read more often than the walk meets it."""
    met = Counter(step.entry_at for step in walk.steps)
    for at, count in Counter(access.address for access in memory.accesses).items():
        if count > max(met[at], 1):
            said = f"entry at {at:#x} read {count} times"
            return Difference(f"each entry read {_times(met[at])}", said, LOOK_TWICE)
    return None


def _times(met: int) -> str:
    return "once" if met < 2 else f"as often as the walk meets it: {met} times"


def _differ(
    right: tuple[str, int], yours: object, reason: Reason | None, strayed: bool
) -> Difference | None:
    """The verdicts differ. A number is shown in hexadecimal, also a small one."""
    look = LOOK_WALK if reason is None else LOOKS[reason]
    if reason is None and type(yours) is tuple and len(yours) == 2 and yours[0] == "fault":
        named = next((look for one, look in LOOKS.items() if one == yours[1]), LOOK_WHAT)
        look = LOOK_STRAYED if strayed else LOOK_ALLOWED + named
    if type(yours) is tuple and [type(one) for one in yours] == [str, int]:
        return Difference(_verdict(right), cut(_verdict(yours)), look)
    found = compare(right, yours, look)
    return found and found._replace(expected=_verdict(right))


def _verdict(verdict: tuple[str, int]) -> str:
    return f"({shown(verdict[0])}, {verdict[1]:#x})"


# -- the cases

Planted = tuple[int, int, int]
"""An iova, a level, and the entry that stands there."""

Asked = tuple[int, bool]


def looks(planted: Iterable[Planted], *asked: Asked, levels: int = 3) -> Run:
    """Questions to tables with these entries."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        tables = Tables(levels)
        for one in planted:
            tables.plant(*one)
        return first(asks(answer, tables, *question) for question in asked)

    return run


def entries(level: int, *entries: int, levels: int = 4) -> Run:
    """Entries at a level, each for addresses of its own; a read and a write of each."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        tables, asked = Tables(levels), []
        for number, entry in enumerate(entries):
            iova = number << index_bits(level).lo
            tables.plant(iova, level, entry)
            asked += [(iova | 0x123, False), (iova | 0x123, True)]
        return first(asks(answer, tables, *question) for question in asked)

    return run


def tables_with(*bits: int, level: int = 2) -> Run:
    """An entry of `level` that names a sound table, with one more bit set each time."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        tables, asked = Tables(5), []
        for number, bit in enumerate(bits):
            iova = number << index_bits(level).lo
            tables.plant(iova, 1, page(0x7000))
            tables.spoil(iova, level, 1 << bit)
            asked.append((iova | 0x10, bool(number % 2)))
        return first(asks(answer, tables, *question) for question in asked)

    return run
