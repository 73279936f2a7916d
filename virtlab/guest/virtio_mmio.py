"""The virtio-mmio transport, from the driver's side: a window of registers at a known address.

    select the queue    QUEUE_SEL
    say where it lies   version 2: six halves of three addresses; version 1: one page number
    say that it is      version 2: QUEUE_READY = 1                version 1: the page number itself

The idea: nothing on this bus can be enumerated. A device tree, an ACPI table or a command line says
where the windows are. A window may be empty: then DEVICE_ID is 0, and that is no error.

The rule that keeps it simple: every register is read and written as 4 bytes (4.2.2.2), and each
half of a feature word, and each queue, is selected before it is touched.

Source: virtio 1.3 4.2.2.2, 4.2.3 (version 2), 4.2.4 (version 1). Left out: shared memory regions.
"""

from __future__ import annotations

from collections.abc import Iterable

from virtlab.cpu import Cpu
from virtlab.guest.virtio_transport import Areas, VirtioFailed, legacy_page, poll
from virtlab.memory import PAGE
from virtlab.registers import Reg
from virtlab.virtio.features import Feature, Features, to_bits
from virtlab.virtio.mmio_registers import (
    CONFIG,
    LEGACY,
    MAGIC,
    MODERN,
    LegacyMmio,
    MmioRegisters,
    ModernMmio,
)
from virtlab.virtio.status import notification
from virtlab.wire import all_ones

_ADDRESSES = (
    (ModernMmio.QUEUE_DESC_LOW, ModernMmio.QUEUE_DESC_HIGH),
    (ModernMmio.QUEUE_DRIVER_LOW, ModernMmio.QUEUE_DRIVER_HIGH),
    (ModernMmio.QUEUE_DEVICE_LOW, ModernMmio.QUEUE_DEVICE_HIGH),
)
"""The registers of a queue's three areas."""

PCI_ONLY: Features = frozenset({Feature.SR_IOV, Feature.NOTIF_CONFIG_DATA})
"""Features that mean something over PCI alone: here no register has what they need (6)."""


class MmioTransport:
    """The device whose window begins at `base` (gpa), through `cpu`; `probe` finds out which."""

    legacy = False

    def __init__(self, cpu: Cpu, base: int) -> None:
        self.cpu = cpu
        self.base = base
        self.features: Features = frozenset()

    # -- the registers

    def get(self, reg: Reg) -> int:
        """A register."""
        return self.cpu.load(self.base + reg.offset, 4)

    def put(self, reg: Reg, value: int) -> None:
        """The same, written."""
        self.cpu.store(self.base + reg.offset, value, 4)

    # -- the whole device

    @property
    def device_id(self) -> int:
        """Which type of device it is; 0 is nobody."""
        return self.get(MmioRegisters.DEVICE_ID)

    def status(self) -> int:
        """The device status."""
        return self.get(MmioRegisters.STATUS)

    def set_status(self, status: int) -> None:
        """Write it; 0 resets."""
        self.put(MmioRegisters.STATUS, status)

    def device_features(self) -> int:
        """The features offered: 32 at a time, the selector first."""
        word = 0
        for half in self._halves:
            self.put(MmioRegisters.DEVICE_FEATURES_SEL, half)
            word |= self.get(MmioRegisters.DEVICE_FEATURES) << 32 * half
        # The driver MUST ignore any feature bit that the transport does not support (2.2.1).
        return word & ~to_bits(PCI_ONLY)

    def accept(self, features: Features) -> None:
        """The features accepted, the same way."""
        word = to_bits(features)
        for half in self._halves:
            self.put(MmioRegisters.DRIVER_FEATURES_SEL, half)
            self.put(MmioRegisters.DRIVER_FEATURES, word >> 32 * half & all_ones(4))
        self.features = features

    @property
    def _halves(self) -> range:
        """Which 32 bits there are: a legacy device has the first only."""
        return range(1) if self.legacy else range(2)

    def interrupts(self) -> int:
        """Why it interrupts, acknowledged."""
        causes = self.get(MmioRegisters.INTERRUPT_STATUS)
        causes &= sum(bits.mask for bits in MmioRegisters.INTERRUPT_STATUS.fields.values())
        if causes:
            self.put(MmioRegisters.INTERRUPT_ACK, causes)
        return causes

    def generation(self) -> int:
        """The generation of the configuration."""
        return self.get(ModernMmio.CONFIG_GENERATION)

    def config_read(self, offset: int, size: int) -> int:
        """`size` bytes of the configuration, in one access of that width (4.2.2.2)."""
        return self.cpu.load(self.base + CONFIG + offset, size)

    def config_write(self, offset: int, size: int, value: int) -> None:
        """The same, written."""
        self.cpu.store(self.base + CONFIG + offset, value, size)

    def set_config_vector(self, vector: int) -> None:
        """`ValueError`: there is one wire for everything (4.2.3.4)."""
        raise ValueError("virtio-mmio has one interrupt, and no vectors")

    def set_queue_vector(self, index: int, vector: int) -> None:
        """`ValueError`, too."""
        self.set_config_vector(vector)

    # -- a queue

    def queue_max(self, index: int) -> int:
        """Select the queue, see that nobody uses it, and ask how large it may be (4.2.3.2)."""
        self.put(MmioRegisters.QUEUE_SEL, index)
        return 0 if self._in_use() else self.get(MmioRegisters.QUEUE_SIZE_MAX)

    def set_queue(self, index: int, size: int, areas: Areas) -> None:
        """Size and addresses first, QUEUE_READY last."""
        self.put(MmioRegisters.QUEUE_SEL, index)
        self.put(MmioRegisters.QUEUE_SIZE, size)
        for (low, high), gpa in zip(_ADDRESSES, areas, strict=True):
            self.put(low, gpa & all_ones(4))
            self.put(high, gpa >> 32)
        self.put(ModernMmio.QUEUE_READY, 1)

    def stop_queue(self, index: int) -> None:
        """Use the queue no more. Reading it back makes sure that the device knows (4.2.2.2)."""
        self.put(MmioRegisters.QUEUE_SEL, index)
        self.put(ModernMmio.QUEUE_READY, 0)
        if self.get(ModernMmio.QUEUE_READY):
            raise VirtioFailed(f"queue {index} does not stop")

    def reset_queue(self, index: int) -> None:
        """Write 1 to QUEUE_RESET, and read until it is 0 again (4.2.2.2).

        Then QUEUE_READY is 0 too (4.2.2.1). A device that has no such register reads as 0 at once.
        """
        self.put(MmioRegisters.QUEUE_SEL, index)
        self.put(ModernMmio.QUEUE_RESET, 1)
        if not poll(self.cpu, lambda: not self.get(ModernMmio.QUEUE_RESET)):
            raise VirtioFailed(f"the reset of queue {index} does not end")
        if self._in_use():
            raise VirtioFailed(f"queue {index} is still in use after its reset")

    def notify(self, index: int, following: int) -> None:
        """The queue's index, or with NOTIFICATION_DATA how far the driver is as well (4.2.3.3)."""
        more = Feature.NOTIFICATION_DATA in self.features
        self.put(MmioRegisters.QUEUE_NOTIFY, notification(index, following) if more else index)

    def _in_use(self) -> int:
        return self.get(ModernMmio.QUEUE_READY)


