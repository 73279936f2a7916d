"""virtio-mmio: a device behind 512 bytes of memory and one interrupt wire.

    version 2   VirtioMmio(device, dma, irq)                  three addresses a queue
    version 1   VirtioMmioLegacy(device, dma, irq)            one page number a queue

The idea: the registers are declared in `mmio_registers`, and the decisions are made in `Transport`.
Here is only the wiring between them: which register asks for what.

The rule that keeps it simple: a register is four bytes, or it is not accessed at all (4.2.2.2).
What cannot be read gives 0, as does a hole. The configuration, from 0x100 on, takes any size.

The wire is high while a bit of INTERRUPT_STATUS is set; the driver takes it away bit by bit.

Source: virtio 1.3 4.2.2, 4.2.3, 4.2.4. Left out: shared memory, and placeholders without a device.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from virtlab.interrupts import IrqLine
from virtlab.memory import Dma
from virtlab.trace import Trace
from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.features import Feature
from virtlab.virtio.mmio_registers import CONFIG, LegacyMmio, MmioRegisters, ModernMmio
from virtlab.virtio.queue_setup import QueueSetup
from virtlab.virtio.session import RING_FEATURES
from virtlab.virtio.status import NOTIFICATION, Interrupt
from virtlab.virtio.transport import Transport
from virtlab.wire import all_ones

VENDOR = 0x4C54_5256
"""What VENDOR_ID says: `VRTL`, as four bytes in memory order."""

ACCESS = 4
"""Bytes of every access to a register."""


class _Mmio(MmioRegisters):
    """What both versions do. A `Device` of the bus; map it with a data path of 4 bytes."""

    legacy: ClassVar[bool]

    def __init__(
        self,
        device: VirtioDevice,
        dma: Dma,
        irq: IrqLine,
        trace: Trace | None = None,
        ring: Iterable[int] = RING_FEATURES,
    ) -> None:
        super().__init__()
        self.preset(DEVICE_ID=device.device_id, VENDOR_ID=VENDOR)
        self.irq = irq
        self.core = Transport(device, dma, self._signal, self.legacy, trace, ring)
        self.core.on_reset = self._cleared
        self._hidden = {reg.offset for reg in self.registers if reg.access == "w"}

    # -- the two verbs

    def read(self, offset: int, size: int) -> int:
        """A register, or a piece of the configuration."""
        if offset >= CONFIG:
            return self.core.read_config(offset - CONFIG, size)
        if size != ACCESS or offset % ACCESS or offset in self._hidden:
            return 0
        return super().read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A register, or a piece of the configuration."""
        if offset >= CONFIG:
            self.core.write_config(offset - CONFIG, size, value)
        elif size != ACCESS or offset % ACCESS:
            self.core.refuse(f"{size} bytes written at {offset:#x}", "virtio 1.3 4.2.2.2")
        else:
            super().write(offset, size, value)

    # -- interrupts

    def _signal(self, cause: Interrupt, index: int) -> None:
        """The device has used a buffer, or has another configuration."""
        self._set_causes(self.INTERRUPT_STATUS | cause)

    def _set_causes(self, causes: int) -> None:
        self.INTERRUPT_STATUS = causes
        self.irq.set(causes != 0)

    def write_INTERRUPT_ACK(self, old: int, new: int) -> None:
        """The driver has handled these."""
        self._set_causes(self.INTERRUPT_STATUS & ~new)

    # -- features and status

    def read_DEVICE_FEATURES(self) -> int:
        """32 features of the offer."""
        return self.core.offered_word(self.DEVICE_FEATURES_SEL, self.legacy)

    def write_DRIVER_FEATURES(self, old: int, new: int) -> None:
        """The driver accepts 32 features."""
        self.core.accept_word(self.DRIVER_FEATURES_SEL, new)

    def read_STATUS(self) -> int:
        """How far it is."""
        return self.core.status

    def write_STATUS(self, old: int, new: int) -> None:
        """A step of the driver, or 0 to reset."""
        self.core.write_status(new)

    def _cleared(self) -> None:
        """After a reset no selector is set, and no interrupt waits (4.2.2.1)."""
        self.reset()
        self.irq.set(False)

    # -- queues

    @property
    def selected(self) -> QueueSetup | None:
        """The queue that QUEUE_SEL is about, if there is one."""
        return self.core.setup(self.QUEUE_SEL)

    def read_QUEUE_SIZE_MAX(self) -> int:
        """The largest size; 0 where there is no queue."""
        return self.selected.max_size if self.selected else 0

    def write_QUEUE_SIZE(self, old: int, new: int) -> None:
        """The size that the driver chooses."""
        self.core.resize(self.QUEUE_SEL, new)

    def write_QUEUE_NOTIFY(self, old: int, new: int) -> None:
        """The doorbell. With NOTIFICATION_DATA only a part of it is the queue's index."""
        if Feature.NOTIFICATION_DATA in self.core.features:
            new = NOTIFICATION["VQ_INDEX"].get(new)
        self.core.notify(new)


