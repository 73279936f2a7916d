"""The legacy interface of virtio-pci: a header in I/O ports, and the configuration behind it.

    0  features offered     8  queue address / 4096    16  doorbell    20  vectors, if MSI-X is on
    4  features accepted   12  size    14  select      18  status      20 or 24  configuration
                                                       19  ISR

The idea: everything of before virtio 1.0 is in these 20 bytes. No capability says where, no feature
beyond bit 31, no FEATURES_OK, and a queue is one number: the page in which it begins.

The rule that keeps it simple: the header asks the same `Transport` as the modern structures do. On
a transitional function both are there, and the first that is written is the one in use.

When MSI-X is switched on, two registers appear and the configuration moves: the specification says
so, and adds "If you turn it off again, they move back!".

Source: virtio 1.3 4.1.4.10, 4.1.5.1.3.1 (alignment 4096, no choice of size), 2.7.2, 3.1.2.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.memory import PAGE
from virtlab.virtio.pci_layouts import (
    LEGACY_CONFIG,
    LEGACY_CONFIG_MSIX,
    LegacyHeader,
    LegacyMsixHeader,
)
from virtlab.virtio.queue_setup import QueueSetup
from virtlab.virtio.status import NO_VECTOR
from virtlab.virtio.transport import Transport
from virtlab.wire import all_ones


class LegacyPorts(LegacyMsixHeader):
    """The legacy header of `core`, a `Device` for an I/O BAR.

    `take_isr` reads and clears the ISR status; `messages` says whether MSI-X is on.
    """

    def __init__(
        self, core: Transport, take_isr: Callable[[], int], messages: Callable[[], bool]
    ) -> None:
        super().__init__()
        self.core = core
        self.take_isr = take_isr
        self.messages = messages

    @property
    def header(self) -> int:
        """Bytes before the configuration."""
        return LEGACY_CONFIG_MSIX if self.messages() else LEGACY_CONFIG

    # -- the two verbs

    def read(self, offset: int, size: int) -> int:
        """Registers of the header, or a piece of the configuration."""
        if offset >= self.header:
            return self.core.read_config(offset - self.header, size)
        return super().read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """The same, if the driver uses this interface or resets the device."""
        status = LegacyHeader.DEVICE_STATUS
        resets = offset == status.offset and size == status.width and value == 0
        if not resets and not self.core.claim(legacy=True):
            return
        if offset >= self.header:
            self.core.write_config(offset - self.header, size, value)
        else:
            super().write(offset, size, value)

    # -- the whole device

    def read_DEVICE_FEATURES(self) -> int:
        """Features 0 to 31 of the offer."""
        return self.core.offered_word(0, legacy=True)

    def read_DRIVER_FEATURES(self) -> int:
        """Those of them that were accepted."""
        return self.core.accepted_word(0)

    def write_DRIVER_FEATURES(self, old: int, new: int) -> None:
        """The driver accepts features."""
        self.core.accept_word(0, new)

    def read_DEVICE_STATUS(self) -> int:
        """How far it is."""
        return self.core.status

    def write_DEVICE_STATUS(self, old: int, new: int) -> None:
        """A step of the driver, or 0 to reset."""
        self.core.write_status(new)

    def read_ISR_STATUS(self) -> int:
        """Why it interrupts; reading clears it, and lets the pin fall."""
        return self.take_isr()

    def read_CONFIG_MSIX_VECTOR(self) -> int:
        """The vector for another configuration, or NO_VECTOR."""
        return self.core.config_vector

    def write_CONFIG_MSIX_VECTOR(self, old: int, new: int) -> None:
        """Map it. What the table does not have becomes NO_VECTOR."""
        self.core.config_vector = self.core.vector(new)

    # -- the selected queue

    @property
    def selected(self) -> QueueSetup | None:
        """The queue that QUEUE_SELECT is about, if there is one."""
        return self.core.setup(self.QUEUE_SELECT)

    def read_QUEUE_SIZE(self) -> int:
        """Its size, which the driver cannot choose; 0: there is no such queue."""
        return self.selected.size if self.selected else 0

    def read_QUEUE_ADDRESS(self) -> int:
        """The page in which it begins; 0: not in use."""
        return self.selected.frame if self.selected else 0

    def write_QUEUE_ADDRESS(self, old: int, new: int) -> None:
        """Use the queue that begins there; 0: stop. Half an address would be another one."""
        if self.lanes != all_ones(LegacyHeader.QUEUE_ADDRESS.width):
            self.core.refuse("a part of a queue's address", "virtio 1.3 4.1.4.10")
        else:
            self.core.enable_legacy(self.QUEUE_SELECT, new, PAGE)

    def write_QUEUE_NOTIFY(self, old: int, new: int) -> None:
        """The doorbell."""
        self.core.notify(new)

    def read_QUEUE_MSIX_VECTOR(self) -> int:
        """The vector for its used buffers, or NO_VECTOR."""
        return self.selected.vector if self.selected else NO_VECTOR

    def write_QUEUE_MSIX_VECTOR(self, old: int, new: int) -> None:
        """Map it. What the table does not have becomes NO_VECTOR."""
        if self.selected:
            self.selected.vector = self.core.vector(new)
