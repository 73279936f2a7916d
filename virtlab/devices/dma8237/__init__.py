"""The ISA DMA of a PC/AT: two 8237A, and the page registers that give them upper address bits.

`registers`  the words of an 8237A, by name
`channel`    one channel: what a device holds, and how bytes reach memory
`chip`       one 8237A: four channels behind 16 registers
`pair`       the two of a PC, and the page registers
"""

from virtlab.devices.dma8237.channel import DmaChannel
from virtlab.devices.dma8237.chip import Dma8237
from virtlab.devices.dma8237.pair import CASCADE_CHANNEL, PAGE_OFFSETS, DmaPair, PageRegisters
from virtlab.devices.dma8237.registers import (
    ADDRESSES,
    ALL_MASKS,
    CLEAR_FLIP_FLOP,
    CLEAR_MASK,
    COMMAND,
    COUNTS,
    MASK,
    MASTER_CLEAR,
    MODE,
    READ_MASK,
    REGISTERS,
    REQUEST,
    STATUS,
    TEMPORARY,
    Mode,
    Transfer,
)

__all__ = [
    "ADDRESSES",
    "ALL_MASKS",
    "CASCADE_CHANNEL",
    "CLEAR_FLIP_FLOP",
    "CLEAR_MASK",
    "COMMAND",
    "COUNTS",
    "MASK",
    "MASTER_CLEAR",
    "MODE",
    "PAGE_OFFSETS",
    "READ_MASK",
    "REGISTERS",
    "REQUEST",
    "STATUS",
    "TEMPORARY",
    "Dma8237",
    "DmaChannel",
    "DmaPair",
    "Mode",
    "PageRegisters",
    "Transfer",
]
