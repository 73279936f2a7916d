"""The words of an 8259A: what is written to its two ports, and what is read there.

    port 0  write   D4=1: ICW1      D4=0, D3=0: OCW2      D4=0, D3=1: OCW3
            read    IRR or ISR, as OCW3 chose
    port 1  write   ICW2, ICW3, ICW4 in this order after ICW1; at any other time IMR (OCW1)
            read    IMR

Intel 8259A data sheet (231468), "Initialization Command Words", "Operation Command Words".
"""

from __future__ import annotations

from virtlab.registers import Reg
from virtlab.wire import Bits

# fmt: off
ICW1 = Reg(0, 1, name="ICW1", access="w", when="D4=1", spec="Initialization Command Words", fields={
    "IC4": Bits(0), "SNGL": Bits(1), "ADI": Bits(2), "LTIM": Bits(3), "ONE": Bits(4)},
    doc="Starts the initialization: ICW4 follows, single chip, level triggered.")
ICW2 = Reg(1, 1, name="ICW2", access="w", when="after ICW1", fields={"BASE": Bits(7, 3)},
           spec="Initialization Command Words",
    doc="The vector of IR0.")
ICW3 = Reg(1, 1, name="ICW3", access="w", when="after ICW2, SNGL=0",
           spec="Initialization Command Words",
    doc="Master: inputs that have a slave. Slave: the number of that input.")
ICW4 = Reg(1, 1, name="ICW4", access="w", when="after ICW3, IC4=1", fields={
    "UPM": Bits(0), "AEOI": Bits(1), "MS": Bits(2), "BUF": Bits(3), "SFNM": Bits(4)},
    spec="Initialization Command Words",
    doc="8086 mode, automatic EOI, special fully nested mode.")
OCW1 = Reg(1, 1, name="IMR", spec="Operation Command Words", doc="1 masks an input.")
OCW2 = Reg(0, 1, name="OCW2", access="w", when="D4=0, D3=0", fields={
    "LEVEL": Bits(2, 0), "EOI": Bits(5), "SL": Bits(6), "R": Bits(7)},
    spec="Operation Command Words",
    doc="End of interrupt, rotation of priorities; SL: of the input LEVEL.")
OCW3 = Reg(0, 1, name="OCW3", access="w", when="D4=0, D3=1", fields={
    "RIS": Bits(0), "RR": Bits(1), "P": Bits(2), "SMM": Bits(5), "ESMM": Bits(6)},
    spec="Operation Command Words",
    doc="Which register port 0 reads, poll, special mask mode.")
IRR = Reg(0, 1, name="IRR", access="r", when="RIS=0", spec="Reading the 8259A Status",
    doc="Inputs that request.")
ISR = Reg(0, 1, name="ISR", access="r", when="RIS=1", spec="Reading the 8259A Status",
    doc="Inputs in service.")
# fmt: on

REGISTERS = (ICW1, ICW2, ICW3, ICW4, OCW1, OCW2, OCW3, IRR, ISR)
