"""Switching Access Control Services on: each port sends its devices' requests up to the root.

The idea: after reset a switch lets its devices talk to each other past the IOMMU. One register of
each port forbids it. An operating system does this before it hands out devices.

The rule that keeps it simple: what a port has of the four controls, it gets.

Source: PCI Express 3.0, 6.12, 7.16; Linux, `pci_std_enable_acs`.
"""

from __future__ import annotations

from collections.abc import Iterable

from virtlab.guest.pci import Access, Found, Place
from virtlab.guest.pci_express import find_extended
from virtlab.pci.acs import REQUIRED
from virtlab.pci.extended import Acs


def enable_acs(access: Access, place: Place) -> bool:
    """Switch on what the function at `place` has; whether it has anything."""
    at = find_extended(access, place, Acs)
    if at is None:
        return False
    able = access.read(place, at + Acs.CAPABILITY.offset, 2) & REQUIRED
    control = at + Acs.CONTROL.offset
    access.write(place, control, 2, access.read(place, control, 2) | able)
    return True


def enable_acs_everywhere(access: Access, functions: Iterable[Found]) -> list[Place]:
    """The same for everything that was found. Gives the places that have ACS."""
    found = [each for top in functions for each in top.walk()]
    return [each.place for each in found if enable_acs(access, each.place)]
