"""The 16550A UART: a serial port, and the smallest device that has everything a device has.

Read it in this order. Each file is one block of the data sheet's block diagram:

1. `registers`    the twelve registers, declared once for everyone
2. `device`       `Uart16550`: what each address means, the interrupt, the modem lines
3. `transmitter`  from THR or its FIFO to the wire
4. `receiver`     from the wire to RBR or its FIFO

and `spaced`, for a machine that has the UART in memory instead of at ports.

Follows National's data sheet PC16550D (TL/C/8652, June 1995), cited by its sections. Left out: the
DMA pins RXRDY and TXRDY, and a far end that has another speed or format than ours.
"""

from virtlab.devices.uart.device import Uart16550
from virtlab.devices.uart.registers import (
    BI,
    CRYSTAL,
    DLL,
    DLM,
    FCR,
    FE,
    FIFO_SIZE,
    IER,
    IIR,
    LCR,
    LSR,
    MCR,
    MSR,
    OE,
    PE,
    RBR,
    REGISTERS,
    SCR,
    THR,
    TRIGGERS,
    Cause,
    Frame,
    frame,
    named,
)
from virtlab.devices.uart.spaced import Spaced

__all__ = [
    "BI",
    "CRYSTAL",
    "DLL",
    "DLM",
    "FCR",
    "FE",
    "FIFO_SIZE",
    "IER",
    "IIR",
    "LCR",
    "LSR",
    "MCR",
    "MSR",
    "OE",
    "PE",
    "RBR",
    "REGISTERS",
    "SCR",
    "THR",
    "TRIGGERS",
    "Cause",
    "Frame",
    "Spaced",
    "Uart16550",
    "frame",
    "named",
]
