"""A screen: it shows what a display adapter scans out of its memory.

The idea: nothing is drawn twice. The adapter keeps the pixels as the guest stored them. A screen
asks for them when somebody looks, and `pixels` makes red, green and blue of them.

The rule that keeps it simple: an adapter without a valid mode sends no signal: `pixels` is None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.wire import Bits

Pixels = npt.NDArray[np.uint8]

COLOURS = {
    16: (Bits(15, 11), Bits(10, 5), Bits(4, 0)),
    32: (Bits(23, 16), Bits(15, 8), Bits(7, 0)),
}
"""Red, green and blue in a pixel, by the bits that a pixel has."""


class Mode(NamedTuple):
    """`width` by `height` pixels of `bits` bits; a line of them every `stride` bytes."""

    width: int
    height: int
    bits: int
    stride: int
    big_endian: bool = False

    @property
    def pixel(self) -> np.dtype[np.unsignedinteger]:
        """A pixel in memory."""
        return np.dtype(f"{'>' if self.big_endian else '<'}u{self.bits // 8}")


class Frame(NamedTuple):
    """What an adapter scans out: `data` are whole lines, (height * stride,) uint8."""

    mode: Mode
    data: Pixels


class Screen:
    """What hangs on an adapter. The adapter sets `source`, which gives its `Frame` or None."""

    def __init__(self) -> None:
        self.source: Callable[[], Frame | None] = lambda: None

    @property
    def mode(self) -> Mode | None:
        """What is shown, or None while there is no signal."""
        frame = self.source()
        return None if frame is None else frame.mode

    def pixels(self) -> Pixels | None:
        """What is seen: (height, width, 3) uint8, red, green, blue; None while there is no signal.

        Fewer than 8 bits of a colour are spread over the whole range, 0 to 255.
        """
        frame = self.source()
        if frame is None:
            return None
        mode, data = frame
        lines = data.reshape(mode.height, mode.stride)[:, : mode.width * mode.bits // 8]
        words = np.ascontiguousarray(lines).view(mode.pixel).astype(np.uint32)
        return np.stack([_eight_bits(words, bits) for bits in COLOURS[mode.bits]], axis=-1)

    def __repr__(self) -> str:
        mode = self.mode
        return f"Screen({mode.width}x{mode.height}x{mode.bits})" if mode else "Screen(no signal)"


def _eight_bits(words: npt.NDArray[np.uint32], bits: Bits) -> Pixels:
    """One colour of every pixel, its highest bits repeated below where it has fewer than 8."""
    value = (words & np.uint32(bits.mask)) >> np.uint32(bits.lo)
    missing = 8 - bits.width
    return (value << np.uint32(missing) | value >> np.uint32(bits.width - missing)).astype(np.uint8)
