"""Whole lives of our drivers, access by access: for rules that hold from the first to the last.

    life("blk", "pci")    found, started, used, one queue reset, started anew: a list of `Seen`

Each access is named by the declarations: the register, or the part of the device. So a rule over
all drivers and all transports is a loop over one list.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import pytest

from tests.virtio.rig import LEGACY, MMIO, MODERN, RAM, ROOM, Rig
from virtlab.backends import Disk, Link, Terminal
from virtlab.cpu import Recorder
from virtlab.guest.pci import PortAccess
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_console import CONSOLE_FEATURES, ConsoleDriver
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_mmio import MmioTransport, probe
from virtlab.guest.virtio_net import NET_FEATURES, NetDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_legacy import LegacyPci
from virtlab.guest.virtio_pci_structures import virtio_capabilities
from virtlab.guest.virtio_rng import RngDriver
from virtlab.virtio import blk_layouts, console_layouts, net_layouts
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.console import VirtioConsole
from virtlab.virtio.console_port import Port
from virtlab.virtio.features import Feature
from virtlab.virtio.mmio_registers import CONFIG, LegacyMmio, ModernMmio
from virtlab.virtio.net import VirtioNet
from virtlab.virtio.pci_layouts import (
    LEGACY_CONFIG,
    CfgType,
    CommonConfig,
    IsrStatus,
    LegacyHeader,
)
from virtlab.virtio.rng import VirtioRng, seeded

PARTS = {CfgType.NOTIFY_CFG: "bell", CfgType.DEVICE_CFG: "config"}
DRIVERS = ("blk", "net", "console", "rng")
IDS = {"blk": 2, "net": 1, "console": 3, "rng": 4}
LAYOUTS = {"blk": blk_layouts, "net": net_layouts, "console": console_layouts}
STATUS = ("STATUS", "DEVICE_STATUS")


class Seen(NamedTuple):
    """One access: the `part` of the device, the `reg` there if any, and `at` which byte of it."""

    part: str
    reg: object
    at: int
    size: int
    write: bool
    value: int

    @property
    def name(self):
        """The register's name, or that of the part."""
        return self.reg.name if self.reg else self.part


class Watch(Recorder):
    """A Cpu that names what it passes on. `places` are (space, start, length, part, registers)."""

    def __init__(self, cpu, places):
        super().__init__(cpu)
        self.places, self.seen = places, []

    def _note(self, write, space, address, size, value):
        for where, start, length, part, registers in self.places:
            if where == space and start <= address < start + length:
                at = address - start
                reg = next((r for r in registers if r.offset <= at < r.offset + r.width), None)
                inner = at - reg.offset if reg else at
                self.seen.append(Seen(part, reg, inner, size, write, value))
                return value
        self.seen.append(Seen("ram", None, address, size, write, value))
        return value


class WatchedAccess:
    """Configuration space; what is read and written there is `part` "space"."""

    def __init__(self, access, seen):
        self.access, self.seen = access, seen

    def read(self, place, offset, size):
        value = self.access.read(place, offset, size)
        self.seen.append(Seen("space", None, offset, size, False, value))
        return value

    def write(self, place, offset, size, value):
        self.seen.append(Seen("space", None, offset, size, True, value))
        self.access.write(place, offset, size, value)


def _places(rig):
    if rig.kind.startswith("mmio"):
        kind = LegacyMmio if rig.legacy else ModernMmio
        registers = ("memory", MMIO, CONFIG, "common", kind.registers)
        return [registers, ("memory", MMIO + CONFIG, 0x100, "config", ())]
    if rig.legacy:
        port = rig.found.bar(0)
        header = ("port", port, LEGACY_CONFIG, "common", LegacyHeader.registers)
        return [header, ("port", port + LEGACY_CONFIG, 0x100, "config", ())]
    places = []
    for kind, cap in virtio_capabilities(rig.access, rig.found.place).items():
        if kind == CfgType.PCI_CFG:
            continue
        registers = {CfgType.COMMON_CFG: CommonConfig, CfgType.ISR_CFG: IsrStatus}.get(kind)
        start = rig.found.bar(cap.bar) + cap.offset
        part = PARTS.get(kind, "common")
        declared = registers.registers if registers else ()
        places.append(("memory", start, cap.length, part, declared))
    return places


