"""The local APIC: each processor's own interrupt controller.

`registers`    the page, declared
`vectors`      requests, priorities, what is in service
`destination`  whom a message is for
`timer`        the count that goes down
`core`, `chip` one local APIC: as a controller, as a device
`bus`          several of them, and the messages between them
`msr`          x2APIC: the same registers as MSRs

After power-on it is switched off, and its LINT0 is masked: nothing of the 8259A reaches the
processor either. A PC's firmware switches it on and puts LINT0 into ExtINT mode ("virtual wire").

Source: Intel SDM 3A, chapter 11, "Advanced Programmable Interrupt Controller". It was chapter 10
until 2022, and is 12 since 2023; the sections have kept their numbers.
"""

from virtlab.devices.lapic.bus import ApicBus
from virtlab.devices.lapic.chip import ALL, MYSELF, NO_SHORTHAND, OTHERS, Lapic
from virtlab.devices.lapic.destination import Identity, logical_of, names
from virtlab.devices.lapic.msr import ApicMsrs
from virtlab.devices.lapic.registers import BASE, LVT, STEP, LapicRegisters
from virtlab.devices.lapic.timer import MIN_INTERVAL
from virtlab.devices.lapic.vectors import Vectors, highest

__all__ = [
    "ALL",
    "BASE",
    "LVT",
    "MIN_INTERVAL",
    "MYSELF",
    "NO_SHORTHAND",
    "OTHERS",
    "STEP",
    "ApicBus",
    "ApicMsrs",
    "Identity",
    "Lapic",
    "LapicRegisters",
    "Vectors",
    "highest",
    "logical_of",
    "names",
]
