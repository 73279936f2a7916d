"""What a driver does before it leaves a checksum to the device.

    Ethernet | IP header, its sum is right | TCP or UDP ...... sum ...... data
                                           ^ start             ^ start + offset
                                                               the sum of the pseudo header

The idea: the device is not asked to understand a packet. It sums all bytes from `start` on, and
puts the result `offset` behind. The pseudo header, which is no part of the packet, is summed here
and left in the place of the result, so that it is in the sum.

The rule that keeps it simple: `prepared` makes both from the bytes of a frame alone. It looks at
what stands before: a frame whose IPv4 header has a wrong sum is refused, for no device mends it.

Source: virtio 1.3 5.1.6.2, 5.1.6.2.1; RFC 791, RFC 8200 8.1, RFC 768, RFC 9293 3.1. Left out: IPv6
with extension headers, fragments, tunnels.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.guest.virtio_net_rings import Offload
from virtlab.virtio.net_layouts import ETH_HEADER, MAC_BYTES
from virtlab.virtio.net_transmit import ones_sum

IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
"""Types of an Ethernet frame."""

IPV4_HEADER, IPV6_HEADER = 20, 40
"""Bytes of each, without options."""

CHECKSUM_AT = {6: 16, 17: 6}
"""Where TCP and UDP have their sum, by the protocol's number."""

RIGHT = 0xFFFF
"""What the words of a header sum to, with a sum in it that is right."""


class Segment(NamedTuple):
    """Where in a frame TCP or UDP begins, which of the two it is, and both `addresses`."""

    start: int
    end: int
    protocol: int
    addresses: bytes


def prepared(frame: bytes) -> tuple[bytes, Offload]:
    """`frame` with the sum of the pseudo header, and what to ask of the device.

    `ValueError` for what is no whole TCP or UDP packet, or has a wrong sum before it.
    """
    start, end, protocol, addresses = _segment(frame)
    offset = CHECKSUM_AT[protocol]
    if end - start < offset + 2:
        raise ValueError(f"a packet of {end - start} bytes ends before its checksum")
    if end != len(frame):
        raise ValueError(f"{len(frame) - end} bytes behind the packet would be summed too")
    pseudo = addresses + (end - start).to_bytes(4, "big") + protocol.to_bytes(4, "big")
    at = start + offset
    total = ones_sum(pseudo).to_bytes(2, "big")
    return frame[:at] + total + frame[at + 2 :], Offload(start, offset)


def _segment(frame: bytes) -> Segment:
    """What is in `frame`."""
    packet = frame[ETH_HEADER:]
    kind = frame[2 * MAC_BYTES : ETH_HEADER]
    if kind == IPV4 and len(packet) >= IPV4_HEADER:
        found = _in_ipv4(packet)
    elif kind == IPV6 and len(packet) >= IPV6_HEADER:
        length = IPV6_HEADER + int.from_bytes(packet[4:6], "big")
        found = Segment(IPV6_HEADER, length, packet[6], packet[8:40])
    else:
        raise ValueError("no packet of IP")
    start, end, protocol, addresses = found
    if protocol not in CHECKSUM_AT or end > len(packet):
        raise ValueError(f"no whole packet of TCP or UDP, but protocol {protocol}")
    return Segment(ETH_HEADER + start, ETH_HEADER + end, protocol, addresses)


def _in_ipv4(packet: bytes) -> Segment:
    begin = 4 * (packet[0] & 0xF)
    # The driver MUST validate the checksums before this one as well.
    if begin < IPV4_HEADER or ones_sum(packet[:begin]) != RIGHT:
        raise ValueError("the sum of the IPv4 header is wrong")
    if int.from_bytes(packet[6:8], "big") & 0x3FFF:
        raise ValueError("a fragment: its sum is over bytes that are elsewhere")
    length = int.from_bytes(packet[2:4], "big")
    return Segment(begin, length, packet[9], packet[12:20])
