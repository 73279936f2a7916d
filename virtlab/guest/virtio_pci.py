"""The virtio-pci transport of a modern device, from the driver's side.

    COMMON_CFG   features, status, queues         NOTIFY_CFG   the doorbells
    ISR_CFG      why it interrupts                DEVICE_CFG   the device's own configuration

The idea: the capabilities have said where each structure is. From there on it is a register map as
any other, but for the doorbell of a queue, which has to be computed:

    notify structure + queue_notify_off x notify_off_multiplier

The rule that keeps it simple: a field is accessed in its own width, and a field of 64 bits as two
halves, the low one first (4.1.3.1).

Source: virtio 1.3 4.1.3.1, 4.1.4.3 to 4.1.4.6, 4.1.5. Left out: shared memory, administration
queues, choosing among several doorbell structures. `virtio_pci_legacy` has the legacy interface.
"""

from __future__ import annotations

from virtlab.cpu import Cpu
from virtlab.guest.pci import Access, Found
from virtlab.guest.virtio_pci_structures import (
    Structure,
    Window,
    check_vector,
    device_id_of,
    virtio_capabilities,
)
from virtlab.guest.virtio_transport import Areas, VirtioFailed, poll
from virtlab.registers import Reg
from virtlab.virtio.features import Feature, Features, to_bits
from virtlab.virtio.pci_layouts import CfgType, CommonConfig, IsrStatus, NotifyCap
from virtlab.virtio.status import notification
from virtlab.wire import all_ones

_AREAS = (CommonConfig.QUEUE_DESC, CommonConfig.QUEUE_DRIVER, CommonConfig.QUEUE_DEVICE)
"""The fields of a queue's three areas."""


