"""The registers of the Bochs display, as bytes of BAR 2.

    0x400  ATTRIBUTE_INDEX

    0x500  ID            0x50A  BANK                0x600  EXTENSION_SIZE
    0x502  XRES          0x50C  VIRT_WIDTH          0x604  BYTE_ORDER
    0x504  YRES          0x50E  VIRT_HEIGHT
    0x506  BPP           0x510  X_OFFSET
    0x508  ENABLE        0x512  Y_OFFSET
                         0x514  VIDEO_MEMORY_64K

The idea: the index and data ports of the Bochs VBE interface, laid out flat. Register `index` is
the 16-bit word at `0x500 + 2 * index`.

Source: QEMU, docs/specs/standard-vga.rst, "MMIO area spec"; the names are those of the Bochs VBE
display interface (DISPI). Left out: EDID at 0x000, the VGA's other ports at 0x400.
"""

from __future__ import annotations

from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits, all_ones

SPEC = "standard-vga, MMIO area"
LENGTH = 4096
"""Bytes of BAR 2."""

VERSION = 0xB0C5
"""What ID says: the sixth version of the interface."""

LITTLE_ENDIAN, BIG_ENDIAN = 0x1E1E_1E1E, 0xBEBE_BEBE
"""The two values of BYTE_ORDER."""

UNIT = 64 << 10
"""Bytes that VIDEO_MEMORY_64K counts in."""

MIN_SIDE = 64
"""Pixels that a picture has at least, across and down (hw/display/bochs-display.c)."""


def _word(index: int, doc: str) -> Reg:
    return Reg(0x500 + 2 * index, 2, rw=all_ones(2), spec=SPEC, doc=doc)


class DispiRegisters(RegisterFile):
    """The registers, for the device, the driver and the pictures."""

    length = LENGTH
    ATTRIBUTE_INDEX = Reg(
        0x400,
        1,
        access="w",
        fields={"SHOW": Bits(5)},
        spec=f"{SPEC}: VGA port 3C0h",
        doc="A VGA's picture is blank while SHOW is 0. Here nobody listens.",
    )
    ID = Reg(0x500, 2, reset=VERSION, access="r", spec=SPEC, doc="Which version of the interface.")
    XRES = _word(1, "Pixels in a line.")
    YRES = _word(2, "Lines.")
    BPP = _word(3, "Bits in a pixel: 16 or 32.")
    ENABLE = Reg(
        0x508,
        2,
        rw=all_ones(2),
        fields={
            "ENABLED": Bits(0),
            "GET_CAPABILITIES": Bits(1),
            "DAC_8_BITS": Bits(5),
            "LINEAR": Bits(6),
            "KEEP_MEMORY": Bits(7),
        },
        spec=SPEC,
        doc="Whether there is a picture, and where in memory it is.",
    )
    BANK = _word(5, "The piece of memory behind the VGA's window; there is none here.")
    VIRT_WIDTH = _word(6, "Pixels from one line to the next; XRES, if that is more.")
    VIRT_HEIGHT = _word(7, "Lines that there are; only kept here.")
    X_OFFSET = _word(8, "Pixels that the picture begins to the right.")
    Y_OFFSET = _word(9, "Lines that it begins further down.")
    VIDEO_MEMORY_64K = Reg(0x514, 2, access="r", spec=SPEC, doc="Its memory, in units of 64 KiB.")
    EXTENSION_SIZE = Reg(0x600, 4, reset=8, access="r", spec=SPEC, doc="Bytes of what follows.")
    BYTE_ORDER = Reg(
        0x604,
        4,
        reset=LITTLE_ENDIAN,
        rw=all_ones(4),
        spec=SPEC,
        doc="1e1e1e1e: little-endian pixels, bebebebe: big-endian.",
    )