def _transport(rig, watch):
    if rig.kind.startswith("mmio"):
        return probe(watch, MMIO)
    access = WatchedAccess(PortAccess(rig.cpu), watch.seen)
    if rig.legacy:
        return LegacyPci(watch, access, rig.found)
    return ModernPci(watch, access, rig.found, window=rig.kind == "pci-window")


def _device(name):
    if name == "blk":
        return VirtioBlk(Disk.of(bytes(128 * 512)), queues=2)
    if name == "net":
        return VirtioNet(Link("cable").a, mtu=1500, pairs=2)
    if name == "console":
        return VirtioConsole([Port(Terminal(), "tty", console=True, size=(80, 25))], 2, 16)
    return VirtioRng(seeded(3), 16)


def driver_of(name, cpu, transport, **how):
    """The driver `name`, not yet started."""
    kinds = {"blk": BlkDriver, "net": NetDriver, "console": ConsoleDriver, "rng": RngDriver}
    return kinds[name](cpu, transport, Room(ROOM, RAM - ROOM), **how)


def _work(name, driver):
    if name == "blk":
        driver.write(3, b"\x5a" * 1024)
        assert driver.read(3, 2) == b"\x5a" * 1024
        driver.flush()
    elif name == "net":
        driver.send(b"\xff" * 6 + b"\x02" * 6 + b"\x88\xb5" + bytes(50))
        driver.receive()
    elif name == "console":
        driver.ports[0].write(b"hello")
        driver.service()
    else:
        assert len(driver.read(100)) == 100


def _buffers(rig):
    """The addresses in all descriptors that were ever written."""
    tables = [(setup.queue.rings.desc, setup.queue.rings.size) for setup in rig.core.queues]
    found = [rig.ram.load(desc + 16 * at, 8) for desc, size in tables for at in range(size)]
    return [gpa for gpa in found if gpa]


class Life(NamedTuple):
    """All that was `seen`, what it was seen of, and the addresses of all `buffers` in the rings."""

    seen: list
    rig: Rig
    features: frozenset
    buffers: list

    def common(self):
        """Only what touched the registers."""
        return [one for one in self.seen if one.part == "common"]

    def writes(self, *names):
        """The values written to these registers."""
        return [one.value for one in self.seen if one.write and one.name in names]


UNDERSTOOD = RING_FEATURES | BLK_FEATURES | NET_FEATURES | CONSOLE_FEATURES


@cache
def life(name, transport, layout="split", least=False):
    """A life of the driver `name`; with `least` it understands nothing but VERSION_1.

    Twice from reset to work; in between one queue is reset, and over MMIO one is stopped.
    """
    rig = Rig(_device(name), transport)
    watch = Watch(rig.cpu, _places(rig))
    features = frozenset({Feature.VERSION_1}) if least else UNDERSTOOD
    if layout == "split" or transport in LEGACY:
        features -= {Feature.RING_PACKED}
    driver = driver_of(name, watch, _transport(rig, watch), understood=features)
    buffers = []
    for _ in range(2):
        driver.start()
        _work(name, driver)
        buffers += _buffers(rig)
        rig.device.configure(rig.device.config)
        driver.virtio.causes()
        if Feature.RING_RESET in driver.virtio.features:
            driver.virtio.reset_queue(0)
        if isinstance(driver.virtio.transport, MmioTransport):
            driver.virtio.transport.stop_queue(0)
    assert not rig.broken
    return Life(watch.seen, rig, driver.virtio.features, buffers)


SEEN = [*MODERN[:3], *LEGACY]
"""Transports whose registers are accessed as they are; through the window they are not."""

every = pytest.mark.parametrize(
    ("name", "transport", "layout", "least"),
    [(n, t, ring, False) for n in DRIVERS for t in SEEN[:3] for ring in ("split", "packed")]
    + [(n, t, "split", False) for n in DRIVERS for t in LEGACY]
    + [(n, t, "split", True) for n in DRIVERS for t in SEEN],
)
"""All drivers on all transports, and each once more with no feature at all."""


def is_status(one):
    """Whether this access is to the device status."""
    return one.name in STATUS


def eras(seen):
    """The accesses from each reset to the next."""
    starts = [at for at, one in enumerate(seen) if one.write and is_status(one) and not one.value]
    return [seen[a:b] for a, b in pairwise([*starts, len(seen)])]
