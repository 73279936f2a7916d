"""QEMU's virtio-blk behind each of its transports, and random requests whose answers are known."""

from __future__ import annotations

import random
from contextlib import contextmanager

from tests.needs import require
from tests.oracles.shared_ram import SharedRam, backend
from virtlab.guest.pci import PortAccess
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_blk_queue import Request
from virtlab.guest.virtio_mmio import find
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_legacy import LegacyPci
from virtlab.hosts.remote import QtestMachine
from virtlab.virtio.blk_layouts import SECTOR, BlkStatus, BlkType
from virtlab.virtio.features import Feature
from virtlab.virtio.mmio_registers import WINDOW
from virtlab.virtio.pci_layouts import VENDOR
from virtlab.virtio.status import DeviceId

SECTORS = 4096
"""Sectors of the disk: 2 MiB."""

SERIAL = "twenty characters ok"
"""What the disk calls itself: as long as it can be."""

WINDOWS = range(0xFEB0_0000, 0xFEB0_0000 + 24 * WINDOW, WINDOW)
"""Where QEMU's microvm puts its windows of virtio-mmio."""

ROOM = Room(0x10_0000, 16 << 20)
"""RAM for rings and buffers."""

BUSES = {
    "pci": ("virtio-blk-pci,disable-legacy=on", ModernPci),
    "pci-legacy": ("virtio-blk-pci,disable-modern=on", LegacyPci),
    "transitional": ("virtio-blk-pci,disable-legacy=off,disable-modern=off", ModernPci),
    "transitional-legacy": ("virtio-blk-pci,disable-legacy=off,disable-modern=off", LegacyPci),
    "mmio": ("virtio-blk-device", None),
    "mmio-legacy": ("virtio-blk-device", None),
}
"""QEMU's device, and who drives it if it is a PCI function."""


V, P = Feature.VERSION_1, Feature.RING_PACKED
I, E = Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX  # noqa: E741

IMAGE = random.Random(5).randbytes(SECTORS * SECTOR)
"""What the disk holds at first."""

PACKED = ",packed=on"


@contextmanager
def machine_with(bus, image, options="", drive="", shared=False):
    """QEMU with `image` as the disk of a virtio-blk on `bus`: the Cpu, and the transport.

    With `shared` its memory is mapped here, so that only registers cost a round trip.
    """
    require("QEMU")
    device, kind = BUSES[bus]
    board, ram = "q35" if kind else "microvm", image.with_suffix(".ram")
    words = ["-drive", f"file={image},format=raw,if=none,id=disk{drive}"]
    words += ["-device", f"{device},drive=disk,serial={SERIAL.replace(',', ',,')}{options}"]
    if bus == "mmio":
        words += ["-global", "virtio-mmio.force-legacy=off"]
    if shared:
        board, words = f"{board},memory-backend=ram", [*words, *backend(ram, 64)]
    with QtestMachine(board, words) as machine:
        cpu = SharedRam(machine, ram) if shared else machine
        if kind is None:
            yield cpu, find(cpu, WINDOWS, DeviceId.BLOCK)
        else:
            functions = enumerate_pci(machine)
            (function,) = (found for found in functions if found.vendor == VENDOR)
            yield cpu, kind(cpu, PortAccess(machine), function)


@contextmanager
def started(bus, image, options="", shared=False, **driver):
    """The same, with our driver at work."""
    with machine_with(bus, image, options, shared=shared) as (cpu, transport):
        disk = BlkDriver(cpu, transport, Room(ROOM.gpa, ROOM.length), **driver)
        disk.start()
        yield disk


class Load:
    """Random reads and writes on `disk`, compared with `content`, which is what it must hold."""

    def __init__(self, disk, content, seed):
        self.disk = disk
        self.content = content
        self.rng = random.Random(seed)
        self.most = disk.chunk // SECTOR
        self.count = 0

    def run(self, count, together=400):
        """`count` requests, `together` of them at a time, no two of those on the same sectors."""
        regions = SECTORS // self.most
        while count:
            n = min(count, together, regions)
            places = self.rng.sample(range(regions), n)
            self._check([self._request(place * self.most) for place in places])
            count -= n

    def _request(self, first):
        sector = first + self.rng.randrange(self.most)
        size = self.rng.randint(1, first + self.most - sector) * SECTOR
        if self.rng.random() < 0.5:
            return Request(BlkType.IN, sector, length=size)
        return Request(BlkType.OUT, sector, self.rng.randbytes(size))

    def _check(self, requests):
        answers = self.disk.run(requests)
        for request, answer in zip(requests, answers, strict=True):
            at = slice(request.sector * SECTOR, request.sector * SECTOR + request.size)
            assert answer.status == BlkStatus.OK
            assert len(answer.data) == request.length
            if request.type == BlkType.IN:
                assert answer.data == self.content[at]
            else:
                self.content[at] = request.data
        self.count += len(requests)


def work(bus, image, ring, count, options=PACKED, features=BLK_FEATURES, **driver):
    """`count` random requests with exactly the `ring` features; then the file is what it must be.

    Many requests go through mapped memory, few through the test protocol alone. Gives the features
    that were negotiated.
    """
    driver.setdefault("shared", count > 1000)
    content = bytearray(IMAGE)
    driver = {"chunk": 2048, **driver}
    with started(bus, image, options, understood=frozenset(ring) | features, **driver) as disk:
        load = Load(disk, content, seed=count)
        load.run(count)
        disk.flush()
        assert load.count == count
        assert not disk.virtio.needs_reset
    assert image.read_bytes() == content
    return disk.virtio.features
