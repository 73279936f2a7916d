"""Interrupt pins in a table: from the function, through its bridges, to an ISA interrupt.

The idea: a pin changes its name at every bridge, by the number of the device that it comes from. So
the four pins of many cards are spread over four wires.

Source: PCI-to-PCI Bridge 1.2, 9.1; PCI Local Bus 3.0, 2.2.6 and 6.2.4 (Interrupt Line).
"""

from __future__ import annotations

from collections.abc import Iterable

from virtlab.guest.pci import Found
from virtlab.guest.pci_resources import pins
from virtlab.pci.function import PINS
from virtlab.show.tables import Table


def pin_table(functions: Iterable[Found]) -> Table:
    """Each function with a pin: the pin, what it is on bus 00, and the ISA interrupt there."""
    rows = tuple(
        (
            str(found.place),
            f"INT{PINS[found.pin]}",
            f"device {device:02x}, INT{PINS[pin]}",
            "not routed" if found.line is None else str(found.line),
        )
        for found, device, pin in pins(functions)
    )
    headers = ("function", "its pin", "on bus 00", "ISA interrupt")
    return Table("Where each pin ends", headers, rows)
