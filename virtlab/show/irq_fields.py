"""A number cut into its fields: a box for each, high bits left, with its bits, its value, its name.

    address 0xfee000b0
    +-------+------+---+-----+-----------+-----+
    | 31:20 | 19:5 | 4 |  3  |     2     | 1:0 |
    | 0xfee |    5 | 1 |  0  |     0     |  0  |
    |  FEE  |HANDLE|FORMAT SHV|HANDLE_15 |IGNORED
    +-------+------+---+-----+-----------+-----+

The idea: an interrupt is a message, an entry, a record or a descriptor, and each is a number. The
boxes come from the declarations that the unit itself reads with.

The rule that keeps it simple: a box is as wide as its words, not as its bits. Bits that no field
has are hatched.

Source: VT-d 3.0, 5.1.2, 9.10, 9.11, 10.4.14; Intel SDM 3A, 11.11.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from virtlab.interrupts import (
    ASSERT,
    DESTINATION,
    HINT,
    LOGICAL,
    MODE,
    TRIGGER,
    VECTOR,
    Delivery,
    Msi,
)
from virtlab.iommu.layouts import (
    DST_XAPIC,
    FAULT_RECORD,
    FI_INDEX,
    IRTE,
    IRTE_POSTED,
    REQUEST_ADDRESS,
    REQUEST_DATA,
)
from virtlab.pci.tlp import bdf_text
from virtlab.show.palette import (
    BODY,
    FAINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    SMALL,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.shapes import hatch
from virtlab.show.svg import TOP, Picture, breadth, fit, picture, rect, write
from virtlab.show.vtd_record import reason_words
from virtlab.wire import Bits

_ROW, _BOX = 116.0, 76.0


class Cut(NamedTuple):
    """Bits `span` of `value`, with the `fields` in them. `words` says a value in its own way."""

    name: str
    value: int
    span: Bits
    fields: Mapping[str, Bits]
    words: Mapping[str, str] = {}


class _Box(NamedTuple):
    bits: str
    value: str
    name: str


OLD_ADDRESS = {
    "FEE": REQUEST_ADDRESS.FEE,
    "DESTINATION": DESTINATION,
    "FORMAT": REQUEST_ADDRESS.FORMAT,
    "HINT": HINT,
    "LOGICAL": LOGICAL,
}
OLD_DATA = {"TRIGGER": TRIGGER, "ASSERT": ASSERT, "MODE": MODE, "VECTOR": VECTOR}
"""The compatibility format, as the local APICs read it."""


def fields_picture(title: str, cuts: Sequence[Cut], lit: Collection[str] = ()) -> Picture:
    """One row for each of `cuts`. Fields whose names are in `lit` stand out."""
    parts = [_row(cut, TOP + 4 + n * _ROW, lit) for n, cut in enumerate(cuts)]
    text = "\n".join([title, *map(_line, cuts)])
    label = f"{title}: " + "; ".join(_line(cut) for cut in cuts)
    return picture(title, TOP + len(cuts) * _ROW + 8, parts, text, label)


def _boxes(cut: Cut) -> list[_Box]:
    """The fields from the highest bit down, and what is between them."""
    boxes, high = [], cut.span.hi
    inside = {n: f for n, f in cut.fields.items() if f.hi <= high and f.lo >= cut.span.lo}
    for name, field in sorted(inside.items(), key=lambda item: -item[1].hi):
        if field.hi < high:
            boxes.append(_Box(str(Bits(high, field.hi + 1)), "", ""))
        boxes.append(_Box(str(field), _value(cut, name, field), name))
        high = field.lo - 1
    if high >= cut.span.lo:
        boxes.append(_Box(str(Bits(high, cut.span.lo)), "", ""))
    return boxes


def _value(cut: Cut, name: str, field: Bits) -> str:
    value = field.get(cut.value)
    return cut.words.get(name) or (f"{value:#x}" if value > 9 else f"{value}")


def _row(cut: Cut, y: float, lit: Collection[str]) -> str:
    whole = cut.span.get(cut.value)
    shown = f"{cut.name} {whole:#0{cut.span.width // 4 + 2}x}"
    parts = [write(MARGIN, y + 14, shown, BODY, bold=True, mono=True)]
    boxes = _boxes(cut)
    needs = [max(breadth(words, SMALL, True) for words in box) + 12 for box in boxes]
    more = (WIDTH - 2 * MARGIN - sum(needs)) / len(boxes)
    x = float(MARGIN)
    for box, need in zip(boxes, needs, strict=True):
        parts.append(_box(box, x, y + 24, need + more, box.name in lit))
        x += need + more
    return "".join(parts)


def _box(box: _Box, x: float, y: float, width: float, lit: bool) -> str:
    tint = YELLOW_TINT if lit else WHITE if box.name else GREY_TINT
    parts = [rect(x, y, width, _BOX, tint, "none", 0)]
    if not box.name:
        parts.append(hatch(x, y, width, _BOX, FAINT))
    parts.append(rect(x, y, width, _BOX, "none", INK, 0, 3 if lit else 1.2))
    middle = x + width / 2
    parts.append(write(middle, y + 19, box.bits, SMALL, MUTED, "middle", mono=True))
    parts.append(write(middle, y + 43, box.value, BODY, INK, "middle", True, mono=True))
    name = fit(box.name, width - 2, SMALL, True)
    parts.append(write(middle, y + 66, name, SMALL, INK, "middle", mono=True))
    return "".join(parts)


def _line(cut: Cut) -> str:
    """A row in characters, without what is reserved."""
    said = " ".join(f"{box.name}={box.value}" for box in _boxes(cut) if box.name)
    return f"{cut.name} {cut.span.get(cut.value):#0{cut.span.width // 4 + 2}x}: {said}"


# -- what is drawn so

_DWORD, _LOW, _HIGH = Bits(31, 0), Bits(63, 0), Bits(127, 64)


def message_picture(msi: Msi, title: str = "", lit: Collection[str] = ()) -> Picture:
    """An interrupt message in the format that its address says it has (FORMAT, bit 4)."""
    if REQUEST_ADDRESS.FORMAT.get(msi.address):
        address, data, words = REQUEST_ADDRESS.fields, REQUEST_DATA.fields, {}
        title = title or "A message that names an entry"
    else:
        address, data = OLD_ADDRESS, OLD_DATA
        words = {"MODE": _mode(MODE.get(msi.data))}
        title = title or "A message that names a vector"
    cuts = [
        Cut("address", msi.address, _DWORD, address),
        Cut("data", msi.data, _DWORD, data, words),
    ]
    return fields_picture(title, cuts, lit)


def _mode(code: int) -> str:
    return Delivery(code).name if code in list(Delivery) else str(code)


def entry_picture(index: int, entry: int, title: str = "", lit: Collection[str] = ()) -> Picture:
    """An entry of the interrupt-remapping table, of either form; an xAPIC id as destination."""
    words = {"SID": bdf_text(IRTE.SID.get(entry))}
    if IRTE.IM.get(entry):
        fields: Mapping[str, Bits] = IRTE_POSTED.fields
    else:
        fields = {**IRTE.fields, "DST": DST_XAPIC}
        words["DLM"] = _mode(IRTE.DLM.get(entry))
    halves = [Cut("high", entry, _HIGH, fields, words), Cut("low", entry, _LOW, fields, words)]
    return fields_picture(title or f"Entry {index} of the table", halves, lit)


def record_picture(record: int, title: str = "A fault record") -> Picture:
    """The record of an interrupt request that was refused."""
    reason = FAULT_RECORD.FR.get(record)
    words = {"SID": bdf_text(FAULT_RECORD.SID.get(record)), "FR": f"{reason:x}h"}
    cuts = [
        Cut("high", record, _HIGH, FAULT_RECORD.fields, words),
        Cut("low", record, _LOW, {"INDEX": FI_INDEX}),
    ]
    return fields_picture(f"{title}: {reason_words(reason)}", cuts, ("FR", "SID"))
