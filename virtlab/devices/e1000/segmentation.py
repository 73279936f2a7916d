"""One long packet becomes many: TCP segmentation in the card.

The driver makes one header and up to a mebibyte of payload. The card cuts the payload into pieces
of MSS bytes, puts a copy of the header before each, and changes in it what has to differ:

    IPv4   total length; identification goes up by one     IPv6   payload length
    TCP    sequence number goes up by MSS; PSH and FIN in the last segment only
    UDP    length

The rule that keeps it simple: `segments` is a function of bytes and a context; it touches no
register and no ring.

Source: 8254x SDM 3.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from virtlab.devices.e1000.checksum import insert
from virtlab.devices.e1000.rings import TX_CONTEXT, TX_CONTEXT_COMMAND, TX_OPTIONS

MAX_SEGMENTS = 4096
"""Segments of one packet; a context that asks for more is a mistake, and its packet is dropped."""

PSH_FIN = 0x09


class Context(NamedTuple):
    """What a context descriptor says (3.3.6). Offsets are in bytes from the packet's start."""

    ipcss: int = 0
    ipcso: int = 0
    ipcse: int = 0
    tucss: int = 0
    tucso: int = 0
    tucse: int = 0
    paylen: int = 0
    hdrlen: int = 0
    mss: int = 0
    tcp: bool = False
    ip: bool = False
    tse: bool = False

    @classmethod
    def decode(cls, raw: bytes) -> Context:
        """From the 16 bytes of a descriptor."""
        ipcss, ipcso, ipcse, tucss, tucso, tucse, command, _, hdrlen, mss = np.frombuffer(
            raw, TX_CONTEXT
        )[0].item()
        fields = TX_CONTEXT_COMMAND.decode(command)
        tcp, ip, tse = (bool(fields[name]) for name in ("TCP", "IP", "TSE"))
        paylen = fields["PAYLEN"]
        return cls(ipcss, ipcso, ipcse, tucss, tucso, tucse, paylen, hdrlen, mss, tcp, ip, tse)

    def encode(self) -> bytes:
        """The 16 bytes of the descriptor: what a driver puts into its ring.

        >>> Context.decode(Context(tucss=34, mss=1460, tse=True).encode()).mss
        1460
        """
        command = TX_CONTEXT_COMMAND.DEXT.mask
        values = {"PAYLEN": self.paylen, "TCP": self.tcp, "IP": self.ip, "TSE": self.tse}
        for name, value in values.items():
            command = TX_CONTEXT_COMMAND.fields[name].put(command, value)
        fields = (*self[:6], command, 0, self.hdrlen, self.mss)
        return np.array([fields], TX_CONTEXT).tobytes()

    @property
    def possible(self) -> bool:
        """Whether packets can be cut by it: a size, and not too many pieces."""
        return self.mss > 0 and -(-self.paylen // self.mss) <= MAX_SEGMENTS


def checksums(packet: bytearray, context: Context, options: int) -> None:
    """Insert the checksums that the options of a data descriptor ask for (3.6)."""
    if TX_OPTIONS.TXSM.get(options):
        insert(packet, context.tucss, context.tucso, context.tucse)
    if TX_OPTIONS.IXSM.get(options):
        insert(packet, context.ipcss, context.ipcso, context.ipcse)


def segments(data: bytes, context: Context, options: int) -> Iterator[bytearray]:
    """Cut `data`, a header of HDRLEN bytes and the payload, into packets ready to send.

    A packet without payload is one segment. `ValueError` if the context is not `possible`.
    """
    if not context.possible:
        raise ValueError(f"no segments of {context.mss} bytes for {context.paylen}")
    header = data[: context.hdrlen]
    payload = data[context.hdrlen : context.hdrlen + context.paylen]
    for number, at in enumerate(range(0, max(1, len(payload)), context.mss)):
        packet = bytearray(header + payload[at : at + context.mss])
        last = at + context.mss >= context.paylen
        _network(packet, context, number)
        _transport(packet, context, at, last)
        if TX_OPTIONS.TXSM.get(options):
            _add(packet, context.tucso, 2, len(packet) - context.tucss, carry=True)
        checksums(packet, context, options)
        yield packet


def _network(packet: bytearray, context: Context, number: int) -> None:
    length = len(packet) - context.ipcss
    if context.ip:
        _put(packet, context.ipcss + 2, 2, length)
        _add(packet, context.ipcss + 4, 2, number)
    else:
        _put(packet, context.ipcss + 4, 2, length - 40)


def _transport(packet: bytearray, context: Context, sent: int, last: bool) -> None:
    start = context.tucss
    if context.tcp:
        _add(packet, start + 4, 4, sent)
        if not last and start + 13 < len(packet):
            packet[start + 13] &= ~PSH_FIN & 0xFF
    else:
        _put(packet, start + 4, 2, len(packet) - start)


def _put(packet: bytearray, at: int, size: int, value: int) -> None:
    """A big-endian field; one outside of the packet is left out."""
    if at + size <= len(packet):
        packet[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "big")


def _add(packet: bytearray, at: int, size: int, value: int, carry: bool = False) -> None:
    """Add to a big-endian field; with `carry` as a ones' complement sum."""
    total = int.from_bytes(packet[at : at + size], "big") + value
    if carry:
        total = (total & 0xFFFF) + (total >> 16)
    _put(packet, at, size, total)
