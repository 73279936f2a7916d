"""The DMAR table of a board: `dmar(RemappingUnit(base), ...)`, for `Board.more`.

    dmar(RemappingUnit(0xFED9_0000, all_others=True), host_width=46)

The idea: a unit says who is behind it. With `all_others` that is everyone that no other unit names.
An I/O APIC and an HPET are no PCI functions, but they send interrupts. So they are named too,
by the source id that the unit shall see.

The rule that keeps it simple: of a segment, the unit for all others is the last (VT-d 3.0, 8.3).

Source: VT-d 3.0, 8.1, 8.3, 8.3.1. `dmar` has the layouts.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.acpi.dmar import HARDWARE_UNIT, PATH, SCOPES
from virtlab.acpi.dmar import SCOPE as LAYOUTS
from virtlab.acpi.structures import Structure, make, table

ENDPOINT, BRIDGE, IO_APIC, HPET = 1, 2, 3, 4
"""Types of scope."""

ALL_OTHERS = 1
"""A unit's flag, INCLUDE_PCI_ALL (8.3)."""

REMAPS_INTERRUPTS = 1
"""The table's flag, INTR_REMAP (8.1)."""


class Scope(NamedTuple):
    """A device by its way: `(device, function)` of each bridge from bus `start_bus`, then its own.

    `number` is the id of an I/O APIC or an HPET.

    >>> hex(Scope(IO_APIC, ((0x1E, 7),), start_bus=0xF0).source_id)
    '0xf0f7'
    """

    kind: int
    path: tuple[tuple[int, int], ...]
    start_bus: int = 0
    number: int = 0

    @property
    def source_id(self) -> int | None:
        """Of a device on the start bus. Behind a bridge the bridge must be asked: None."""
        if len(self.path) != 1:
            return None
        ((device, function),) = self.path
        return self.start_bus << 8 | device << 3 | function


class RemappingUnit(NamedTuple):
    """A unit whose registers are at `base` (gpa), and whom it is for."""

    base: int
    scopes: tuple[Scope, ...] = ()
    all_others: bool = True
    segment: int = 0


def dmar(*units: RemappingUnit, host_width: int = 46, interrupts: bool = True) -> Structure:
    """The table. `host_width` are the bits of an address; `interrupts`: they are remapped too.

    `ValueError` for no unit, or one for all others that is not the last of its segment.
    """
    if not units:
        raise ValueError("a DMAR table describes one unit or more")
    for number, unit in enumerate(units):
        behind = [other.segment for other in units[number + 1 :]]
        if unit.all_others and unit.segment in behind:
            raise ValueError(f"the unit at {unit.base:#x} is for all others, and not the last")
    return table(
        "DMAR",
        1,
        *map(_unit, units),
        host_address_width=host_width - 1,
        flags=REMAPS_INTERRUPTS if interrupts else 0,
    )


def _unit(unit: RemappingUnit) -> Structure:
    return make(
        HARDWARE_UNIT,
        *map(_scope, unit.scopes),
        flags=ALL_OTHERS if unit.all_others else 0,
        segment=unit.segment,
        base=unit.base,
    )


def _scope(scope: Scope) -> Structure:
    if scope.kind not in SCOPES or not scope.path:
        raise ValueError(f"{scope} is no device scope")
    layout = next(each for each in LAYOUTS if each.type == scope.kind)
    path = [make(PATH, device=device, function=function) for device, function in scope.path]
    return make(layout, *path, enumeration_id=scope.number, start_bus=scope.start_bus)
