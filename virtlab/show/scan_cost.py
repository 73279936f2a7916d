"""What an enumeration costs: its configuration accesses by purpose, counted and computed.

The idea: `purposes` counts the accesses that were made. `closed_form` computes them from what is
there. Where the two agree, one has understood what the scan does.

Source: PCI Local Bus 3.0, 6.1 and 6.2.5.1; PCI-to-PCI Bridge 1.2, 3.2.5.2 to 3.2.5.4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from virtlab.guest.pci import Found
from virtlab.pci.bus import DEVICES, FUNCTIONS
from virtlab.pci.config import Header, Type0, Type1
from virtlab.show.discovery import Asked

PURPOSES = {
    "is somebody there?": (Header.VENDOR_ID,),
    "who are you?": (
        Header.DEVICE_ID,
        Header.REVISION_ID,
        Header.HEADER_TYPE,
        Header.INTERRUPT_PIN,
    ),
    "how much do you ask for?": (Header.COMMAND, *(r for r in Type0.registers if "BAR" in r.name)),
    "these are your buses": (Type1.PRIMARY_BUS, Type1.SECONDARY_BUS, Type1.SUBORDINATE_BUS),
}
"""What a configuration access is for, and the registers that tell."""


def purposes(log: Sequence[Asked], found: Iterable[Found]) -> dict[str, int]:
    """How many accesses of a scan were made for which purpose.

    The registers of a bridge's bus numbers stand where a device has BARs, so the header type of
    what was `found` decides.
    """
    bridges = {each.place for top in found for each in top.walk() if each.is_bridge}
    counts = dict.fromkeys(PURPOSES, 0)
    for each in log:
        buses = each.place in bridges and each.offset in range(0x18, 0x1B)
        counts["these are your buses" if buses else _purpose(each.offset)] += 1
    return counts


def _purpose(offset: int) -> str:
    return next(words for words, regs in PURPOSES.items() if offset in {reg.offset for reg in regs})


def closed_form(found: Iterable[Found]) -> dict[str, int]:
    """The same, computed from what is there, without looking at a single access.

    A bus has 32 devices to try. A device that answers is asked for its header type, and, if it has
    several functions, for all 8. Sizing takes 4 accesses a BAR and 3 of Command around them.
    """
    every = [each for top in found for each in top.walk()]
    bridges = sum(each.is_bridge for each in every)
    devices = Counter((each.place.bus, each.place.device) for each in every)
    tried = sum(FUNCTIONS if many > 1 else 1 for many in devices.values())
    counts = (
        DEVICES * (1 + bridges) + tried + len(every),
        len(devices) + 4 * len(every),
        (3 + 4 * 6) * (len(every) - bridges) + (3 + 4 * 2) * bridges,
        4 * bridges,
    )
    return dict(zip(PURPOSES, counts, strict=True))
