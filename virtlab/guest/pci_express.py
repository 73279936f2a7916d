"""What PCI Express adds for a driver: extended capabilities, a reset of one function, ARI.

The idea: everything here begins with the PCI Express capability. A function that has it has 4096
bytes of configuration space, with a second list from 0x100 on.

The rule that keeps it simple: a list that loops ends, and what is not there is None or False.

Source: PCI Express 3.0, 6.6.2, 6.13, 7.8, 7.9.
"""

from __future__ import annotations

from virtlab.guest.pci import Access, Place, capability_list
from virtlab.pci.capabilities import Express
from virtlab.pci.config import EXPRESS, EXTENDED, ExtendedCapability
from virtlab.wire import all_ones

MAX_EXTENDED = (EXPRESS - EXTENDED) // 4
"""Extended capabilities that fit: the longest list that is not a loop."""


def extended_list(access: Access, place: Place) -> list[tuple[int, int]]:
    """`(id, offset)` of each extended capability. A list that loops ends."""
    if _express(access, place) is None:
        return []
    found: list[tuple[int, int]] = []
    fields, at = ExtendedCapability.HEADER, EXTENDED
    while at >= EXTENDED and len(found) < MAX_EXTENDED:
        word = access.read(place, at, 4)
        if word in (0, all_ones(4)):
            break
        found.append((fields.ID.get(word), at))
        at = fields.NEXT.get(word) & ~3
    return found


def _express(access: Access, place: Place) -> int | None:
    """The offset of the PCI Express capability."""
    found = capability_list(access, place)
    return next((at for id_, at in found if id_ == Express.id), None)


def find_extended(access: Access, place: Place, kind: type[ExtendedCapability]) -> int | None:
    """The offset of the extended capability `kind`, or None."""
    return next((at for id_, at in extended_list(access, place) if id_ == kind.id), None)


def reset_function(access: Access, place: Place) -> None:
    """A function level reset. `LookupError` if the function has no PCI Express capability."""
    at = _express(access, place)
    if at is None:
        raise LookupError(f"{place} has no PCI Express capability")
    control = at + Express.DEVICE_CONTROL.offset
    word = access.read(place, control, 2)
    access.write(place, control, 2, word | Express.DEVICE_CONTROL.INITIATE_FLR.mask)


def forward_ari(access: Access, port: Place) -> bool:
    """Let a port forward ARI; whether it can."""
    at = _express(access, port)
    if at is None:
        return False
    can = access.read(port, at + Express.DEVICE_CAPABILITIES_2.offset, 4)
    if not Express.DEVICE_CAPABILITIES_2.ARI_FORWARDING.get(can):
        return False
    control = at + Express.DEVICE_CONTROL_2.offset
    bit = Express.DEVICE_CONTROL_2.ARI_FORWARDING
    access.write(port, control, 2, bit.put(access.read(port, control, 2), 1))
    return True