class VirtioMmio(_Mmio, ModernMmio):
    """Version 2: `device` behind its registers, its interrupt on `irq`.

    The queues lie in the memory behind `dma`. `ring` is what is offered of `RING_FEATURES`.
    """

    legacy = False

    def read_QUEUE_READY(self) -> int:
        """1 while the queue is in use."""
        return int(self.selected is not None and self.selected.ready)

    def write_QUEUE_READY(self, old: int, new: int) -> None:
        """1: use the queue. 0: stop."""
        if new == 1:
            self.core.enable(self.QUEUE_SEL)
        elif new == 0:
            self.core.disable(self.QUEUE_SEL)
        else:
            self.core.refuse(f"QUEUE_READY {new:#x}", "virtio 1.3 4.2.2")

    def write_QUEUE_RESET(self, old: int, new: int) -> None:
        """1: reset this queue. It is over at once, so what is read is always 0 (4.2.2.1)."""
        self.QUEUE_RESET = 0
        if new == 1:
            self.core.reset_queue(self.QUEUE_SEL)

    def read_CONFIG_GENERATION(self) -> int:
        """Another number when the configuration has changed."""
        return self.core.generation & all_ones(ACCESS)

    def _address(self, part: str, half: int, value: int) -> None:
        """Half an address: 0 is the low one."""
        shift = 8 * ACCESS * half
        self.core.set_address(self.QUEUE_SEL, part, value << shift, all_ones(ACCESS) << shift)

    def write_QUEUE_DESC_LOW(self, old: int, new: int) -> None:
        """Where the descriptor area is."""
        self._address("desc", 0, new)

    def write_QUEUE_DESC_HIGH(self, old: int, new: int) -> None:
        """The high half."""
        self._address("desc", 1, new)

    def write_QUEUE_DRIVER_LOW(self, old: int, new: int) -> None:
        """Where the driver area is."""
        self._address("driver", 0, new)

    def write_QUEUE_DRIVER_HIGH(self, old: int, new: int) -> None:
        """The high half."""
        self._address("driver", 1, new)

    def write_QUEUE_DEVICE_LOW(self, old: int, new: int) -> None:
        """Where the device area is."""
        self._address("device", 0, new)

    def write_QUEUE_DEVICE_HIGH(self, old: int, new: int) -> None:
        """The high half."""
        self._address("device", 1, new)


class VirtioMmioLegacy(_Mmio, LegacyMmio):
    """Version 1, of before virtio 1.0: split queues of one piece, and features 0 to 31."""

    legacy = True

    def write_QUEUE_ALIGN(self, old: int, new: int) -> None:
        """Where the used ring begins."""
        self.core.set_align(self.QUEUE_SEL, new)

    def read_QUEUE_PFN(self) -> int:
        """The page in which the queue begins; 0: not in use."""
        return self.selected.frame if self.selected else 0

    def write_QUEUE_PFN(self, old: int, new: int) -> None:
        """Use the queue that begins there; 0: stop."""
        self.core.enable_legacy(self.QUEUE_SEL, new, self.GUEST_PAGE_SIZE)
