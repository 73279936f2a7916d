"""The registers of the ES1370, and which of their bits belong to which channel.

    0x00  CONTROL        0x20  SERIAL           memory page 1100b     memory page 1101b
    0x04  STATUS         0x24  DAC1_COUNT       0x30  DAC1_ADDRESS    0x30  ADC_ADDRESS
    0x08  UART           0x28  DAC2_COUNT       0x34  DAC1_FRAME      0x34  ADC_FRAME
    0x0C  MEMORY_PAGE    0x2C  ADC_COUNT        0x38  DAC2_ADDRESS    0x38  PHANTOM_ADDRESS
    0x10  CODEC                                 0x3C  DAC2_FRAME      0x3C  PHANTOM_FRAME

The idea: sixteen ports at 0x30 show one page of the chip's memory at a time. So a register behind
a page has an offset with its page in front: `0xC34` is port 0x34 on page 1100b.

The rule that keeps it simple: each channel is one `Layout`. Device, driver and tests read its
bits from there, and have no case for a channel by name.

Source: ENSONIQ AudioPCI 97 Specification, Rev 1.1: 4.1, 4.2, 4.11 and 7.8. It describes the ES1371,
which has the same channels. What only the ES1370 has (CODEC, the clocks in CONTROL) is as QEMU
(hw/audio/es1370.c) and Linux (sound/pci/ens1370.c) have it.
"""

from __future__ import annotations

from virtlab.backends.speaker import Format
from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits, all_ones

SPEC = "AudioPCI 97 Rev 1.1"
FRAMES = f"{SPEC} 7.8"
LENGTH = 256
"""Ports of its BAR."""

WINDOW, WINDOW_END = 0x30, 0x40
"""The ports that show a page of the chip's memory."""

DAC1_RATES = (5512, 11025, 22050, 44100)
"""Samples a second of DAC1, by DAC1_RATE."""

CLOCK_HERTZ = 1_411_200
"""What CLOCK_DIVIDER divides: DAC2 and the ADC run at `CLOCK_HERTZ // (CLOCK_DIVIDER + 2)`."""


def _count(offset: int) -> Reg:
    return Reg(
        offset,
        4,
        rw=0xFFFF,
        fields={"SAMPLES": Bits(15, 0), "CURRENT": Bits(31, 16)},
        spec=f"{SPEC}, sample count",
        doc="Samples between two interrupts, less one; how many are left, less one.",
    )


def _address(page: int, port: int) -> Reg:
    return Reg(
        page << 8 | port,
        4,
        rw=all_ones(4),
        when=f"MEMORY_PAGE={page:04b}b",
        spec=FRAMES,
        doc="Where the channel's buffer is in memory.",
    )


def _frame(page: int, port: int) -> Reg:
    return Reg(
        page << 8 | port,
        4,
        rw=all_ones(4),
        fields={"SIZE": Bits(15, 0), "CURRENT": Bits(31, 16)},
        when=f"MEMORY_PAGE={page:04b}b",
        spec=FRAMES,
        doc="Longwords in the buffer, less one; how many of them have been transferred.",
    )


