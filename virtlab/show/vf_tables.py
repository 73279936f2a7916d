"""Tables of a card with virtual functions: its capability, its VFs, the groups they are in.

The idea: each table says one thing twice, what the bytes are and what they mean. The capability
comes from the bytes of configuration space, as a dump of any machine has them.

The rule that keeps it simple: nothing is computed here that the library does not compute. The
tables only put it into rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from virtlab.guest.pci import Found
from virtlab.pci.decode import decode
from virtlab.pci.dump import DumpedFunction
from virtlab.pci.extended import SrIov
from virtlab.pci.function import Function
from virtlab.pci.tlp import source_id
from virtlab.show.maps import size_words
from virtlab.show.naming import field_words
from virtlab.show.tables import Table

SKIPPED = ("HEADER", "STATUS", "FUNCTION_DEPENDENCY", "MIGRATION_STATE")
"""Registers that no lesson needs."""


def capability_table(source: DumpedFunction, caption: str = "") -> Table:
    """The SR-IOV capability in the bytes of a function, a register a row.

    VF BARs that are 0 are left out. `LookupError` if the function has no such capability.
    """
    found = decode(source).find(SrIov)
    if found is None:
        raise LookupError(f"{source.bdf} has no SR-IOV capability")
    rows = []
    for register in found.registers:
        empty = register.name.startswith("VF_BAR") and not register.value
        if register.name in SKIPPED or empty:
            continue
        reg = register.declared
        value = f"0x{register.value:0{2 * reg.width}x}"
        says = meaning(reg.name, register.value) or field_words(reg, register.value)
        doc = SrIov.VF_BAR0.doc if register.name.startswith("VF_BAR") else reg.doc
        rows.append((f"0x{register.offset:03x}", register.name, value, says, doc))
    headers = ("offset", "register", "value", "here", "what it is")
    return Table(caption or f"The SR-IOV capability of {source.bdf}", headers, tuple(rows))


def meaning(name: str, value: int) -> str:
    """What a number of the capability means, where its fields do not say it.

    >>> meaning("SUPPORTED_PAGE_SIZES", 0x13)
    '4 KiB, 8 KiB, 64 KiB'
    """
    if name in ("SUPPORTED_PAGE_SIZES", "SYSTEM_PAGE_SIZE"):
        return ", ".join(size_words(1 << bit + 12) for bit in range(32) if value >> bit & 1)
    if name.endswith("_VFS") or name in ("FIRST_VF_OFFSET", "VF_STRIDE"):
        return f"{value}"
    return ""


def vf_table(functions: Iterable[Found], caption: str = "Virtual functions") -> Table:
    """Where each function is: its routing id, as software writes it and as a number, its memory."""
    rows = []
    for found in functions:
        memory = [
            f"BAR {bar.index}: {bar.address:#x}, {size_words(bar.size)}"
            for bar in found.bars
            if bar.address is not None
        ]
        rows.append((f"{found.place}", f"0x{source_id(*found.place):04x}", ", ".join(memory)))
    return Table(caption, ("place", "routing id", "memory"), tuple(rows))


def group_table(
    before: Sequence[Sequence[Function]],
    after: Sequence[Sequence[Function]],
    names: tuple[str, str] = ("before", "after"),
    caption: str = "IOMMU groups",
) -> Table:
    """A row for each group of `before`: who is in it, and how many groups of `after` that makes."""
    rows = []
    for group in before:
        parts = {number for number, each in enumerate(after) if set(each) & set(group)}
        members = "; ".join(str(function) for function in group)
        rows.append((members, f"{len(group)}", f"{len(parts)}"))
    headers = (f"one group, {names[0]}", "functions", f"groups, {names[1]}")
    return Table(caption, headers, tuple(rows))
