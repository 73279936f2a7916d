"""The I/O APIC: wires become messages.

`registers`  what is written and read, and an entry of the redirection table
`chip`       the inputs, the messages, the EOIs
"""

from virtlab.devices.ioapic.chip import IoApic
from virtlab.devices.ioapic.registers import (
    ARBITRATION_INDEX,
    BASE,
    ENTRY,
    FIRST_ENTRY,
    ID_INDEX,
    PINS,
    VERSION_INDEX,
    IoApicRegisters,
)

__all__ = [
    "ARBITRATION_INDEX",
    "BASE",
    "ENTRY",
    "FIRST_ENTRY",
    "ID_INDEX",
    "PINS",
    "VERSION_INDEX",
    "IoApic",
    "IoApicRegisters",
]