class Es1370Registers(RegisterFile):
    """The registers, for the device, the driver and the pictures."""

    length = 0xE00
    CONTROL = Reg(
        0x00,
        4,
        reset=0x1,
        rw=all_ones(4),
        fields={
            "SERR_DISABLE": Bits(0),
            "CODEC_ENABLE": Bits(1),
            "JOYSTICK_ENABLE": Bits(2),
            "UART_ENABLE": Bits(3),
            "ADC_ENABLE": Bits(4),
            "DAC2_ENABLE": Bits(5),
            "DAC1_ENABLE": Bits(6),
            "BUS_REQUEST": Bits(7),
            "XCTL0": Bits(8),
            "RECORD_MPEG": Bits(9),
            "CCB_INTERRUPT": Bits(10),
            "DAC_SYNC": Bits(11),
            "DAC1_RATE": Bits(13, 12),
            "DAC2_MPEG": Bits(14),
            "MPEG_I2S": Bits(15),
            "CLOCK_DIVIDER": Bits(28, 16),
            "OPEN": Bits(29),
            "XCTL1": Bits(30),
            "ADC_STOP": Bits(31),
        },
        spec=f"{SPEC}, interrupt/chip select control",
        doc="Which channels run, and how fast.",
    )
    STATUS = Reg(
        0x04,
        4,
        reset=0x60,
        access="r",
        fields={
            "ADC": Bits(0),
            "DAC2": Bits(1),
            "DAC1": Bits(2),
            "UART": Bits(3),
            "CCB": Bits(4),
            "VOICE": Bits(6, 5),
            "CODEC_WRITING": Bits(8),
            "CODEC_BUSY": Bits(9),
            "CODEC_STATUS": Bits(10),
            "INTERRUPT": Bits(31),
        },
        spec=f"{SPEC}, interrupt/chip select status",
        doc="Which channels want attention.",
    )
    UART = Reg(
        0x08,
        4,
        reset=0x200,
        rw=0x1_0000,
        fields={
            "DATA": Bits(7, 0),
            "RX_READY": Bits(8),
            "TX_READY": Bits(9),
            "TX_INTERRUPT": Bits(10),
            "RX_INTERRUPT": Bits(15),
            "TEST_MODE": Bits(16),
        },
        spec=f"{SPEC}, UART",
        doc="Three byte registers for MIDI: data, status and control, test. A stub here.",
    )
    MEMORY_PAGE = Reg(
        0x0C,
        4,
        rw=0xF,
        fields={"PAGE": Bits(3, 0)},
        spec=f"{SPEC} 4.11",
        doc="Which page of the chip's memory stands at 0x30 to 0x3F.",
    )
    CODEC = Reg(
        0x10,
        4,
        rw=0xFFFF,
        access="w",
        fields={"DATA": Bits(7, 0), "REGISTER": Bits(15, 8)},
        spec="ES1370, codec write register",
        doc="Writes one register of the AK4531, the mixer chip beside it.",
    )
    SERIAL = Reg(
        0x20,
        4,
        rw=all_ones(4),
        fields={
            "DAC1_FORMAT": Bits(1, 0),
            "DAC2_FORMAT": Bits(3, 2),
            "ADC_FORMAT": Bits(5, 4),
            "DAC2_KEEP_LAST": Bits(6),
            "DAC1_RELOAD": Bits(7),
            "DAC1_INTERRUPT": Bits(8),
            "DAC2_INTERRUPT": Bits(9),
            "ADC_INTERRUPT": Bits(10),
            "DAC1_PAUSE": Bits(11),
            "DAC2_PAUSE": Bits(12),
            "DAC1_STOP_MODE": Bits(13),
            "DAC2_STOP_MODE": Bits(14),
            "ADC_STOP_MODE": Bits(15),
            "DAC2_START_INCREMENT": Bits(18, 16),
            "DAC2_END_INCREMENT": Bits(21, 19),
        },
        spec=f"{SPEC}, serial interface control",
        doc="What a sample is; interrupts, pause, what the counter's end does.",
    )
    DAC1_COUNT, DAC2_COUNT, ADC_COUNT = _count(0x24), _count(0x28), _count(0x2C)
    DAC1_ADDRESS, DAC1_FRAME = _address(0xC, 0x30), _frame(0xC, 0x34)
    DAC2_ADDRESS, DAC2_FRAME = _address(0xC, 0x38), _frame(0xC, 0x3C)
    ADC_ADDRESS, ADC_FRAME = _address(0xD, 0x30), _frame(0xD, 0x34)
    PHANTOM_ADDRESS, PHANTOM_FRAME = _address(0xD, 0x38), _frame(0xD, 0x3C)


CONTROL, STATUS, SERIAL = Es1370Registers.CONTROL, Es1370Registers.STATUS, Es1370Registers.SERIAL
_BY_NAME = {reg.name: reg for reg in Es1370Registers.registers}


class Layout:
    """The bits and registers of the channel `name`, `"DAC1"`, `"DAC2"` or `"ADC"`.

    `enable` is in CONTROL, `pending` in STATUS; `format`, `stop_mode` and `interrupt` in SERIAL.
    `pause` is in the register `paused_by`. `count`, `address` and `frame` are registers of its own.
    """

    def __init__(self, name: str, paused_by: Reg, pause: Bits) -> None:
        self.name = name
        self.enable = CONTROL.fields[f"{name}_ENABLE"]
        self.pending = STATUS.fields[name]
        self.format = SERIAL.fields[f"{name}_FORMAT"]
        self.stop_mode = SERIAL.fields[f"{name}_STOP_MODE"]
        self.interrupt = SERIAL.fields[f"{name}_INTERRUPT"]
        self.paused_by = paused_by
        self.pause = pause
        self.count = _BY_NAME[f"{name}_COUNT"]
        self.address = _BY_NAME[f"{name}_ADDRESS"]
        self.frame = _BY_NAME[f"{name}_FRAME"]

    def __repr__(self) -> str:
        return self.name


DAC1 = Layout("DAC1", SERIAL, SERIAL.DAC1_PAUSE)
DAC2 = Layout("DAC2", SERIAL, SERIAL.DAC2_PAUSE)
ADC = Layout("ADC", CONTROL, CONTROL.ADC_STOP)
CHANNELS = (DAC1, DAC2, ADC)

WORDS = frozenset(reg.offset for reg in Es1370Registers.registers)
"""Where registers are; each is a longword."""


def format_of(layout: Layout, serial: int) -> Format:
    """What a sample of a channel is, from the value of SERIAL: bit 0 stereo, bit 1 16 bits."""
    code = layout.format.get(serial)
    return Format(bits=16 if code & 2 else 8, channels=2 if code & 1 else 1)


def rate_of(layout: Layout, control: int) -> int:
    """Samples a second of a channel, from the value of CONTROL."""
    own_clock = layout is not DAC1 and not (layout is DAC2 and CONTROL.DAC_SYNC.get(control))
    if own_clock:
        return CLOCK_HERTZ // (CONTROL.CLOCK_DIVIDER.get(control) + 2)
    return DAC1_RATES[CONTROL.DAC1_RATE.get(control)]


def ports_of(reg: Reg) -> tuple[int, int]:
    """`(page, port)`: the memory page that a register is behind, and its port in the BAR.

    >>> ports_of(Es1370Registers.DAC2_FRAME)
    (12, 60)
    """
    return reg.offset >> 8, reg.offset & 0xFF
