"""The PC's interrupt controllers: two 8259A chips, one behind the other.

`registers`  the words that are written and read
`chip`       one 8259A: requests, priorities, in service
`pair`       the two of a PC, and their edge/level registers
"""

from virtlab.devices.pic.chip import SPURIOUS, Pic8259
from virtlab.devices.pic.pair import CASCADE, Elcr, PicPair
from virtlab.devices.pic.registers import (
    ICW1,
    ICW2,
    ICW3,
    ICW4,
    IRR,
    ISR,
    OCW1,
    OCW2,
    OCW3,
    REGISTERS,
)

__all__ = [
    "CASCADE",
    "ICW1",
    "ICW2",
    "ICW3",
    "ICW4",
    "IRR",
    "ISR",
    "OCW1",
    "OCW2",
    "OCW3",
    "REGISTERS",
    "SPURIOUS",
    "Elcr",
    "Pic8259",
    "PicPair",
]
