"""The ROM of the lesson PC: who it is, where an x86 starts, and the ACPI tables.

    0xF0000    virtlab ROM
    0xF1000    RSDP, then the tables that it leads to
    0xFFFF0    cli; hlt; jmp $-1

The idea: a kernel asks ACPI what no bus can tell it: where ECAM is, which interrupt a pin ends at,
which windows the host bridge has. The tables say what enumeration (`guest.pci_resources`) makes of
this board, from the same declarations.

The rule that keeps it simple: there is no code in it but the halt. Whoever drives the machine is
the firmware.

Source: ACPI 6.4, 5.2; the reset by port 64h is the 8042's pulse (IBM PS/2 Technical Reference).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from virtlab import acpi
from virtlab.acpi.remapping import RemappingUnit, dmar
from virtlab.cards import ECAM, MEMORY_WINDOWS, PORT_WINDOWS
from virtlab.devices.hpet import BASE as HPET
from virtlab.devices.hpet import Hpet
from virtlab.guest.pci import MAX_BUSES
from virtlab.guest.pci_resources import IRQS
from virtlab.guest.programs import HALT, RESET_VECTOR
from virtlab.guest.ps2 import COMMAND
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.registers import BASE as VTD
from virtlab.memory import GuestMemory
from virtlab.pci.bus import DEVICES
from virtlab.pci.chipset import FIRST_SHARED, pirq_of

ROM, RESET_ROM, ROM_SIZE = 0xF0000, 0xFFFF0000, 0x10000
TABLES = ROM + 0x1000

PULSE_RESET = 0xFE
"""The 8042's command that resets the processor."""


def irq_of(device: int, pin: int) -> int:
    """The interrupt that `pin` (1 to 4) of a device on bus 00 ends at, after enumeration.

    >>> [irq_of(3, pin) for pin in (1, 2, 3, 4)]
    [10, 10, 9, 5]
    """
    return IRQS[pirq_of(device, pin) - FIRST_SHARED]


def describe(vtd: bool = False) -> acpi.Board:
    """What the tables say of the lesson PC; with `vtd`, also that one remapping unit is for all."""
    pins = [(device, pin) for device in range(DEVICES - 1) for pin in (1, 2, 3, 4)]
    return acpi.Board(
        overrides=tuple(acpi.Override(irq, irq, level=True) for irq in sorted(set(IRQS))),
        hpet=(HPET, Hpet.GCAP_ID.reset & 0xFFFF_FFFF),
        ecam=(ECAM, 0, MAX_BUSES - 1),
        port_windows=PORT_WINDOWS,
        memory_windows=MEMORY_WINDOWS,
        routes=tuple(acpi.Route(device, pin, irq_of(device, pin)) for device, pin in pins),
        reset=(COMMAND, PULSE_RESET),
        more=(dmar(RemappingUnit(VTD), host_width=Capabilities().host_width),) if vtd else (),
    )


@cache
def image(vtd: bool = False) -> acpi.Image:
    """The tables, laid out from `TABLES` on."""
    return acpi.build(describe(vtd), TABLES)


def rom(vtd: bool = False) -> GuestMemory:
    """The ROM of the lesson PC."""
    return rom_with(image(vtd))


def rom_with(tables: acpi.Image) -> GuestMemory:
    """A ROM with `tables`: 64 KiB, mapped twice, below 1 MiB and where an x86 starts."""
    once = np.full(ROM_SIZE, 0xFF, np.uint8)
    for at, data in ((ROM, b"virtlab ROM"), (tables.gpa, tables.data), (ROM + RESET_VECTOR, HALT)):
        once[at - ROM : at - ROM + len(data)] = np.frombuffer(data, np.uint8)
    return GuestMemory([(ROM, ROM_SIZE), (RESET_ROM, ROM_SIZE)], np.concatenate([once, once]))
