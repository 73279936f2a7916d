"""Second-level tables for task 1 of problem set 6: entries planted at any level, right or wrong.

    tables = Tables(levels=4)
    tables.plant(iova, 2, entry)      tables above it are made       tables.spoil(iova, 3, flip)
    tables.ask(iova, write)           what the library's unit does there: a `Walk`

The idea: `Tables` is the driver that made them, and a hostile hand. The judge is the library's
walk. It begins at a root table, so a context entry gets one here, where no memory is.

The rule that keeps it simple: memory ends in the middle of a page. So a table can lie in memory by
half, which is where a careless bound shows.

Source: VT-d 3.0, 3.7, 9.3, 9.8.
"""

from __future__ import annotations

from contextlib import suppress

from virtlab.course.ps3.machines import Memory
from virtlab.errors import DmaFault
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.layouts import CONTEXT, RIGHTS, ROOT, SECOND_LEVEL, index_bits
from virtlab.iommu.walk import Walk, translate
from virtlab.memory import PAGE, GuestMemory

UNIT = Capabilities(snoop=False, device_tlb=False)
"""What the unit of the task can do: 46 bits of address, 3 to 5 levels, pages up to 1 GiB."""

TABLES = 40
"""Pages for tables. Half a page follows, where memory ends."""

END = TABLES * PAGE + PAGE // 2
TOP = 0x3000
"""Where the top table is, if it does not matter."""

R, W, RW, PS = SECOND_LEVEL.R.mask, SECOND_LEVEL.W.mask, RIGHTS, SECOND_LEVEL.PS.mask
SMALL, LARGE, HUGE = PAGE, 1 << 21, 1 << 30
LEVEL = {SMALL: 1, LARGE: 2, HUGE: 3}
"""Where the entry of a page of that size stands."""

_ROOT_TABLE, _CONTEXTS, _SOURCE = 1 << 44, 1 << 45, 0x0018


class Tables:
    """Tables of so many `levels` in a small memory; `context` is the entry that names them."""

    def __init__(self, levels: int = 4, top: int = TOP, aw: int | None = None) -> None:
        self.levels, self.top = levels, top
        self.ram = GuestMemory(END)
        self.memory = Memory(self.ram)
        self._free = iter(range(TOP + PAGE, TABLES * PAGE, PAGE))
        self.context = CONTEXT.pack(
            P=1, SLPTPTR=top // PAGE, AW=levels - 2 if aw is None else aw, DID=9
        )

    @property
    def raw(self) -> bytes:
        """The context entry as it lies in memory."""
        return self.context.to_bytes(CONTEXT.size, "little")

    def take(self) -> int:
        """A page for one more table (gpa)."""
        return next(self._free)

    def plant(self, iova: int, level: int, entry: int) -> None:
        """Let `entry` be the one of `iova` at `level`; tables above it are made.

        Nothing is planted where a large page is.
        """
        table = self.top
        for above in range(self.levels, level, -1):
            at = self.entry_at(table, above, iova)
            if not self.ram.load(at, 8) & RIGHTS:
                self.ram.store(at, 8, self.take() | RIGHTS)
            if self.ram.load(at, 8) & PS:
                return
            table = self.ram.load(at, 8) & SECOND_LEVEL.ADDRESS.mask
        self.ram.store(self.entry_at(table, level, iova), 8, entry)

    @staticmethod
    def entry_at(table: int, level: int, iova: int) -> int:
        """Where the entry of `iova` stands in a table of `level` (gpa)."""
        return table + SECOND_LEVEL.size * index_bits(level).get(iova)

    def spoil(self, iova: int, level: int, flip: int) -> None:
        """Change bits of the entry that a walk for `iova` uses at `level`, if it comes so far."""
        for step in self.ask(iova, False).steps:
            if step.level == level:
                with suppress(DmaFault):
                    self.ram.store(step.entry_at, 8, step.entry ^ flip)

    def ask(self, iova: int, write: bool) -> Walk:
        """What the library's unit does: its second-level steps, and how it ends."""
        walk = translate(self, _ROOT_TABLE, UNIT, _SOURCE, iova, write)
        return walk._replace(steps=walk.steps[2:])

    def load(self, gpa: int, size: int) -> int:
        """Memory as the unit sees it: with a root table, and the context entry."""
        if gpa == _ROOT_TABLE:
            return ROOT.pack(P=1, CTP=_CONTEXTS // PAGE)
        if gpa == _CONTEXTS + CONTEXT.size * (_SOURCE & 0xFF):
            return self.context
        return self.ram.load(gpa, size)


def page(gpa: int, size: int = SMALL, rights: int = RW) -> int:
    """The entry that maps a page of that size."""
    return gpa | rights | (PS if size > SMALL else 0)


def text(walk: Walk) -> str:
    """The entries on the way, as a report shows them."""
    return ", ".join(f"level {step.level} {step.entry:#x}" for step in walk.steps) or "no entry"
