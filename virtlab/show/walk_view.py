"""What a walk says, in words: each entry decoded, the rights so far, and how an access ends.

The idea: pictures and sentences of walks ask the tables the same questions that the processor asks,
and set no flag while they do. `look` answers them all once; who draws needs nothing else.

The rule that keeps it simple: one access is one `View`. It is the same for EPT, for a shadow page
table and for a guest's own tables; only the names of the bits differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from virtlab.vmm.ept import MEMORY_TYPE, RIGHTS, Ept
from virtlab.vmm.exits import READ, WRITE, EptViolation
from virtlab.vmm.guest_paging import GuestPaging
from virtlab.vmm.page_entries import NOT_CANONICAL, PS, RW, US, XD, A, D, P, PageTree
from virtlab.vmm.shadow import ShadowPageTable
from virtlab.vmm.walk import LARGE, NOT_ALLOWED, NOT_PRESENT, UNREACHABLE, End, Step
from virtlab.wire import Bits

Walkable = Ept | ShadowPageTable | GuestPaging
"""The tables that can be drawn."""

TYPES = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB"}
"""Memory types, as the manual shortens them (SDM 3A 12.3)."""

EPT_BITS = {"R": Bits(0), "W": Bits(1), "X": Bits(2), "large": LARGE}
PAGE_BITS = {"P": P, "R/W": RW, "U/S": US, "A": A, "D": D, "PS": PS, "XD": XD}
"""The bits of an entry by the names that a picture uses."""

SIZES = {1 << 12: "4 KiB", 1 << 21: "2 MiB", 1 << 22: "4 MiB", 1 << 30: "1 GiB"}

ERRORS = ("P", "W/R", "U/S", "RSVD", "I/D")
"""Bits 0 to 4 of a page fault's error code (SDM 3A 4.7)."""


class Cell(NamedTuple):
    """One level of a walk: the `chosen` entry, by the `bits` of the address, and what it says.

    `so_far` are the rights of all entries up to here; `stops` says why the access ends here.
    """

    level: int
    bits: str
    chosen: int
    entry_at: int
    entry: int
    lines: tuple[str, ...]
    so_far: str
    stops: str = ""


class View(NamedTuple):
    """One access: its cells, and its end.

    `name` is the kind of table; `source` and `target` name the address spaces. `missing` are the
    levels without a cell: never reached, or not needed where a large page ends the walk early.
    Where the access got through, `result` is the address, on a page of `size` bytes. `verdict` says
    the end in words.
    """

    name: str
    source: str
    target: str
    address: int
    write: bool
    cells: tuple[Cell, ...]
    missing: tuple[int, ...]
    through: bool
    result: int
    size: int
    verdict: str


def look(tables: Walkable, address: int, write: bool = False) -> View:
    """All that there is to say about one access; no flag is set."""
    end = tables.descend(address)
    cells = tuple(_cell(tables, end, n, address, write) for n in range(len(end.steps)))
    denied = next((cell.stops for cell in cells if cell.stops), "")
    problem = end.problem or (NOT_ALLOWED if denied else "")
    missing = tuple(tables.INDEX)[len(cells) :]
    verdict = _verdict(tables, problem, address, write) or f"page of {SIZES[end.page_size]}"
    name, source, target = names(tables)
    return View(
        name=name,
        source=source,
        target=target,
        address=address,
        write=write,
        cells=cells,
        missing=missing,
        through=not problem,
        result=end.result,
        size=end.page_size,
        verdict=verdict,
    )


def _cell(tables: Walkable, end: End, number: int, address: int, write: bool) -> Cell:
    """One step of a walk as a cell."""
    step, bits = end.steps[number], tables.INDEX[end.steps[number].level]
    stops = "" if _has(tables, step, write) else f"no right to {'write' if write else 'read'}"
    if end.problem:
        stops = end.problem if step is end.steps[-1] and end.problem != UNREACHABLE else ""
    so_far = rights(tables, end.steps[: number + 1])
    chosen, decoded = bits.get(address), decode(tables, step)
    return Cell(step.level, str(bits), chosen, step.entry_at, step.entry, decoded, so_far, stops)


