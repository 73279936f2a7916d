"""A driver for the ES1370: play samples from a buffer of two halves.

    half 0      half 1           the card plays one half while the driver fills the other
    [ playing ]  filled          interrupt: half 0 is played
      filled    [ playing ]      the driver has put the next samples into half 0
    [ playing ]  filled          interrupt: half 1 is played ...

The idea: the card counts the samples of one half, interrupts, and plays on. So there is always one
half to play, and the driver has the time of one half to fill the other (double buffering).

The rule that keeps it simple: an interrupt frees exactly one half, in turn. What comes after the
last sample is silence. Every wait is bounded.

Source: AudioPCI 97 Rev 1.1, 4.11 and 7.8; what the ES1370's clocks divide, as Linux has it. Left
out: recording, the mixer's volumes, playing on both converters at once.
"""

from __future__ import annotations

from virtlab.backends.speaker import Format
from virtlab.cpu import Cpu
from virtlab.devices.es1370 import CLOCK_HERTZ, DAC1, DAC1_RATES, DAC2, Es1370Registers, rate_of
from virtlab.devices.es1370.registers import Layout, ports_of
from virtlab.guest.pic import Pics
from virtlab.registers import Reg
from virtlab.wire import all_ones

HALF = 16 << 10
"""Bytes of one half, unless told otherwise: 93 ms of 16-bit stereo at 44,100 Hz."""

LONGWORD, MAX_LONGWORDS, MAX_SAMPLES = 4, 1 << 16, 1 << 16
"""What the card's counters can hold: longwords of the buffer, samples between two interrupts."""

NAP, NAPS = 1_000_000, 20_000
"""Nanoseconds between two looks at STATUS, and looks after which the card counts as dead. Asleep,
the driver waits for an interrupt as long as all of them take."""

CD = Format(16, 2)
"""16 bits, stereo."""


