"""Which pair of queues a packet comes in on, where a driver uses several.

    driver sends  10.0.0.1:80 -> 10.0.0.2:5000    on transmitq3
    device gets   10.0.0.2:5000 -> 10.0.0.1:80    into receiveq3

The idea: a flow is two ends that talk. The driver says where it wants a flow by sending on that
pair; what comes the other way goes into the same one. So one processor has all of a connection.

The rule that keeps it simple: the driver's end stands first in a flow, whichever way it goes. Of
a flow that nobody sent on yet, the bytes choose a pair, always the same.

Source: virtio 1.3 5.1.6.5.6. Left out: IPv6 with extension headers, tunnels; they go by address.
"""

from __future__ import annotations

from collections import OrderedDict
from zlib import crc32

from virtlab.virtio.net_layouts import ETH_HEADER, MAC_BYTES

MAX_FLOWS = 1024
"""Flows that are remembered; the one that was not sent on for longest goes first."""

TCP, UDP = 6, 17
PORTS = 4
"""Bytes of the two ports, with which both TCP and UDP begin."""

Flow = bytes
"""What tells one flow from others: the driver's end, then the other end."""


class Steering:
    """Which pair each flow was sent on last."""

    def __init__(self) -> None:
        self.flows: OrderedDict[Flow, int] = OrderedDict()

    def sent(self, frame: bytes, pair: int) -> None:
        """The driver sent `frame` on `pair`."""
        key = flow(frame, outgoing=True)
        self.flows[key] = pair
        self.flows.move_to_end(key)
        if len(self.flows) > MAX_FLOWS:
            self.flows.popitem(last=False)

    def where(self, frame: bytes, active: int) -> int:
        """The pair for `frame`, which comes in while `active` pairs are used."""
        key = flow(frame, outgoing=False)
        pair = self.flows.get(key, active)
        return pair if pair < active else crc32(key) % active


def flow(frame: bytes, outgoing: bool) -> Flow:
    """The flow of a frame: addresses and ports of TCP or UDP, or else of its Ethernet header."""
    ends = _ends(frame)
    if ends is None:
        source, destination = frame[MAC_BYTES : 2 * MAC_BYTES], frame[:MAC_BYTES]
    else:
        source, destination = ends
    return source + destination if outgoing else destination + source


def _ends(frame: bytes) -> tuple[bytes, bytes] | None:
    """Source and destination, address and port each. None if there is no TCP or UDP to see."""
    packet = frame[ETH_HEADER:]
    match frame[2 * MAC_BYTES : ETH_HEADER]:
        case b"\x08\x00" if len(packet) >= 20:
            # A fragment other than the first has no ports.
            protocol, begin = packet[9], 4 * (packet[0] & 0xF)
            whole = not int.from_bytes(packet[6:8], "big") & 0x3FFF
            addresses = packet[12:16], packet[16:20]
        case b"\x86\xdd" if len(packet) >= 40:
            protocol, begin, whole = packet[6], 40, True
            addresses = packet[8:24], packet[24:40]
        case _:
            return None
    ports = packet[begin : begin + PORTS]
    if protocol not in (TCP, UDP) or not whole or len(ports) < PORTS:
        return None
    kind = bytes([protocol])
    return kind + addresses[0] + ports[:2], kind + addresses[1] + ports[2:]
