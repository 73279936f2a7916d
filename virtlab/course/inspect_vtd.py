"""``virtlab inspect vtd``: the tables of a VT-d unit, in the memory snapshot of a machine.

    FILE                             every context, its pages, and the interrupt entries
    FILE --source 00:03.0            one context, and its pages
    FILE --source ... --iova 0x...   one address: entry by entry to its page, or to its fault

A translation is asked for whatever right the page gives; with ``--write`` for a write alone. So a
page that a device may only write is found too.

The rule that keeps it simple: what was not saved is not guessed. A way that leads there is an error
that names the page. In a list it is a finding, and the list goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from virtlab.course import vtd_report as report
from virtlab.course.inspect_irtes import Interrupts, irtes
from virtlab.course.saved_iommu import capabilities_of, is_scalable, root_table, walk_any
from virtlab.course.snapshots import Snapshot, load_snapshot, read_snapshot
from virtlab.errors import DmaFault, FileError
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import Context, find_context
from virtlab.iommu.listing import Budget, contexts, pages
from virtlab.iommu.walk import Walk, translate
from virtlab.memory import PAGE, GuestMemory
from virtlab.pci.tlp import parse_bdf


class Unit(NamedTuple):
    """The unit of a snapshot. `root` (gpa) is None where it does not translate."""

    path: str
    snapshot: Snapshot
    root: int | None
    capabilities: Capabilities

    @property
    def memory(self) -> GuestMemory:
        """The guest's memory, as far as it was saved."""
        return self.snapshot.memory


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``virtlab inspect vtd``."""
    parser.add_argument(
        "file", metavar="FILE", help="a virtlab-snapshot/1, an .npz; - reads it here"
    )
    parser.add_argument("--source", type=source, metavar="BDF", help="who asks, such as 00:03.0")
    parser.add_argument("--iova", type=address, metavar="ADDRESS", help="what it asks for")
    parser.add_argument("--write", action="store_true", help="ask for a write, not for any right")
    parser.add_argument("-v", "--verbose", action="store_true", help="every page")
    parser.add_argument("--json", action="store_true", help="as data, for a program")
    parser.set_defaults(complain=parser.error)


def source(text: str) -> int:
    """A source id as bus:device.function, or as a number of 16 bits."""
    try:
        number = int(text, 0)
    except ValueError:
        number = parse_bdf(text.removeprefix("0000:"))
    if not 0 <= number < 1 << 16:
        raise ValueError(f"a source id has 16 bits: {text}")
    return number


def address(text: str) -> int:
    """An address: 0x and hexadecimal digits, or decimal ones."""
    number = int(text, 0)
    if not 0 <= number < 1 << 64:
        raise ValueError(f"an address has 64 bits: {text}")
    return number


def run(options: argparse.Namespace) -> str:
    """What the tables say: in words, or as data."""
    if options.iova is not None and options.source is None:
        options.complain("--iova needs --source: whose address is it?")
    unit = load(options.file)
    if options.iova is not None:
        found = way(unit, options.source, options.iova, options.write)
        if options.json:
            return json.dumps(report.way_data(options.source, options.iova, *found))
        return "\n".join(report.way_words(options.source, options.iova, *found))
    listed = list(listing(unit, options.source))
    interrupts = irtes(unit.memory, unit.snapshot.vtd) if options.source is None else None
    if options.json:
        return json.dumps(as_data(unit, listed, interrupts))
    return "\n".join(words(unit, listed, interrupts, options.verbose))


def load(file: str) -> Unit:
    """The unit of a snapshot. `FileError` where there is none, or one that is not read here."""
    if file == "-":
        with open(0, "rb", closefd=False) as stdin:
            path, snapshot = "standard input", read_snapshot(stdin, "standard input")
    else:
        path, snapshot = file, load_snapshot(file)
    if not snapshot.vtd:
        raise FileError(path, 0, "no VT-d unit in this snapshot")
    root = root_table(snapshot.vtd)
    if root is not None and is_scalable(root):
        raise FileError(path, 0, "the unit is in scalable mode, which is not read")
    return Unit(path, snapshot, root, capabilities_of(snapshot.vtd))


# -- one address


class Named:
    """The memory of a snapshot for a walk: a page that was not saved ends it, by its name."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit

    def load(self, gpa: int, size: int) -> int:
        """The entry at `gpa`. `FileError`, where a `DmaFault` would be an answer of the unit."""
        try:
            return self.unit.memory.load(gpa, size)
        except DmaFault as fault:
            raise FileError(self.unit.path, 0, f"the walk needs {gpa:#x}: {fault.reason}") from None


def way(unit: Unit, source_id: int, iova: int, write: bool) -> tuple[Context | None, Walk]:
    """The context of `source_id`, None without translation, and the way of one address."""
    if unit.root is None:
        return None, Walk((), None, iova, PAGE, read=True, write=True)
    asked = Named(unit), unit.root, unit.capabilities, source_id
    walk = translate(*asked, iova, write) if write else walk_any(*asked, iova)
    return find_context(*asked), walk


# -- all of them


def listing(unit: Unit, source_id: int | None) -> Iterator[report.Listed]:
    """Each context that is present, or that of `source_id`, with its pages."""
    if unit.root is None:
        return
    budget, root = Budget(), unit.root
    if source_id is None:
        found = contexts(unit.memory, root, unit.capabilities)
    else:
        found = iter([(source_id, find_context(Named(unit), root, unit.capabilities, source_id))])
    for source, context in found:
        told = list(pages(unit.memory, unit.capabilities, context, budget))
        yield report.Listed(source, context, told, not budget.spent)


def as_data(
    unit: Unit, listed: list[report.Listed], interrupts: Interrupts | None
) -> dict[str, Any]:
    """What JSON has of contexts, their pages, and the interrupt entries."""
    data: dict[str, Any] = {
        "name": unit.snapshot.name,
        "translating": unit.root is not None,
        "root": unit.root,
        "capabilities": unit.capabilities._asdict(),
        "contexts": [report.context_data(each) for each in listed],
    }
    return data if interrupts is None else data | interrupts.as_data()


def words(
    unit: Unit, listed: list[report.Listed], interrupts: Interrupts | None, verbose: bool
) -> Iterator[str]:
    """The lines about the same."""
    name, of = unit.snapshot.name, unit.snapshot.source
    yield f"{name}: {of}" if of else name
    yield from report.unit_words(unit.root, unit.capabilities)
    for each in listed:
        yield ""
        yield from report.context_words(each, verbose)
    if interrupts is not None:
        yield ""
        yield from interrupts.words()