class Es1370Driver:
    """The card at port `base`, through `cpu`. `voice` is the converter to play on, DAC1 or DAC2.

    With `pics`, whose input `irq` the card's pin ends at, the driver sleeps until an interrupt
    comes, and ends it. Without them it looks at STATUS every `NAP`.
    """

    def __init__(
        self, cpu: Cpu, base: int, voice: Layout = DAC2, pics: Pics | None = None, irq: int = 0
    ) -> None:
        if voice not in (DAC1, DAC2):
            raise ValueError(f"samples are played on DAC1 or DAC2, not on {voice}")
        self.cpu = cpu
        self.base = base
        self.voice = voice
        self.pics = pics
        self.irq = irq

    def detect(self) -> bool:
        """Whether it is there: of what is written to the memory page, four bits read back."""
        page = Es1370Registers.MEMORY_PAGE
        answers = []
        for pattern in (0xA5, 0x5A):
            self.put(page, pattern)
            answers.append(self.get(page))
        return answers == [0x5, 0xA]

    # -- playing

    def play(
        self, samples: bytes, gpa: int, rate: int = 44100, format: Format = CD, half: int = HALF
    ) -> int:
        """Play `samples` through a buffer of two times `half` bytes at `gpa`; how many interrupts.

        Returns when the last sample has been played. `TimeoutError` if the card does not interrupt.
        """
        self.check(gpa, format, half)
        parts = [samples[at : at + half] for at in range(0, len(samples), half)]
        silence = format.silence
        self.prepare(gpa, rate, format, half)
        for number in (0, 1):
            self._fill(gpa, half, number, parts, silence)
        self.start()
        for number in range(len(parts)):
            self.sleep()
            self._fill(gpa, half, number + 2, parts, silence)
        self.stop()
        return len(parts)

    def check(self, gpa: int, format: Format, half: int) -> None:
        """`ValueError` if the card cannot play from such a buffer."""
        if half <= 0 or half % LONGWORD or half > MAX_LONGWORDS // 2 * LONGWORD:
            raise ValueError(f"a half has whole longwords, {MAX_LONGWORDS // 2} at most: {half}")
        if half // format.width > MAX_SAMPLES:
            raise ValueError(f"the card counts {MAX_SAMPLES} samples, not {half // format.width}")
        if gpa < 0 or gpa + 2 * half > 1 << 32:
            raise ValueError(f"the card has addresses of 32 bits, not {gpa:#x}")

    def prepare(self, gpa: int, rate: int, format: Format, half: int) -> None:
        """Stop, and tell the card everything: buffer, format, rate, when to interrupt."""
        self.stop()
        self.set_rate(rate)
        self.put(self.voice.address, gpa)
        self.put(self.voice.frame, 2 * half // LONGWORD - 1)
        serial = self.get(Es1370Registers.SERIAL)
        code = (2 if format.bits == 16 else 0) | (1 if format.channels == 2 else 0)
        serial = self.voice.format.put(serial, code)
        for bits in (self.voice.stop_mode, self.voice.pause):
            serial = bits.put(serial, 0)
        self.put(Es1370Registers.SERIAL, self.voice.interrupt.put(serial, 1))
        self.put(self.voice.count, half // format.width - 1)

    def _fill(self, gpa: int, half: int, number: int, parts: list[bytes], silence: bytes) -> None:
        """Put part `number` where it belongs, with silence after it up to the half's end."""
        part = parts[number] if number < len(parts) else b""
        self.cpu.write(gpa + number % 2 * half, part.ljust(half, silence))

    def start(self) -> None:
        """From now on it plays by itself."""
        control = self.get(Es1370Registers.CONTROL)
        self.put(Es1370Registers.CONTROL, self.voice.enable.put(control, 1))

    def stop(self) -> None:
        """Play no more, and interrupt no more."""
        control = self.get(Es1370Registers.CONTROL)
        self.put(Es1370Registers.CONTROL, self.voice.enable.put(control, 0))
        serial = self.get(Es1370Registers.SERIAL)
        self.put(Es1370Registers.SERIAL, self.voice.interrupt.put(serial, 0))

    def pause(self, paused: bool = True) -> None:
        """Hold the sound where it is, or with False let it go on."""
        serial = self.get(Es1370Registers.SERIAL)
        self.put(Es1370Registers.SERIAL, self.voice.pause.put(serial, paused))

    def set_rate(self, rate: int) -> int:
        """Choose the clock that is nearest to `rate` samples a second; the rate that it has.

        `ValueError` for what the converter cannot do: DAC1 has four rates, DAC2 can divide.
        """
        control = self.get(Es1370Registers.CONTROL)
        if self.voice is DAC1:
            if rate not in DAC1_RATES:
                raise ValueError(f"DAC1 has {DAC1_RATES} samples a second, not {rate}")
            control = Es1370Registers.CONTROL.DAC1_RATE.put(control, DAC1_RATES.index(rate))
        else:
            control = Es1370Registers.CONTROL.CLOCK_DIVIDER.put(control, divider_of(rate))
        self.put(Es1370Registers.CONTROL, control)
        return rate_of(self.voice, control)

    # -- interrupts

    def sleep(self) -> None:
        """Wait for the voice's interrupt and acknowledge it. `TimeoutError` if none comes."""
        for _ in range(NAPS):
            irq = self._nap()
            pending = self.voice.pending.get(self.get(Es1370Registers.STATUS))
            if pending:
                self.acknowledge()
            if irq is not None and self.pics is not None:
                self.pics.eoi(irq)
            if pending:
                return
            if irq is None and self.pics is not None:
                break
        raise TimeoutError(f"{self.voice} did not interrupt")

    def _nap(self) -> int | None:
        """Let a moment pass; the interrupt that came meanwhile."""
        if self.pics is not None:
            return self.pics.next_irq(NAP * NAPS)
        self.cpu.wait(NAP)
        return None

    def acknowledge(self) -> None:
        """Clear the interrupt: its enable bit goes to 0, and to 1 again."""
        serial = self.get(Es1370Registers.SERIAL)
        self.put(Es1370Registers.SERIAL, self.voice.interrupt.put(serial, 0))
        self.put(Es1370Registers.SERIAL, self.voice.interrupt.put(serial, 1))

    # -- the registers

    def get(self, reg: Reg) -> int:
        """A register, through the memory page if it is behind one."""
        return self.cpu.inp(self._port(reg), 4)

    def put(self, reg: Reg, value: int) -> None:
        """The whole register."""
        self.cpu.out(self._port(reg), value & all_ones(4), 4)

    def _port(self, reg: Reg) -> int:
        page, port = ports_of(reg)
        if page:
            self.cpu.out(self.base + Es1370Registers.MEMORY_PAGE.offset, page, 4)
        return self.base + port


def divider_of(rate: int) -> int:
    """The value of CLOCK_DIVIDER that comes nearest to `rate` samples a second.

    >>> divider_of(44100), divider_of(8000)
    (30, 174)
    """
    if rate > 0:
        divider = round(CLOCK_HERTZ / rate) - 2
        if 0 <= divider <= Es1370Registers.CONTROL.CLOCK_DIVIDER.get(all_ones(4)):
            return divider
    raise ValueError(f"no divider of {CLOCK_HERTZ} Hz gives {rate} samples a second")
