"""What a transport is to a driver: a dozen ways to touch a device, the same on every bus.

                     MmioTransport   LegacyMmio   ModernPci   LegacyPci
    features         64 bits         32           64          32
    a queue lies at  3 addresses     1 page       3 addresses 1 page, of a fixed size
    FEATURES_OK      yes             no           yes         no

The idea: the steps of the specification's section 3 name no bus. So `VirtioDriver` speaks to this
protocol only, and whoever finds a device gives it the transport that the device has.

The rule that keeps it simple: a transport knows no step and keeps no state of the device. It turns
a call into accesses, in the widths that the bus demands.

Source: virtio 1.3 3.1 (what is needed), 4.1 (PCI), 4.2 (MMIO). Left out: channel I/O (4.3), shared
memory regions (2.10).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from virtlab.cpu import Cpu
from virtlab.memory import PAGE
from virtlab.virtio.features import Features
from virtlab.virtio.layouts import SplitRings

POLLS = 10_000
"""Reads of a register after which a device counts as dead."""

EAGER = 64
"""The first of them follow each other at once; after that time passes between two."""

NAP = 1_000_000
"""Nanoseconds that then pass."""

Areas = tuple[int, int, int]
"""Addresses of a queue's descriptor area, driver area and device area (2.6)."""


class VirtioFailed(Exception):
    """The device is not what its driver needs, or does not do what the specification says."""


class Transport(Protocol):
    """One device, as its bus shows it. `legacy` is whether this is the legacy interface.

    What a driver asks for and the transport cannot do is `ValueError`; what the device refuses or
    does not have is `VirtioFailed`.
    """

    legacy: bool

    @property
    def device_id(self) -> int:
        """Which type of device it is (5)."""

    def status(self) -> int:
        """The device status, bits of `Status`."""

    def set_status(self, status: int) -> None:
        """Write the device status; 0 asks for a reset."""

    def device_features(self) -> int:
        """The features offered, as a word."""

    def accept(self, features: Features) -> None:
        """Tell the device which features the driver accepts."""

    def queue_max(self, index: int) -> int:
        """The largest size of queue `index`; 0 if there is no such queue, or it is in use."""

    def set_queue(self, index: int, size: int, areas: Areas) -> None:
        """Tell the device where queue `index` lies, and let it use it."""

    def set_config_vector(self, vector: int) -> None:
        """The MSI-X vector for configuration changes; PCI only."""

    def set_queue_vector(self, index: int, vector: int) -> None:
        """The MSI-X vector for used buffers of queue `index`, before `set_queue`; PCI only."""

    def reset_queue(self, index: int) -> None:
        """Reset one queue, and return when that is done: RING_RESET."""

    def notify(self, index: int, following: int) -> None:
        """Ring the doorbell of queue `index`. `following` is where the next entry will go (2.9)."""

    def interrupts(self) -> int:
        """Why the device interrupts, bits of `Interrupt`; acknowledged with that."""

    def generation(self) -> int:
        """The generation of the configuration; a legacy device has none, and 0 stands for it."""

    def config_read(self, offset: int, size: int) -> int:
        """`size` bytes, 1, 2 or 4, of the device's own configuration."""

    def config_write(self, offset: int, size: int, value: int) -> None:
        """The same, written."""


def poll(cpu: Cpu, done: Callable[[], bool]) -> bool:
    """Ask `done` again and again: True when it says so, False if it never does.

    What takes a moment is seen at once. What takes longer is given time.
    """
    for number in range(POLLS):
        if done():
            return True
        if number >= EAGER:
            cpu.wait(NAP)
    return False


def legacy_page(size: int, areas: Areas) -> int:
    """The page number that says where a queue lies, if it is laid out as 2.7.2 demands."""
    rings = SplitRings.legacy(areas[0] // PAGE, size)
    if areas != (rings.desc, rings.avail, rings.used) or not areas[0]:
        raise ValueError(f"a legacy queue lies in one piece from a page border on, not at {areas}")
    return areas[0] // PAGE
