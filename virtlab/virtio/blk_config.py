"""What a block device says of itself: which features it offers, and what stands in its config.

    BlkShape(min_io_size=8)   +  a disk  +  queues   ->   features, `struct virtio_blk_config`

The idea: a field exists because a feature is offered (`GUARD`). So both are made here together, and
what is not offered is zero.

The rule that keeps it simple: a shape is advice. Block size, topology, `seg_max` and `size_max`
tell a driver what suits the device. A request that ignores them is done all the same (2.7.4.1,
5.2.5). Only the limits of discard and write zeroes bound the work of one request, and are enforced.

Source: virtio 1.3 5.2.3, 5.2.4, 5.2.5.2. Left out: LIFETIME, SECURE_ERASE, ZONED.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from virtlab.backends.disk import Storage, ThinStorage
from virtlab.virtio.blk_layouts import CONFIG, GUARD, SECTOR, BlkFeature
from virtlab.virtio.features import Features

ENDS = 2
"""Pieces of a request that are no data: the head and the status."""

SURE = 128
"""Entries that a queue mostly has at least. A driver, or a front-end, may make it smaller than we
allow: QEMU's vhost-user disk has 128. Linux believes `seg_max` and not the size of its queue."""


@dataclass(frozen=True)
class BlkShape:
    """What suits the disk. `ValueError` for a block size that is no power of two from 512 on.

    Sizes are in blocks of `blk_size` bytes where nothing else is said. `None` is not offered; a
    `seg_max` of 0 stands for what a queue of `SURE` entries has room for, or a smaller one.
    """

    blk_size: int = SECTOR  # bytes
    physical_block_exp: int = 0  # blocks in a physical one, log2
    alignment_offset: int = 0
    min_io_size: int = 0
    opt_io_size: int = 0
    geometry: tuple[int, int, int] | None = None  # cylinders, heads, sectors
    size_max: int | None = None  # bytes of a piece
    seg_max: int | None = 0  # pieces of data in a request
    max_discard_sectors: int = 1 << 15  # 16 MiB
    max_discard_seg: int = 16
    discard_sector_alignment: int = 1  # sectors
    max_write_zeroes_sectors: int = 1 << 15
    max_write_zeroes_seg: int = 16

    def __post_init__(self) -> None:
        size = self.blk_size
        if size < SECTOR or size & (size - 1):
            raise ValueError(f"a block has 2**n bytes, {SECTOR} or more, not {size}")


def offer(disk: Storage, shape: BlkShape, queues: int, without: Iterable[int]) -> Features:
    """What a device for `disk` offers, but for what it shall be `without`.

    `ValueError` for a cache that can be switched and not flushed.
    """
    can = {BlkFeature.FLUSH, BlkFeature.BLK_SIZE, BlkFeature.TOPOLOGY, BlkFeature.CONFIG_WCE}
    asked = {
        BlkFeature.SIZE_MAX: shape.size_max is not None,
        BlkFeature.SEG_MAX: shape.seg_max is not None,
        BlkFeature.GEOMETRY: shape.geometry is not None,
        BlkFeature.MQ: queues > 1,
        BlkFeature.RO: disk.read_only,
        BlkFeature.WRITE_ZEROES: not disk.read_only,
        BlkFeature.DISCARD: not disk.read_only and isinstance(disk, ThinStorage),
    }
    offered = frozenset(can | {bit for bit, wanted in asked.items() if wanted}) - set(without)
    # Devices MUST offer FLUSH if they offer CONFIG_WCE.
    if BlkFeature.CONFIG_WCE in offered and BlkFeature.FLUSH not in offered:
        raise ValueError("CONFIG_WCE is offered without FLUSH (virtio 1.3 5.2.5.2)")
    # A disk that can only be read says so: else a driver would not know (5.2.5).
    if disk.read_only and BlkFeature.RO not in offered:
        raise ValueError("a disk to read only is offered without RO (virtio 1.3 5.2.6.2)")
    return offered


def config_of(
    disk: Storage, shape: BlkShape, queues: int, queue_size: int, offered: Features
) -> bytes:
    """The configuration after a reset: fields of features that are not `offered` are 0."""
    cylinders, heads, sectors = shape.geometry or (0, 0, 0)
    values = {
        "size_max": shape.size_max,
        "seg_max": shape.seg_max or max(1, min(queue_size, SURE) - ENDS),
        "cylinders": cylinders,
        "heads": heads,
        "sectors": sectors,
        "blk_size": shape.blk_size,
        "physical_block_exp": shape.physical_block_exp,
        "alignment_offset": shape.alignment_offset,
        "min_io_size": shape.min_io_size,
        "opt_io_size": shape.opt_io_size,
        "writeback": 1,
        "num_queues": queues,
        "max_discard_sectors": shape.max_discard_sectors,
        "max_discard_seg": shape.max_discard_seg,
        "discard_sector_alignment": shape.discard_sector_alignment,
        "max_write_zeroes_sectors": shape.max_write_zeroes_sectors,
        "max_write_zeroes_seg": shape.max_write_zeroes_seg,
        # Cleared if and only if a write zeroes request cannot give sectors up.
        "write_zeroes_may_unmap": isinstance(disk, ThinStorage),
    }
    config = np.zeros((), CONFIG)
    config["capacity"] = disk.sectors
    for name, value in values.items():
        if GUARD[name] in offered:
            config[name] = value
    return config.tobytes()
