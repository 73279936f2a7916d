"""Where the remapping units are, and for whom: what the DMAR table says.

    DMAR: host address width, flags   --> hardware unit: base, scopes --> ... --> `Unit`

The idea: no bus shows a remapping unit, since it stands above them all. So firmware tells.

The rule that keeps it simple: a unit that is for "all others" has the devices that no other unit
names. A path is walked by device and function, from the start bus through its bridges.

Source: VT-d 3.0, 8.1, 8.3, 8.3.1. Left out: reserved memory regions, ATS reporting.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.acpi.dmar import HARDWARE_UNIT
from virtlab.acpi.remapping import ALL_OTHERS, REMAPS_INTERRUPTS, Scope
from virtlab.acpi.structures import Structure
from virtlab.cpu import Cpu
from virtlab.guest.acpi import AcpiTables


class Unit(NamedTuple):
    """A remapping unit: where its registers are (gpa), and for whom it is.

    `host_width` are the bits of the machine's addresses.
    """

    base: int
    host_width: int
    segment: int
    all_others: bool
    scopes: tuple[Scope, ...]
    interrupts: bool


def find_units(cpu: Cpu) -> list[Unit]:
    """The units that firmware describes. `LookupError` if it describes none."""
    return units_of(AcpiTables(cpu).find("DMAR"))


def units_of(dmar: Structure) -> list[Unit]:
    """The units of a DMAR table."""
    width = dmar.values["host_address_width"] + 1
    interrupts = bool(dmar.values["flags"] & REMAPS_INTERRUPTS)
    return [
        Unit(
            part.values["base"],
            width,
            part.values["segment"],
            bool(part.values["flags"] & ALL_OTHERS),
            tuple(_scope(each) for each in part.parts),
            interrupts,
        )
        for part in dmar.all(HARDWARE_UNIT)
    ]


def _scope(part: Structure) -> Scope:
    """A type that is not known has no more than its type."""
    values = part.values
    path = tuple((hop.values["device"], hop.values["function"]) for hop in part.parts)
    return Scope(values["type"], path, values.get("start_bus", 0), values.get("enumeration_id", 0))


def unit_for(units: list[Unit], bus: int, device: int, function: int = 0) -> Unit:
    """The unit of a device on a start bus. `LookupError` if none is for it."""
    wanted = bus << 8 | device << 3 | function
    named = [unit for unit in units if wanted in [scope.source_id for scope in unit.scopes]]
    others = [unit for unit in units if unit.all_others]
    for unit in [*named, *others]:
        return unit
    raise LookupError(f"no unit is for {bus:02x}:{device:02x}.{function}")
