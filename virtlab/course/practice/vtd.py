"""Problems about VT-d: where a device's request goes.

    source id, iova --> root --> context --> second level --> gpa, or a fault reason

The idea: the tables are built in a memory, and beside each entry of the walk lies another one that
a slip leads to. At level 3 something is spoilt; what it does, the walk finds out.

The judge is the unit's own walk, `iommu.walk.translate`. Left out: device TLBs, pass-through.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from virtlab.course.practice.board import Board, hex_of
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.layouts import CONTEXT, ROOT, SECOND_LEVEL, index_bits
from virtlab.iommu.reasons import Reason
from virtlab.iommu.walk import Walk, translate
from virtlab.memory import PAGE, GuestMemory
from virtlab.pci.tlp import bdf_text

BASE = 0x10_0000
"""Where the tables' memory begins (gpa)."""

READ_WRITE = 3
_R, _W = SECOND_LEVEL.R.mask, SECOND_LEVEL.W.mask


class Tables(NamedTuple):
    """A unit's tables: `memory`, the gpas of the `root` table, and (gpa, bytes) of each entry."""

    memory: GuestMemory
    root: int
    entries: list[tuple[str, int, int]]

    def put(self, what: str, at: int, size: int, value: int) -> None:
        """Store an entry, and list it for the reader."""
        self.memory.store(at, size, value)
        self.entries.append((what, at, size))


def vtd_walk(board: Board) -> None:
    """Where an iova of a requester leads, or by which reason it faults."""
    random = board.random
    levels = 3 if board.level == 1 else random.choice((3, 4))
    source = random.randrange(0x100, 0x2000) & 0xFFFB
    iova = random.getrandbits(12 + 9 * levels - 1) | 1 << 12 + 9 * levels - 2
    write = bool(random.randrange(2))
    frames = [BASE + PAGE * n for n in random.sample(range(64), 8)]
    tables = Tables(GuestMemory([(BASE, 64 * PAGE)]), frames[0], [])
    page_level = 2 if board.level == 2 and random.randrange(2) else 1
    _build(board, tables, frames, source, iova, levels, page_level)
    if board.level == 3:
        _spoil(board, tables, source, iova, levels, write)
    walk = translate(tables.memory, tables.root, Capabilities(), source, iova, write)
    _show_walk(board, tables, source, iova, write, levels)
    _walk_steps(board, walk, source, iova, write)
    _walk_slips(board, tables, walk, source, iova, write)


def _build(
    board: Board,
    tables: Tables,
    frames: list[int],
    source: int,
    iova: int,
    levels: int,
    page_level: int,
) -> None:
    """Root, context and second level; beside each entry of the walk lies another one."""
    random, used = board.random, iter(frames[1:])
    context, table = next(used), next(used)
    tables.put("root", tables.root + 16 * (source >> 8), 16, ROOT.pack(P=1, CTP=context >> 12))
    pointer, domain = table >> 12, random.randrange(1, 100)
    entry = CONTEXT.pack(P=1, SLPTPTR=pointer, AW=levels - 2, DID=domain)
    tables.put("context", context + 16 * (source & 0xFF), 16, entry)
    decoy = CONTEXT.pack(P=1, SLPTPTR=frames[7] >> 12, AW=levels - 2, DID=domain + 1)
    tables.put("context", context + 16 * (source & 0xFF ^ 4), 16, decoy)
    for level in range(levels, page_level, -1):
        below = next(used)
        at = table + 8 * index_bits(level).get(iova)
        tables.put(f"level {level}", at, 8, below | READ_WRITE)
        tables.put(f"level {level}", _beside(at), 8, frames[7] | READ_WRITE)
        table = below
    at = table + 8 * index_bits(page_level).get(iova)
    for each in (at, _beside(at)):
        page = random.randrange(0x1000, 0x40000) << index_bits(page_level).lo & 0xF_FFFF_FFFF
        leaf = page | READ_WRITE | (SECOND_LEVEL.PS.mask if page_level > 1 else 0)
        tables.put(f"level {page_level}", each, 8, leaf)


def _beside(at: int) -> int:
    """The neighbour of an entry in its table: the other one of a pair."""
    return at ^ 8


def _spoil(board: Board, tables: Tables, source: int, iova: int, levels: int, write: bool) -> None:
    """Level 3: something stops most walks. What it is, the walk itself finds out."""
    walk = translate(tables.memory, tables.root, Capabilities(), source, iova, write)
    how = board.random.randrange(6)
    steps = [step for step in walk.steps if step.table == "second level"]
    step = board.random.choice(steps)
    if how == 0:  # a right is missing
        tables.memory.store(step.entry_at, 8, step.entry & ~board.random.choice((_R, _W)))
    elif how == 1:  # nothing is mapped
        tables.memory.store(step.entry_at, 8, 0)
    elif how == 2:  # a reserved bit
        tables.memory.store(steps[0].entry_at, 8, steps[0].entry | 1 << 11)
    elif how == 3:  # the other device's entry only
        tables.memory.store(walk.steps[1].entry_at, 16, walk.steps[1].entry & ~1)
    elif how == 4:  # the bus has none
        tables.memory.store(walk.steps[0].entry_at, 16, walk.steps[0].entry & ~1)


