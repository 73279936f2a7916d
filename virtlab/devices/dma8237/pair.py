"""The two 8237A of a PC/AT, and its page registers.

    DREQ 0-3 ---> first chip  --- HRQ ---> channel 4 of the second chip --- HRQ ---> processor
                  bytes                    DREQ 5-7 ---> words

    port  81h  82h  83h  87h  89h  8Ah  8Bh  8Fh       00h-0Fh  first chip, a port a register
    page   2    3    1    0    6    7    5    4        C0h-DFh  second chip, every other port

The first chip hangs on the second, so nothing on channels 0 to 3 moves until channel 4 is in
cascade mode and not masked. A real board's BIOS sees to that.

An address on the ISA bus has 24 bits: the chip counts the lower 16 (17 with words), the page
register gives the others, and nothing carries from one to the other.

Source: IBM PC/AT Technical Reference, "Direct Memory Access". The page registers are the 16 bytes
of a 74LS612, of which eight are wired to a channel. The second chip ignores A0. Left out: the
32-bit page registers of EISA.
"""

from __future__ import annotations

from virtlab.devices.dma8237.channel import DmaChannel
from virtlab.devices.dma8237.chip import Dma8237
from virtlab.memory import Dma
from virtlab.wire import all_ones

CASCADE_CHANNEL = 4
"""Where the first chip's request comes in."""

PAGE_OFFSETS = (0x7, 0x3, 0x1, 0x2, 0xF, 0xB, 0x9, 0xA)
"""The offset from port 80h of each channel's page register."""


class PageRegisters:
    """16 bytes at port 80h: each keeps what was written. `of(n)` is that of channel `n`."""

    def __init__(self) -> None:
        self.values = bytearray(16)

    def read(self, offset: int, size: int) -> int:
        """The byte."""
        return self.values[offset & 0xF]

    def write(self, offset: int, size: int, value: int) -> None:
        """Keep it."""
        self.values[offset & 0xF] = value & all_ones(1)

    def of(self, channel: int) -> int:
        """Bits 23 to 16 of the addresses of `channel`."""
        return self.values[PAGE_OFFSETS[channel]]

    def peek(self) -> dict[str, int]:
        """The page of each channel by name."""
        return {f"PAGE{n}": self.of(n) for n in range(len(PAGE_OFFSETS))}


class DmaPair:
    """Both chips on one memory. `dma` is memory as the ISA bus reaches it, with 24 bits.

    `first` has 16 ports (00h), `pages` 16 (80h), `second` 32 (C0h). A device gets `channel(n)`.
    """

    def __init__(self, dma: Dma) -> None:
        self.pages = PageRegisters()
        self.second = Dma8237(dma, self.pages.of, number=4, shift=1, changed=self._changed)
        self.first = Dma8237(dma, self.pages.of, upstream=self._cascade, changed=self._changed)

    def channel(self, n: int) -> DmaChannel:
        """Channel `n` for a device: 0 to 3 move bytes, 5 to 7 words. `ValueError` for others."""
        if not 0 <= n <= 7 or n == CASCADE_CHANNEL:
            raise ValueError(f"a device can have DMA channel 0 to 3 or 5 to 7, not {n}")
        return (*self.first.channels, *self.second.channels)[n]

    def reset(self) -> None:
        """RESET: both chips. The page registers have no reset."""
        self.first.reset()
        self.second.reset()

    def _cascade(self) -> bool:
        """Whether the first chip's request reaches the processor through channel 4."""
        way = self.second.channels[0]
        return way.is_cascade and not way.masked and self.second.enabled

    def _changed(self) -> None:
        """Channel 4 is the highest of the second chip, so the first chip goes before it."""
        self.first.service()
        self.second.service()
