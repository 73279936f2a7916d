"""What a block device and its driver have come to: the configuration, and whose cache it is.

    features                       a write that is completed
    -------------------------      -----------------------------------------------------
    neither CONFIG_WCE nor FLUSH   is on the medium
    FLUSH                          may be lost in a crash until a flush has been answered
    CONFIG_WCE, writeback = 1      the same
    CONFIG_WCE, writeback = 0      is on the medium

The idea: a cache makes a disk quick, and it forgets. So the driver chooses, by features and by one
byte of the configuration, whether a write waits for the medium or a flush does.

The rule that keeps it simple: who asks is `_volatile`, with the features of the request's queue.

Source: virtio 1.3 5.2.5, 5.2.5.2, 5.2.5.3 (legacy), 5.2.6.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from virtlab.backends.disk import Storage
from virtlab.virtio.blk_config import BlkShape, config_of, offer
from virtlab.virtio.blk_layouts import BlkFeature, config_field
from virtlab.virtio.device import RequestDevice
from virtlab.virtio.features import Features

_WRITEBACK, _ = config_field("writeback")


class BlkSession(RequestDevice):
    """The configuration of a block device for `disk`, without its requests."""

    def __init__(
        self,
        disk: Storage,
        shape: BlkShape,
        queue_sizes: Sequence[int],
        without: Iterable[int] = (),
    ) -> None:
        self.disk = disk
        self.shape = shape
        super().__init__(queue_sizes, offer(disk, shape, len(queue_sizes), without))
        self.reset()

    def reset(self) -> None:
        """The cache writes back, and nothing is agreed (5.2.5: the mode after reset is ours)."""
        self._agreed: Features | None = None
        self.config = self._config()

    def _config(self) -> bytes:
        sizes = self.queue_sizes
        return config_of(self.disk, self.shape, len(sizes), sizes[0], self.features)

    @property
    def writeback(self) -> bool:
        """Whether the cache writes back, and not through."""
        return bool(self.config[_WRITEBACK])

    def agreed(self, features: Features) -> None:
        """The driver has settled its features."""
        self._agreed = features
        # If CONFIG_WCE is negotiated but FLUSH is not, the device MUST initialize writeback to 0.
        if BlkFeature.CONFIG_WCE in features and BlkFeature.FLUSH not in features:
            self._set_writeback(0)

    def write_config(self, offset: int, data: bytes) -> bool:
        """Only `writeback` can be written, with 0 or 1, where CONFIG_WCE says so (5.2.6.1)."""
        # A legacy driver has no moment at which it settles: there the offer counts (5.2.5.3).
        features = self.features if self._agreed is None else self._agreed
        if BlkFeature.CONFIG_WCE not in features or offset != _WRITEBACK:
            return False
        if data not in (b"\0", b"\1"):
            return False
        self._set_writeback(data[0])
        return True

    def _set_writeback(self, mode: int) -> None:
        self.config = self.config[:_WRITEBACK] + bytes([mode]) + self.config[_WRITEBACK + 1 :]

    def resized(self) -> None:
        """The disk has another size now: the driver is told (5.2.6.2)."""
        at, size = config_field("capacity")
        config = self.config
        sectors = self.disk.sectors.to_bytes(size, "little")
        self.configure(config[:at] + sectors + config[at + size :])

    def _volatile(self, features: Features) -> bool:
        """Whether a write that is completed may still be lost in a crash (5.2.6.2)."""
        if BlkFeature.CONFIG_WCE in features:
            return self.writeback
        return BlkFeature.FLUSH in features
