"""The registers of virtio-mmio, each declared once: version 2, and version 1 of the legacy devices.

    0x000  who is there           0x050  doorbell              0x0FC  configuration generation
    0x010  features, by selector  0x060  interrupts            0x100  the device's configuration
    0x030  queues, by selector    0x070  status

The idea: a device has 32 bits for the features and one set of registers for all its queues. A
selector says which 32 features, which queue. So the window has 512 bytes, however many there are.

    version 2   three addresses of 64 bits a queue         QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE
    version 1   one page number a queue, all parts behind  QUEUE_PFN, GUEST_PAGE_SIZE, QUEUE_ALIGN

The rule that keeps it simple: every register has four bytes, and is accessed as four (4.2.2.2).

Source: virtio 1.3 4.2.2, 4.2.4. Names as there, in capitals: `QueueSizeMax` is `QUEUE_SIZE_MAX`,
once `QueueNumMax`. Version 1 calls DEVICE_FEATURES `HostFeatures` and DRIVER_FEATURES
`GuestFeatures`; here they have one name.
"""

from __future__ import annotations

from virtlab.registers import Reg, RegisterFile
from virtlab.virtio.status import NOTIFICATION, Interrupt, Status, fields
from virtlab.wire import all_ones

MAGIC = 0x7472_6976
"""`virt`, as four bytes in memory order."""

LEGACY, MODERN = 1, 2
"""The versions that there are."""

CONFIG = 0x100
"""Offset of the device's own configuration."""

WINDOW = 0x200
"""Bytes that a board sets aside for one device."""

_SPEC = "virtio 1.3 4.2.2"
_LEGACY = "virtio 1.3 4.2.4"
_CAUSES = fields(Interrupt)


def _read(offset: int, doc: str, spec: str = _SPEC, reset: int = 0) -> Reg:
    """A register that the driver only reads."""
    return Reg(offset, 4, reset, access="r", spec=spec, doc=doc)


def _write(offset: int, doc: str, spec: str = _SPEC) -> Reg:
    """A register that the driver only writes."""
    return Reg(offset, 4, rw=all_ones(4), access="w", spec=spec, doc=doc)


class MmioRegisters(RegisterFile):
    """What both versions have. `length` is what lies before the configuration."""

    length = CONFIG
    MAGIC_VALUE = _read(0x000, "Says that a virtio device is here: `virt`.", reset=MAGIC)
    VERSION = _read(0x004, "2; a legacy device says 1.", reset=MODERN)
    DEVICE_ID = _read(0x008, "What kind of device; 0: nobody, and no error either.")
    VENDOR_ID = _read(0x00C, "Who made it.")
    DEVICE_FEATURES = _read(0x010, "32 of the features that are offered.")
    DEVICE_FEATURES_SEL = _write(0x014, "Which 32: 0 for bits 0 to 31, 1 for 32 to 63.")
    DRIVER_FEATURES = _write(0x020, "32 of the features that the driver accepts.")
    DRIVER_FEATURES_SEL = _write(0x024, "Which 32.")
    QUEUE_SEL = _write(0x030, "Which queue the other queue registers are about.")
    QUEUE_SIZE_MAX = _read(0x034, "Its largest size; 0: there is no such queue.")
    QUEUE_SIZE = _write(0x038, "The size that the driver chose.")
    QUEUE_NOTIFY = Reg(
        0x050,
        4,
        rw=all_ones(4),
        access="w",
        fields=NOTIFICATION,
        spec=f"{_SPEC}, 2.9",
        doc="The doorbell. Without NOTIFICATION_DATA the whole register is the queue's index.",
    )
    INTERRUPT_STATUS = Reg(
        0x060, 4, access="r", fields=_CAUSES, spec=_SPEC, doc="Why the wire is high."
    )
    INTERRUPT_ACK = Reg(
        0x064,
        4,
        rw=all_ones(4),
        access="w",
        fields=_CAUSES,
        spec=_SPEC,
        doc="A 1 takes the same bit of INTERRUPT_STATUS away.",
    )
    STATUS = Reg(
        0x070,
        4,
        rw=0xFF,
        fields=fields(Status),
        spec=f"{_SPEC}, 2.1",
        doc="How far it is; 0 resets.",
    )


class ModernMmio(MmioRegisters):
    """Version 2 (4.2.2)."""

    length = CONFIG
    QUEUE_READY = Reg(0x044, 4, rw=all_ones(4), spec=_SPEC, doc="1: the queue is in use.")
    QUEUE_DESC_LOW = _write(0x080, "Address of the descriptor area, low half.")
    QUEUE_DESC_HIGH = _write(0x084, "The high half.")
    QUEUE_DRIVER_LOW = _write(0x090, "Address of the driver area, low half.")
    QUEUE_DRIVER_HIGH = _write(0x094, "The high half.")
    QUEUE_DEVICE_LOW = _write(0x0A0, "Address of the device area, low half.")
    QUEUE_DEVICE_HIGH = _write(0x0A4, "The high half.")
    SHM_SEL = _write(0x0AC, "Which shared memory region the next registers are about.")
    SHM_LEN_LOW = _read(0x0B0, "Its bytes, low half; -1: there is none.", reset=all_ones(4))
    SHM_LEN_HIGH = _read(0x0B4, "The high half.", reset=all_ones(4))
    SHM_BASE_LOW = _read(0x0B8, "Its address, low half; all ones: none.", reset=all_ones(4))
    SHM_BASE_HIGH = _read(0x0BC, "The high half.", reset=all_ones(4))
    QUEUE_RESET = Reg(
        0x0C0, 4, rw=all_ones(4), spec=_SPEC, doc="1 resets this queue; with RING_RESET only."
    )
    CONFIG_GENERATION = _read(0x0FC, "Another number when the configuration has changed.")


class LegacyMmio(MmioRegisters):
    """Version 1 (4.2.4)."""

    length = CONFIG
    VERSION = _read(0x004, "1: a legacy device.", _LEGACY, reset=LEGACY)
    GUEST_PAGE_SIZE = _write(0x028, "Bytes of a page, before any queue is used.", _LEGACY)
    QUEUE_ALIGN = _write(0x03C, "The used ring begins at a multiple of this.", _LEGACY)
    QUEUE_PFN = Reg(
        0x040,
        4,
        rw=all_ones(4),
        spec=_LEGACY,
        doc="The queue's first page, in units of GUEST_PAGE_SIZE; 0: not in use.",
    )
