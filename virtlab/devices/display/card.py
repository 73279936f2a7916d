"""The Bochs display: memory that is seen, and a few registers that say which part of it.

    BAR 0   the linear frame buffer            BAR 2   the registers

        Y_OFFSET lines down, X_OFFSET pixels right:
        +---------------------------------+
        |      +------------+             |
        |      |  XRES      |             |    one line every VIRT_WIDTH pixels
        |      |  by YRES   |             |
        |      +------------+             |
        +---------------------------------+

The idea: there is no command to draw. A store into BAR 0 is a pixel. Moving the picture costs one
register, because only the place where it begins changes.

The rule that keeps it simple: registers keep whatever is written. Only `frame` asks whether they
make sense together. If they do not, there is no picture, and nothing else happens.

Source: QEMU, docs/specs/standard-vga.rst; which modes are valid, as hw/display/bochs-display.c has
it. Left out: what a VGA adds (banks, 4 and 8 bits, clearing memory as a mode is set).
"""

from __future__ import annotations

import numpy as np

from virtlab.backends.screen import COLOURS, Frame, Mode, Screen
from virtlab.devices.display.registers import (
    BIG_ENDIAN,
    LENGTH,
    LITTLE_ENDIAN,
    MIN_SIDE,
    UNIT,
    DispiRegisters,
)
from virtlab.memory import Bytes
from virtlab.pci.function import Function, Identity
from virtlab.wire import all_ones

VRAM = 4 << 20
"""Bytes of video memory, unless told otherwise."""

MIN_VRAM, MAX_VRAM = UNIT, 256 << 20


class VideoMemory:
    """The linear frame buffer as a device: a load gives what the last store put there.

    `bytes` is all of it, (n,) uint8.
    """

    def __init__(self, length: int) -> None:
        self.bytes: Bytes = np.zeros(length, np.uint8)
        self._view = self.bytes.data

    def read(self, offset: int, size: int) -> int:
        """`size` bytes at `offset`; all ones past the end."""
        if not 0 <= offset <= len(self.bytes) - size:
            return all_ones(size)
        return int.from_bytes(self._view[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Store `size` bytes at `offset`; past the end they are lost."""
        if 0 <= offset <= len(self.bytes) - size:
            self._view[offset : offset + size] = (value & all_ones(size)).to_bytes(size, "little")


class BochsDisplay(DispiRegisters):
    """The registers; `vram` is its memory, `screen` what hangs on it.

    `vram_bytes` is a power of two from 64 KiB to 256 MiB.
    """

    def __init__(self, vram_bytes: int = VRAM, screen: Screen | None = None) -> None:
        if vram_bytes & (vram_bytes - 1) or not MIN_VRAM <= vram_bytes <= MAX_VRAM:
            raise ValueError(f"video memory is a power of two from 64 KiB on, not {vram_bytes}")
        super().__init__()
        self.preset(VIDEO_MEMORY_64K=vram_bytes // UNIT)
        self.vram = VideoMemory(vram_bytes)
        self.screen = screen if screen is not None else Screen()
        self.screen.source = self.frame

    def write_BYTE_ORDER(self, old: int, new: int) -> None:
        """Two values are known; any other changes nothing."""
        if new not in (LITTLE_ENDIAN, BIG_ENDIAN):
            self.BYTE_ORDER = old

    def frame(self) -> Frame | None:
        """What is scanned out, or None where the registers make no valid mode."""
        width, height, bits = self.XRES, self.YRES, self.BPP
        enabled = DispiRegisters.ENABLE.ENABLED.get(self.ENABLE)
        if not enabled or bits not in COLOURS or width < MIN_SIDE or height < MIN_SIDE:
            return None
        pixel = bits // 8
        stride = max(self.VIRT_WIDTH, width) * pixel
        start = self.X_OFFSET * pixel + self.Y_OFFSET * stride
        end = start + stride * height
        if end > len(self.vram.bytes):
            return None
        big = bits == 32 and self.BYTE_ORDER == BIG_ENDIAN
        return Frame(Mode(width, height, bits, stride, big), self.vram.bytes[start:end])


class BochsDisplayFunction(Function):
    """1234:1111, a display that is no VGA. BAR 0 is its memory, BAR 2 its registers."""

    def __init__(
        self, vram_bytes: int = VRAM, screen: Screen | None = None, name: str = "display"
    ) -> None:
        super().__init__(Identity(0x1234, 0x1111, 0x038000, 2, 0x1AF4, 0x1100), name=name)
        self.display = BochsDisplay(vram_bytes, screen)
        self.memory_bar(0, self.display.vram, vram_bytes, prefetchable=True, width=8)
        self.memory_bar(2, self.display, LENGTH)

    @property
    def screen(self) -> Screen:
        """What hangs on it."""
        return self.display.screen

    def reset(self) -> None:
        """The function and the registers in it. The memory keeps what it has."""
        super().reset()
        self.display.reset()
