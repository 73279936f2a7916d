"""The ES1370: three channels behind one set of registers, and one interrupt line.

    DAC1, DAC2  fetch from memory -> speaker         CODEC  the mixer chip's registers, kept
    ADC         silence -> store to memory           UART   a stub: always ready to transmit

The idea: DMA that software causes. A driver writes samples to memory, tells the card where they
are, and starts it. Each interrupt says that one more part of the buffer has been played and can be
filled again.

The rule that keeps it simple: an interrupt is pending in STATUS until the driver clears the enable
bit of its channel in SERIAL. The line is high while any is pending.

Source: AudioPCI 97 Rev 1.1, 4.1 and 4.2. Left out: MIDI and its interrupt, the joystick, the CCB's
own interrupt, MPEG clocks, the mixer's effect on what is heard.
"""

from __future__ import annotations

from virtlab.backends.speaker import Speaker
from virtlab.clock import Clock
from virtlab.devices.es1370.channel import Channel, Playback, Recording
from virtlab.devices.es1370.registers import (
    ADC,
    CHANNELS,
    DAC1,
    DAC2,
    LENGTH,
    WINDOW,
    WINDOW_END,
    WORDS,
    Es1370Registers,
    Layout,
)
from virtlab.interrupts import IrqLine
from virtlab.memory import Dma
from virtlab.pci.function import Function, Identity
from virtlab.wire import all_ones

PENDING = sum(layout.pending.mask for layout in CHANNELS)
"""The bits of STATUS that hold the line high."""

CODEC_REGISTERS = 256


class Es1370(Es1370Registers):
    """The card: `irq` is its line, `dma` its way to memory, `speaker` what it plays into.

    `codec` are the AK4531's registers as they were written, (256,). `channels` are DAC1, DAC2, ADC.
    """

    def __init__(
        self, irq: IrqLine, dma: Dma, clock: Clock, speaker: Speaker | None = None
    ) -> None:
        super().__init__()
        self.irq = irq
        self.speaker = speaker if speaker is not None else Speaker()
        self.codec = bytearray(CODEC_REGISTERS)
        self.channels: tuple[Channel, ...] = (
            Playback(DAC1, self.values, dma, clock, self._expired, self.speaker),
            Playback(DAC2, self.values, dma, clock, self._expired, self.speaker),
            Recording(ADC, self.values, dma, clock, self._expired),
        )

    def reset(self) -> None:
        """As after power-on: nothing runs, nothing is pending."""
        super().reset()
        self.codec = bytearray(CODEC_REGISTERS)
        self.irq.set(False)
        for channel in self.channels:
            channel.reset()

    # -- the two verbs

    def read(self, offset: int, size: int) -> int:
        """A register, or a part of it. Where there is none, all ones."""
        at = self._place(offset)
        if at & ~3 not in WORDS:
            return all_ones(size)
        self.settle()
        return super().read(at, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A register, or a part of it: "written in byte word or longword format" (4.1)."""
        at = self._place(offset)
        if at & ~3 not in WORDS:
            return
        self.settle()
        super().write(at, size, value)
        for channel in self.channels:
            channel.written(at & ~3)
        for channel in self.channels:
            channel.update()

    def _place(self, offset: int) -> int:
        """The offset of the register that a port shows: some show a page of memory (4.11)."""
        port = offset % LENGTH
        return self.MEMORY_PAGE << 8 | port if WINDOW <= port < WINDOW_END else port

    def settle(self) -> None:
        """Bring every channel up to the present."""
        for channel in self.channels:
            channel.settle()

    # -- registers that do something

    def read_CODEC(self) -> int:
        """It can only be written."""
        return 0

    def write_CODEC(self, old: int, new: int) -> None:
        """One register of the mixer. The serial transfer to it takes no time here."""
        fields = Es1370Registers.CODEC
        self.codec[fields.REGISTER.get(new)] = fields.DATA.get(new)

    def write_SERIAL(self, old: int, new: int) -> None:
        """A cleared enable bit acknowledges; DAC1_RELOAD starts DAC1's counter again."""
        if Es1370Registers.SERIAL.DAC1_RELOAD.get(new):
            self.channels[0].reload()
        disabled = [each for each in CHANNELS if not each.interrupt.get(new)]
        self._set_pending(self.STATUS & ~sum(each.pending.mask for each in disabled))

    def _expired(self, layout: Layout) -> None:
        """A channel's counter has run out."""
        if layout.interrupt.get(self.SERIAL):
            self._set_pending(self.STATUS | layout.pending.mask)

    def _set_pending(self, status: int) -> None:
        level = bool(status & PENDING)
        self.STATUS = Es1370Registers.STATUS.INTERRUPT.put(status, level)
        self.irq.set(level)


class Es1370Function(Function):
    """1274:5000. Its registers are ports, behind BAR 0; it has a pin."""

    def __init__(self, clock: Clock, speaker: Speaker | None = None, name: str = "es1370") -> None:
        identity = Identity(0x1274, 0x5000, 0x040100, 0, 0x4942, 0x4C4C)
        super().__init__(identity, name=name, pin=1)
        self.header.preset(MIN_GNT=0x0C, MAX_LAT=0x80)
        self.es1370 = Es1370(self.irq, self.dma, clock, speaker)
        self.port_bar(0, self.es1370, LENGTH)

    @property
    def speaker(self) -> Speaker:
        """What it plays into."""
        return self.es1370.speaker

    def reset(self) -> None:
        """The function and the card in it."""
        super().reset()
        self.es1370.reset()
