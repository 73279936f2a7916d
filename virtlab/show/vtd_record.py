"""A fault record, read out: its 16 bytes, each field, and what the reason means.

    bits     field  value        it says
    63:12    FI     0x18000      the page of the request
    79:64    SID    0x300        who asked: 03:00.0
    103:96   FR     0x5          a write, and no permission to write

The idea: a record is all that a driver has after a fault. So it is shown as the driver finds it, as
bytes of the unit's registers, and then field by field.

The rule that keeps it simple: the layout is `layouts.FAULT_RECORD`, the meaning is `Reason`.

Source: VT-d 3.0, 10.4.14, 7.1.3. Left out: what needs a PASID (PV, PRIV, EXE, PP).
"""

from __future__ import annotations

from collections.abc import Iterable

from virtlab.guest.vtd_faults import Fault
from virtlab.iommu.layouts import FAULT_RECORD, FI_INDEX
from virtlab.iommu.reasons import Reason
from virtlab.pci.tlp import bdf_text
from virtlab.show.tables import Table


def reason_words(code: int) -> str:
    """What the manual says of a reason's number."""
    reason = Reason.of(code)
    return reason.meaning if reason is not None else "a reason that is not known"


def record_table(record: int, caption: str = "") -> Table:
    """One record of 128 bits, lowest bit first: each field that counts without a PASID."""
    get = FAULT_RECORD
    fault = Fault.of(record)
    if fault.entry is not None:
        where = "FI", FI_INDEX, f"{fault.entry}", "the number of the interrupt entry"
    else:
        says = f"the page of the request, iova {fault.iova:#x}"
        where = "FI", get.FI, f"{fault.iova:#x}", says
    rows = (
        where,
        ("SID", get.SID, f"{fault.source_id:#x}", f"who asked: {bdf_text(fault.source_id)}"),
        ("FR", get.FR, f"{fault.code:#x}", reason_words(fault.code)),
        ("AT", get.AT, f"{get.AT.get(record)}", _address_type(get.AT.get(record))),
        ("T1", get.T1, f"{get.T1.get(record)}", "a write" if fault.write else "a read"),
        ("F", get.F, f"{get.F.get(record)}", _in_use(record)),
    )
    dump = record.to_bytes(get.size, "little").hex(" ")
    told = tuple((str(bits), name, value, says) for name, bits, value, says in rows)
    return Table(caption or f"A fault record: {dump}", ("bits", "field", "value", "it says"), told)


def _address_type(number: int) -> str:
    return ("an address to be translated", "a request for a translation")[number & 1]


def _in_use(record: int) -> str:
    return "in use, until software writes a 1" if FAULT_RECORD.F.get(record) else "free"


def records_table(records: Iterable[int], overflow: bool = False, caption: str = "") -> Table:
    """All records of a unit, one a row; `overflow` is FSTS.PFO."""
    rows = tuple(_one(number, record) for number, record in enumerate(records))
    lost = " PFO is 1: at least one more fault was lost." if overflow else ""
    heads = ("record", "F", "who", "asked to", "where", "reason")
    return Table(f"{caption or 'The fault records.'}{lost}", heads, rows)


def _one(number: int, record: int) -> tuple[str, ...]:
    if not FAULT_RECORD.F.get(record):
        return (str(number), "0", "", "", "", "free")
    fault = Fault.of(record)
    if fault.entry is not None:
        verb, where = "interrupt", f"entry {fault.entry}"
    else:
        verb, where = "write" if fault.write else "read", f"{fault.iova:#x}"
    who, why = bdf_text(fault.source_id), reason_words(fault.code)
    return (str(number), "1", who, verb, where, f"{fault.code:#x}, {why}")
