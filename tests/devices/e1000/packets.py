"""TCP and UDP over IPv4, made by hand, with checksums that are summed here word by word."""

from __future__ import annotations

from virtlab.devices.e1000 import DEFAULT_MAC

PEER = bytes.fromhex("02aabbccddee")
SOURCE, TARGET = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])


def internet_checksum(data):
    """RFC 1071, one word after the other."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(segment, protocol, *, fragment=0, options=b"", identification=0x1234, tag=None):
    """An Ethernet frame with one IPv4 packet."""
    size = 20 + len(options)
    header = bytearray(
        bytes([0x40 | size // 4, 0])
        + (size + len(segment)).to_bytes(2, "big")
        + identification.to_bytes(2, "big")
        + fragment.to_bytes(2, "big")
        + bytes([64, protocol, 0, 0])
        + SOURCE
        + TARGET
        + options
    )
    header[10:12] = internet_checksum(header).to_bytes(2, "big")
    vlan = b"" if tag is None else b"\x81\x00" + tag.to_bytes(2, "big")
    return DEFAULT_MAC + PEER + vlan + b"\x08\x00" + bytes(header) + segment


def pseudo(protocol, length):
    """The pseudo-header of RFC 793 and 768."""
    return SOURCE + TARGET + bytes([0, protocol]) + length.to_bytes(2, "big")


def tcp4(payload, *, protocol=6, flags=0x18, sequence=1000, **ip):
    """A TCP segment in a frame."""
    segment = bytearray(
        b"\x04\xd2\x00\x50"
        + (sequence & 0xFFFFFFFF).to_bytes(4, "big")
        + bytes(4)
        + bytes([0x50, flags])
        + b"\x20\x00"
        + bytes(4)
        + payload
    )
    value = internet_checksum(pseudo(protocol, len(segment)) + segment)
    segment[16:18] = value.to_bytes(2, "big")
    return ipv4(bytes(segment), protocol, **ip)


def udp4(payload, *, checksum=None, **ip):
    """A UDP datagram in a frame."""
    length = 8 + len(payload)
    segment = bytearray(b"\x04\xd2\x00\x35" + length.to_bytes(2, "big") + bytes(2) + payload)
    if checksum is None:
        checksum = internet_checksum(pseudo(17, length) + segment) or 0xFFFF
    segment[6:8] = checksum.to_bytes(2, "big")
    return ipv4(bytes(segment), 17, **ip)
