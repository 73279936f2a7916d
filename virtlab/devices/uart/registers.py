"""The registers of a 16550A, declared once: for the device, its driver, the trace, the picture.

Eight addresses hold twelve registers. Which one answers depends on the direction of the access
and, at offsets 0 and 1, on a bit of another register, DLAB:

    offset   read            write           either way, with LCR.DLAB = 1
      0      RBR             THR             DLL
      1      IER             IER             DLM
      2      IIR             FCR
     3-7     LCR MCR LSR MSR SCR

Names are the data sheet's; sections are those of PC16550D (TL/C/8652, June 1995).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from virtlab.clock import SECOND
from virtlab.registers import Reg
from virtlab.wire import Bits

FIFO_SIZE = 16
"""Characters that each of the two FIFOs holds."""

CRYSTAL = 1_843_200
"""The PC's input clock in Hz: 16 times 115,200 (PC16550D 8.3, table III)."""

TRIGGERS = (1, 4, 8, 14)
"""Characters in the receiver FIFO that raise its interrupt, by FCR.TRIGGER (PC16550D 8.5)."""


def _flags(names: str) -> dict[str, Bits]:
    """One-bit fields, bit 0 first."""
    return {name: Bits(bit) for bit, name in enumerate(names.split())}


# fmt: off
RBR = Reg(0, 1, name="RBR", access="r", when="DLAB=0", spec="PC16550D 8.0",
          doc="Receiver Buffer: the next character received.")
THR = Reg(0, 1, name="THR", access="w", when="DLAB=0", spec="PC16550D 8.0",
          doc="Transmitter Holding: a character to send.")
DLL = Reg(0, 1, reset=12, rw=0xFF, name="DLL", when="DLAB=1", spec="PC16550D 8.3",
          doc="Divisor Latch, low byte.")
IER = Reg(1, 1, rw=0x0F, name="IER", when="DLAB=0", spec="PC16550D 8.7",
          fields=_flags("ERBFI ETBEI ELSI EDSSI"),
          doc="Interrupt Enable: which causes may interrupt.")
DLM = Reg(1, 1, rw=0xFF, name="DLM", when="DLAB=1", spec="PC16550D 8.3",
          doc="Divisor Latch, high byte.")
IIR = Reg(2, 1, reset=0x01, name="IIR", access="r", spec="PC16550D 8.6",
          fields={"CAUSE": Bits(3, 0), "FIFOS": Bits(7, 6)},
          doc="Interrupt Identification: the most urgent cause.")
FCR = Reg(2, 1, rw=0xC9, name="FCR", access="w", spec="PC16550D 8.5",
          fields=_flags("FIFO_ENABLE RCVR_RESET XMIT_RESET DMA_MODE") | {"TRIGGER": Bits(7, 6)},
          doc="FIFO Control: use, clear and tune the FIFOs.")
LCR = Reg(3, 1, rw=0xFF, name="LCR", spec="PC16550D 8.1",
          fields={"WLS": Bits(1, 0), "STB": Bits(2), "PEN": Bits(3), "EPS": Bits(4),
                  "STICK": Bits(5), "BREAK": Bits(6), "DLAB": Bits(7)},
          doc="Line Control: the format of a character, and DLAB.")
MCR = Reg(4, 1, rw=0x1F, name="MCR", spec="PC16550D 8.8",
          fields=_flags("DTR RTS OUT1 OUT2 LOOP"),
          doc="MODEM Control: four outputs, and loopback.")
LSR = Reg(5, 1, reset=0x60, name="LSR", access="r", spec="PC16550D 8.4",
          fields=_flags("DR OE PE FE BI THRE TEMT FIFO_ERROR"),
          doc="Line Status: data, errors, room to send.")
MSR = Reg(6, 1, name="MSR", access="r", spec="PC16550D 8.9",
          fields=_flags("DCTS DDSR TERI DDCD CTS DSR RI DCD"),
          doc="MODEM Status: four inputs, and whether they changed.")
SCR = Reg(7, 1, rw=0xFF, name="SCR", spec="PC16550D 8.10",
          doc="Scratchpad: a byte that means nothing to the UART.")
# fmt: on

REGISTERS = (RBR, THR, DLL, IER, DLM, IIR, FCR, LCR, MCR, LSR, MSR, SCR)
"""All twelve, by offset."""

OE, PE, FE, BI = (field.mask for field in (LSR.OE, LSR.PE, LSR.FE, LSR.BI))
"""The four line errors, as LSR has them: overrun, parity, framing, break."""


class Cause(IntEnum):
    """Why the UART interrupts: IIR.CAUSE, the most urgent first (PC16550D 8.6, table IV).

    Bit 0 is low-active: 1 says that nothing is pending. A number that is none of these, as an
    empty bus gives, is NONE.
    """

    LINE_STATUS = 0b0110
    CHARACTER_TIMEOUT = 0b1100
    DATA_AVAILABLE = 0b0100
    THR_EMPTY = 0b0010
    MODEM_STATUS = 0b0000
    NONE = 0b0001

    @classmethod
    def _missing_(cls, value: object) -> Cause:
        return cls.NONE


def named(offset: int, write: bool, dlab: bool) -> Reg:
    """The register that an access to `offset` (0-7) means.

    >>> named(0, write=True, dlab=False).name, named(0, write=True, dlab=True).name
    ('THR', 'DLL')
    """
    verb, when = "w" if write else "r", f"DLAB={int(dlab)}"
    at = [reg for reg in REGISTERS if reg.offset == offset and reg.when in ("", when)]
    return next((reg for reg in at if verb in reg.access), at[0])


class Frame(NamedTuple):
    """A character on the wire: `mask` of its data bits, its `time`, and its `stop` bits' (ns)."""

    mask: int
    time: int
    stop: int


def frame(lcr: int, divisor: int) -> Frame:
    """What LCR and the divisor latch make of a character (PC16550D 8.1, 8.3).

    One bit takes 16 * `divisor` periods of the crystal. A divisor of 0 is "not recommended"; here
    the counter then runs through all of its 16 bits.

    >>> frame(lcr=0b011, divisor=12)  # 8 data bits, no parity, 1 stop bit at 9600 baud
    Frame(mask=255, time=1041666, stop=104166)
    """
    data = 5 + LCR.WLS.get(lcr)
    # In half bits, because 5 data bits come with one and a half stop bits.
    stop = 2 if not LCR.STB.get(lcr) else 3 if data == 5 else 4
    half = 8 * (divisor or 0x10000) * SECOND
    time = (2 * (1 + data + LCR.PEN.get(lcr)) + stop) * half // CRYSTAL
    return Frame((1 << data) - 1, time, stop * half // CRYSTAL)
