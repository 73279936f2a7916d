"""Checksums that are left to the device: what a driver prepares, and what then goes out."""

import random
import struct
from itertools import product

import pytest

from tests.virtio.net_rig import PEER, World
from tests.virtio.rig import WORLDS
from virtlab.guest.virtio_net_offload import prepared
from virtlab.virtio.net import DEFAULT_MAC

TCP, UDP = 6, 17
ETHERNET = PEER + DEFAULT_MAC


def total(data):
    """The sum of the words of `data`, by the book: RFC 1071."""
    words = struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    value = sum(words)
    while value > 0xFFFF:
        value = (value >> 16) + (value & 0xFFFF)
    return value


def ipv4(payload, protocol, options=b"", flags=0):
    """An IPv4 packet in a frame."""
    begin = 20 + len(options)
    head = struct.pack(
        ">BBHHHBBH4s4s",
        0x40 | begin // 4,
        0,
        begin + len(payload),
        7,
        flags,
        64,
        protocol,
        0,
        bytes([10, 0, 0, 1]),
        bytes([10, 0, 0, 2]),
    )
    head += options
    head = head[:10] + struct.pack(">H", ~total(head) & 0xFFFF) + head[12:]
    return ETHERNET + b"\x08\x00" + head + payload


def ipv6(payload, protocol):
    """An IPv6 packet in a frame."""
    head = struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64)
    return ETHERNET + b"\x86\xdd" + head + bytes(range(32)) + payload


def segment(protocol, data):
    """A TCP or UDP header without its sum, and data."""
    if protocol == UDP:
        return struct.pack(">HHHH", 5000, 53, 8 + len(data), 0) + data
    return struct.pack(">HHIIHHHH", 80, 4000, 1, 2, 5 << 12, 1000, 0, 0) + data


def right(frame, start, addresses, protocol):
    """Whether the packet from `start` on sums to all ones with its pseudo header."""
    payload = frame[start:]
    pseudo = frame[addresses] + struct.pack(">II", len(payload), protocol)
    return total(pseudo + payload) == 0xFFFF


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_what_the_device_sends_is_fully_checksummed(transport, layout):
    """5.1.6.2.1: the sum of the pseudo header is in the packet, start and offset say where."""
    rng = random.Random(4)
    world = World(transport, layout)
    driver = world.start()
    for length, protocol in product((0, 1, 2, 101, 1300), (TCP, UDP)):
        payload = segment(protocol, rng.randbytes(length))
        for made, start, addresses in (
            (ipv4(payload, protocol), 34, slice(26, 34)),
            (ipv4(payload, protocol, bytes(8)), 42, slice(26, 34)),
            (ipv6(payload, protocol), 54, slice(22, 54)),
        ):
            frame, offload = prepared(made)
            assert offload == (start, 16 if protocol == TCP else 6)
            driver.send(frame, offload=offload)
            sent = world.heard.pop()
            assert not right(made, start, addresses, protocol)
            assert right(sent, start, addresses, protocol)
            at = start + offload.offset
            assert sent[:at] + sent[at + 2 :] == made[:at] + made[at + 2 :]


WHOLE = ipv4(segment(UDP, b"data"), UDP)


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (WHOLE[:24] + b"\0\0" + WHOLE[26:], "sum of the IPv4 header is wrong"),
        (WHOLE[:14] + b"\x44" + WHOLE[15:], "sum of the IPv4 header is wrong"),
        (ipv4(segment(UDP, b""), UDP, flags=0x2000), "a fragment"),
        (ipv4(segment(UDP, b""), UDP, flags=1), "a fragment"),
        (ipv4(b"ping", 1), "protocol 1"),
        (WHOLE[:-1], "no whole packet"),
        (WHOLE + b"\0", "1 bytes behind the packet"),
        (ipv4(bytes(7), UDP), "ends before its checksum"),
        (ipv6(segment(UDP, b""), 44), "protocol 44"),
        (ipv6(bytes(17), TCP), "ends before its checksum"),
        (ETHERNET + b"\x08\x06" + bytes(28), "no packet of IP"),
        (ETHERNET + b"\x08\x00" + bytes(19), "no packet of IP"),
        (ETHERNET + b"\x86\xdd" + bytes(39), "no packet of IP"),
        (b"", "no packet of IP"),
    ],
)
def test_what_no_device_mends_is_refused(frame, why):
    """5.1.6.2.1: the driver validates what comes before the checksum that it leaves open."""
    with pytest.raises(ValueError, match=why):
        prepared(frame)