def names(tables: Walkable) -> tuple[str, str, str]:
    """What the tables are called, and the address spaces on their two sides."""
    if isinstance(tables, Ept):
        return "EPT", "gpa", "hpa"
    if isinstance(tables, ShadowPageTable):
        return "shadow page table", "gpa", "hpa"
    return ("4-level paging" if tables.ENTRY == 8 else "32-bit paging"), "gva", "gpa"


def bits_of(tables: Walkable) -> dict[str, Bits]:
    """The named bits of an entry of these tables."""
    if isinstance(tables, Ept):
        return EPT_BITS
    return {name: bit for name, bit in PAGE_BITS.items() if bit.hi < 8 * tables.ENTRY}


def decode(tables: Walkable, step: Step) -> tuple[str, ...]:
    """An entry in three short lines: its rights, its other bits, where it leads."""
    entry, leaf = step.entry, tables.is_leaf(step.entry, step.level)
    size = 1 << tables.INDEX[step.level].lo
    frame = entry & tables.FRAME & (-size if leaf else -1)
    leads = f"{'page' if leaf else 'table'} {frame:#x}"
    if tables.problem(entry, step.level) == NOT_PRESENT:
        return _bits(entry, _rights_of(tables)), "rest ignored", ""
    if isinstance(tables, Ept):
        kind = TYPES.get(MEMORY_TYPE.get(entry), "reserved") if leaf else ""
        more = [f"type {kind}"] * leaf + ["large"] * (leaf and step.level > 1)
        return _bits(entry, _rights_of(tables)), " ".join(more), leads
    word = {name: PAGE_BITS[name] for name in ("A", "D") if leaf or name == "A"}
    more = [_bits(entry, word), "PS" * (leaf and step.level > 1), "XD" * XD.get(entry)]
    return _bits(entry, _rights_of(tables)), " ".join(filter(None, more)), leads


def _rights_of(tables: Walkable) -> dict[str, Bits]:
    """The bits that give or refuse an access."""
    if isinstance(tables, Ept):
        return {name: EPT_BITS[name] for name in "RWX"}
    return {name: PAGE_BITS[name] for name in ("P", "R/W", "U/S")}


def _bits(entry: int, names: dict[str, Bits]) -> str:
    return " ".join(f"{name}={bit.get(entry)}" for name, bit in names.items())


def rights(tables: Walkable, steps: Sequence[Step]) -> str:
    """What all entries up to here allow together: `R W -`, or `R W U` of page tables."""
    common = -1
    for step in steps:
        common &= step.entry
    if isinstance(tables, Ept):
        return " ".join(n if EPT_BITS[n].get(common) else "-" for n in "RWX")
    if not P.get(common):
        return "- - -"
    return f"R {'W' if RW.get(common) else '-'} {'U' if US.get(common) else '-'}"


def _has(tables: Walkable, step: Step, write: bool) -> bool:
    """Whether one entry allows the access."""
    if isinstance(tables, Ept):
        return bool(RIGHTS.get(step.entry) & (WRITE if write else READ))
    return tables.permits([step], write)


def _verdict(tables: Walkable, problem: str, address: int, write: bool) -> str:
    """What stops the access, in words; empty if nothing does."""
    if not problem:
        return ""
    if isinstance(tables, Ept):
        exit = tables.translate(address, 1, write)
        if isinstance(exit, EptViolation):
            return f"EPT violation, qualification {exit.qualification:#x}"
        return f"EPT misconfiguration, {problem}"
    if problem == NOT_CANONICAL:
        return "#GP, the address is not canonical"
    return f"page fault, {error_words(tables, problem, write)}"


def error_words(tables: PageTree, problem: str, write: bool) -> str:
    """The error code of a page fault, with the names of its bits: `error code 0x3 (P W/R)`."""
    code = tables.error_code(problem, write)
    said = " ".join(name for i, name in enumerate(ERRORS) if code >> i & 1)
    return f"error code {code:#x}" + (f" ({said})" if said else "")
