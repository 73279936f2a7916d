"""The structures behind a modern virtio-pci function's memory BAR, as registers that answer.

    0x0000  CommonStructure      features, status, the selected queue
    0x1000  ISR                  (in `pci`: it concerns the pin)
    0x2000  DeviceStructure      the device's own configuration
    0x3000  Doorbells            one for each queue, four bytes apart

The idea: each structure is a `Device` of its own, so that a capability may place it anywhere.
`Structures` puts them into one BAR, a page each.

The rule that keeps it simple: a write goes through only while the driver uses this interface. On a
transitional function the legacy ports may be in use instead; a reset is heard from both.

Source: virtio 1.3 4.1.4.3 (common), 4.1.4.4 (doorbells), 4.1.4.6 (configuration), 4.1.5.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.bus import Device
from virtlab.virtio.features import Feature
from virtlab.virtio.pci_layouts import CommonConfig
from virtlab.virtio.queue_setup import QueueSetup
from virtlab.virtio.status import NO_VECTOR
from virtlab.virtio.transport import Transport

PART = 0x1000
"""Bytes that each structure has to itself."""

MULTIPLIER = 4
"""Bytes from one doorbell to the next: room for NOTIFICATION_DATA."""


class CommonStructure(CommonConfig):
    """The common configuration structure of `core`."""

    def __init__(self, core: Transport) -> None:
        super().__init__()
        self.core = core
        self.preset(NUM_QUEUES=len(core.queues))

    def write(self, offset: int, size: int, value: int) -> None:
        """A masked write, if the driver uses this interface or resets the device."""
        status = CommonConfig.DEVICE_STATUS
        resets = offset == status.offset and size == status.width and value == 0
        if resets or self.core.claim(legacy=False):
            super().write(offset, size, value)

    # -- the whole device

    def read_DEVICE_FEATURE(self) -> int:
        """32 features of the offer."""
        return self.core.offered_word(self.DEVICE_FEATURE_SELECT)

    def read_DRIVER_FEATURE(self) -> int:
        """32 of those that the driver has accepted."""
        return self.core.accepted_word(self.DRIVER_FEATURE_SELECT)

    def write_DRIVER_FEATURE(self, old: int, new: int) -> None:
        """The driver accepts 32 features."""
        self.core.accept_word(self.DRIVER_FEATURE_SELECT, new)

    def read_CONFIG_MSIX_VECTOR(self) -> int:
        """The vector for another configuration, or NO_VECTOR."""
        return self.core.config_vector

    def write_CONFIG_MSIX_VECTOR(self, old: int, new: int) -> None:
        """Map it. What the table does not have becomes NO_VECTOR."""
        self.core.config_vector = self.core.vector(new)

    def read_DEVICE_STATUS(self) -> int:
        """How far it is."""
        return self.core.status

    def write_DEVICE_STATUS(self, old: int, new: int) -> None:
        """A step of the driver, or 0 to reset."""
        self.core.write_status(new)

    def read_CONFIG_GENERATION(self) -> int:
        """Another number when the configuration has changed."""
        return self.core.generation & 0xFF

    # -- the selected queue

    @property
    def selected(self) -> QueueSetup | None:
        """The queue that QUEUE_SELECT is about, if there is one."""
        return self.core.setup(self.QUEUE_SELECT)

    def read_QUEUE_SIZE(self) -> int:
        """Its size: the largest, until the driver chooses one; 0: there is no such queue."""
        return self.selected.size if self.selected else 0

    def write_QUEUE_SIZE(self, old: int, new: int) -> None:
        """The size that the driver chooses."""
        self.core.resize(self.QUEUE_SELECT, new)

    def read_QUEUE_MSIX_VECTOR(self) -> int:
        """The vector for its used buffers, or NO_VECTOR."""
        return self.selected.vector if self.selected else NO_VECTOR

    def write_QUEUE_MSIX_VECTOR(self, old: int, new: int) -> None:
        """Map it. What the table does not have becomes NO_VECTOR."""
        if self.selected:
            self.selected.vector = self.core.vector(new)

    def read_QUEUE_ENABLE(self) -> int:
        """1 while it is in use."""
        return int(self.selected is not None and self.selected.ready)

    def write_QUEUE_ENABLE(self, old: int, new: int) -> None:
        """1: use it. The driver MUST NOT write 0 (4.1.4.3.2)."""
        if new == 1:
            self.core.enable(self.QUEUE_SELECT)
        else:
            self.core.refuse(f"queue_enable {new}", "virtio 1.3 4.1.4.3.2")

    def read_QUEUE_NOTIFY_OFF(self) -> int:
        """Which doorbell is its own."""
        return self.QUEUE_SELECT if self.selected else 0

    def read_QUEUE_NOTIF_CONFIG_DATA(self) -> int:
        """What the driver tells the doorbell, if it accepted that: here the queue's index."""
        agreed = Feature.NOTIF_CONFIG_DATA in self.core.features
        return self.QUEUE_SELECT if agreed and self.selected else 0

    def read_QUEUE_RESET(self) -> int:
        """0: a reset is over at once (4.1.4.3.1)."""
        return 0

    def write_QUEUE_RESET(self, old: int, new: int) -> None:
        """1: reset this queue."""
        if new == 1:
            self.core.reset_queue(self.QUEUE_SELECT)

    # -- its addresses: an access may be of one half

    def read_QUEUE_DESC(self) -> int:
        """Where the descriptor area is."""
        return self.selected.desc if self.selected else 0

    def write_QUEUE_DESC(self, old: int, new: int) -> None:
        """Place the descriptor area."""
        self.core.set_address(self.QUEUE_SELECT, "desc", new, self.lanes)

    def read_QUEUE_DRIVER(self) -> int:
        """Where the driver area is."""
        return self.selected.driver if self.selected else 0

    def write_QUEUE_DRIVER(self, old: int, new: int) -> None:
        """Place the driver area."""
        self.core.set_address(self.QUEUE_SELECT, "driver", new, self.lanes)

    def read_QUEUE_DEVICE(self) -> int:
        """Where the device area is."""
        return self.selected.device if self.selected else 0

    def write_QUEUE_DEVICE(self, old: int, new: int) -> None:
        """Place the device area."""
        self.core.set_address(self.QUEUE_SELECT, "device", new, self.lanes)