def _show_walk(
    board: Board, tables: Tables, source: int, iova: int, write: bool, levels: int
) -> None:
    board.say(f"The root table is at {hex_of(tables.root)}. Not listed means zero.")
    board.say(
        "A root entry: P is bit 0, CTP is bits 63:12. A context entry: P is bit 0, SLPTPTR is bits "
        "63:12, AW is bits 66:64 (levels less 2). A second-level entry: R is bit 0, W bit 1, PS "
        "bit 7, address from bit 12. Bit 11 is reserved in an entry that names a table. The rights "
        "are looked at first."
    )
    rows = []
    for _, at, size in sorted(tables.entries, key=lambda entry: entry[1]):
        rows.append((hex_of(at), str(size), _wide(tables.memory.load(at, size), size)))
    board.table("Memory", ("gpa", "bytes", "entry"), rows)
    if board.level == 3:
        show_reasons(board, (0x1, 0x2, 0x3, 0x5, 0x6, 0x7, 0xA, 0xB, 0xC))
    board.words = {"fault"}
    board.data |= {"root": tables.root, "source": source, "iova": iova, "write": write}
    board.data |= {
        "entries": [[at, size, tables.memory.load(at, size)] for _, at, size in tables.entries]
    }
    verb = "writes" if write else "reads"
    board.ask(
        f"The device {bdf_text(source)} {verb} one byte at iova {hex_of(iova)}. Where does it go?",
        "the gpa, or “fault” and its reason, as “0x12345678” or “fault 0x5”",
    )


def _wide(entry: int, size: int) -> str:
    """An entry of 8 or 16 bytes; halves are set apart, the upper one first."""
    low = hex_of(entry & (1 << 64) - 1, 16)
    return low if size == 8 else f"{hex_of(entry >> 64, 16)}_{low[2:]}"


def show_reasons(board: Board, codes: Container[int]) -> None:
    """The reasons that an answer may name."""
    rows = [(hex_of(reason), reason.meaning) for reason in Reason if reason in codes]
    board.table("Fault reasons", ("reason", "meaning"), rows)


def _walk_steps(board: Board, walk: Walk, source: int, iova: int, write: bool) -> None:
    """A line for each entry that the walk read, and its end."""
    end = hex_of(walk.gpa) if walk.reason is None else f"fault {hex_of(walk.reason)}"
    for step in walk.steps:
        if step.table == "root":
            work = f"Bus {source >> 8:#x}: that entry, of 16 bytes, at {hex_of(step.entry_at)}."
        elif step.table == "context":
            low = source & 0xFF
            work = f"Device and function: entry {low:#x} of 16 bytes, at {hex_of(step.entry_at)}."
        else:
            bits = index_bits(step.level)
            work = f"iova bits {bits} = {bits.get(iova):#x}, times 8: at {hex_of(step.entry_at)}."
        board.step(_step_name(step.table, step.level), work, hex_of(step.entry))
    if walk.reason is not None:
        board.step("end", f"The walk stops there: {walk.reason.meaning}.", end)
    else:
        offset = iova & walk.size - 1
        page = walk.gpa - offset
        work = f"All entries allow it. Page {hex_of(page)} + offset {hex_of(offset)}."
        board.step("end", work, end)
    board.answer(end)


def _step_name(table: str, level: int) -> str:
    return f"{table} entry" if not level else f"level {level} entry"


def _walk_slips(
    board: Board, tables: Tables, walk: Walk, source: int, iova: int, write: bool
) -> None:
    """The same walk with a mistake in what it is asked, or in how its end is read."""

    def go(source_id: int, at: int, writes: bool) -> str:
        other = translate(tables.memory, tables.root, Capabilities(), source_id, at, writes)
        return hex_of(other.gpa) if other.reason is None else f"fault {hex_of(other.reason)}"

    if walk.reason is None:
        why = "the offset in the page is not translated: add it."
        board.slip("end", walk.gpa & -walk.size, why)
        last = walk.steps[-1]
        why = "the low bits of the entry are rights, not address."
        board.slip("end", last.entry | iova & walk.size - 1, why)
        if walk.size > PAGE:
            small = walk.gpa & -walk.size | iova & PAGE - 1
            why = "PS is set: this entry maps a page of 2 MiB, its offset has 21 bits."
            board.slip("end", small, why)
        lowest = _step_name("second level", last.level)
        shifted = last.entry_at ^ 8
        other_page = tables.memory.load(shifted, 8) & SECOND_LEVEL.ADDRESS.mask & -walk.size
        why = "the index has nine bits; you took the neighbour of the right entry."
        board.slip(lowest, other_page | iova & walk.size - 1, why)
    else:
        name = _step_name(walk.steps[-1].table, walk.steps[-1].level)
        if walk.reason in (Reason.READ, Reason.WRITE):
            swapped = Reason.WRITE if walk.reason is Reason.READ else Reason.READ
            why = "reason 0x5 is a write without the right, 0x6 a read."
            board.slip("end", f"fault {hex_of(swapped)}", why)
        board.slip(name, go(source, iova, not write), "look at the bit for this kind of access.")
        for reason in Reason:
            if reason < 0x10 and reason is not walk.reason:
                why = "this is not what stops the walk. Go entry by entry, rights first."
                board.slip(name, f"fault {hex_of(reason)}", why)
    context = "context entry" if len(walk.steps) > 1 else "root entry"
    board.slip(context, go(source ^ 4, iova, write), "another function's entry was taken.")
