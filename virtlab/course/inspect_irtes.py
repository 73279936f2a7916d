"""The interrupt entries of a snapshot: what each makes of a message, and whose messages it takes.

    IRTA -> [ entry 0 | entry 1 | ... 2**(S + 1) ]     of the saved pages, the present entries

The rule that keeps it simple: an entry is decoded as the unit decodes it, by `layouts.IRTE` and
`interrupt_remapping.reserved`. What nobody may use is told as such.

Source: VT-d 3.0, 5.1, 9.10, 9.11, 10.4.29.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from virtlab.course.saved_iommu import saved
from virtlab.course.vtd_report import fault_data, halves
from virtlab.errors import DmaFault
from virtlab.interrupts import Delivery
from virtlab.iommu.interrupt_remapping import CHECK_BUS, CHECK_ID, COMPARED, reserved
from virtlab.iommu.layouts import DST_XAPIC, IRTE, IRTE_POSTED, descriptor_gpa
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import PAGE, GuestMemory
from virtlab.pci.tlp import bdf_text
from virtlab.wire import u64

IRTA, GSTS = VtdRegisters.IRTA, VtdRegisters.GSTS

PER_PAGE = PAGE // IRTE.size
"""Entries in a page of the table."""


class Entry(NamedTuple):
    """One entry that is present. `extended`: destinations are x2APIC ids; `posting`: CAP.PI."""

    number: int
    bits: int
    extended: bool
    posting: bool

    @property
    def is_posted(self) -> bool:
        """Whether it posts to a descriptor in memory."""
        return bool(IRTE.IM.get(self.bits))

    @property
    def vector(self) -> int:
        """The vector, in either form."""
        return IRTE.V.get(self.bits)

    @property
    def destination(self) -> int:
        """The processors that a remapped interrupt goes to."""
        return (IRTE.DST if self.extended else DST_XAPIC).get(self.bits)

    @property
    def descriptor(self) -> int:
        """Where the posted-interrupt descriptor is (gpa)."""
        return descriptor_gpa(self.bits)

    @property
    def is_wrong(self) -> bool:
        """Whether a reserved bit is set, or it posts and the unit cannot."""
        return reserved(self.bits, self.extended, self.posting)

    def as_data(self) -> dict[str, Any]:
        """What JSON has of it."""
        bits = self.bits
        data: dict[str, Any] = {
            "index": self.number,
            "entry": halves(bits),
            "posted": self.is_posted,
            "vector": self.vector,
            "source_id": IRTE.SID.get(bits),
            "source_check": IRTE.SVT.get(bits),
            "source_qualifier": IRTE.SQ.get(bits),
            "silent": bool(IRTE.FPD.get(bits)),
        }
        if self.is_wrong:
            data["fault"] = fault_data(Reason.IRTE_RESERVED)
        if self.is_posted:
            return data | {
                "descriptor": self.descriptor,
                "urgent": bool(IRTE_POSTED.URG.get(bits)),
            }
        return data | {
            "delivery_mode": IRTE.DLM.get(bits),
            "destination": self.destination,
            "logical": bool(IRTE.DM.get(bits)),
            "redirection_hint": bool(IRTE.RH.get(bits)),
            "level": bool(IRTE.TM.get(bits)),
        }

    def words(self) -> str:
        """One line about it."""
        line = (
            f"  {self.number:>5}  from {self._who():<14} vector {self.vector:#04x}, {self._what()}"
        )
        return f"{line}: {Reason.IRTE_RESERVED.meaning}" if self.is_wrong else line

    def _what(self) -> str:
        if self.is_posted:
            urgent = ", urgent" if IRTE_POSTED.URG.get(self.bits) else ""
            return f"posted to the descriptor at {self.descriptor:#x}{urgent}"
        trigger = "level" if IRTE.TM.get(self.bits) else "edge"
        way = "logical" if IRTE.DM.get(self.bits) else "physical"
        return f"{_mode(IRTE.DLM.get(self.bits))}, {trigger}, to {way} {self.destination:#x}"

    def _who(self) -> str:
        """Whose messages it takes (9.10: SVT, SQ, SID)."""
        sid, check = IRTE.SID.get(self.bits), IRTE.SVT.get(self.bits)
        if check == CHECK_ID:
            mask = COMPARED[IRTE.SQ.get(self.bits)]
            return bdf_text(sid) + ("" if mask == COMPARED[0] else f" & {mask:#06x}")
        if check == CHECK_BUS:
            return f"bus {sid >> 8:02x} to {sid & 0xFF:02x}"
        return "anybody"


class Interrupts(NamedTuple):
    """The interrupt table of a unit. `table` (gpa) is None where no IRTA was saved."""

    enabled: bool
    table: int | None
    size: int
    extended: bool
    entries: list[Entry]

    def as_data(self) -> dict[str, Any]:
        """What JSON has of it."""
        return {
            "interrupt_remapping": {
                "enabled": self.enabled,
                "table": self.table,
                "size": self.size,
                "extended": self.extended,
            },
            "irtes": [entry.as_data() for entry in self.entries],
        }

    def words(self) -> Iterator[str]:
        """The lines about it."""
        if self.table is None:
            yield "no table of interrupts"
            return
        state, ids = "on" if self.enabled else "off", "x2APIC" if self.extended else "xAPIC"
        yield f"interrupt remapping is {state}, table {self.table:#x} of {self.size}, {ids} ids"
        for entry in self.entries:
            yield entry.words()


def irtes(memory: GuestMemory, registers: Mapping[int, int]) -> Interrupts:
    """The entries that are present, in the pages of the table that were saved."""
    irta = saved(registers, IRTA)
    enabled = bool(GSTS.IRES.get(saved(registers, GSTS)))
    if not irta:
        return Interrupts(enabled, None, 0, False, [])
    table, size = irta & IRTA.IRTA.mask, 2 << IRTA.S.get(irta)
    extended, cap = bool(IRTA.EIME.get(irta)), saved(registers, VtdRegisters.CAP)
    posting = not cap or bool(VtdRegisters.CAP.PI.get(cap))  # one that was not saved can do all
    found = [
        Entry(index, bits, extended, posting)
        for first in range(0, size, PER_PAGE)
        for index, bits in _present(memory, table, first, min(PER_PAGE, size - first))
    ]
    return Interrupts(enabled, table, size, extended, found)


def _present(memory: GuestMemory, table: int, first: int, count: int) -> Iterator[tuple[int, int]]:
    """Index and bits of the present ones of `count` entries from `first`; none if not saved."""
    try:
        raw = memory.read(table + first * IRTE.size, count * IRTE.size)
    except DmaFault:
        return
    words = np.frombuffer(raw, u64).reshape(-1, 2)
    for number in np.flatnonzero(words[:, 0] & np.uint64(IRTE.P.mask)).tolist():
        low, high = words[number].tolist()
        yield first + number, high << 64 | low


def _mode(mode: int) -> str:
    """The name of a delivery mode.

    >>> _mode(0), _mode(3)
    ('fixed', 'reserved mode 3')
    """
    if mode in tuple(Delivery):
        return Delivery(mode).name.lower().replace("_", " ")
    return f"reserved mode {mode}"
