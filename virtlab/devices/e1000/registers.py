"""The 82540EM's registers, part one: the device, its EEPROM and PHY, interrupts, wake-up.

The rule that keeps it simple: every register is one dword. What a bit does is said here, by `rw`
and `w1c`; what a *write* does is said in `device`. A register that has only to be remembered (flow
control, LEDs, wake-up) needs no more than its line here.

The initial values are those of a card whose EEPROM asks for nothing special, as QEMU 7.2 has them
(hw/net/e1000.c, `mac_reg_init`).

Source: Intel PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual 4.0
("8254x SDM"), 13.4, 13.6 and 13.8. Left out: the 82542's alternate addresses (13.2).
"""

from __future__ import annotations

from collections.abc import Mapping

from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits

CAUSES = {
    "TXDW": Bits(0),
    "TXQE": Bits(1),
    "LSC": Bits(2),
    "RXSEQ": Bits(3),
    "RXDMT0": Bits(4),
    "RXO": Bits(6),
    "RXT0": Bits(7),
    "MDAC": Bits(9),
    "RXCFG": Bits(10),
    "PHYINT": Bits(12),
    "GPI": Bits(14, 13),
    "TXD_LOW": Bits(15),
    "SRPD": Bits(16),
}
"""The reasons for an interrupt; ICR, ICS, IMS and IMC all have these bits (13.4.17)."""


def every(fields: Mapping[str, Bits]) -> int:
    """All bits that belong to a field: what a write can change, where nothing is reserved."""
    return sum(bits.mask for bits in fields.values())


def plain(offset: int, spec: str, doc: str, bits: int = 32, reset: int = 0) -> Reg:
    """A register of `bits` bits that remembers what was written."""
    return Reg(offset, 4, reset, (1 << bits) - 1, spec=f"8254x SDM {spec}", doc=doc)


_CTRL = {
    "FD": Bits(0),
    "LRST": Bits(3),
    "ASDE": Bits(5),
    "SLU": Bits(6),
    "ILOS": Bits(7),
    "SPEED": Bits(9, 8),
    "FRCSPD": Bits(11),
    "FRCDPLX": Bits(12),
    "SDP_DATA": Bits(19, 18),
    "ADVD3WUC": Bits(20),
    "EN_PHY_PWR_MGMT": Bits(21),
    "SDP_IODIR": Bits(23, 22),
    "RST": Bits(26),
    "RFCE": Bits(27),
    "TFCE": Bits(28),
    "VME": Bits(30),
    "PHY_RST": Bits(31),
}

_MDIC = {
    "DATA": Bits(15, 0),
    "REGADD": Bits(20, 16),
    "PHYADD": Bits(25, 21),
    "OP": Bits(27, 26),
    "R": Bits(28),
    "I": Bits(29),
    "E": Bits(30),
}


class General(RegisterFile):
    """Control and status, EEPROM, PHY, flow control, buffers, LEDs."""

    CTRL = Reg(
        0x00000,
        4,
        reset=0x00140240,
        rw=every(_CTRL),
        fields=_CTRL,
        spec="8254x SDM 13.4.1",
        doc="Device control: reset, link, VLAN mode.",
    )
    STATUS = Reg(
        0x00008,
        4,
        reset=0x80080781,
        fields={
            "FD": Bits(0),
            "LU": Bits(1),
            "FUNCTION_ID": Bits(3, 2),
            "TXOFF": Bits(4),
            "TBIMODE": Bits(5),
            "SPEED": Bits(7, 6),
            "ASDV": Bits(9, 8),
            "MTXCKOK": Bits(10),
            "PCI66": Bits(11),
            "BUS64": Bits(12),
            "PCIX_MODE": Bits(13),
            "PCIXSPD": Bits(15, 14),
        },
        access="r",
        spec="8254x SDM 13.4.2",
        doc="Device status: link, speed, duplex.",
    )
    EECD = Reg(
        0x00010,
        4,
        rw=0x77,
        fields={
            "SK": Bits(0),
            "CS": Bits(1),
            "DI": Bits(2),
            "DO": Bits(3),
            "FWE": Bits(5, 4),
            "EE_REQ": Bits(6),
            "EE_GNT": Bits(7),
            "EE_PRES": Bits(8),
            "EE_SIZE": Bits(9),
        },
        spec="8254x SDM 13.4.3",
        doc="The four wires of the EEPROM.",
    )
    EERD = Reg(
        0x00014,
        4,
        rw=0xFF01,
        fields={"START": Bits(0), "DONE": Bits(4), "ADDR": Bits(15, 8), "DATA": Bits(31, 16)},
        spec="8254x SDM 13.4.4",
        doc="Reads a word of the EEPROM.",
    )
    FLA = plain(0x0001C, "13.4.5", "Flash access; there is no flash.")
    CTRL_EXT = plain(0x00018, "13.4.6", "Extended device control.")
    MDIC = Reg(
        0x00020,
        4,
        rw=every(_MDIC),
        fields=_MDIC,
        spec="8254x SDM 13.4.7",
        doc="Reads or writes a register of the PHY.",
    )
    FCAL = plain(0x00028, "13.4.8", "Flow control address, low.")
    FCAH = plain(0x0002C, "13.4.9", "Flow control address, high.", 16)
    FCT = plain(0x00030, "13.4.10", "Flow control type.", 16)
    VET = plain(0x00038, "13.4.11", "The EtherType that says VLAN.", 16, reset=0x8100)
    FCTTV = plain(0x00170, "13.4.12", "Flow control transmit timer.", 16)
    TXCW = plain(0x00178, "13.4.13", "Transmit configuration word (fibre).")
    RXCW = Reg(0x00180, 4, access="r", spec="8254x SDM 13.4.14", doc="The same, received.")
    LEDCTL = plain(0x00E00, "13.4.15", "What the LEDs show.", reset=0x602)
    PBA = Reg(
        0x01000,
        4,
        reset=0x00100030,
        rw=0x78,
        fields={"RXA": Bits(6, 0), "TXA": Bits(31, 16)},
        spec="8254x SDM 13.4.16",
        doc="KiB of the packet buffer for receiving; the rest of 64 is for transmitting.",
    )
    FCRTL = plain(0x02160, "13.4.23", "Flow control threshold, low.")
    FCRTH = plain(0x02168, "13.4.24", "Flow control threshold, high.")
    MANC = plain(0x05820, "13.1", "Management control; nobody manages.", reset=0x00222300)
    SWSM = plain(0x05B50, "13.1", "Semaphore between driver and firmware.")


