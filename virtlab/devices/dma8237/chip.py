"""One 8237A: four channels behind 16 registers.

The rule that keeps it simple: a write that may grant a channel ends in `changed`, which lets the
chips look at their channels again, in order of priority. There is no other place where that begins,
but a device's own DREQ.

Source: Intel 8237A data sheet (231466), "Register Description", "Software Commands". Of the command
register DISABLE and ROTATING count. Compressed timing and extended write change only how long a
transfer takes; the polarity of DREQ and DACK is that of wires; memory to memory is left out.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.devices.dma8237.channel import DmaChannel
from virtlab.devices.dma8237.registers import (
    ALL_MASKS,
    CHANNELS,
    CLEAR_FLIP_FLOP,
    CLEAR_MASK,
    COMMAND,
    MASK,
    MASTER_CLEAR,
    MODE,
    READ_MASK,
    REGISTERS,
    REQUEST,
    STATUS,
)
from virtlab.memory import Dma
from virtlab.wire import Bits, all_ones

HALVES = (Bits(7, 0), Bits(15, 8))
"""The bytes of a counter, by the flip-flop."""


class Dma8237:
    """One chip: a device of 16 registers, each `1 << shift` ports wide, as is a transfer in bytes.

    `page(n)` is the page register of channel `n`, 0 to 7; `number` is that of its first channel.
    `upstream` says whether the chip's request reaches the processor; `changed` is called after a
    write that may have granted a channel.
    """

    def __init__(
        self,
        dma: Dma,
        page: Callable[[int], int],
        number: int = 0,
        shift: int = 0,
        upstream: Callable[[], bool] = lambda: True,
        changed: Callable[[], None] | None = None,
    ) -> None:
        self.dma = dma
        self.shift = shift
        self.upstream = upstream
        self.changed = changed or self.service
        self.channels = tuple(
            DmaChannel(self, number + n, lambda n=n: page(number + n))  # type: ignore[misc]
            for n in range(CHANNELS)
        )
        self.reset()

    def reset(self) -> None:
        """RESET, and master clear: all masked; counters and modes stay."""
        self.command = 0
        self.flip_flop = 0
        self.lowest = CHANNELS - 1
        for channel in self.channels:
            channel.clear()

    # -- who has the bus

    @property
    def enabled(self) -> bool:
        """Whether the command register lets the chip work."""
        return not COMMAND.DISABLE.get(self.command)

    @property
    def granted(self) -> bool:
        """Whether the chip gets the bus when it asks."""
        return self.enabled and self.upstream()

    def served(self, channel: DmaChannel) -> None:
        """With rotating priority, who had the bus is last in line next time."""
        if COMMAND.ROTATING.get(self.command):
            self.lowest = channel.number % CHANNELS

    def service(self) -> None:
        """Let every granted channel work, the highest priority first. Fixed: 0 is highest."""
        first = self.lowest + 1 if COMMAND.ROTATING.get(self.command) else 0
        for n in range(first, first + CHANNELS):
            self.channels[n % CHANNELS].service()

    # -- the ports

    def read(self, offset: int, size: int) -> int:
        """A counter's next half, STATUS, or the masks."""
        address = offset >> self.shift & 0xF
        if address < 2 * CHANNELS:
            channel = self.channels[address >> 1]
            return self._half().get(channel.count if address & 1 else channel.address)
        match address:
            case STATUS.offset:
                value = self._status()
                for channel in self.channels:
                    channel.reached = False
                return value
            case READ_MASK.offset:
                return self._masks()
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """A counter's next half, or a command."""
        address, byte = offset >> self.shift & 0xF, value & all_ones(1)
        selected = self.channels[MODE.CHANNEL.get(byte)]
        if address < 2 * CHANNELS:
            self._write_counter(self.channels[address >> 1], bool(address & 1), byte)
            return
        match address:
            case COMMAND.offset:
                self.command = byte
            case REQUEST.offset:
                selected.requested = bool(REQUEST.SET.get(byte))
            case MASK.offset:
                selected.masked = bool(MASK.SET.get(byte))
            case MODE.offset:
                selected.set_mode(byte)
            case CLEAR_FLIP_FLOP.offset:
                self.flip_flop = 0
            case MASTER_CLEAR.offset:
                self.reset()
            case CLEAR_MASK.offset:
                self._set_masks(0)
            case _:
                self._set_masks(ALL_MASKS.MASKS.get(byte))
        self.changed()

    def _half(self) -> Bits:
        """Which half of a counter this access carries; the next one carries the other."""
        half = HALVES[self.flip_flop]
        self.flip_flop ^= 1
        return half

    def _write_counter(self, channel: DmaChannel, is_count: bool, byte: int) -> None:
        """Base and current registers are written together, half by half."""
        half = self._half()
        if is_count:
            channel.base_count = half.put(channel.base_count, byte)
            channel.count = half.put(channel.count, byte)
        else:
            channel.base_address = half.put(channel.base_address, byte)
            channel.address = half.put(channel.address, byte)

    def _status(self) -> int:
        reached = sum(channel.reached << n for n, channel in enumerate(self.channels))
        wanting = sum((c.dreq or c.requested) << n for n, c in enumerate(self.channels))
        return STATUS.REQUEST.put(reached, wanting)

    def _masks(self) -> int:
        return sum(channel.masked << n for n, channel in enumerate(self.channels))

    def _set_masks(self, masks: int) -> None:
        for n, channel in enumerate(self.channels):
            channel.masked = bool(masks >> n & 1)

    def peek(self) -> dict[str, int]:
        """Every register by name, the counters with 16 bits, with no side effect."""
        values = {reg.name: 0 for reg in REGISTERS}
        for n, channel in enumerate(self.channels):
            values[f"ADDRESS{n}"], values[f"COUNT{n}"] = channel.address, channel.count
            values[f"MODE{n}"] = channel.mode
        values[COMMAND.name], values[STATUS.name] = self.command, self._status()
        return values | {READ_MASK.name: self._masks(), "FLIP_FLOP": self.flip_flop}
