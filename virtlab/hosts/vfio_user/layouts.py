"""The bytes of vfio-user: the header, commands and payloads, each declared once.

    id u16 | command u16 | size u32 | flags u32 | error u32 | payload        a message
                           all of     bits 3:0  0 a command, 1 its reply
                           it         bit 4     no reply is wanted
                                      bit 5     the reply is an error, an errno

The idea: most commands are an `ioctl` of Linux's VFIO, sent instead of called. So a structure here
has the fields of the one in <linux/vfio.h>, and `argsz`, its size as the caller sees it.

The rule that keeps it simple: the protocol has the machine's own byte order. It is little-endian
here: client and server are processes of one machine.

Source: vfio-user.rst, "Header" and the section of each command; <linux/vfio.h> for the indices of
regions and interrupts. Left out: payloads of migration and of I/O descriptors.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from virtlab.wire import u16, u32, u64

# -- the header

HEADER = np.dtype([("id", u16), ("command", u16), ("size", u32), ("flags", u32), ("error", u32)])
"""What every message begins with. `size` counts the header too; `error` is that of a reply."""

TYPE_MASK, COMMAND, REPLY = 0xF, 0x0, 0x1
"""Bits 3:0 of the flags, and the two kinds of messages that there are."""

NO_REPLY, ERROR = 0x10, 0x20
"""Flags: of a command that wants no answer; of a reply that says why not."""


class Command(IntEnum):
    """VFIO_USER_*. All are the client's but DMA_READ and DMA_WRITE, which are the server's."""

    VERSION = 1
    DMA_MAP = 2
    DMA_UNMAP = 3
    DEVICE_GET_INFO = 4
    DEVICE_GET_REGION_INFO = 5
    DEVICE_GET_REGION_IO_FDS = 6
    DEVICE_GET_IRQ_INFO = 7
    DEVICE_SET_IRQS = 8
    REGION_READ = 9
    REGION_WRITE = 10
    DMA_READ = 11
    DMA_WRITE = 12
    DEVICE_RESET = 13
    REGION_WRITE_MULTI = 15
    DEVICE_FEATURE = 16
    MIG_DATA_READ = 17
    MIG_DATA_WRITE = 18


# -- the beginning

VERSION = np.dtype([("major", u16), ("minor", u16)])
"""VERSION, both ways: behind it is JSON that ends in a zero byte."""

MAJOR, MINOR = 0, 0
"""The version spoken here, which is QEMU's."""

# -- the client's memory

DMA_MAP = np.dtype(
    [("argsz", u32), ("flags", u32), ("offset", u64), ("address", u64), ("size", u64)]
)
"""DMA_MAP: `size` bytes at the iova `address`, from `offset` of the descriptor, if one comes."""

READABLE, WRITABLE = 0x1, 0x2
"""Flags of DMA_MAP: what the function may do there."""

DMA_UNMAP = np.dtype([("argsz", u32), ("flags", u32), ("address", u64), ("size", u64)])
"""DMA_UNMAP, both ways."""

UNMAP_ALL = 0x2
"""Flag of DMA_UNMAP, from <linux/vfio.h>: all windows. Address and size are 0 then."""

DMA_ACCESS = np.dtype([("address", u64), ("count", u64)])
"""DMA_READ, DMA_WRITE and their replies: `count` bytes at the iova `address`; then data."""

# -- the device

DEVICE_INFO = np.dtype([("argsz", u32), ("flags", u32), ("regions", u32), ("irqs", u32)])
"""DEVICE_GET_INFO, both ways."""

RESETS, IS_PCI = 0x1, 0x2
"""Flags of the device: it knows DEVICE_RESET; it is a PCI function."""

# -- regions


class RegionIndex(IntEnum):
    """VFIO_PCI_*_REGION_INDEX: BARs 0 to 5 are 0 to 5."""

    BAR0 = 0
    BAR5 = 5
    ROM = 6
    CONFIG = 7
    VGA = 8


REGIONS = len(range(RegionIndex.VGA + 1))
"""How many a PCI device has; those that it has not have no bytes."""

REGION_INFO = np.dtype(
    [
        ("argsz", u32),
        ("flags", u32),
        ("index", u32),
        ("cap_offset", u32),
        ("size", u64),
        ("offset", u64),
    ]
)
"""DEVICE_GET_REGION_INFO, both ways."""

REGION_READ, REGION_WRITE = 0x1, 0x2
"""Flags of a region: it can be read, written."""

REGION_ACCESS = np.dtype([("offset", u64), ("region", u32), ("count", u32)])
"""REGION_READ, REGION_WRITE and their replies; then `count` bytes, where they go that way."""

WRITES = np.dtype([("count", u64)])
"""REGION_WRITE_MULTI, both ways; then so many `ONE_WRITE`, one way."""

ONE_WRITE = np.dtype([("offset", u64), ("region", u32), ("count", u32), ("data", u64)])
"""One of several writes, of up to 8 bytes."""

IO_FDS = np.dtype([("argsz", u32), ("flags", u32), ("index", u32), ("count", u32)])
"""DEVICE_GET_REGION_IO_FDS."""

# -- interrupts


class IrqIndex(IntEnum):
    """VFIO_PCI_*_IRQ_INDEX."""

    INTX = 0
    MSI = 1
    MSIX = 2
    ERR = 3
    REQ = 4


IRQS = len(IrqIndex)
"""How many kinds a PCI device has; of those that it has not, there are 0 interrupts."""

IRQ_INFO = np.dtype([("argsz", u32), ("flags", u32), ("index", u32), ("count", u32)])
"""DEVICE_GET_IRQ_INFO, both ways."""

IRQ_EVENTFD, IRQ_MASKABLE, IRQ_AUTOMASKED, IRQ_NORESIZE = 0x1, 0x2, 0x4, 0x8
"""Flags of a kind of interrupts."""

IRQ_SET = np.dtype([("argsz", u32), ("flags", u32), ("index", u32), ("start", u32), ("count", u32)])
"""DEVICE_SET_IRQS: interrupts `start` to `start + count - 1`; behind it a byte each, if BOOL."""

DATA_NONE, DATA_BOOL, DATA_EVENTFD, DATA_MASK = 0x1, 0x2, 0x4, 0x7
ACTION_MASK, ACTION_UNMASK, ACTION_TRIGGER, ACTIONS_MASK = 0x08, 0x10, 0x20, 0x38
"""Flags of DEVICE_SET_IRQS: one of the first three, one of the actions."""
