"""What virtio-pci shows, each structure declared once: capabilities, their structures, legacy BAR.

    configuration space             a BAR
    VirtioCap COMMON_CFG   ------>  CommonConfig          features, status, queues
    NotifyCap NOTIFY_CFG   ------>  a doorbell a queue    offset + queue_notify_off x multiplier
    VirtioCap ISR_CFG      ------>  IsrStatus             one byte, cleared by reading it
    VirtioCap DEVICE_CFG   ------>  the device's own configuration
    PciCfgCap PCI_CFG               a window: reaches any BAR without mapping it

The idea: a modern device does not say "register 8 is ...". It says where each structure is, and
the driver looks there. A legacy device has `LegacyHeader` in an I/O BAR, and nothing to look for.

The rule that keeps it simple: every class is the register file of a device, and the map that the
driver reads. Fields keep the specification's names, in capitals.

Source: virtio 1.3 4.1.2 (ids), 4.1.4 to 4.1.4.5, 4.1.4.9 (window), 4.1.4.10 (legacy). Left out:
shared memory and vendor data capabilities (4.1.4.7, 4.1.4.8), administration queues (2.13).
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType

from virtlab.pci.capabilities import Vendor
from virtlab.registers import Reg, RegisterFile
from virtlab.virtio.status import NO_VECTOR, DeviceId, Interrupt, Status, fields
from virtlab.wire import all_ones

# -- who it is (4.1.2)

VENDOR = 0x1AF4
"""The PCI vendor of every virtio device."""

MODERN_BASE = 0x1040
"""A device that is not transitional has this plus its virtio device id."""

TRANSITIONAL = MappingProxyType(
    {
        0x1000: DeviceId.NETWORK,
        0x1001: DeviceId.BLOCK,
        0x1002: DeviceId.BALLOON,
        0x1003: DeviceId.CONSOLE,
        0x1004: DeviceId.SCSI,
        0x1005: DeviceId.ENTROPY,
        0x1009: DeviceId.TRANSPORT_9P,
    }
)
"""The PCI device ids of transitional devices, and the virtio device each is."""

# -- capabilities (4.1.4)


class CfgType(IntEnum):
    """Which structure a capability points to; any other value is to be ignored."""

    COMMON_CFG = 1
    NOTIFY_CFG = 2
    ISR_CFG = 3
    DEVICE_CFG = 4
    PCI_CFG = 5
    SHARED_MEMORY_CFG = 8
    VENDOR_CFG = 9


class VirtioCap(Vendor):
    """`struct virtio_pci_cap`: which structure, in which BAR, where, and how long.

    `LENGTH` is the capability's own, `cap_len`; `STRUCTURE_LENGTH` is the field `length`.
    """

    length = 16
    CFG_TYPE = Reg(0x03, 1, access="r", spec="virtio 1.3 4.1.4", doc="Which structure.")
    BAR = Reg(0x04, 1, access="r", spec="virtio 1.3 4.1.4", doc="The BAR it is behind: 0 to 5.")
    ID = Reg(0x05, 1, access="r", spec="virtio 1.3 4.1.4", doc="Which of several of one type.")
    OFFSET = Reg(0x08, 4, access="r", spec="virtio 1.3 4.1.4", doc="Where in the BAR it begins.")
    STRUCTURE_LENGTH = Reg(0x0C, 4, access="r", spec="virtio 1.3 4.1.4", doc="Its bytes.")


class NotifyCap(VirtioCap):
    """`struct virtio_pci_notify_cap`: where the doorbells are."""

    length = 20
    NOTIFY_OFF_MULTIPLIER = Reg(
        0x10, 4, access="r", spec="virtio 1.3 4.1.4.4", doc="Bytes from one doorbell to the next."
    )


class PciCfgCap(VirtioCap):
    """`struct virtio_pci_cfg_cap`: BAR, offset and length are the driver's, and data follows."""

    length = 20
    BAR = Reg(0x04, 1, rw=0xFF, spec="virtio 1.3 4.1.4.9", doc="The BAR to access.")
    OFFSET = Reg(0x08, 4, rw=all_ones(4), spec="virtio 1.3 4.1.4.9", doc="Where in that BAR.")
    STRUCTURE_LENGTH = Reg(
        0x0C, 4, rw=all_ones(4), spec="virtio 1.3 4.1.4.9", doc="Bytes of the access: 1, 2 or 4."
    )
    PCI_CFG_DATA = Reg(
        0x10,
        4,
        rw=all_ones(4),
        spec="virtio 1.3 4.1.4.9",
        doc="Reading or writing it is the access.",
    )


# -- the structures (4.1.4.3, 4.1.4.5)

_STATUS = fields(Status)
_COMMON = "virtio 1.3 4.1.4.3"


