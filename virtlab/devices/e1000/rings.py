"""The 82540EM's registers, part two: both rings, and the descriptors that lie in them.

    RDBAL ->  [ 0 ][ 1 ][ 2 ][ 3 ] ... [ RDLEN / 16 - 1 ]     16 bytes each, in the host's memory
                      ^         ^
                   RDH: next   RDT: first one that
                   for the     is not the device's
                   device

The rule that keeps it simple: the device owns the descriptors from head to tail, tail excluded.
Head equal to tail is an empty ring for both directions: nothing to send, nowhere to receive.

A descriptor is a NumPy structured dtype. The dword at 8 of a transmit descriptor says which of
three kinds it is, so each kind has the fields of that dword in a `Reg` of its own.

Source: 8254x SDM 3.2.3, 3.3.3, 3.3.6, 3.3.7 (descriptors), 13.4.22 to 13.4.47 (registers).
"""

from __future__ import annotations

import numpy as np

from virtlab.devices.e1000.registers import every, plain
from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits, u8, u16, u32, u64

DESCRIPTOR = 16
"""Bytes of any descriptor."""

RX_DESCRIPTOR = np.dtype(
    [
        ("address", u64),  # the driver: where the buffer is; 0 takes no data
        ("length", u16),  # the device: bytes put there
        ("checksum", u16),  # the device: ones' complement sum of the packet
        ("status", u8),  # the device: `RX_STATUS`
        ("errors", u8),  # the device: `RX_ERRORS`
        ("special", u16),  # the device: the VLAN tag that was taken out
    ]
)
"""A receive descriptor (3.2.3)."""

TX_DESCRIPTOR = np.dtype(
    [
        ("address", u64),  # the driver: where the data is; 0 gives none
        ("command", u32),  # the driver: `TX_LEGACY` or `TX_DATA`
        ("status", u8),  # the device: `TX_STATUS`
        ("options", u8),  # the driver: CSS of a legacy descriptor, `TX_OPTIONS` of a data one
        ("special", u16),  # the driver: the VLAN tag to put in
    ]
)
"""A legacy (3.3.3) or a data (3.3.7) descriptor."""

TX_CONTEXT = np.dtype(
    [
        ("ipcss", u8),  # first byte of the IP checksum, all by the driver
        ("ipcso", u8),  # where it goes
        ("ipcse", u16),  # last byte of it
        ("tucss", u8),  # the same for TCP or UDP
        ("tucso", u8),
        ("tucse", u16),  # 0: to the end of the packet
        ("command", u32),  # `TX_CONTEXT_COMMAND`
        ("status", u8),  # the device: `TX_STATUS`
        ("hdrlen", u8),  # bytes of all headers together
        ("mss", u16),  # payload bytes of a segment
    ]
)
"""A context descriptor (3.3.6)."""

_COMMON = {"RS": Bits(27), "DEXT": Bits(29), "IDE": Bits(31)}
_DATA = {"EOP": Bits(24), "IFCS": Bits(25), "VLE": Bits(30)}

TX_LEGACY = Reg(
    8,
    4,
    name="TX_LEGACY",
    fields={"LENGTH": Bits(15, 0), "CSO": Bits(23, 16), "IC": Bits(26), **_DATA, **_COMMON},
    when="DEXT=0",
    spec="8254x SDM 3.3.3.1",
    doc="Length and command of a legacy descriptor.",
)
TX_DATA = Reg(
    8,
    4,
    name="TX_DATA",
    fields={"DTALEN": Bits(19, 0), "DTYP": Bits(23, 20), "TSE": Bits(26), **_DATA, **_COMMON},
    when="DEXT=1, DTYP=1",
    spec="8254x SDM 3.3.7.1",
    doc="Length and command of a data descriptor.",
)
TX_CONTEXT_COMMAND = Reg(
    8,
    4,
    name="TX_CONTEXT_COMMAND",
    fields={
        "PAYLEN": Bits(19, 0),
        "DTYP": Bits(23, 20),
        "TCP": Bits(24),
        "IP": Bits(25),
        "TSE": Bits(26),
        **_COMMON,
    },
    when="DEXT=1, DTYP=0",
    spec="8254x SDM 3.3.6.1",
    doc="Length and command of a context descriptor.",
)
CONTEXT_TYPE, DATA_TYPE = 0, 1
"""DTYP of a context and of a data descriptor."""

TX_STATUS = Reg(12, 1, name="TX_STATUS", fields={"DD": Bits(0)}, spec="8254x SDM 3.3.3.2")
TX_OPTIONS = Reg(
    13,
    1,
    name="TX_OPTIONS",
    fields={"IXSM": Bits(0), "TXSM": Bits(1)},
    spec="8254x SDM 3.3.7.3",
    doc="Insert the IP checksum; insert the TCP or UDP checksum.",
)
RX_STATUS = Reg(
    12,
    1,
    name="RX_STATUS",
    fields={
        "DD": Bits(0),
        "EOP": Bits(1),
        "IXSM": Bits(2),
        "VP": Bits(3),
        "TCPCS": Bits(5),
        "IPCS": Bits(6),
        "PIF": Bits(7),
    },
    spec="8254x SDM 3.2.3.1",
    doc="Done, last of its packet, what was checked.",
)
RX_ERRORS = Reg(
    13,
    1,
    name="RX_ERRORS",
    fields={"CE": Bits(0), "SE": Bits(1), "SEQ": Bits(2), "TCPE": Bits(5), "IPE": Bits(6)},
    spec="8254x SDM 3.2.3.2",
    doc="Which check failed.",
)


