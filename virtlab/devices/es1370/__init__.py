"""The ENSONIQ AudioPCI ES1370: a sound card that fetches its samples from memory.

`registers`  all registers, and which bits belong to which channel
`channel`    one channel: buffer, counter, sample clock
`card`       three channels, the interrupt, the PCI function
"""

from virtlab.devices.es1370.card import Es1370, Es1370Function
from virtlab.devices.es1370.channel import CHUNK, Channel
from virtlab.devices.es1370.registers import (
    ADC,
    CHANNELS,
    CLOCK_HERTZ,
    DAC1,
    DAC1_RATES,
    DAC2,
    LENGTH,
    Es1370Registers,
    Layout,
    format_of,
    ports_of,
    rate_of,
)

__all__ = [
    "ADC",
    "CHANNELS",
    "CHUNK",
    "CLOCK_HERTZ",
    "DAC1",
    "DAC1_RATES",
    "DAC2",
    "LENGTH",
    "Channel",
    "Es1370",
    "Es1370Function",
    "Es1370Registers",
    "Layout",
    "format_of",
    "ports_of",
    "rate_of",
]
