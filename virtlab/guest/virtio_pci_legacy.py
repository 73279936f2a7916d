"""The legacy interface of virtio-pci, from the driver's side: one I/O BAR with fixed offsets.

    0  features offered    8  queue address    14  queue select    18  status
    4  features accepted  12  queue size       16  doorbell        19  ISR

The idea: the driver hands over *one number*, the page at which the queue begins. The device knows
the rest, since it alone decides how many entries the queue has. This is the interface that the
first virtio had, and a transitional device still has beside the modern one.

The rule that keeps it simple: BAR 0, whatever the capabilities say (4.1.5.1.1.1). Who does not know
which interface a function has asks `pci_transport`.

With MSI-X switched on two more registers follow, and the device's configuration moves up by 4.

Source: virtio 1.3 4.1.4.10, 4.1.5.1.1.1, 4.1.5.1.3.1. Left out: guests that are not little-endian.
"""

from __future__ import annotations

from virtlab.cpu import Cpu
from virtlab.guest.pci import Access, Found, capability_list
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_structures import check_vector, device_id_of, virtio_capabilities
from virtlab.guest.virtio_transport import Areas, VirtioFailed, legacy_page
from virtlab.pci.capabilities import Msix
from virtlab.registers import Reg
from virtlab.virtio.features import Features, to_bits
from virtlab.virtio.pci_layouts import (
    LEGACY_CONFIG,
    LEGACY_CONFIG_MSIX,
    LegacyHeader,
    LegacyMsixHeader,
)
from virtlab.wire import all_ones

FEATURES = all_ones(4)
"""The features that this interface can carry: bits 0 to 31."""


class LegacyPci:
    """The device that `function` is, through its I/O BAR. `access` reaches configuration space."""

    legacy = True

    def __init__(self, cpu: Cpu, access: Access, function: Found) -> None:
        bar = next((bar for bar in function.bars if bar.index == 0), None)
        if bar is None or bar.space != "port" or bar.address is None:
            raise VirtioFailed(f"{function.place} has no I/O BAR 0, so no legacy interface")
        self.cpu = cpu
        self.access = access
        self.function = function
        self.port = bar.address
        self._msix = dict(capability_list(access, function.place)).get(Msix.id)

    # -- the registers

    def get(self, reg: Reg) -> int:
        """A register."""
        return self.cpu.inp(self.port + reg.offset, reg.width)

    def put(self, reg: Reg, value: int) -> None:
        """The same, written."""
        self.cpu.out(self.port + reg.offset, value, reg.width)

    # -- the whole device

    @property
    def device_id(self) -> int:
        """Which type of device it is (4.1.2.3)."""
        return device_id_of(self.function)

    def status(self) -> int:
        """The device status."""
        return self.get(LegacyHeader.DEVICE_STATUS)

    def set_status(self, status: int) -> None:
        """Write it; 0 resets."""
        self.put(LegacyHeader.DEVICE_STATUS, status)

    def device_features(self) -> int:
        """The features offered: the first 32."""
        return self.get(LegacyHeader.DEVICE_FEATURES)

    def accept(self, features: Features) -> None:
        """The features accepted. `ValueError` for one that has no bit here."""
        word = to_bits(features)
        if word & ~FEATURES:
            raise ValueError(f"the legacy interface has 32 features, not {word:#x}")
        self.put(LegacyHeader.DRIVER_FEATURES, word)

    def interrupts(self) -> int:
        """Why it interrupts. Reading it acknowledges it."""
        return self.get(LegacyHeader.ISR_STATUS)

    def generation(self) -> int:
        """A legacy device has none."""
        return 0

    def config_read(self, offset: int, size: int) -> int:
        """`size` bytes of the device's own configuration."""
        return self.cpu.inp(self._config + offset, size)

    def config_write(self, offset: int, size: int, value: int) -> None:
        """The same, written."""
        self.cpu.out(self._config + offset, value, size)

    @property
    def _config(self) -> int:
        """Where the configuration is now: it moves when MSI-X is switched (4.1.4.10)."""
        return self.port + (LEGACY_CONFIG_MSIX if self.msix else LEGACY_CONFIG)

    @property
    def msix(self) -> bool:
        """Whether MSI-X is on."""
        if self._msix is None:
            return False
        at = self._msix + Msix.CONTROL.offset
        return bool(Msix.CONTROL.ENABLE.get(self.access.read(self.function.place, at, 2)))

    def set_config_vector(self, vector: int) -> None:
        """The MSI-X vector for configuration changes. `VirtioFailed` if the device refuses it."""
        self._map(LegacyMsixHeader.CONFIG_MSIX_VECTOR, vector)

    # -- a queue

    def queue_max(self, index: int) -> int:
        """Select the queue, see that nobody uses it: the one size it can have."""
        self.put(LegacyHeader.QUEUE_SELECT, index)
        return 0 if self.get(LegacyHeader.QUEUE_ADDRESS) else self.get(LegacyHeader.QUEUE_SIZE)

    def set_queue(self, index: int, size: int, areas: Areas) -> None:
        """Hand over the page number. There is no way to choose a size (4.1.5.1.3.1)."""
        page = legacy_page(size, areas)
        self.put(LegacyHeader.QUEUE_SELECT, index)
        fixed = self.get(LegacyHeader.QUEUE_SIZE)
        if size != fixed:
            raise ValueError(f"queue {index} has {fixed} entries, whoever asks for {size}")
        self.put(LegacyHeader.QUEUE_ADDRESS, page)

    def set_queue_vector(self, index: int, vector: int) -> None:
        """The MSI-X vector for used buffers of queue `index`."""
        self.put(LegacyHeader.QUEUE_SELECT, index)
        self._map(LegacyMsixHeader.QUEUE_MSIX_VECTOR, vector)

    def _map(self, reg: Reg, vector: int) -> None:
        """After mapping an event, the driver must read it back (4.1.5.1.2.2)."""
        if not self.msix:
            raise ValueError("the vectors are there only while MSI-X is on")
        check_vector(self.access, self.function.place, vector)
        self.put(reg, vector)
        if self.get(reg) != vector:
            raise VirtioFailed(f"the device did not take MSI-X vector {vector}")

    def reset_queue(self, index: int) -> None:
        """`ValueError`: there is no such register."""
        raise ValueError("a legacy device cannot reset one queue")

    def notify(self, index: int, following: int) -> None:
        """The queue's index; NOTIFICATION_DATA has no bit here."""
        self.put(LegacyHeader.QUEUE_NOTIFY, index)


def pci_transport(cpu: Cpu, access: Access, function: Found) -> ModernPci | LegacyPci:
    """The interface that a transitional driver uses of `function`: the modern one if it is there.

    `VirtioFailed` if there is neither.
    """
    # Without virtio capabilities, a driver MUST assume a legacy device (4.1.5.1.1.1).
    if virtio_capabilities(access, function.place):
        return ModernPci(cpu, access, function)
    return LegacyPci(cpu, access, function)
