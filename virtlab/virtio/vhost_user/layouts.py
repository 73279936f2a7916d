"""The bytes of vhost-user: requests, features and payloads, each declared once.

    request u32 | flags u32 | size u32 | payload, `size` bytes          a message
                  bits 1:0 version, 1
                  bit 2    REPLY: it answers
                  bit 3    NEED_REPLY: an answer is wanted

The idea: back-end, front-end and tests read these declarations. Descriptors travel beside the
bytes, and how many belong to a request is in `messages`.

The rule that keeps it simple: the protocol has the machine's own byte order. It is little-endian
here: what shares memory with an x86 or an ARM guest on the same machine is no other.

Source: vhost-user.rst, "Message Specification", "Protocol features", "Front-end message types",
"Back-end message types". Left out: payloads of IOTLB, crypto sessions, postcopy and vring areas.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from virtlab.wire import u16, u32, u64

# -- the header

HEADER = np.dtype([("request", u32), ("flags", u32), ("size", u32)])
"""What every message begins with; `size` is that of the payload, in bytes."""

VERSION = 1
"""The version of the protocol, in bits 1:0 of the flags."""

VERSION_MASK, REPLY, NEED_REPLY = 0x3, 0x4, 0x8
"""The flags that there are."""

# -- features

PROTOCOL_FEATURES = 30
"""VHOST_USER_F_PROTOCOL_FEATURES: a feature bit of the back-end, never of a device."""

LOG_ALL = 26
"""VHOST_F_LOG_ALL: note each page that is written, for a migration."""


class ProtocolFeature(IntEnum):
    """Extensions that both ends must know: VHOST_USER_PROTOCOL_F_*."""

    MQ = 0
    LOG_SHMFD = 1
    RARP = 2
    REPLY_ACK = 3
    MTU = 4
    BACKEND_REQ = 5
    CROSS_ENDIAN = 6
    CRYPTO_SESSION = 7
    PAGEFAULT = 8
    CONFIG = 9
    BACKEND_SEND_FD = 10
    HOST_NOTIFIER = 11
    INFLIGHT_SHMFD = 12
    RESET_DEVICE = 13
    INBAND_NOTIFICATIONS = 14
    CONFIGURE_MEM_SLOTS = 15
    STATUS = 16
    XEN_MMAP = 17
    SHARED_OBJECT = 18
    DEVICE_STATE = 19


class Request(IntEnum):
    """What a front-end asks: VHOST_USER_*."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    RESET_OWNER = 4
    SET_MEM_TABLE = 5
    SET_LOG_BASE = 6
    SET_LOG_FD = 7
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    SET_VRING_ERR = 14
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    GET_QUEUE_NUM = 17
    SET_VRING_ENABLE = 18
    SEND_RARP = 19
    NET_SET_MTU = 20
    SET_BACKEND_REQ_FD = 21
    IOTLB_MSG = 22
    SET_VRING_ENDIAN = 23
    GET_CONFIG = 24
    SET_CONFIG = 25
    CREATE_CRYPTO_SESSION = 26
    CLOSE_CRYPTO_SESSION = 27
    POSTCOPY_ADVISE = 28
    POSTCOPY_LISTEN = 29
    POSTCOPY_END = 30
    GET_INFLIGHT_FD = 31
    SET_INFLIGHT_FD = 32
    GPU_SET_SOCKET = 33
    RESET_DEVICE = 34
    VRING_KICK = 35
    GET_MAX_MEM_SLOTS = 36
    ADD_MEM_REG = 37
    REM_MEM_REG = 38
    SET_STATUS = 39
    GET_STATUS = 40
    GET_SHARED_OBJECT = 41
    SET_DEVICE_STATE_FD = 42
    CHECK_DEVICE_STATE = 43


class BackEndRequest(IntEnum):
    """What a back-end asks, on a socket of its own: VHOST_USER_BACKEND_*."""

    IOTLB_MSG = 1
    CONFIG_CHANGE_MSG = 2
    VRING_HOST_NOTIFIER_MSG = 3
    VRING_CALL = 4
    VRING_ERR = 5


# -- payloads

U64 = np.dtype([("value", u64)])
"""One number."""

INDEX_MASK, NOFD = 0xFF, 0x100
"""In the number of SET_VRING_KICK, CALL and ERR: which ring, and that no descriptor comes along."""

VRING_STATE = np.dtype([("index", u32), ("num", u32)])
"""A ring, and a number about it."""

VRING_ADDR = np.dtype(
    [
        ("index", u32),
        ("flags", u32),  # VRING_LOG
        ("descriptor", u64),  # user addresses, all three
        ("used", u64),
        ("available", u64),
        ("log", u64),  # where in the log the used ring begins, as a guest address
    ]
)
"""Where a ring lies. A packed one has its event suppressions at `available` and `used`."""

VRING_LOG = 1
"""VHOST_VRING_F_LOG: what is written to the used ring is noted too."""

MEMORY = np.dtype([("count", u32), ("padding", u32)])
"""A memory table; `count` regions follow, each with a descriptor."""

REGION = np.dtype(
    [
        ("guest", u64),  # gpa of its first byte
        ("size", u64),  # bytes
        ("user", u64),  # the front-end's own address of the same byte
        ("offset", u64),  # where in the file it lies
    ]
)
"""Guest memory that lies in one file."""

SINGLE_REGION = np.dtype([("padding", u64), *((name, u64) for name in REGION.names or ())])
"""The same alone, as ADD_MEM_REG and REM_MEM_REG have it."""

LOG = np.dtype([("size", u64), ("offset", u64)])
"""Where in a file the log of written pages lies: bytes."""

CONFIG = np.dtype([("offset", u32), ("size", u32), ("flags", u32)])
"""A piece of the device's configuration; its `size` bytes follow."""

CONFIG_MIGRATION = 1
"""In `flags`: the front-end restores a configuration, also the fields that no driver may write."""

INFLIGHT = np.dtype(
    [
        ("mmap_size", u64),  # bytes of all regions together
        ("mmap_offset", u64),  # where in the file they begin
        ("num_queues", u16),
        ("queue_size", u16),
        ("padding", u32),  # as a compiler pads it; the text has none
    ]
)
"""Where chains in flight are noted: see `inflight`."""

# -- limits

MAX_REGIONS = 8
"""Regions of a memory table, by the protocol: as many as descriptors in one message."""

MAX_CONFIG = 256
"""Bytes of configuration in one message."""


MAX_PAYLOAD = max(MEMORY.itemsize + MAX_REGIONS * REGION.itemsize, CONFIG.itemsize + MAX_CONFIG)
"""Bytes of the longest payload: of a full memory table, or of a long configuration."""

LOG_PAGE = 0x1000
"""Bytes that one bit of the log stands for: VHOST_LOG_PAGE."""