class LegacyMmioTransport(MmioTransport):
    """The same for a device of version 1. `accept` also says how large a page is here."""

    legacy = True

    def accept(self, features: Features) -> None:
        """The features, and the page size, which the device must know before any queue (4.2.4)."""
        super().accept(features)
        self.put(LegacyMmio.GUEST_PAGE_SIZE, PAGE)

    def generation(self) -> int:
        """A legacy device has none."""
        return 0

    def set_queue(self, index: int, size: int, areas: Areas) -> None:
        """Size and alignment first, then the page number, which is the signal too (4.2.4)."""
        page = legacy_page(size, areas)
        self.put(MmioRegisters.QUEUE_SEL, index)
        self.put(MmioRegisters.QUEUE_SIZE, size)
        self.put(LegacyMmio.QUEUE_ALIGN, PAGE)
        self.put(LegacyMmio.QUEUE_PFN, page)

    def stop_queue(self, index: int) -> None:
        """Take the page number away (4.2.4)."""
        self.put(MmioRegisters.QUEUE_SEL, index)
        self.put(LegacyMmio.QUEUE_PFN, 0)

    def reset_queue(self, index: int) -> None:
        """`ValueError`: there is no such register."""
        raise ValueError("a legacy device cannot reset one queue")

    def _in_use(self) -> int:
        return self.get(LegacyMmio.QUEUE_PFN)


def probe(cpu: Cpu, base: int) -> MmioTransport | None:
    """The transport of what is at `base`; None if nobody is there (4.2.3.1).

    Magic value and version come first. After a device id of 0 no other register is touched.
    """
    if cpu.load(base + MmioRegisters.MAGIC_VALUE.offset, 4) != MAGIC:
        return None
    kinds = {MODERN: MmioTransport, LEGACY: LegacyMmioTransport}
    kind = kinds.get(cpu.load(base + MmioRegisters.VERSION.offset, 4))
    if kind is None:
        return None
    found = kind(cpu, base)
    return found if found.device_id else None


def find(cpu: Cpu, windows: Iterable[int], device_id: int) -> MmioTransport:
    """The first device of type `device_id` in `windows`. `LookupError` if there is none."""
    for base in windows:
        found = probe(cpu, base)
        if found is not None and found.device_id == device_id:
            return found
    raise LookupError(f"no virtio device of type {device_id} is in these windows")
