"""Our transports and QEMU's, asked by the same driver: every register gives the same answer.

The driver is started, works and is reset on both. What it read and wrote at the registers is noted,
by structure and offset, and compared. Memory is left out: when a request is done is QEMU's affair.
"""

import pytest

from tests.guest.paper_virtio import ring_name
from tests.needs import needs_qemu
from tests.oracles.virtio_blk_qemu import IMAGE, PACKED, E, I, P, V, machine_with
from tests.virtio.rig import Rig
from virtlab.backends import Disk
from virtlab.cpu import Recorder
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR, BlkFeature
from virtlab.virtio.mmio_registers import WINDOW, MmioRegisters
from virtlab.virtio.negotiation import ANY_LAYOUT
from virtlab.virtio.pci_layouts import CommonConfig, LegacyHeader

OWN = {BlkFeature.FLUSH, BlkFeature.BLK_SIZE}

ROOM = 0x10_0000

BUSES = ["mmio", "mmio-legacy", "pci", "pci-legacy", "transitional", "transitional-legacy"]

OURS = {"transitional": "pci-transitional", "transitional-legacy": "pci-transitional-legacy"}
"""What the rig calls them, where that is another name."""

OFFERED = {
    MmioRegisters.DEVICE_FEATURES.offset: "mmio",
    CommonConfig.DEVICE_FEATURE.offset: "COMMON_CFG",
    LegacyHeader.DEVICE_FEATURES.offset: "legacy",
}
"""Where the features offered are read: QEMU's disk offers more than ours."""

ACCEPTED = {
    MmioRegisters.DRIVER_FEATURES.offset: "mmio",
    LegacyHeader.DRIVER_FEATURES.offset: "legacy",
}
"""Where the features accepted are written: ours offers ANY_LAYOUT, QEMU does not (6.3)."""


class Side:
    """One of the two: a transport whose accesses to registers are noted."""

    def __init__(self, transport):
        self.transport = transport
        self.recorder = Recorder(transport.cpu)
        transport.cpu = self.recorder
        self.places = dict(self._places())

    def _places(self):
        """Address and length of each structure."""
        if hasattr(self.transport, "port"):
            yield "legacy", (self.transport.port, 0x40)
        elif hasattr(self.transport, "base"):
            yield "mmio", (self.transport.base, WINDOW)
        else:
            for kind in self.transport.capabilities:
                if kind.name != "PCI_CFG":
                    found = self.transport._structure(kind)
                    found.cpu = self.recorder
                    yield kind.name, (found.base, found.length)
            for name in ("common", "doorbells", "isr"):
                getattr(self.transport, name).cpu = self.recorder

    def disk(self, features, **driver):
        room = Room(ROOM, 1 << 20)
        return BlkDriver(
            self.recorder.cpu, self.transport, room, understood=features, chunk=1024, **driver
        )

    def registers(self):
        """`(structure, offset, size, value or answer)` of every access to a register, in order."""
        noted = []
        for access in self.recorder.accesses:
            for name, (base, length) in self.places.items():
                offset = access.address - base
                if 0 <= offset < length and (access.region == "port") == (name == "legacy"):
                    noted.append((name, offset, access.size, access.write, access.value))
        self.recorder.accesses.clear()
        return noted


def both(bus, image, work):
    """`work(side)` on ours and on QEMU's; what each noted."""
    largest = 1024 if "mmio" in bus else 256  # as QEMU has it
    disk = VirtioBlk(Disk(bytearray(IMAGE)), "name", largest)
    rig = Rig(disk, OURS.get(bus, bus))
    ours = Side(rig.transport)
    work(ours)
    with machine_with(bus, image, PACKED) as (_, transport):
        theirs = Side(transport)
        work(theirs)
        return ours.registers(), theirs.registers()


def without_features(noted):
    """The same, but for what was offered, and the offset of a doorbell, which is the device's."""
    found = []
    for name, offset, size, write, value in noted:
        told = None if name == OFFERED.get(offset) and not write else value
        if name == ACCEPTED.get(offset):
            told &= ~(1 << ANY_LAYOUT)
        found.append((name, 0 if name == "NOTIFY_CFG" else offset, size, write, told))
    return found


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(IMAGE)
    return path


@needs_qemu
@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("ring", [{V}, {V, P}, {V, P, I, E}], ids=ring_name)
def test_the_driver_meets_the_same_answers(bus, ring, image):
    def work(side):
        disk = side.disk(frozenset(ring | OWN), size=None if "pci-" in bus else 256)
        disk.start()
        for sector in range(0, 20, 2):
            assert disk.read(sector, 2) == IMAGE[sector * SECTOR : (sector + 2) * SECTOR]
        disk.write(7, b"\x77" * SECTOR)
        disk.flush()
        disk.refresh()
        disk.virtio.reset()
        disk.start()
        assert disk.read(7) == b"\x77" * SECTOR
        disk.virtio.reset()

    ours, theirs = map(without_features, both(bus, image, work))
    assert len(ours) > 60
    assert ours == theirs


@needs_qemu
@pytest.mark.parametrize("bus", BUSES)
def test_a_careless_driver_meets_the_same_answers(bus, image):
    """A queue that is not there, a set-up out of order, interrupts that nobody sent, two resets."""

    def work(side):
        transport = side.transport
        transport.set_status(0)
        transport.status()
        for index in (7, 1023, 0):
            transport.queue_max(index)
        transport.interrupts()
        transport.set_status(1)
        transport.set_status(3)
        transport.status()
        transport.config_read(0, 4)
        transport.accept(frozenset())
        transport.set_status(0x83)
        transport.status()
        transport.set_status(0)
        transport.set_status(0)
        transport.status()
        transport.queue_max(0)
        transport.generation()

    ours, theirs = map(without_features, both(bus, image, work))
    assert len(ours) >= 20
    assert ours == theirs