class Interrupts(RegisterFile):
    """Cause, mask, and how often."""

    ICR = Reg(
        0x000C0,
        4,
        w1c=every(CAUSES),
        fields=CAUSES,
        spec="8254x SDM 13.4.17",
        doc="What happened. A read clears all of it, a written 1 its bit.",
    )
    ITR = Reg(
        0x000C4,
        4,
        rw=0xFFFF,
        fields={"INTERVAL": Bits(15, 0)},
        spec="8254x SDM 13.4.18",
        doc="Units of 256 ns between two interrupts, at least.",
    )
    ICS = Reg(
        0x000C8,
        4,
        rw=every(CAUSES),
        fields=CAUSES,
        spec="8254x SDM 13.4.19",
        doc="A written 1 makes its cause happen. Reads as ICR, without clearing.",
    )
    IMS = Reg(
        0x000D0,
        4,
        rw=every(CAUSES),
        fields=CAUSES,
        spec="8254x SDM 13.4.20",
        doc="The causes that interrupt; a written 1 adds one.",
    )
    IMC = Reg(
        0x000D8,
        4,
        rw=every(CAUSES),
        fields=CAUSES,
        access="w",
        spec="8254x SDM 13.4.21",
        doc="A written 1 takes a cause out of the mask.",
    )


class WakeUp(RegisterFile):
    """Wake-up and diagnostics: remembered, and without effect."""

    RDFH = plain(0x02410, "13.8.1", "Receive FIFO head.", 13)
    RDFT = plain(0x02418, "13.8.2", "Receive FIFO tail.", 13)
    RDFHS = plain(0x02420, "13.8.3", "Receive FIFO head, saved.", 13)
    RDFTS = plain(0x02428, "13.8.4", "Receive FIFO tail, saved.", 13)
    RDFPC = plain(0x02430, "13.8.5", "Packets in the receive FIFO.", 13)
    TDFH = plain(0x03410, "13.8.6", "Transmit FIFO head.", 11)
    TDFT = plain(0x03418, "13.8.7", "Transmit FIFO tail.", 11)
    TDFHS = plain(0x03420, "13.8.8", "Transmit FIFO head, saved.", 13)
    TDFTS = plain(0x03428, "13.8.9", "Transmit FIFO tail, saved.", 13)
    TDFPC = plain(0x03430, "13.8.10", "Packets in the transmit FIFO.", 13)
    WUC = plain(0x05800, "13.6.1", "Wake-up control.")
    WUFC = plain(0x05808, "13.6.2", "Wake-up filter control.")
    WUS = plain(0x05810, "13.6.3", "Wake-up status.")
    IPAV = plain(0x05838, "13.6.4", "Which IP addresses are valid.")
    WUPL = Reg(0x05900, 4, access="r", spec="8254x SDM 13.6.7", doc="Wake-up packet length.")
