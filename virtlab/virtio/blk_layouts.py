"""The bytes of a virtio block device: its requests, its configuration, its features.

    a request     REQUEST (16)  |  data, whole sectors  |  status (1)
                  device reads     reads or writes         device writes

The idea: one request is one buffer of the queue. What the device reads comes first, what it writes
comes last. The status byte is written by the device and says how it went (`BlkStatus`).

The rule that keeps it simple: whatever the block size of the disk, sectors here have 512 bytes.

Source: virtio 1.3 5.2.3 (features), 5.2.4 (configuration), 5.2.6 (requests). Left out: zoned block
devices (5.2.6, ZONED); SCSI commands and barriers of the legacy device (5.2.6.3).
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType

import numpy as np

from virtlab.virtio.layouts import offset_of
from virtlab.wire import u8, u16, u32, u64

SECTOR = 512
"""Bytes of a sector, the unit of every request."""

ID_BYTES = 20
"""Bytes of the device's name, padded with zeros."""


class BlkFeature(IntEnum):
    """What a block device can offer: virtio 1.3 5.2.3, without `VIRTIO_BLK_F_`."""

    SIZE_MAX = 1  # a piece has at most size_max bytes
    SEG_MAX = 2  # a request has at most seg_max pieces of data
    GEOMETRY = 4  # cylinders, heads, sectors
    RO = 5  # it cannot be written
    BLK_SIZE = 6  # the block size that suits it
    SCSI = 7  # legacy only: SCSI commands
    FLUSH = 9  # it can be told to flush
    TOPOLOGY = 10  # how to align
    CONFIG_WCE = 11  # the cache can be switched between writeback and writethrough
    MQ = 12  # several queues
    DISCARD = 13  # sectors can be given up
    WRITE_ZEROES = 14  # sectors can be zeroed without sending zeros
    LIFETIME = 15  # how worn it is
    SECURE_ERASE = 16  # sectors can be erased for good
    ZONED = 17  # a zoned device


# -- requests (5.2.6)

REQUEST = np.dtype(  # the driver writes all of it
    [
        ("type", u32),  # a BlkType
        ("reserved", u32),  # 0; once `ioprio`
        ("sector", u64),  # where, in sectors; 0 for what has no place
    ]
)
"""The head of a request: `struct virtio_blk_req` without data and status."""

SEGMENT = np.dtype(  # the driver writes all of it
    [
        ("sector", u64),  # the first sector
        ("num_sectors", u32),  # how many
        ("flags", u32),  # UNMAP or 0
    ]
)
"""The data of a discard, write zeroes or secure erase: `struct virtio_blk_discard_write_zeroes`."""

UNMAP = 1
"""In `flags` of a write zeroes: the sectors may be given up, if they then read as zeros."""

LIFETIME = np.dtype(  # the device writes all of it
    [
        ("pre_eol_info", u16),  # how many spare blocks are gone
        ("device_lifetime_est_typ_a", u16),
        ("device_lifetime_est_typ_b", u16),
    ]
)
"""What GET_LIFETIME gives: `struct virtio_blk_lifetime`."""


class BlkType(IntEnum):
    """What a request wants, without `VIRTIO_BLK_T_`."""

    IN = 0  # read
    OUT = 1  # write
    FLUSH = 4
    GET_ID = 8
    GET_LIFETIME = 10
    DISCARD = 11
    WRITE_ZEROES = 13
    SECURE_ERASE = 14


FLUSH_OUT = 5
"""What a legacy driver may call FLUSH (5.2.6.3)."""


class BlkStatus(IntEnum):
    """How it went, without `VIRTIO_BLK_S_`."""

    OK = 0
    IOERR = 1  # an error of the device or of the driver
    UNSUPP = 2  # no such request


# -- configuration (5.2.4)

CONFIG = np.dtype(
    [
        ("capacity", u64),  # sectors; always there
        ("size_max", u32),
        ("seg_max", u32),
        ("cylinders", u16),  # struct virtio_blk_geometry
        ("heads", u8),
        ("sectors", u8),
        ("blk_size", u32),  # bytes
        ("physical_block_exp", u8),  # struct virtio_blk_topology; blocks in a physical one, log2
        ("alignment_offset", u8),  # the first aligned block
        ("min_io_size", u16),  # blocks
        ("opt_io_size", u32),  # blocks
        ("writeback", u8),  # 1: a cache; the driver writes it too
        ("unused0", u8),
        ("num_queues", u16),
        ("max_discard_sectors", u32),
        ("max_discard_seg", u32),
        ("discard_sector_alignment", u32),  # sectors
        ("max_write_zeroes_sectors", u32),
        ("max_write_zeroes_seg", u32),
        ("write_zeroes_may_unmap", u8),
        ("unused1", u8, (3,)),
        ("max_secure_erase_sectors", u32),
        ("max_secure_erase_seg", u32),
        ("secure_erase_sector_alignment", u32),  # sectors
    ]
)
"""`struct virtio_blk_config` up to what a zoned device has. All by the device, but `writeback`."""

_GUARDS = {
    BlkFeature.SIZE_MAX: ["size_max"],
    BlkFeature.SEG_MAX: ["seg_max"],
    BlkFeature.GEOMETRY: ["cylinders", "heads", "sectors"],
    BlkFeature.BLK_SIZE: ["blk_size"],
    BlkFeature.TOPOLOGY: ["physical_block_exp", "alignment_offset", "min_io_size", "opt_io_size"],
    BlkFeature.CONFIG_WCE: ["writeback"],
    BlkFeature.MQ: ["num_queues"],
    BlkFeature.DISCARD: ["max_discard_sectors", "max_discard_seg", "discard_sector_alignment"],
    BlkFeature.WRITE_ZEROES: [
        "max_write_zeroes_sectors",
        "max_write_zeroes_seg",
        "write_zeroes_may_unmap",
    ],
    BlkFeature.SECURE_ERASE: [
        "max_secure_erase_sectors",
        "max_secure_erase_seg",
        "secure_erase_sector_alignment",
    ],
}

GUARD = MappingProxyType({name: bit for bit, fields in _GUARDS.items() for name in fields})
"""Which feature a field of CONFIG needs. `capacity` needs none, the padding is nobody's."""


def config_field(name: str) -> tuple[int, int]:
    """Offset and bytes of a field of CONFIG. `ValueError` if there is no such field.

    >>> config_field("capacity"), config_field("blk_size")
    ((0, 8), (20, 4))
    """
    if CONFIG.fields is None or name not in CONFIG.fields:
        raise ValueError(f"a block device's configuration has no field {name!r}")
    return offset_of(CONFIG, name), CONFIG[name].itemsize
