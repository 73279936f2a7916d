"""A UART in memory: the same chip, its registers further apart.

A board without ports wires the chip's address lines to the processor's bus, often not from bit 0
on. Then register n stands at `n << shift`; a device tree calls that `reg-shift`. The chip's eight
data lines stay where they are, so only the lowest byte of each slot is the register. The other
bytes are wired to nothing: they read as zero and ignore writes.
"""

from __future__ import annotations

from virtlab.bus import Device


class Spaced:
    """`device` with one byte of it at every `1 << shift` bytes.

    >>> from virtlab.devices.uart import SCR, Uart16550
    >>> uart = Spaced(Uart16550(), shift=2)
    >>> uart.write(SCR.offset << 2, 4, 0x5A); hex(uart.read(SCR.offset << 2, 4))
    '0x5a'
    """

    def __init__(self, device: Device, shift: int = 2) -> None:
        if not 0 <= shift <= 3:
            raise ValueError(f"registers stand 1, 2, 4 or 8 bytes apart, not 1 << {shift}")
        self.device = device
        self.shift = shift

    def read(self, offset: int, size: int) -> int:
        """The register of this slot, if the access has its lowest byte."""
        if offset % (1 << self.shift):
            return 0
        return self.device.read(offset >> self.shift, 1)

    def write(self, offset: int, size: int, value: int) -> None:
        """The low byte of `value` to the register of this slot, if the access has that byte."""
        if offset % (1 << self.shift) == 0:
            self.device.write(offset >> self.shift, 1, value & 0xFF)
