"""The Internet checksum, and where in a packet it stands.

The idea: sum 16-bit words, add the carries back in, invert. Because the sum does not care where it
starts, a card can add up bytes that it does not understand. The driver leaves the sum of the
pseudo-header in the field; the card adds the rest.

Source: RFC 1071; RFC 768 (a computed 0 is sent as all ones); 8254x SDM 3.2.9, 3.6.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from virtlab.wire import u16

IPV4, VLAN, TCP, UDP = b"\x08\x00", b"\x81\x00", 6, 17
"""The EtherTypes of IPv4 and of a VLAN tag; protocol numbers of IPv4."""


def ones_sum(data: bytes | bytearray) -> int:
    """The ones' complement sum of `data`, big-endian words, an odd byte padded with 0.

    >>> hex(ones_sum(bytes.fromhex("0001f203f4f5f6f7")))
    '0xddf2'
    """
    even = bytes(data) if len(data) % 2 == 0 else bytes(data) + b"\0"
    total = int(np.frombuffer(even, u16.newbyteorder(">")).sum(dtype=np.uint64))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def insert(packet: bytearray, start: int, offset: int, end: int = 0) -> None:
    """Put the checksum of bytes `start` to `end` (the last one; 0: to the end) at `offset`.

    Nothing happens where that lies outside the packet (3.3.3.1). A sum of 0 is sent as all ones.
    """
    stop = min(end + 1, len(packet)) if end else len(packet)
    if start >= stop or offset + 2 > len(packet):
        return
    value = ~ones_sum(packet[start:stop]) & 0xFFFF
    packet[offset : offset + 2] = (value or 0xFFFF).to_bytes(2, "big")


class Verdict(NamedTuple):
    """What a receiver found out: each is None where it did not look, else whether it is right."""

    ip: bool | None = None
    transport: bool | None = None


def verify(frame: bytes) -> Verdict:
    """Check the IPv4 header of `frame`, and TCP or UDP in it. A fragment has no such checksum.

    A VLAN tag before it is skipped (3.2.9.2). Left out: SNAP, IPv6.
    """
    start = 18 if frame[12:14] == VLAN else 14
    header = frame[start : start + 20]
    if frame[start - 2 : start] != IPV4 or len(header) < 20 or header[0] >> 4 != 4:
        return Verdict()
    size, total = 4 * (header[0] & 0xF), int.from_bytes(header[2:4], "big")
    packet = frame[start : start + total]
    if size < 20 or len(packet) < total or total < size:
        return Verdict()
    ip = ones_sum(packet[:size]) == 0xFFFF
    if int.from_bytes(header[6:8], "big") & 0x3FFF or header[9] not in (TCP, UDP):
        return Verdict(ip)
    return Verdict(ip, _transport(packet[size:], header))


def _transport(segment: bytes, header: bytes) -> bool | None:
    """TCP or UDP with its pseudo-header; a UDP checksum of 0 means that there is none."""
    if header[9] == UDP and segment[6:8] == b"\0\0":
        return None
    pseudo = header[12:20] + bytes([0, header[9]]) + len(segment).to_bytes(2, "big")
    return ones_sum(pseudo + segment) == 0xFFFF
