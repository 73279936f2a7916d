"""What every transport carries, whatever its registers are called: four small words.

    device status      how far driver and device have come        Status
    interrupt status   why the device interrupts                  Interrupt
    device id          what kind of device it is                  DeviceId
    notification       which queue has something new              NOTIFICATION

The idea: a transport is a way to read and write these words, the features, the queues' addresses
and the device's own configuration. Everything else is the same behind every one.

The rule that keeps it simple: here are the bits, and no state. Which status may follow which is
a table of its own (`negotiation`).

Source: virtio 1.3 2.1 (status), 2.9 (notification data), 4.1.4.5 and 4.2.2 (interrupts), 5 (ids).
Left out: SUSPEND, which is later than 1.3; device types that are only reserved.
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType

from virtlab.wire import Bits


class Status(IntEnum):
    """The bits of the device status, in the order in which they are set (2.1)."""

    ACKNOWLEDGE = 1  # driver: a guest has found the device
    DRIVER = 2  # driver: the guest knows how to drive it
    FEATURES_OK = 8  # driver: these features and no others; device: it agrees, if the bit stays
    DRIVER_OK = 4  # driver: all is set up, go
    DEVICE_NEEDS_RESET = 64  # device: an error that only a reset mends
    FAILED = 128  # driver: it has given up


class Interrupt(IntEnum):
    """Why the device interrupts: bits of the ISR status (PCI) and of InterruptStatus (MMIO)."""

    QUEUE = 1  # a buffer was used, in some queue
    CONFIG = 2  # the configuration has changed, or the device needs a reset


class DeviceId(IntEnum):
    """The device types that the specification describes (5)."""

    NETWORK = 1
    BLOCK = 2
    CONSOLE = 3
    ENTROPY = 4
    BALLOON = 5
    SCSI = 8
    TRANSPORT_9P = 9
    GPU = 16
    INPUT = 18
    SOCKET = 19
    CRYPTO = 20
    IOMMU = 23
    MEMORY = 24
    SOUND = 25
    FILE_SYSTEM = 26
    PMEM = 27
    RPMB = 28
    SCMI = 32
    I2C = 34
    CAN = 36
    GPIO = 41


NOTIFICATION = MappingProxyType(
    {
        "VQ_INDEX": Bits(15, 0),  # which queue; with NOTIF_CONFIG_DATA what the device asked for
        "NEXT_OFF": Bits(30, 16),  # where the next available entry goes
        "NEXT_WRAP": Bits(31),  # packed: its wrap counter; split: bit 15 of the index
    }
)
"""What a doorbell says with NOTIFICATION_DATA (2.9); without it, the queue's index alone."""

NO_VECTOR = 0xFFFF
"""The MSI-X vector of an event that shall not interrupt (4.1.5.1.2)."""


def fields(bits: type[IntEnum]) -> dict[str, Bits]:
    """The single bits of `Status` or `Interrupt` as fields of a register, lowest bit first.

    >>> fields(Interrupt)
    {'QUEUE': Bits(hi=0, lo=0), 'CONFIG': Bits(hi=1, lo=1)}
    """
    return {bit.name: Bits(bit.bit_length() - 1) for bit in sorted(bits)}


def names(status: int) -> list[str]:
    """The bits of a status by name, in the order in which they are set; unknown bits as hex.

    >>> names(0x0F)
    ['ACKNOWLEDGE', 'DRIVER', 'FEATURES_OK', 'DRIVER_OK']
    >>> names(0x50)
    ['DEVICE_NEEDS_RESET', '0x10']
    """
    unknown = status & ~sum(Status)
    return [bit.name for bit in Status if status & bit] + ([hex(unknown)] if unknown else [])


def notification(ident: int, following: int) -> int:
    """What a doorbell says with NOTIFICATION_DATA: a queue, and where its next entry goes (2.9).

    >>> hex(notification(2, 0x8005))
    '0x80050002'
    """
    return ident | (following & 0xFFFF) << NOTIFICATION["NEXT_OFF"].lo
