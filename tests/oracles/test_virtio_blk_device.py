"""Our block device beside QEMU's: the same odd requests, the same statuses and used lengths.

The guest's own driver asks both. Where they differ is listed in `EXCUSED`, each with its reason,
and an excuse that is no longer needed fails. `docs/deviations.md` tells the same.
"""

import pytest

from tests.needs import needs_qemu
from tests.oracles.virtio_blk_qemu import IMAGE, SECTORS, machine_with
from tests.virtio.rig import Rig
from virtlab.backends.disk import Disk
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.guest.virtio_blk_queue import Request
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_config import BlkShape
from virtlab.virtio.blk_layouts import FLUSH_OUT, SEGMENT, UNMAP, BlkStatus, BlkType
from virtlab.virtio.layouts import packer

OK, IOERR, UNSUPP = BlkStatus.OK, BlkStatus.IOERR, BlkStatus.UNSUPP
D, Z = BlkType.DISCARD, BlkType.WRITE_ZEROES


def seg(*words):
    return packer(SEGMENT).pack(*words)


ASKED = {
    "discard": Request(D, 0, seg(0, 8, 0)),
    "discard, unmap": Request(D, 0, seg(0, 8, UNMAP)),
    "discard, flag 2": Request(D, 0, seg(0, 8, 2)),
    "discard past the end": Request(D, 0, seg(SECTORS - 1, 2, 0)),
    "discard of no sectors": Request(D, 0, seg(0, 0, 0)),
    "discard of 2 segments": Request(D, 0, seg(0, 8, 0) + seg(8, 8, 0)),
    "discard of 17 bytes": Request(D, 0, seg(0, 8, 0) + b"\0"),
    "zeroes": Request(Z, 0, seg(16, 8, 0)),
    "zeroes, unmap": Request(Z, 0, seg(24, 8, UNMAP)),
    "zeroes, flag 2": Request(Z, 0, seg(0, 8, 2)),
    "zeroes past the end": Request(Z, 0, seg(SECTORS - 1, 2, 0)),
    "zeroes past the end, flag 2": Request(Z, 0, seg(SECTORS - 1, 2, 2)),
    "zeroes of no sectors": Request(Z, 0, seg(0, 0, 0)),
    "zeroes of 2 segments": Request(Z, 0, seg(0, 8, 0) + seg(8, 8, 0)),
    "zeroes of 2 TiB": Request(Z, 0, seg(0, 0xFFFF_FFFF, 0)),
    "name in 3 bytes": Request(BlkType.GET_ID, length=3),
    "name in 24 bytes": Request(BlkType.GET_ID, length=24),
    "flush of sector 5": Request(BlkType.FLUSH, 5),
    "flush with data": Request(BlkType.FLUSH, 0, bytes(512)),
    "write of 511 bytes": Request(BlkType.OUT, 0, bytes(511)),
    "read of 511 bytes": Request(BlkType.IN, length=511),
    "read of nothing": Request(BlkType.IN),
    "write of nothing": Request(BlkType.OUT),
    "read past the end": Request(BlkType.IN, SECTORS, length=512),
    "write past the end": Request(BlkType.OUT, SECTORS, bytes(512)),
    "secure erase": Request(BlkType.SECURE_ERASE, 0, seg(0, 8, 0)),
    "lifetime": Request(BlkType.GET_LIFETIME, length=6),
    "flush by its old name": Request(FLUSH_OUT),
    "SCSI": Request(2),
    "no type": Request(99),
}

EXCUSED = {
    # The device MUST answer UNSUPP if any unknown flag is set; QEMU looks at the place first.
    "zeroes past the end, flag 2": ((UNSUPP, 1), (IOERR, 1)),
    # QEMU takes one segment, says so in its configuration, and calls two unsupported.
    "discard of 2 segments": ((OK, 1), (UNSUPP, 1)),
    "zeroes of 2 segments": ((OK, 1), (UNSUPP, 1)),
    "discard of 17 bytes": ((IOERR, 1), (UNSUPP, 1)),
    # Used lengths: ours counts what is written without a gap (2.7.8.2).
    "name in 24 bytes": ((OK, 20), (OK, 25)),
    "read of 511 bytes": ((IOERR, 0), (IOERR, 512)),
    "read past the end": ((IOERR, 0), (IOERR, 513)),
    "lifetime": ((UNSUPP, 0), (UNSUPP, 7)),
    # Types of the legacy device.
    "SCSI": ((UNSUPP, 1), (IOERR, 1)),
}

MODERN = {"flush by its old name": ((UNSUPP, 1), (OK, 1))}
"""QEMU knows the legacy name in a modern device too."""


def started(cpu, transport):
    disk = BlkDriver(cpu, transport, Room(0x10_0000, 1 << 20))
    disk.start()
    return disk


def answers(cpu, transport):
    """What the device says to each request: the status, and the bytes that it wrote."""
    found = zip(ASKED, started(cpu, transport).run(ASKED.values()), strict=True)
    return {name: (answer.status, answer.wrote) for name, answer in found}


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy"])
def test_odd_requests_are_answered_alike(bus, tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(IMAGE)
    rig = Rig(VirtioBlk(Disk.of(IMAGE), shape=BlkShape(max_discard_seg=2)), bus)
    ours = answers(rig.cpu, rig.transport)
    with machine_with(bus, path) as (cpu, transport):
        theirs = answers(cpu, transport)
    differ = {name: (ours[name], theirs[name]) for name in ASKED if ours[name] != theirs[name]}
    assert differ == EXCUSED | (MODERN if bus == "pci" else {})
    zeroed = rig.device.disk.read(16, 16)
    assert zeroed == path.read_bytes()[16 * 512 : 32 * 512] == bytes(16 * 512)


@needs_qemu
@pytest.mark.parametrize("length", [0, 15])
def test_a_list_that_is_no_list_is_an_error_of_that_request(length, tmp_path):
    """QEMU takes it for a chain that is no request, and its device needs a reset."""
    path = tmp_path / "disk.img"
    path.write_bytes(IMAGE)

    def ask(disk):
        slots = disk.requests.slots
        slots.submit(D, 0, [length])
        slots.kick()
        disk.cpu.read(0, 1)  # a round trip, in which QEMU looks at its queue
        return slots.finish().status.tolist(), disk.virtio.needs_reset

    rig = Rig(VirtioBlk(Disk.of(IMAGE)), "pci")
    assert ask(started(rig.cpu, rig.transport)) == ([IOERR], False)
    with machine_with("pci", path) as (cpu, transport):
        assert ask(started(cpu, transport)) == ([], True)
