"""The bytes of a virtio network device: packet header, configuration, commands, features.

    a packet      HEADER (12; legacy 10)  |  an Ethernet frame
    a command     class  command  |  data ...        ack
                  device reads                       device writes

The idea: a packet is a frame with a few words before it. The words say what still has to be done
to the frame: a checksum to be filled in, a segment to be cut. Mostly they say nothing.

The rule that keeps it simple: one header. A legacy driver without MRG_RXBUF leaves its last field
out, and that is all the difference (5.1.6.1).

Source: virtio 1.3 5.1.2 to 5.1.6. Left out: hashes and RSS, coalescing, statistics, tunnels.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

import numpy as np

from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import offset_of
from virtlab.wire import u8, u16, u32

MAC_BYTES = 6
"""Bytes of an Ethernet address."""

ETH_HEADER, VLAN_TAG = 14, 4
"""Bytes that a frame has before its payload, and those of a VLAN tag in between."""

MAX_PAIRS = 0x8000
"""Pairs of receive and transmit queues, at most (5.1.4.1)."""

MIN_MTU, MAX_MTU = 68, 65535
"""What `mtu` may be (5.1.4.1)."""


class NetFeature(IntEnum):
    """What a network device can offer: virtio 1.3 5.1.3, without `VIRTIO_NET_F_`."""

    CSUM = 0  # the device fills checksums in
    GUEST_CSUM = 1  # the driver does
    CTRL_GUEST_OFFLOADS = 2  # what comes in can be chosen anew
    MTU = 3  # the largest payload is told
    MAC = 5  # the device has an address
    GUEST_TSO4 = 7  # the driver takes what is still to be cut: TCP over IPv4
    GUEST_TSO6 = 8
    GUEST_ECN = 9
    GUEST_UFO = 10
    HOST_TSO4 = 11  # the device cuts: TCP over IPv4
    HOST_TSO6 = 12
    HOST_ECN = 13
    HOST_UFO = 14
    MRG_RXBUF = 15  # a packet may come in several receive buffers
    STATUS = 16  # whether the link is up
    CTRL_VQ = 17  # a queue for commands
    CTRL_RX = 18  # which packets come in: modes and addresses
    CTRL_VLAN = 19  # ... by VLAN
    CTRL_RX_EXTRA = 20  # more modes
    GUEST_ANNOUNCE = 21  # the driver can be asked to say where it is
    MQ = 22  # several pairs of queues
    CTRL_MAC_ADDR = 23  # the address can be set by a command


_NEEDS = {
    NetFeature.GUEST_TSO4: {NetFeature.GUEST_CSUM},
    NetFeature.GUEST_TSO6: {NetFeature.GUEST_CSUM},
    NetFeature.GUEST_UFO: {NetFeature.GUEST_CSUM},
    NetFeature.HOST_TSO4: {NetFeature.CSUM},
    NetFeature.HOST_TSO6: {NetFeature.CSUM},
    NetFeature.HOST_UFO: {NetFeature.CSUM},
    NetFeature.CTRL_RX: {NetFeature.CTRL_VQ},
    NetFeature.CTRL_VLAN: {NetFeature.CTRL_VQ},
    NetFeature.GUEST_ANNOUNCE: {NetFeature.CTRL_VQ},
    NetFeature.MQ: {NetFeature.CTRL_VQ},
    NetFeature.CTRL_MAC_ADDR: {NetFeature.CTRL_VQ},
}

REQUIRES: Mapping[int, Features] = MappingProxyType(
    {int(bit): frozenset(needed) for bit, needed in _NEEDS.items()}
)
"""For a feature, those that it requires (5.1.3.1); where one of two will do (ECN), it is not."""

# -- packets (5.1.6)

HEADER = np.dtype(
    [
        ("flags", u8),  # bits of HeaderFlag
        ("gso_type", u8),  # a Gso, and ECN
        ("hdr_len", u16),  # bytes of all headers: a hint
        ("gso_size", u16),  # bytes of each segment behind them
        ("csum_start", u16),  # where in the frame the sum begins
        ("csum_offset", u16),  # where behind that it is put
        ("num_buffers", u16),  # receive: buffers that the packet is in; transmit: 0
    ]
)
"""`struct virtio_net_hdr`: the sender of a packet writes it."""

NUM_BUFFERS_AT = offset_of(HEADER, "num_buffers")
"""Where the field is that a legacy header may lack: the bytes of such a header."""


class HeaderFlag(IntEnum):
    """Bits of `flags`, without `VIRTIO_NET_HDR_F_`."""

    NEEDS_CSUM = 1  # the checksum is still to be filled in
    DATA_VALID = 2  # it was looked at, and is right
    RSC_INFO = 4  # segments were joined


class Gso(IntEnum):
    """What has to be cut, in `gso_type`, without `VIRTIO_NET_HDR_GSO_`."""

    NONE = 0
    TCPV4 = 1
    UDP = 3
    TCPV6 = 4
    UDP_L4 = 5


ECN = 0x80
"""In `gso_type`: the TCP packet has its congestion bit set."""


def header_bytes(features: Features) -> int:
    """Bytes of the header that this driver and device use (5.1.6.1).

    >>> header_bytes(frozenset()), header_bytes(frozenset({Feature.VERSION_1}))
    (10, 12)
    """
    whole = Feature.VERSION_1 in features or NetFeature.MRG_RXBUF in features
    return HEADER.itemsize if whole else NUM_BUFFERS_AT


# -- configuration (5.1.4)

CONFIG = np.dtype(
    [
        ("mac", u8, (MAC_BYTES,)),  # always there; only meant if MAC is offered
        ("status", u16),  # bits of NetStatus
        ("max_virtqueue_pairs", u16),
        ("mtu", u16),  # bytes of payload
        ("speed", u32),  # Mbit/s
        ("duplex", u8),
    ]
)
"""`struct virtio_net_config` up to what hashes need. All by the device."""

GUARD = MappingProxyType(
    {
        "mac": NetFeature.MAC,
        "status": NetFeature.STATUS,
        "max_virtqueue_pairs": NetFeature.MQ,
        "mtu": NetFeature.MTU,
    }
)
"""Which feature a field of CONFIG needs. That of `speed` and `duplex` is left out."""


class NetStatus(IntEnum):
    """Bits of `status` in the configuration, without `VIRTIO_NET_S_`."""

    LINK_UP = 1
    ANNOUNCE = 2  # the driver is asked to say where it is


def config_field(name: str) -> tuple[int, int]:
    """Offset and bytes of a field of CONFIG. `ValueError` if there is no such field.

    >>> config_field("mac"), config_field("status")
    ((0, 6), (6, 2))
    """
    if CONFIG.fields is None or name not in CONFIG.fields:
        raise ValueError(f"a network device's configuration has no field {name!r}")
    return offset_of(CONFIG, name), CONFIG[name].itemsize


# -- commands (5.1.6.5)

COMMAND = np.dtype([("class", u8), ("command", u8)])
"""The head of `struct virtio_net_ctrl`; data for the device follow, and an ack by it."""

Command = tuple[int, int]
"""A class, and a command of it."""


class Ack(IntEnum):
    """How a command went, without `VIRTIO_NET_`."""

    OK = 0
    ERR = 1


class Rx(IntEnum):
    """Commands of class 0, without `VIRTIO_NET_CTRL_RX_`: a byte, 1 is on, 0 is off."""

    PROMISC = 0  # everything comes in
    ALLMULTI = 1  # all groups do
    ALLUNI = 2  # all stations do
    NOMULTI = 3  # no group does
    NOUNI = 4  # no station does
    NOBCAST = 5  # broadcasts do not


CTRL_RX = 0
"""The class of `Rx`."""

MAC_TABLE_SET: Command = (1, 0)
"""Two tables: a le32 and so many addresses, stations first, then groups."""

MAC_ADDR_SET: Command = (1, 1)
"""An address: 6 bytes."""

VLAN_ADD: Command = (2, 0)
VLAN_DEL: Command = (2, 1)
"""A VLAN's number: a le16."""

ANNOUNCE_ACK: Command = (3, 0)
"""The request to announce has been seen."""

VQ_PAIRS_SET: Command = (4, 0)
"""How many pairs of queues are used: a le16."""


# -- queues (5.1.2)


def receiveq(pair: int) -> int:
    """The index of a pair's receive queue; pairs count from 0, the specification's from 1."""
    return 2 * pair


def transmitq(pair: int) -> int:
    """The index of a pair's transmit queue."""
    return 2 * pair + 1


def controlq(features: Features, pairs: int) -> int | None:
    """The index of the control queue where the device has `pairs`; None: there is none.

    >>> controlq(frozenset({NetFeature.CTRL_VQ}), 4)
    2
    """
    if NetFeature.CTRL_VQ not in features:
        return None
    return 2 * pairs if NetFeature.MQ in features else 2
