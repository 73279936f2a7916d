"""A driver for ISA DMA: program a channel, and ask how far it has come.

    dma = IsaDma(cpu)
    dma.start()                                 # the first chip's way through the second
    dma.program(2, gpa=0x1F000, length=512, transfer=Transfer.WRITE)
    ...                                         # tell the device to go
    dma.residue(2)                              # bytes not yet moved; 0 at the end

The idea: a transfer is a place, a length and a direction. The driver refuses what the hardware
cannot do, before it begins: a page register does not count, so a buffer lies within 64 KiB, or
128 KiB for words, below 16 MiB.

The rule that keeps it simple: a channel is masked while it is programmed, and the flip-flop is
cleared before each counter. STATUS forgets on reading, so the driver keeps what it saw.

Source: Intel 8237A data sheet, "Programming"; IBM PC/AT Technical Reference. The registers are the
device's own declarations.
"""

from __future__ import annotations

from virtlab.cpu import Cpu
from virtlab.devices.dma8237 import (
    ADDRESSES,
    CASCADE_CHANNEL,
    CLEAR_FLIP_FLOP,
    COUNTS,
    MASK,
    MASTER_CLEAR,
    MODE,
    PAGE_OFFSETS,
    REQUEST,
    STATUS,
    Mode,
    Transfer,
)
from virtlab.registers import Reg

FIRST, SECOND, PAGES = 0x00, 0xC0, 0x80
"""Where a PC has the two chips and the page registers."""

LIMIT = 1 << 24
"""An ISA address has 24 bits."""

COUNTER = 0xFFFF
MAX_READINGS = 10
"""Readings of a counter before two must have the same high byte."""


class IsaDma:
    """The two 8237A behind `cpu`. Channels are 0 to 3 for bytes, 5 to 7 for words."""

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu
        self._ended: set[int] = set()

    def start(self) -> None:
        """Clear both chips; then open channel 4, through which the first chip asks for the bus."""
        for channel in (0, CASCADE_CHANNEL):
            self._put(channel, MASTER_CLEAR, 0)
        self._put(CASCADE_CHANNEL, MODE, MODE.MODE.put(0, Mode.CASCADE))
        self._put(CASCADE_CHANNEL, MASK, 0)

    def program(
        self,
        channel: int,
        gpa: int,
        length: int,
        transfer: Transfer,
        mode: Mode = Mode.SINGLE,
        *,
        auto: bool = False,
        down: bool = False,
    ) -> None:
        """Prepare a transfer of `length` bytes at `gpa`, and unmask the channel.

        `Transfer.WRITE` goes to memory, `READ` comes from it. With `auto` it begins anew at its
        end, with `down` it goes from the last byte to the first. `ValueError` for a buffer that no
        such channel reaches.
        """
        self._check(channel, gpa, length)
        width = _width(channel)
        word = MODE.MODE.put(MODE.TYPE.put(channel & 3, transfer), mode)
        word = MODE.DOWN.put(MODE.AUTO.put(word, auto), down)
        begin = gpa + length - width if down else gpa
        self.mask(channel)
        self._put(channel, MODE, word)
        self._put_counter(channel, ADDRESSES, begin // width)
        self.cpu.out(PAGES + PAGE_OFFSETS[channel], begin >> 16)
        self._put_counter(channel, COUNTS, length // width - 1)
        self.done(channel)
        self._ended.discard(channel)
        self._put(channel, MASK, channel & 3)

    def mask(self, channel: int) -> None:
        """Stop a channel from answering its device."""
        self._put(_checked(channel), MASK, MASK.SET.mask | channel & 3)

    def request(self, channel: int) -> None:
        """Ask in the place of the device; the channel must be in block mode."""
        self._put(_checked(channel), REQUEST, REQUEST.SET.mask | channel & 3)

    # -- how far

    def residue(self, channel: int) -> int:
        """Bytes that are not moved yet: 0 after terminal count.

        0 as well for a whole window of 64 KiB, or 128 KiB, of which nothing has moved.
        """
        count = self._counter(_checked(channel), COUNTS)
        return (count + 1 & COUNTER) * _width(channel)

    def address(self, channel: int) -> int:
        """Where the next transfer goes (gpa)."""
        count = self._counter(_checked(channel), ADDRESSES)
        page = self.cpu.inp(PAGES + PAGE_OFFSETS[channel]) & ~(_width(channel) - 1)
        return page << 16 | count * _width(channel)

    def done(self, channel: int) -> bool:
        """Whether the channel has reached terminal count since it was programmed."""
        first = channel & CASCADE_CHANNEL
        reached = STATUS.TC.get(self._get(_checked(channel), STATUS))
        self._ended |= {first + n for n in range(4) if reached >> n & 1}
        return channel in self._ended

    # -- registers

    def _check(self, channel: int, gpa: int, length: int) -> None:
        width = _width(_checked(channel))
        window = (COUNTER + 1) * width
        if length <= 0 or gpa < 0 or gpa + length > LIMIT:
            raise ValueError(f"{length} bytes at {gpa:#x} are not within the first 16 MiB")
        if gpa % width or length % width:
            raise ValueError(f"channel {channel} moves words, not {length} bytes at {gpa:#x}")
        if gpa // window != (gpa + length - 1) // window:
            raise ValueError(f"{length} bytes at {gpa:#x} cross a multiple of {window:#x}")

    def _counter(self, channel: int, regs: tuple[Reg, ...]) -> int:
        """A counter that may be moving: read until the high byte stood still."""
        low, high = self._halves(channel, regs)
        for _ in range(MAX_READINGS):
            before = high
            low, high = self._halves(channel, regs)
            if high == before:
                break
        return high << 8 | low

    def _halves(self, channel: int, regs: tuple[Reg, ...]) -> tuple[int, int]:
        self._put(channel, CLEAR_FLIP_FLOP, 0)
        reg = regs[channel & 3]
        return self._get(channel, reg), self._get(channel, reg)

    def _put_counter(self, channel: int, regs: tuple[Reg, ...], value: int) -> None:
        self._put(channel, CLEAR_FLIP_FLOP, 0)
        self._put(channel, regs[channel & 3], value & 0xFF)
        self._put(channel, regs[channel & 3], value >> 8 & 0xFF)

    def _get(self, channel: int, reg: Reg) -> int:
        return self.cpu.inp(_port(channel, reg))

    def _put(self, channel: int, reg: Reg, value: int) -> None:
        self.cpu.out(_port(channel, reg), value)


def _width(channel: int) -> int:
    """Bytes that one transfer moves."""
    return 1 if channel < CASCADE_CHANNEL else 2


def _port(channel: int, reg: Reg) -> int:
    """Where the chip of `channel` has a register: the second one has every other port."""
    return FIRST + reg.offset if channel < CASCADE_CHANNEL else SECOND + 2 * reg.offset


def _checked(channel: int) -> int:
    if not 0 <= channel <= 7 or channel == CASCADE_CHANNEL:
        raise ValueError(f"a PC has DMA channels 0 to 3 and 5 to 7 for devices, not {channel}")
    return channel
