"""Ten small guests of real x86 code, in the order in which they build on each other.

`guest`     what a small guest is
`pieces`    subroutines that they share
`polled`    those that ask: boot, ports, strings, memory-mapped devices, PCI
`sleeping`  those that are called: a clock, a key, a fault
`disk`      a sector, by either way
"""

from virtlab.guest.small.disk import ATA_DMA, ATA_PIO
from virtlab.guest.small.guest import Piece, SmallGuest
from virtlab.guest.small.polled import BOOT, MMIO, PCI_SCAN, PORT_OUT, STRING_OUT
from virtlab.guest.small.sleeping import FAULT, INTERRUPT, KEYBOARD

SMALL_GUESTS = (
    BOOT,
    PORT_OUT,
    STRING_OUT,
    MMIO,
    INTERRUPT,
    KEYBOARD,
    PCI_SCAN,
    ATA_PIO,
    ATA_DMA,
    FAULT,
)
"""All of them, each after those that it builds on."""

__all__ = [
    "ATA_DMA",
    "ATA_PIO",
    "BOOT",
    "FAULT",
    "INTERRUPT",
    "KEYBOARD",
    "MMIO",
    "PCI_SCAN",
    "PORT_OUT",
    "SMALL_GUESTS",
    "STRING_OUT",
    "Piece",
    "SmallGuest",
]