_RCTL = {
    "EN": Bits(1),
    "SBP": Bits(2),
    "UPE": Bits(3),
    "MPE": Bits(4),
    "LPE": Bits(5),
    "LBM": Bits(7, 6),
    "RDMTS": Bits(9, 8),
    "MO": Bits(13, 12),
    "BAM": Bits(15),
    "BSIZE": Bits(17, 16),
    "VFE": Bits(18),
    "CFIEN": Bits(19),
    "CFI": Bits(20),
    "DPF": Bits(22),
    "PMCF": Bits(23),
    "BSEX": Bits(25),
    "SECRC": Bits(26),
}


class ReceiveRing(RegisterFile):
    """The receiver: what it lets in, and where it puts it."""

    RCTL = Reg(
        0x00100,
        4,
        rw=every(_RCTL),
        fields=_RCTL,
        spec="8254x SDM 13.4.22",
        doc="Receive control: on and off, filters, buffer size.",
    )
    RDBAL = Reg(0x02800, 4, rw=0xFFFFFFF0, spec="8254x SDM 13.4.25", doc="Ring address, low.")
    RDBAH = plain(0x02804, "13.4.26", "Ring address, high.")
    RDLEN = Reg(0x02808, 4, rw=0xFFF80, spec="8254x SDM 13.4.27", doc="Bytes of the ring.")
    RDH = plain(0x02810, "13.4.28", "Head: the device's next descriptor.", 16)
    RDT = plain(0x02818, "13.4.29", "Tail: the first one that is not the device's.", 16)
    RDTR = Reg(
        0x02820,
        4,
        rw=0x8000FFFF,
        fields={"DELAY": Bits(15, 0), "FPD": Bits(31)},
        spec="8254x SDM 13.4.30",
        doc="Receive interrupt delay, units of 1.024 us. FPD interrupts now.",
    )
    RXDCTL = plain(0x02828, "13.4.46", "When descriptors are fetched and written.")
    RADV = plain(0x0282C, "13.4.31", "Absolute receive interrupt delay.", 16)
    RSRPD = plain(0x02C00, "13.4.32", "Below how many bytes a packet is small.", 12)
    RXCSUM = Reg(
        0x05000,
        4,
        rw=0x3FF,
        fields={"PCSS": Bits(7, 0), "IPOFLD": Bits(8), "TUOFLD": Bits(9)},
        spec="8254x SDM 13.4.47",
        doc="Which checksums the receiver computes.",
    )


_TCTL = {
    "EN": Bits(1),
    "PSP": Bits(3),
    "CT": Bits(11, 4),
    "COLD": Bits(21, 12),
    "SWXOFF": Bits(22),
    "RTLC": Bits(24),
    "NRTU": Bits(25),
}


class TransmitRing(RegisterFile):
    """The transmitter."""

    TCTL = Reg(
        0x00400,
        4,
        rw=every(_TCTL),
        fields=_TCTL,
        spec="8254x SDM 13.4.33",
        doc="Transmit control: on and off, padding, collisions.",
    )
    TIPG = plain(0x00410, "13.4.34", "Gap between packets.", 30)
    AIT = plain(0x00458, "13.4.35", "Adaptive gap between packets.", 16)
    TDBAL = Reg(0x03800, 4, rw=0xFFFFFFF0, spec="8254x SDM 13.4.36", doc="Ring address, low.")
    TDBAH = plain(0x03804, "13.4.37", "Ring address, high.")
    TDLEN = Reg(0x03808, 4, rw=0xFFF80, spec="8254x SDM 13.4.38", doc="Bytes of the ring.")
    TDH = plain(0x03810, "13.4.39", "Head: the device's next descriptor.", 16)
    TDT = plain(0x03818, "13.4.40", "Tail: the first one that is not the device's.", 16)
    TIDV = plain(0x03820, "13.4.41", "Transmit interrupt delay, units of 1.024 us.", 16)
    TXDCTL = plain(0x03828, "13.4.43", "When descriptors are fetched and written.")
    TADV = plain(0x0382C, "13.4.44", "Absolute transmit interrupt delay.", 16)
    TSPMT = plain(0x03830, "13.4.45", "TCP segmentation: padding, threshold.")


BUFFER_SIZES = {(0, 0): 2048, (0, 1): 1024, (0, 2): 512, (0, 3): 256} | {
    (1, 1): 16384,
    (1, 2): 8192,
    (1, 3): 4096,
}
"""Bytes of a receive buffer, by BSEX and BSIZE (13.4.22)."""


def buffer_size(rctl: int) -> int:
    """Bytes of a receive buffer. The reserved choice, BSEX with BSIZE 0, is taken as 2048."""
    fields = ReceiveRing.RCTL.fields
    return BUFFER_SIZES.get((fields["BSEX"].get(rctl), fields["BSIZE"].get(rctl)), 2048)
