"""DEVICE_SET_IRQS and configuration writes, as the tests of interrupts give them."""

from __future__ import annotations

from virtlab.hosts.vfio_user.layouts import (
    ACTION_MASK,
    ACTION_TRIGGER,
    ACTION_UNMASK,
    DATA_EVENTFD,
    DATA_NONE,
    IRQ_SET,
    REGION_ACCESS,
    Command,
    IrqIndex,
    RegionIndex,
)
from virtlab.hosts.vfio_user.messages import pack

INTX, MSI, MSIX = IrqIndex.INTX, IrqIndex.MSI, IrqIndex.MSIX
LISTEN = DATA_EVENTFD | ACTION_TRIGGER
MASK, UNMASK, FIRE = (DATA_NONE | action for action in (ACTION_MASK, ACTION_UNMASK, ACTION_TRIGGER))

MASTER, PIN_OFF = 0x4, 0x400
MSI_AT, MSIX_AT = 0x40, 0x60


def irqs(flags, index, start, count, data=b""):
    return pack(IRQ_SET, IRQ_SET.itemsize, flags, index, start, count) + data


def set_irqs(bench, flags, index, start=0, count=1, data=b"", fds=()):
    """The errno of the reply."""
    return bench.error(Command.DEVICE_SET_IRQS, irqs(flags, index, start, count, data), fds)


def listen(bench, index, count=1):
    fds = [bench.event() for _ in range(count)]
    assert set_irqs(bench, LISTEN, index, 0, count, fds=fds) == 0
    return fds


def config(bench, offset, value, size=4):
    payload = pack(REGION_ACCESS, offset, RegionIndex.CONFIG, size)
    assert bench.error(Command.REGION_WRITE, payload + value.to_bytes(size, "little")) == 0


def msi_on(bench, address=0x1_2340, vectors=4, data=0x4320):
    config(bench, MSI_AT + 4, address & 0xFFFF_FFFF)
    config(bench, MSI_AT + 8, address >> 32)
    config(bench, MSI_AT + 12, data, 2)
    config(bench, MSI_AT + 2, 1 | (vectors.bit_length() - 1) << 4, 2)


def msix_on(bench, control=0x8000):
    config(bench, MSIX_AT + 2, control, 2)
