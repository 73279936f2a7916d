"""One channel: what a device holds, and how its bytes reach memory.

    channel.attach(serve, ended)    # the board wires the device to a channel
    channel.request(True)           # DREQ goes up; `serve` is called once the channel is granted
    channel.write(b"...")           # in `serve`: bytes to memory, as many as the channel takes
    channel.read(512)               # or from memory
    channel.request(False)

The idea: the device moves the bytes, and the channel says where and how many. So a guest can make
a device do no more than it would; the device's own time paces it.

The rules that keep it simple:

1. Transfers happen while the channel is `granted`, and stop at terminal count (TC).
2. Single and demand mode are one here: a channel is granted while DREQ is up. In block mode it
   stays granted until TC, once it has begun.
3. The address counts within 16 bits. It never carries into the page register.

The 8237A has no errors: where no memory is, a write is lost and a read gives ones.

Source: Intel 8237A data sheet (231466), "DMA Operation", "Transfer Types", "Register Description".
Left out: memory to memory, the EOP pin as an input, and the time that a transfer takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from virtlab.devices.dma8237.registers import MODE, Mode, Transfer
from virtlab.errors import DmaFault
from virtlab.memory import PAGE, Dma
from virtlab.wire import all_ones

COUNTER = all_ones(2)
"""The address and the count have 16 bits."""


class Chip(Protocol):
    """What a channel needs of the chip around it."""

    dma: Dma
    shift: int

    @property
    def granted(self) -> bool:
        """Whether the chip is enabled, and its request reaches the processor."""

    def served(self, channel: DmaChannel) -> None:
        """This channel had the bus."""


class DmaChannel:
    """Channel `number` (0 to 7) of a PC. `page` gives the value of its page register.

    `address` and `count` are the current registers, `base_address` and `base_count` those that
    autoinitialization brings back. `dreq` is the device's wire, `requested` the bit of the request
    register, `reached` that of terminal count in STATUS.
    """

    def __init__(self, chip: Chip, number: int, page: Callable[[], int]) -> None:
        self.chip = chip
        self.number = number
        self.page = page
        self.width = 1 << chip.shift
        self.base_address = self.address = self.base_count = self.count = self.mode = 0
        self.dreq = False
        self._serve: Callable[[], None] | None = None
        self._ended: Callable[[], None] | None = None
        self._serving = False
        self.clear()

    def clear(self) -> None:
        """RESET or master clear: masked, no request of software. Counters and mode stay."""
        self.masked = True
        self.requested = self.reached = self._begun = False

    # -- what a device does

    def attach(self, serve: Callable[[], None], ended: Callable[[], None] | None = None) -> None:
        """Wire a device: `serve()` when its request is granted, `ended()` at terminal count."""
        self._serve, self._ended = serve, ended

    def request(self, level: bool) -> None:
        """Drive DREQ. If the channel is granted then, `serve` is called before this returns."""
        self.dreq = level
        self.service()

    def write(self, data: bytes) -> int:
        """A write transfer: `data` from the device to memory. Gives how many bytes were taken.

        Fewer than offered at terminal count; none where the channel is not granted, or is set to
        read. A verify transfer takes them and leaves memory alone. A 16-bit channel takes words.
        """
        units = self._units(len(data), Transfer.WRITE)
        at = 0
        for iova, n in self._runs(units):
            self._memory(iova, n, self._ordered(data[at : at + n]))
            at += n
        self._advance(units)
        return units * self.width

    def read(self, length: int) -> bytes:
        """A read transfer: up to `length` bytes from memory to the device.

        Fewer as for `write`. A verify transfer gives ones: nobody drives the bus.
        """
        units = self._units(length, Transfer.READ)
        data = b"".join(self._ordered(self._memory(iova, n)) for iova, n in self._runs(units))
        self._advance(units)
        return data

    @property
    def remaining(self) -> int:
        """Bytes until terminal count."""
        return (self.count + 1) * self.width

    # -- when the channel has the bus

    @property
    def granted(self) -> bool:
        """Whether bytes can move now. DREQ can be masked; a request of software cannot."""
        by_device = (self.dreq or self._begun) and not self.masked
        return (by_device or self.by_software) and not self.is_cascade and self.chip.granted

    @property
    def by_software(self) -> bool:
        """Whether software's request counts: "the channel must be in Block Mode"."""
        return self.requested and MODE.MODE.get(self.mode) == Mode.BLOCK

    @property
    def is_cascade(self) -> bool:
        """Whether another chip's request comes in here, and nothing is transferred."""
        return MODE.MODE.get(self.mode) == Mode.CASCADE

    def service(self) -> None:
        """Let the device move its bytes, if the channel is granted. It is not called from itself.

        Software can also request a channel that has no device. Then the transfer runs to terminal
        count, and what is written to memory is the empty bus: ones.
        """
        if self._serving or not self.granted:
            return
        self._serving = True
        try:
            if self._serve is not None:
                self._serve()
            elif self.by_software and MODE.TYPE.get(self.mode) == Transfer.READ:
                self.read(self.remaining)
            elif self.by_software:
                self.write(b"\xff" * self.remaining)
        finally:
            self._serving = False

    def set_mode(self, mode: int) -> None:
        """A write to MODE. A block that had begun is over."""
        self.mode = mode
        self._begun = False

    # -- transfers

    def _units(self, length: int, kind: Transfer) -> int:
        """How many transfers `length` bytes make now, at most to terminal count."""
        if not self.granted or MODE.TYPE.get(self.mode) not in (kind, Transfer.VERIFY):
            return 0
        return min(max(length, 0) // self.width, self.count + 1)

    def _runs(self, units: int) -> Iterator[tuple[int, int]]:
        """The pieces of memory of the next `units` transfers, in order: `(iova, bytes)`.

        None leaves a page, so none wraps, and a fault loses no more than one.
        """
        address, per_page = self.address, PAGE // self.width
        while units:
            inside = address % per_page
            n = min(units, inside + 1 if self._down else per_page - inside)
            yield self._iova(address - n + 1 if self._down else address), n * self.width
            address = self._step(address, n)
            units -= n

    def _iova(self, address: int) -> int:
        """24 bits: the page register, then the counter.

        A 16-bit channel counts words: its counter is one bit higher, and bit 0 of the page is not
        used.
        """
        page = self.page() & ~(self.width - 1)
        return page << 16 | address * self.width

    @property
    def _down(self) -> int:
        return MODE.DOWN.get(self.mode)

    def _step(self, address: int, units: int) -> int:
        return (address - units if self._down else address + units) & COUNTER

    def _ordered(self, data: bytes) -> bytes:
        """Bytes in the order of memory from the order of transfers, and back."""
        return np.frombuffer(data, f"<u{self.width}")[::-1].tobytes() if self._down else data

    def _memory(self, iova: int, length: int, data: bytes | None = None) -> bytes:
        """Read `length` bytes, or write `data`. No fault has a place to show."""
        try:
            if MODE.TYPE.get(self.mode) == Transfer.READ:
                return self.chip.dma.read(iova, length)
            if MODE.TYPE.get(self.mode) == Transfer.WRITE and data is not None:
                self.chip.dma.write(iova, data)
        except DmaFault:
            pass
        return b"\xff" * length

    def _advance(self, units: int) -> None:
        """Count `units` transfers; after the last one it is terminal count."""
        if not units:
            return
        self.address = self._step(self.address, units)
        self._begun = MODE.MODE.get(self.mode) == Mode.BLOCK
        self.chip.served(self)
        last = units > self.count
        self.count = (self.count - units) & COUNTER
        if last:
            self._terminal_count()

    def _terminal_count(self) -> None:
        """TC: STATUS shows it, the request is over, and the channel is masked or begins anew."""
        self.reached = True
        self.requested = self._begun = False
        if MODE.AUTO.get(self.mode):
            self.address, self.count = self.base_address, self.base_count
        else:
            self.masked = True
        if self._ended is not None:
            self._ended()

    def __repr__(self) -> str:
        state = "masked" if self.masked else "open"
        return f"DmaChannel({self.number}, {state}, {self.address:#06x}, {self.count:#06x})"