class CommonConfig(RegisterFile):
    """`struct virtio_pci_common_cfg`: the whole device, then the queue that is selected."""

    DEVICE_FEATURE_SELECT = Reg(
        0x00, 4, rw=all_ones(4), spec=_COMMON, doc="Which 32 features the next field shows."
    )
    DEVICE_FEATURE = Reg(0x04, 4, access="r", spec=_COMMON, doc="32 of the features offered.")
    DRIVER_FEATURE_SELECT = Reg(
        0x08, 4, rw=all_ones(4), spec=_COMMON, doc="Which 32 features the next field shows."
    )
    DRIVER_FEATURE = Reg(
        0x0C, 4, rw=all_ones(4), spec=_COMMON, doc="32 of the features that the driver accepts."
    )
    CONFIG_MSIX_VECTOR = Reg(
        0x10, 2, NO_VECTOR, rw=0xFFFF, spec=_COMMON, doc="The vector for configuration changes."
    )
    NUM_QUEUES = Reg(0x12, 2, access="r", spec=_COMMON, doc="How many queues there are at most.")
    DEVICE_STATUS = Reg(
        0x14, 1, rw=0xFF, fields=_STATUS, spec=_COMMON, doc="How far it is; 0 resets."
    )
    CONFIG_GENERATION = Reg(
        0x15, 1, access="r", spec=_COMMON, doc="Another number when the configuration has changed."
    )
    QUEUE_SELECT = Reg(0x16, 2, rw=0xFFFF, spec=_COMMON, doc="Which queue the rest is about.")
    QUEUE_SIZE = Reg(
        0x18, 2, rw=0xFFFF, spec=_COMMON, doc="Its size: at first the largest; 0: no such queue."
    )
    QUEUE_MSIX_VECTOR = Reg(
        0x1A, 2, NO_VECTOR, rw=0xFFFF, spec=_COMMON, doc="The vector for its used buffers."
    )
    QUEUE_ENABLE = Reg(0x1C, 2, rw=0xFFFF, spec=_COMMON, doc="1: the queue is in use.")
    QUEUE_NOTIFY_OFF = Reg(
        0x1E, 2, access="r", spec=_COMMON, doc="Which doorbell is its own, counted in multipliers."
    )
    QUEUE_DESC = Reg(0x20, 8, rw=all_ones(8), spec=_COMMON, doc="Address of the descriptor area.")
    QUEUE_DRIVER = Reg(0x28, 8, rw=all_ones(8), spec=_COMMON, doc="Address of the driver area.")
    QUEUE_DEVICE = Reg(0x30, 8, rw=all_ones(8), spec=_COMMON, doc="Address of the device area.")
    QUEUE_NOTIF_CONFIG_DATA = Reg(
        0x38, 2, access="r", spec=_COMMON, doc="With NOTIF_CONFIG_DATA: what its doorbell is told."
    )
    QUEUE_RESET = Reg(0x3A, 2, rw=0xFFFF, spec=_COMMON, doc="With RING_RESET: 1 resets this queue.")


_ISR = fields(Interrupt)


class IsrStatus(RegisterFile):
    """The ISR status: a read clears it, and lets the interrupt wire fall."""

    ISR_STATUS = Reg(
        0x00, 1, access="r", fields=_ISR, spec="virtio 1.3 4.1.4.5", doc="Why it interrupts."
    )


# -- the legacy interface (4.1.4.10)

_HEADER = "virtio 1.3 4.1.4.10"

LEGACY_CONFIG, LEGACY_CONFIG_MSIX = 20, 24
"""Where the device's configuration begins: behind the header; with MSI-X on, behind two more."""


class LegacyHeader(RegisterFile):
    """The beginning of the I/O BAR of a legacy or transitional device."""

    DEVICE_FEATURES = Reg(0, 4, access="r", spec=_HEADER, doc="Features 0 to 31 that are offered.")
    DRIVER_FEATURES = Reg(4, 4, rw=all_ones(4), spec=_HEADER, doc="Those that are accepted.")
    QUEUE_ADDRESS = Reg(
        8, 4, rw=all_ones(4), spec=_HEADER, doc="The selected queue's address / 4096; 0: none."
    )
    QUEUE_SIZE = Reg(12, 2, access="r", spec=_HEADER, doc="Its size, which is fixed; 0: no queue.")
    QUEUE_SELECT = Reg(14, 2, rw=0xFFFF, spec=_HEADER, doc="Which queue.")
    QUEUE_NOTIFY = Reg(16, 2, rw=0xFFFF, spec=_HEADER, doc="The doorbell: a queue's index.")
    DEVICE_STATUS = Reg(
        18, 1, rw=0xFF, fields=_STATUS, spec=_HEADER, doc="How far it is; 0 resets."
    )
    ISR_STATUS = Reg(19, 1, access="r", fields=_ISR, spec=_HEADER, doc="Why; cleared by reading.")


class LegacyMsixHeader(LegacyHeader):
    """The same while MSI-X is on: two more registers, and the configuration moves up."""

    CONFIG_MSIX_VECTOR = Reg(
        20, 2, NO_VECTOR, rw=0xFFFF, spec=_HEADER, doc="The vector for configuration changes."
    )
    QUEUE_MSIX_VECTOR = Reg(
        22, 2, NO_VECTOR, rw=0xFFFF, spec=_HEADER, doc="The vector for the selected queue."
    )
