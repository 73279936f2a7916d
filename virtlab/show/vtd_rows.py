"""A walk of VT-d as rows: each entry by its bytes, by its fields, and by where it leads.

    root entry     bus 00h           01 20 00 00 ..    P=1            -> context table 0x2000
    context entry  device 5, fn 0    01 30 00 00 ..    P=1 TT=0 ...   -> tables 0x3000
    level 4        bits 47:39 = 0    03 40 00 00 ..    R=1 W=1        -> table 0x4000
      ...                                                             the page, or a fault

The idea: `iommu.walk` says which entries an access meets and how it ends. Here each of them is read
out: what chose it, what stands in memory, what that means.

The rule that keeps it simple: a `View` holds words and numbers. Who draws it asks no memory.

Source: VT-d 3.0, 9.1, 9.3, 9.8; 7.1.3 for the reasons. Left out: scalable mode.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.interrupts import INTERRUPT_RANGE
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import Memory, Step, find_context
from virtlab.iommu.layouts import CONTEXT, RIGHTS, ROOT, SECOND_LEVEL, TranslationType, index_bits
from virtlab.iommu.reasons import Reason
from virtlab.iommu.walk import Walk, maps_page, reserved_bits, translate
from virtlab.pci.tlp import bdf_text
from virtlab.show.layer_words import many
from virtlab.show.walk_view import SIZES

KINDS = {
    TranslationType.UNTRANSLATED: "translate",
    TranslationType.DEVICE_TLB: "translate, device TLB",
    TranslationType.PASS_THROUGH: "pass through",
    TranslationType.RESERVED: "reserved",
}
"""What TT asks for, in a word or two."""


class Row(NamedTuple):
    """One entry of a walk.

    `chooser` is what of the request picked it, `number` its place in its table, `entry_at` where it
    lies (gpa), `raw` its bytes. `fields` and `leads` decode them.
    """

    name: str
    chooser: str
    number: int
    entry_at: int
    raw: bytes
    fields: str
    leads: str


class View(NamedTuple):
    """What the tables say of one request, entry by entry.

    `missing` names the levels that were not read. With a `reason` it is refused. Else it reaches
    `gpa`, in a page of `size` bytes.
    """

    source_id: int
    iova: int
    write: bool
    rows: tuple[Row, ...]
    missing: tuple[str, ...]
    reason: Reason | None
    gpa: int
    size: int

    @property
    def who(self) -> str:
        """The requester, as bus:device.function."""
        return bdf_text(self.source_id)


def look(
    memory: Memory,
    root_table: int,
    capabilities: Capabilities,
    source_id: int,
    iova: int,
    write: bool = False,
) -> View:
    """The request as the tables at `root_table` (gpa) answer it, whatever a cache may hold."""
    if iova in INTERRUPT_RANGE:  # no address for memory: it is refused before any table (3.14)
        why = Reason.INTERRUPT_REQUEST
        return View(source_id, iova, write, (), ("root entry", "context entry"), why, 0, 0)
    asked = memory, root_table, capabilities, source_id
    walk = translate(*asked, iova, write)
    rows = tuple(_row(step, source_id, iova, capabilities) for step in walk.steps)
    missing = _missing(walk, find_context(*asked).levels if len(rows) > 1 else 0)
    return View(source_id, iova, write, rows, missing, walk.reason, walk.gpa, walk.size)


def _missing(walk: Walk, levels: int) -> tuple[str, ...]:
    """What a walk to a page of 4 KiB would have read, and this one did not."""
    names = ["root entry", "context entry", *(f"level {n}" for n in range(levels, 0, -1))]
    passed = walk.reason is None and len(walk.steps) == 2
    return () if passed else tuple(names[len(walk.steps) :])


def _row(step: Step, source_id: int, iova: int, capabilities: Capabilities) -> Row:
    if step.table == "root":
        return _root(step, source_id)
    return (
        _context(step, source_id) if step.table == "context" else _second(step, iova, capabilities)
    )


def _root(step: Step, source_id: int) -> Row:
    entry, bus = step.entry, source_id >> 8
    leads = f"context table {entry & ROOT.CTP.mask:#x}" if ROOT.P.get(entry) else "nothing"
    fields = f"P={ROOT.P.get(entry)}{_reserved(ROOT.reserved(entry))}"
    return Row("root entry", f"bus {bus:02x}h", bus, step.entry_at, _raw(entry, 16), fields, leads)


def _context(step: Step, source_id: int) -> Row:
    entry, low = step.entry, source_id & 0xFF
    fields = " ".join(f"{name}={CONTEXT.fields[name].get(entry)}" for name in ("P", "FPD", "TT"))
    fields += f" AW={CONTEXT.AW.get(entry)} DID={CONTEXT.DID.get(entry)}"
    kind, levels = TranslationType(CONTEXT.TT.get(entry)), CONTEXT.AW.get(entry) + 2
    leads = f"{levels} levels from {entry & CONTEXT.SLPTPTR.mask:#x}"
    if kind != TranslationType.UNTRANSLATED:
        leads = KINDS[kind] if kind >= TranslationType.PASS_THROUGH else f"{leads}, {KINDS[kind]}"
    if not CONTEXT.P.get(entry):
        leads = "nothing"
    chooser = f"device {low >> 3}, fn {low & 7}"
    fields += _reserved(CONTEXT.reserved(entry))
    return Row("context entry", chooser, low, step.entry_at, _raw(entry, 16), fields, leads)


def _second(step: Step, iova: int, capabilities: Capabilities) -> Row:
    entry, bits = step.entry, index_bits(step.level)
    fields = f"R={SECOND_LEVEL.R.get(entry)} W={SECOND_LEVEL.W.get(entry)}"
    page = maps_page(entry, step.level)
    if step.level > 1:
        fields += f" PS={SECOND_LEVEL.PS.get(entry)}"
    fields += _reserved(entry & reserved_bits(step.level, page, capabilities))
    at = entry & SECOND_LEVEL.ADDRESS.mask & (-(1 << bits.lo) if page else -1)
    leads = f"page {at:#x}, {SIZES.get(1 << bits.lo, 'too large')}" if page else f"table {at:#x}"
    if not entry & RIGHTS:
        leads = "nothing"
    index = bits.get(iova)
    name = f"level {step.level}"
    return Row(
        name, f"bits {bits} = {index:#x}", index, step.entry_at, _raw(entry, 8), fields, leads
    )


def _raw(entry: int, size: int) -> bytes:
    return entry.to_bytes(size, "little")


def _reserved(bits: int) -> str:
    """The lowest reserved bit that is set, in words."""
    return f", reserved bit {(bits & -bits).bit_length() - 1}" if bits else ""


def verdict(view: View) -> str:
    """How the request ends, in one clause."""
    if view.reason is not None:
        return f"fault {view.reason:#x}: {view.reason.meaning}"
    return f"gpa {view.gpa:#x}, in a page of {SIZES[view.size]}"


def in_words(view: View) -> str:
    """The request and its end, in a sentence."""
    verb = "write" if view.write else "read"
    entries = many(len(view.rows), "entry", "entries")
    return (
        f"{view.who} asks to {verb} at iova {view.iova:#x}. The tables, {entries}: {verdict(view)}."
    )


def in_characters(view: View, heading: str) -> str:
    """The rows as lines of text."""
    lines = [heading]
    for row in view.rows:
        lines.append(
            f"{row.name:<13}  [{row.number:#x}] at {row.entry_at:#x}: {row.raw.hex(' ')}  "
            f"{row.fields} -> {row.leads}"
        )
    lines += [f"{name:<13}  not read" for name in view.missing]
    return "\n".join([*lines, verdict(view)])