class ModernPci:
    """The device that `function` is. `access` reaches its configuration space.

    With `window` every structure is reached through configuration space. `VirtioFailed` if a
    structure is missing that every device has.
    """

    legacy = False

    def __init__(self, cpu: Cpu, access: Access, function: Found, window: bool = False) -> None:
        self.cpu = cpu
        self.access = access
        self.function = function
        self.window = window
        self.features: Features = frozenset()
        self.capabilities = virtio_capabilities(access, function.place)
        self.common = self._structure(CfgType.COMMON_CFG)
        self.doorbells = self._structure(CfgType.NOTIFY_CFG)
        self.isr = self._structure(CfgType.ISR_CFG)
        at = self.capabilities[CfgType.NOTIFY_CFG].at + NotifyCap.NOTIFY_OFF_MULTIPLIER.offset
        self.multiplier = access.read(function.place, at, 4)
        self.bells: dict[int, tuple[int, int]] = {}

    def _structure(self, kind: CfgType) -> Structure:
        if kind not in self.capabilities:
            raise VirtioFailed(f"{self.function.place} has no structure {kind.name}")
        found = self.capabilities[kind]
        if self.window:
            through = self.capabilities[CfgType.PCI_CFG]
            return Window(self.access, self.function.place, through, found)
        bar = next((bar for bar in self.function.bars if bar.index == found.bar), None)
        if bar is None or bar.address is None:
            raise VirtioFailed(f"{kind.name} is behind BAR {found.bar}, which has no address")
        return Structure(self.cpu, bar.space, bar.address + found.offset, found.length)

    # -- the registers

    def get(self, reg: Reg) -> int:
        """A field of the common configuration."""
        halves = range(0, reg.width, 4)
        width = min(reg.width, 4)
        return sum(self.common.read(reg.offset + at, width) << 8 * at for at in halves)

    def put(self, reg: Reg, value: int) -> None:
        """The same, written."""
        width = min(reg.width, 4)
        for at in range(0, reg.width, 4):
            self.common.write(reg.offset + at, width, value >> 8 * at & all_ones(width))

    # -- the whole device

    @property
    def device_id(self) -> int:
        """Which type of device it is, by its PCI device id (4.1.2)."""
        return device_id_of(self.function)

    def status(self) -> int:
        """The device status."""
        return self.get(CommonConfig.DEVICE_STATUS)

    def set_status(self, status: int) -> None:
        """Write it; 0 resets."""
        self.put(CommonConfig.DEVICE_STATUS, status)

    def device_features(self) -> int:
        """The features offered, 32 at a time."""
        word = 0
        for half in range(2):
            self.put(CommonConfig.DEVICE_FEATURE_SELECT, half)
            word |= self.get(CommonConfig.DEVICE_FEATURE) << 32 * half
        return word

    def accept(self, features: Features) -> None:
        """The features accepted, the same way."""
        word = to_bits(features)
        for half in range(2):
            self.put(CommonConfig.DRIVER_FEATURE_SELECT, half)
            self.put(CommonConfig.DRIVER_FEATURE, word >> 32 * half & all_ones(4))
        self.features = features

    def interrupts(self) -> int:
        """Why it interrupts. Reading it acknowledges it (4.1.4.5)."""
        return self.isr.read(IsrStatus.ISR_STATUS.offset, 1)

    def generation(self) -> int:
        """The generation of the configuration."""
        return self.get(CommonConfig.CONFIG_GENERATION)

    def config_read(self, offset: int, size: int) -> int:
        """`size` bytes of the device's own configuration. `VirtioFailed` if it has none there."""
        return self._structure(CfgType.DEVICE_CFG).read(offset, size)

    def config_write(self, offset: int, size: int, value: int) -> None:
        """The same, written."""
        self._structure(CfgType.DEVICE_CFG).write(offset, size, value)

    def set_config_vector(self, vector: int) -> None:
        """The MSI-X vector for configuration changes. `VirtioFailed` if the device refuses it."""
        self._map(CommonConfig.CONFIG_MSIX_VECTOR, vector)

    # -- a queue

    def queue_max(self, index: int) -> int:
        """Select the queue; its size is at first the largest (4.1.5.1.3)."""
        self.put(CommonConfig.QUEUE_SELECT, index)
        in_use = self.get(CommonConfig.QUEUE_ENABLE)
        return 0 if in_use else self.get(CommonConfig.QUEUE_SIZE)

    def set_queue(self, index: int, size: int, areas: Areas) -> None:
        """Size and addresses, where its doorbell is, and QUEUE_ENABLE last (4.1.4.3.2)."""
        self.put(CommonConfig.QUEUE_SELECT, index)
        self.put(CommonConfig.QUEUE_SIZE, size)
        for reg, gpa in zip(_AREAS, areas, strict=True):
            self.put(reg, gpa)
        self.bells[index] = self._bell(index)
        self.put(CommonConfig.QUEUE_ENABLE, 1)

    def _bell(self, index: int) -> tuple[int, int]:
        """Where the selected queue's doorbell is, and by which number the device wants it named."""
        offset = self.get(CommonConfig.QUEUE_NOTIFY_OFF) * self.multiplier
        if Feature.NOTIF_CONFIG_DATA in self.features:
            return offset, self.get(CommonConfig.QUEUE_NOTIF_CONFIG_DATA)
        return offset, index

    def set_queue_vector(self, index: int, vector: int) -> None:
        """The MSI-X vector for used buffers of queue `index`, before `set_queue`."""
        self.put(CommonConfig.QUEUE_SELECT, index)
        self._map(CommonConfig.QUEUE_MSIX_VECTOR, vector)

    def _map(self, reg: Reg, vector: int) -> None:
        """After mapping an event, the driver must read it back (4.1.5.1.2.2)."""
        check_vector(self.access, self.function.place, vector)
        self.put(reg, vector)
        if self.get(reg) != vector:
            raise VirtioFailed(f"the device did not take MSI-X vector {vector}")

    def reset_queue(self, index: int) -> None:
        """Write 1 to QUEUE_RESET, and read until it is 0 again (4.1.4.3.2).

        Then QUEUE_ENABLE is 0 too (4.1.4.3.1).
        """
        self.put(CommonConfig.QUEUE_SELECT, index)
        self.put(CommonConfig.QUEUE_RESET, 1)
        if not poll(self.cpu, lambda: not self.get(CommonConfig.QUEUE_RESET)):
            raise VirtioFailed(f"the reset of queue {index} does not end")
        if self.get(CommonConfig.QUEUE_ENABLE):
            raise VirtioFailed(f"queue {index} is still in use after its reset")

    def notify(self, index: int, following: int) -> None:
        """16 bits that name the queue, or with NOTIFICATION_DATA 32 that say more (4.1.5.2)."""
        offset, ident = self.bells[index]
        if Feature.NOTIFICATION_DATA in self.features:
            self.doorbells.write(offset, 4, notification(ident, following))
        else:
            self.doorbells.write(offset, 2, ident)
