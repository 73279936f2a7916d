"""One of QEMU's virtio devices behind each of its transports, and a driver of ours for it."""

from __future__ import annotations

from contextlib import contextmanager

from tests.needs import require
from tests.oracles.shared_ram import SharedRam, backend
from virtlab.guest.pci import PortAccess
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.room import Room
from virtlab.guest.virtio_mmio import find
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_legacy import LegacyPci
from virtlab.hosts.remote import QtestMachine
from virtlab.virtio.features import Feature
from virtlab.virtio.mmio_registers import WINDOW
from virtlab.virtio.pci_layouts import VENDOR

MICROVM = range(0xFEB0_0000, 0xFEB0_0000 + 24 * WINDOW, WINDOW)
"""Where QEMU's microvm puts its windows of virtio-mmio."""

BUSES = {
    "pci": (",disable-legacy=on", ModernPci),
    "pci-legacy": (",disable-modern=on", LegacyPci),
    "transitional": (",disable-legacy=off,disable-modern=off", ModernPci),
    "transitional-legacy": (",disable-legacy=off,disable-modern=off", LegacyPci),
    "mmio": ("", None),
    "mmio-legacy": ("", None),
}
"""QEMU's options for the bus, and who drives the device if it is a PCI function."""

LAYOUTS = [(bus, "split") for bus in BUSES]
LAYOUTS += [(bus, "packed") for bus in ("pci", "transitional", "mmio")]
"""Each bus with each ring that it can have."""


@contextmanager
def behind(bus, device, device_id, ram, options="", more=(), shared=True):
    """QEMU's `device` (`"virtio-rng"`) on `bus`: the Cpu, and the transport.

    `options` are the device's, `more` words for QEMU come behind it. With `shared` QEMU's memory is
    the file `ram`, mapped here, so that only registers cost a round trip.
    """
    require("QEMU")
    how, kind = BUSES[bus]
    board = "q35" if kind else "microvm"
    words = ["-device", f"{device}-{'pci' if kind else 'device'}{how}{options}", *more]
    if bus == "mmio":
        words += ["-global", "virtio-mmio.force-legacy=off"]
    if shared:
        board, words = f"{board},memory-backend=ram", [*backend(ram, 64), *words]
    with QtestMachine(board, words) as machine:
        cpu = SharedRam(machine, ram) if shared else machine
        if kind is None:
            yield cpu, find(cpu, MICROVM, device_id)
        else:
            functions = enumerate_pci(machine)
            (function,) = (found for found in functions if found.vendor == VENDOR)
            yield cpu, kind(cpu, PortAccess(machine), function)


def room():
    """RAM for rings and buffers."""
    return Room(0x10_0000, 16 << 20)


def only(layout, features):
    """`features`, without packed rings if the layout is split."""
    return frozenset(features) - ({Feature.RING_PACKED} if layout == "split" else set())
