"""The text screen of a PC: 80 x 25 characters that are memory.

The idea: there is no command to print. Each cell of the screen is two bytes in the memory space,
and a store to them *is* the output. Any instruction that writes memory draws.

    offset 2 * (80 * row + column)      the character, code page 437
    offset 2 * (80 * row + column) + 1  the attribute

              7      6 .. 4       3 .. 0
          +-------+------------+------------+
          | BLINK | BACKGROUND | FOREGROUND |
          +-------+------------+------------+

The PC maps the screen at 0xB8000, 32 KiB long, of which the first 4,000 bytes show.

Source: IBM VGA, mode 3 (IBM PS/2 Hardware Interface Technical Reference, video subsystem,
alphanumeric modes). Left out: the VGA's registers, so the start address and the font are fixed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from virtlab.wire import Bits

ROWS, COLUMNS = 25, 80
LENGTH = 0x8000
"""Bytes that the screen answers."""

BLINK = Bits(7)
BACKGROUND = Bits(6, 4)
FOREGROUND = Bits(3, 0)
GREY_ON_BLACK = 0x07
"""The attribute that the screen starts with."""


class TextScreen:
    """The device: a load gives what the last store put there.

    `cells` is the visible part, (25, 80, 2) uint8: the character, then the attribute.
    """

    def __init__(self) -> None:
        self.buffer = np.zeros(LENGTH, np.uint8)
        self.cells: npt.NDArray[np.uint8] = self.buffer[: ROWS * COLUMNS * 2].reshape(
            ROWS, COLUMNS, 2
        )
        self.clear()

    def clear(self) -> None:
        """Blanks everywhere, grey on black."""
        self.buffer[0::2] = ord(" ")
        self.buffer[1::2] = GREY_ON_BLACK

    def read(self, offset: int, size: int) -> int:
        """`size` bytes of the screen's memory; all ones past its end."""
        data = self.buffer[offset : offset + size].tobytes()
        return int.from_bytes(data.ljust(size, b"\xff"), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Store `size` bytes; what lies past the end is lost."""
        data = value.to_bytes(size, "little")[: max(0, LENGTH - offset)]
        self.buffer[offset : offset + len(data)] = np.frombuffer(data, np.uint8)

    def rows(self) -> list[str]:
        """The 25 lines as text, blanks at their ends removed."""
        return [bytes(row[:, 0]).decode("cp437").rstrip() for row in self.cells]

    def text(self) -> str:
        """All that stands on the screen, without the empty lines at its end."""
        return "\n".join(self.rows()).rstrip()
