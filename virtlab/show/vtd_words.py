"""What the VT-d lab says below its picture, and the names of the bits that it can flip.

The idea: two things are told apart, always. What the *tables* say now, and what the *unit* did when
the card asked last. They differ where the unit remembers.

The rule that keeps it simple: sentences and names are pure functions of a `VtdState`.
"""

from __future__ import annotations

from virtlab.iommu.layouts import CONTEXT, ROOT, SECOND_LEVEL, Structure
from virtlab.iommu.reasons import Reason
from virtlab.iommu.walk import maps_page, reserved_bits
from virtlab.pci.tlp import bdf_text
from virtlab.show.layer_words import many
from virtlab.show.vtd_picture import Said
from virtlab.show.vtd_rows import Row, View, in_words
from virtlab.show.vtd_state import CAPABILITIES, VtdState, view_of

STRUCTURES = {"root entry": ROOT, "context entry": CONTEXT}
"""The layout of a row by its name. All other rows are second-level entries."""


def bits_of(row: Row) -> list[tuple[str, int]]:
    """Every bit of an entry with its name, lowest first: `("bit 0: R", 0)`."""
    structure = STRUCTURES.get(row.name, SECOND_LEVEL)
    reserved = structure.reserved_mask
    if structure is SECOND_LEVEL:
        entry, level = int.from_bytes(row.raw, "little"), int(row.name.split()[-1])
        reserved = reserved_bits(level, maps_page(entry, level), CAPABILITIES)
    named = [(n, bit_name(structure, n, reserved)) for n in range(8 * len(row.raw))]
    return [(f"bit {n}: {name}", n) for n, name in named]


def bit_name(structure: Structure, bit: int, reserved: int) -> str:
    """The field that a bit is of, or that it is reserved or ignored."""
    if reserved >> bit & 1:
        return "reserved"
    field = next(name for name, bits in structure.fields.items() if bits.lo <= bit <= bits.hi)
    return "ignored" if field.startswith("IGNORED") else field


def differs(state: VtdState, view: View) -> bool:
    """Whether the unit's last answer is another than the tables give now, for the same request."""
    answer = state.answer
    if answer is None or answer[:3] != (view.source_id, view.iova, view.write):
        return False
    return (answer.reason, answer.gpa) != (view.reason, view.gpa)


def explain(state: VtdState) -> str:
    """The picture, the last request, and what the button would flip."""
    view = view_of(state)
    parts = [in_words(view), last_answer(state)]
    if differs(state, view):
        parts.append("The two differ: nobody has told the unit that the tables changed.")
    if view.rows:
        row = view.rows[state.lit]
        parts.append(f"Lit: {_article(row.name)}{row.name} at `{row.entry_at:#x}`.")
    return " ".join(parts)


def _article(name: str) -> str:
    return "the entry of " if name.startswith("level") else "the "


def said(state: VtdState, view: View) -> Said:
    """The unit's last answer in a few words, for the picture."""
    answer = state.answer
    if answer is None:
        return Said("no device has asked yet")
    if answer[:3] != (view.source_id, view.iova, view.write):
        return Said("this one was not asked last")
    end = f"arrived at {answer.gpa:#x}" if answer.reason is None else f"fault {answer.reason:#x}"
    how = ": the unit remembered"
    if answer.reads:
        how = f": the unit read {many(answer.reads, 'entry', 'entries')}"
    if answer.reason is Reason.INTERRUPT_REQUEST:
        how = ", before any table"
    return Said(f"{end}{how}", differs(state, view))


def last_answer(state: VtdState) -> str:
    """What became of the last request."""
    answer = state.answer
    if answer is None:
        return "No device has asked yet."
    verb = "write" if answer.write else "read"
    begin = f"The last request, a {verb} of {bdf_text(answer.source_id)} at `{answer.iova:#x}`,"
    how = "the unit read no entry, it remembered"
    if answer.reads:
        how = f"the unit read {many(answer.reads, 'entry', 'entries')}"
    if answer.reason is not None:
        if answer.reason is Reason.INTERRUPT_REQUEST:
            how = "it was refused before any table"
        return f"{begin} met fault {answer.reason:#x} ({answer.reason.meaning}); {how}."
    return f"{begin} arrived at `{answer.gpa:#x}`; {how}."
