"""A card on a bench: memory with a pattern, a clock, a speaker, and every interrupt noted."""

from virtlab.backends.speaker import Speaker
from virtlab.clock import SECOND, Clock
from virtlab.devices.es1370 import DAC1, Es1370, Es1370Registers, ports_of
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory

CONTROL, STATUS, SERIAL = Es1370Registers.CONTROL, Es1370Registers.STATUS, Es1370Registers.SERIAL
PAGE, CODEC = Es1370Registers.MEMORY_PAGE, Es1370Registers.CODEC
RAM = 1 << 16
PATTERN = bytes(i * 7 & 0xFF for i in range(RAM))
RATE = 11025
EIGHT_MONO, EIGHT_STEREO, SIXTEEN_MONO, SIXTEEN_STEREO = range(4)
AT_11025 = CONTROL.DAC1_RATE.put(0, 1)


class Dma:
    """Memory that notes what was asked of it."""

    def __init__(self):
        self.ram = GuestMemory(RAM)
        self.asked = []

    def read(self, iova, length):
        self.asked.append((iova, length))
        return self.ram.read(iova, length)

    def write(self, iova, data):
        self.asked.append((iova, len(data)))
        self.ram.write(iova, data)


class Bench:
    """A card, its memory filled with a pattern, and its interrupts."""

    def __init__(self):
        self.clock, self.dma = Clock(), Dma()
        self.dma.ram.write(0, PATTERN)
        self.rose = []
        sink = lambda level: self.rose.append(self.clock.now) if level else None  # noqa: E731
        self.speaker = Speaker()
        self.card = Es1370(IrqLine("es1370", sink), self.dma, self.clock, self.speaker)

    def put(self, reg, value):
        page, port = ports_of(reg)
        if page:
            self.card.write(PAGE.offset, 4, page)
        self.card.write(port, 4, value)

    def get(self, reg):
        page, port = ports_of(reg)
        if page:
            self.card.write(PAGE.offset, 4, page)
        return self.card.read(port, 4)

    def set_up(self, layout=DAC1, at=0x1000, longwords=16, samples=16, code=0, serial=0):
        """A buffer of `longwords`, an interrupt every `samples`."""
        self.put(layout.address, at)
        self.put(layout.frame, longwords - 1)
        self.put(SERIAL, layout.format.put(serial, code))
        self.put(layout.count, samples - 1)

    def start(self, layout=DAC1, extra=0):
        self.put(CONTROL, AT_11025 | layout.enable.mask | extra)

    def run(self, samples, rate=RATE):
        """Let the time of so many samples pass."""
        self.clock.advance(-(-samples * SECOND // rate))

    def heard(self):
        return b"".join(piece.data for piece in self.speaker.pieces)

    def memory(self, at, length):
        return self.dma.ram.read(at, length)
