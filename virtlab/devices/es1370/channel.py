"""One channel of the ES1370: a DMA engine, a counter, and a clock of samples.

    ADDRESS -->[ longword 0 | 1 | ...... | SIZE ]     a circular buffer in memory
                               ^ FRAME.CURRENT         it wraps at its end

    COUNT.CURRENT    one less for each sample; past 0 it is COUNT.SAMPLES again, with an interrupt

The idea: nobody asks for a sample. Software sets the channel up and starts it. From then on it
fetches from memory by itself, at the rate of its clock, and interrupts now and then.

The rule that keeps it simple: nothing ticks. `settle` moves all samples whose time has come. It
runs before a register is read or written, and by a call of the clock: when the next interrupt is
due, or when `CHUNK` bytes are. So one call moves `CHUNK` bytes at most, whatever the guest sets.

Source: AudioPCI 97 Rev 1.1, 4.2, 4.11 and 7.8. Left out: the sound cache of 64 bytes between memory
and converter. So a sample is fetched when it plays, and not a little before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from virtlab.backends.speaker import Format, Played, Speaker
from virtlab.clock import SECOND, Clock, Timer
from virtlab.devices.es1370.registers import CONTROL, SERIAL, STATUS, Layout, format_of, rate_of
from virtlab.errors import DmaFault
from virtlab.memory import Dma
from virtlab.registers import Reg

CHUNK = 4096
"""Bytes that move in one go, at most. They are at most 1,024 requests to memory."""

LONGWORD = 4
ADDRESSES = 1 << 32
"""What the channel can address: it counts on from 0 after the last one."""


class Channel:
    """The channel of `layout`. `registers` are the card's values, by name.

    `expired` is called when the counter has run out. `faults` counts the requests to memory that
    failed.
    """

    def __init__(
        self,
        layout: Layout,
        registers: dict[str, int],
        dma: Dma,
        clock: Clock,
        expired: Callable[[Layout], None],
    ) -> None:
        self.layout = layout
        self.registers = registers
        self.dma = dma
        self.clock = clock
        self.expired = expired
        self.faults = 0
        self.stopped = False
        self._byte = 0  # of the current longword
        self._origin, self._moved = clock.now, 0  # samples moved since then
        self._pace: tuple[object, ...] = ()
        self._call: Timer | None = None

    def reset(self) -> None:
        """As after power-on, once the registers are."""
        self.stopped = False
        self._byte = self.faults = 0
        self.update()

    # -- what the registers say

    def _get(self, reg: Reg, field: str) -> int:
        return reg.fields[field].get(self.registers[reg.name])

    def _put(self, reg: Reg, field: str, value: int) -> None:
        self.registers[reg.name] = reg.fields[field].put(self.registers[reg.name], value)

    @property
    def enabled(self) -> bool:
        """Whether CONTROL has it running, be it paused or not."""
        return bool(self.layout.enable.get(self.registers[CONTROL.name]))

    @property
    def running(self) -> bool:
        """Whether samples move. A count beyond the buffer's size stands still (no clause)."""
        paused = self.layout.pause.get(self.registers[self.layout.paused_by.name])
        frame = self.layout.frame
        inside = self._get(frame, "CURRENT") <= self._get(frame, "SIZE")
        return bool(self.enabled and not paused and not self.stopped and inside)

    @property
    def format(self) -> Format:
        """What a sample is."""
        return format_of(self.layout, self.registers[SERIAL.name])

    @property
    def rate(self) -> int:
        """Samples a second."""
        return rate_of(self.layout, self.registers[CONTROL.name])

    @property
    def position(self) -> int:
        """Bytes from the start of the buffer to the next sample."""
        return LONGWORD * self._get(self.layout.frame, "CURRENT") + self._byte

    # -- the card tells

    def written(self, offset: int) -> None:
        """The register at `offset` was written: counters start again from there."""
        if offset == self.layout.count.offset:
            self.reload()
        elif offset == self.layout.frame.offset:
            self._byte = 0

    def reload(self) -> None:
        """Count down from the top; a channel that has stopped goes on."""
        self._put(self.layout.count, "CURRENT", self._get(self.layout.count, "SAMPLES"))
        self.stopped = False

    def update(self) -> None:
        """Registers may have changed: from now on run as they say."""
        self.stopped = self.stopped and self.enabled
        pace = (self.running, self.rate, self.format)
        if pace != self._pace:
            self._pace, self._origin, self._moved = pace, self.clock.now, 0
        self._schedule()

    # -- time

    def settle(self) -> None:
        """Move all samples whose time has come."""
        while samples := min(self._due(), self._stretch()):
            self._move(samples)
            self._moved += samples
            self._count(samples)

    def _due(self) -> int:
        """Samples that time has brought and that have not moved."""
        if not self.running:
            return 0
        return max(0, (self.clock.now - self._origin) * self.rate // SECOND - self._moved)

    def _stretch(self) -> int:
        """Samples that may move in one go: a chunk, or up to where the counter's end matters."""
        chunk = CHUNK // self.format.width
        layout, serial = self.layout, self.registers[SERIAL.name]
        heard = layout.pending.get(self.registers[STATUS.name])
        if layout.stop_mode.get(serial) or (layout.interrupt.get(serial) and not heard):
            return min(chunk, self._get(layout.count, "CURRENT") + 1)
        return chunk

    def _time_of(self, sample: int) -> int:
        """When a sample's time has come (ns), counted from when the pace last changed."""
        return self._origin - -sample * SECOND // self.rate

    def _schedule(self) -> None:
        """Ask for a call when the next stretch is due."""
        due = self._time_of(self._moved + self._stretch()) if self.running else None
        if self._call is not None and self._call.when != due:
            self._call.cancel()
            self._call = None
        if self._call is None and due is not None:
            self._call = self.clock.after(due - self.clock.now, self._ring)

    def _ring(self) -> None:
        self._call = None
        self.settle()
        self.update()

    # -- samples

    def _count(self, samples: int) -> None:
        """The counter goes down; when it has run out it begins again, or the channel stops."""
        count = self.layout.count
        left = self._get(count, "CURRENT") + 1 - samples
        if left > 0:
            self._put(count, "CURRENT", left - 1)
            return
        period = self._get(count, "SAMPLES") + 1
        self._put(count, "CURRENT", period - 1 - -left % period)
        # LOOP_SEL = 1 is stop mode (serial interface control): the counter's end is the end.
        self.stopped = bool(self.layout.stop_mode.get(self.registers[SERIAL.name]))
        self.expired(self.layout)

    def _walk(self, length: int) -> Iterator[tuple[int, int]]:
        """The next `length` bytes of the buffer as `(iova, bytes)`, and move on past them."""
        frame = self.layout.frame
        total = LONGWORD * (self._get(frame, "SIZE") + 1)
        while length:
            at = self.position
            iova = (self.registers[self.layout.address.name] + at) % ADDRESSES
            n = min(length, total - at, ADDRESSES - iova)
            yield iova, n
            length -= n
            longword, self._byte = divmod((at + n) % total, LONGWORD)
            self._put(frame, "CURRENT", longword)

    def _move(self, samples: int) -> None:
        raise NotImplementedError


class Playback(Channel):
    """A DAC: it fetches from memory, and plays. What it cannot fetch is silence."""

    def __init__(
        self,
        layout: Layout,
        registers: dict[str, int],
        dma: Dma,
        clock: Clock,
        expired: Callable[[Layout], None],
        speaker: Speaker,
    ) -> None:
        super().__init__(layout, registers, dma, clock, expired)
        self.speaker = speaker

    def _move(self, samples: int) -> None:
        parts = [self._fetch(*piece) for piece in self._walk(samples * self.format.width)]
        when = self._time_of(self._moved)
        self.speaker.play(Played(when, self.layout.name, self.rate, self.format, b"".join(parts)))

    def _fetch(self, iova: int, length: int) -> bytes:
        try:
            return self.dma.read(iova, length)
        except DmaFault:
            self.faults += 1
            return self.format.silence * length


class Recording(Channel):
    """The ADC: it stores into memory. There is no microphone, so it records silence."""

    def _move(self, samples: int) -> None:
        for iova, length in self._walk(samples * self.format.width):
            try:
                self.dma.write(iova, self.format.silence * length)
            except DmaFault:
                self.faults += 1
