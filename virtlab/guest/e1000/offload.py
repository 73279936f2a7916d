"""Asking the card for work on a packet: checksums, and cutting one packet into many.

The idea: a context descriptor says once where in a packet the checksums are. The data descriptors
after it say which of them to insert. With TSE set the card cuts the packet as well.

The rule that keeps it simple: an `Offload` is made from the bytes of a frame alone. The card wants
the sum of the pseudo-header where the checksum of TCP or UDP will be. When it cuts the packet, that
sum is without the length: the card adds the length of each segment.

Source: 8254x SDM 3.3.5 to 3.3.7, 3.5, 3.6. Left out: IPv6, IP options beyond the header length.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.devices.e1000.checksum import IPV4, TCP, UDP, ones_sum
from virtlab.devices.e1000.rings import DATA_TYPE, TX_DATA, TX_OPTIONS
from virtlab.devices.e1000.segmentation import Context

ETHERNET = 14
"""Bytes of the Ethernet header."""

CHECKSUM_AT = {TCP: 16, UDP: 6}
"""Where the checksum is in a header, by IP protocol."""

UDP_HEADER = 8


class Offload(NamedTuple):
    """What a packet asks for: a context, the frame as the card wants it, options, a command."""

    context: Context
    frame: bytes

    @property
    def options(self) -> int:
        """Both checksums."""
        return TX_OPTIONS.IXSM.mask | TX_OPTIONS.TXSM.mask

    @property
    def command(self) -> int:
        """A data descriptor; with TSE the card cuts."""
        command = TX_DATA.DTYP.put(TX_DATA.DEXT.mask, DATA_TYPE)
        return TX_DATA.TSE.put(command, self.context.tse)


def checksums(frame: bytes) -> Offload:
    """Let the card insert the checksums of IPv4 and of TCP or UDP. Else `ValueError`."""
    return _offload(frame, 0)


def segmentation(frame: bytes, mss: int) -> Offload:
    """Let the card cut the payload of `frame` into pieces of `mss` bytes, and insert checksums."""
    if not 1 <= mss <= 0xFFFF:
        raise ValueError(f"a segment has 1 to 65535 bytes, not {mss}")
    return _offload(frame, mss)


def _offload(frame: bytes, mss: int) -> Offload:
    protocol, start = _parse(frame)
    at = start + CHECKSUM_AT[protocol]
    size = UDP_HEADER if protocol == UDP else 4 * (frame[start + 12] >> 4)
    context = Context(
        ipcss=ETHERNET,
        ipcso=ETHERNET + 10,
        ipcse=start - 1,
        tucss=start,
        tucso=at,
        tucse=0,
        paylen=len(frame) - start - size if mss else 0,
        hdrlen=start + size if mss else 0,
        mss=mss,
        tcp=protocol == TCP,
        ip=True,
        tse=mss > 0,
    )
    return Offload(context, _prepare(frame, protocol, start, at, whole=not mss))


def _parse(frame: bytes) -> tuple[int, int]:
    """The IP protocol, and where its header begins."""
    header = frame[ETHERNET:]
    if frame[12:14] != IPV4 or len(header) < 20 or header[9] not in CHECKSUM_AT:
        raise ValueError("the card has checksums for TCP and UDP over IPv4 only")
    start = ETHERNET + 4 * (header[0] & 0xF)
    if len(frame) < start + (20 if header[9] == TCP else UDP_HEADER):
        raise ValueError(f"a frame of {len(frame)} bytes ends inside its headers")
    return header[9], start


def _prepare(frame: bytes, protocol: int, start: int, at: int, whole: bool) -> bytes:
    """IP checksum 0; TCP or UDP checksum: the sum of the pseudo-header, the length if `whole`."""
    pseudo = frame[ETHERNET + 12 : ETHERNET + 20] + bytes([0, protocol])
    length = len(frame) - start if whole else 0
    prepared = bytearray(frame)
    prepared[ETHERNET + 10 : ETHERNET + 12] = b"\0\0"
    prepared[at : at + 2] = ones_sum(pseudo + length.to_bytes(2, "big")).to_bytes(2, "big")
    return bytes(prepared)