class DeviceStructure:
    """The device-specific configuration structure."""

    def __init__(self, core: Transport) -> None:
        self.core = core

    def read(self, offset: int, size: int) -> int:
        """A piece of the configuration."""
        return self.core.read_config(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A field that the driver may write."""
        if self.core.claim(legacy=False):
            self.core.write_config(offset, size, value)


class Doorbells:
    """The notification structure: where it is written says which queue, whatever the value."""

    def __init__(self, core: Transport) -> None:
        self.core = core

    def read(self, offset: int, size: int) -> int:
        """There is nothing to read."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Ring: 16 bits, or 32 with NOTIFICATION_DATA (4.1.5.2.1)."""
        expected = 4 if Feature.NOTIFICATION_DATA in self.core.features else 2
        if size != expected or offset % MULTIPLIER:
            self.core.refuse(f"a doorbell of {size} bytes", "virtio 1.3 4.1.5.2.1")
        elif self.core.claim(legacy=False):
            self.core.notify(offset // MULTIPLIER)


class Structures:
    """Several structures behind one BAR, a page each: a power of two of them."""

    def __init__(self, parts: Sequence[Device]) -> None:
        self.parts = parts
        self.length = PART * len(parts)

    def read(self, offset: int, size: int) -> int:
        """An access to one of them."""
        return self.parts[offset // PART].read(offset % PART, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """An access to one of them."""
        self.parts[offset // PART].write(offset % PART, size, value)
