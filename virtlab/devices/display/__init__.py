"""The Bochs display: a frame buffer in memory, and eleven registers that say what of it is seen.

`registers`  the registers, declared once
`card`       the memory, the mode, the PCI function
"""

from virtlab.devices.display.card import (
    VRAM,
    BochsDisplay,
    BochsDisplayFunction,
    VideoMemory,
)
from virtlab.devices.display.registers import (
    BIG_ENDIAN,
    LENGTH,
    LITTLE_ENDIAN,
    VERSION,
    DispiRegisters,
)

__all__ = [
    "BIG_ENDIAN",
    "LENGTH",
    "LITTLE_ENDIAN",
    "VERSION",
    "VRAM",
    "BochsDisplay",
    "BochsDisplayFunction",
    "DispiRegisters",
    "VideoMemory",
]
