"""A driver for the Bochs display: set a mode, then draw by storing pixels.

    driver = DisplayDriver(cpu, found.bar(0), found.bar(2))
    driver.set_mode(320, 200)
    driver.fill(0, 0, 320, 200, (0, 0, 128))
    driver.blit(10, 10, image)              # (height, width, 3) uint8

The idea: drawing needs no command and no reply. So where the memory is not intercepted, a guest
draws without a single exit; only setting a mode touches registers.

The rule that keeps it simple: registers change while the display is off, and it is switched on
last. So it works on a display that only keeps what is written, and on a VGA, which checks it.

Source: QEMU, docs/specs/standard-vga.rst, "MMIO area spec". Left out: 8, 15 and 24 bits, EDID.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from virtlab.backends.screen import COLOURS, Mode, Pixels
from virtlab.cpu import Cpu
from virtlab.devices.display import VERSION, DispiRegisters
from virtlab.devices.display.registers import MIN_SIDE, UNIT
from virtlab.registers import Reg
from virtlab.wire import all_ones

FIRST_VERSION = 0xB0C0
"""ID of the first version of the interface; those after it count up."""


class DisplayDriver:
    """The display with its memory at `memory` and its registers at `registers` (both gpa)."""

    def __init__(self, cpu: Cpu, memory: int, registers: int) -> None:
        self.cpu = cpu
        self.memory = memory
        self.registers = registers
        self.mode = Mode(0, 0, 32, 0)

    def detect(self) -> bool:
        """Whether it is there, in a version that is known."""
        return FIRST_VERSION <= self.get(DispiRegisters.ID) <= VERSION

    def memory_bytes(self) -> int:
        """Bytes of video memory."""
        return self.get(DispiRegisters.VIDEO_MEMORY_64K) * UNIT

    # -- the mode

    def set_mode(self, width: int, height: int, bits: int = 32, virtual_width: int = 0) -> Mode:
        """Show `width` by `height` pixels of 16 or 32 bits; lines are `virtual_width` apart.

        The memory keeps what is in it. `ValueError` where it is too small.
        """
        across = max(width, virtual_width)
        self.check(width, height, bits, across)
        self.off()
        self.put(DispiRegisters.XRES, width)
        self.put(DispiRegisters.YRES, height)
        self.put(DispiRegisters.BPP, bits)
        enable = DispiRegisters.ENABLE
        self.put(enable, enable.ENABLED.mask | enable.LINEAR.mask | enable.KEEP_MEMORY.mask)
        self.put(DispiRegisters.VIRT_WIDTH, across)
        self.pan(0, 0)
        self.put(DispiRegisters.ATTRIBUTE_INDEX, DispiRegisters.ATTRIBUTE_INDEX.SHOW.mask)
        self.mode = Mode(width, height, bits, across * bits // 8)
        return self.mode

    def check(self, width: int, height: int, bits: int, across: int) -> None:
        """`ValueError` if it cannot show such a picture, in lines of `across` pixels."""
        if bits not in COLOURS:
            raise ValueError(f"a pixel has 16 or 32 bits here, not {bits}")
        for side in (width, height, across):
            if not MIN_SIDE <= side <= all_ones(2):
                raise ValueError(f"a picture has {MIN_SIDE} to 65535 pixels each way, not {side}")
        wanted, there = across * bits // 8 * height, self.memory_bytes()
        if wanted > there:
            raise ValueError(f"{wanted} bytes are more than its {there}")

    def off(self) -> None:
        """No picture."""
        self.put(DispiRegisters.ENABLE, 0)

    def pan(self, x: int, y: int) -> None:
        """Let the picture begin at pixel `x` of line `y` of the memory. No pixel moves."""
        self.put(DispiRegisters.X_OFFSET, x)
        self.put(DispiRegisters.Y_OFFSET, y)

    # -- drawing, in the memory's own coordinates

    def fill(self, x: int, y: int, width: int, height: int, colour: Sequence[int]) -> None:
        """A rectangle in one colour: red, green, blue, each 0 to 255."""
        if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
            raise ValueError(f"a colour is three numbers from 0 to 255, not {colour}")
        self.blit(x, y, np.full((height, width, 3), colour, np.uint8))

    def blit(self, x: int, y: int, image: Pixels) -> None:
        """Put `image`, (height, width, 3) uint8, with its upper left corner at `x`, `y`.

        `ValueError` where it leaves the memory, or a line.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"an image is (height, width, 3) uint8, not {image.shape}")
        height, width = image.shape[:2]
        step = self.mode.bits // 8
        across = self.mode.stride // step
        lines = self.memory_bytes() // self.mode.stride if self.mode.stride else 0
        if x < 0 or y < 0 or x + width > across or y + height > lines:
            raise ValueError(f"{width} by {height} at {x}, {y} leave {across} by {lines} pixels")
        for line, data in enumerate(encode(image, self.mode.bits), y):
            self.cpu.write(self.memory + line * self.mode.stride + x * step, data)

    # -- the registers

    def get(self, reg: Reg) -> int:
        """A register."""
        return self.cpu.load(self.registers + reg.offset, reg.width)

    def put(self, reg: Reg, value: int) -> None:
        """The whole register."""
        self.cpu.store(self.registers + reg.offset, value, reg.width)


def encode(image: Pixels, bits: int) -> list[bytes]:
    """The lines of `image` as they stand in memory: little-endian, of each colour its upper bits.

    >>> encode(np.array([[[255, 0, 1]]], np.uint8), 32)[0].hex(), encode(
    ...     np.array([[[255, 0, 8]]], np.uint8), 16)[0].hex()
    ('0100ff00', '01f8')
    """
    words = np.zeros(image.shape[:2], np.uint32)
    for number, field in enumerate(COLOURS[bits]):
        colour = image[:, :, number].astype(np.uint32) >> np.uint32(8 - field.width)
        words |= colour << np.uint32(field.lo)
    return [line.tobytes() for line in words.astype(f"<u{bits // 8}")]
