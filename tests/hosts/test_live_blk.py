"""A disk that notes requests: it answers as `VirtioBlk` does, and a note is what was done."""

from __future__ import annotations

import random
import zlib

import pytest

from tests.virtio.rig import DATA, Rig
from virtlab.backends.disk import Disk
from virtlab.errors import GuestError
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.guest.virtio_blk_queue import Request
from virtlab.hosts import live_blk
from virtlab.hosts.live_blk import Answer, Differs, NotedBlk, again, ask
from virtlab.hosts.tape import ChainNote
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR, BlkStatus, BlkType
from virtlab.virtio.features import Feature

SECTORS = 64
IMAGE = random.Random(8).randbytes(SECTORS * SECTOR)
BOTH = pytest.mark.parametrize("layout", ["split", "packed"])


def world(device, layout="split"):
    ring = {Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX}
    rig = Rig(device, "mmio", ring | ({Feature.RING_PACKED} if layout == "packed" else set()))
    driver = BlkDriver(rig.cpu, rig.guest.transport, Room(0x20_0000, 1 << 20), slots=8, chunk=2048)
    driver.start()
    return driver


def load(seed, count=200):
    """Requests of every kind, some of them beyond the end."""
    rng = random.Random(seed)
    for _ in range(count):
        kind = rng.choice([BlkType.IN, BlkType.OUT, BlkType.FLUSH, BlkType.GET_ID, 77])
        size = rng.choice([SECTOR, 2048])
        sector = rng.randrange(SECTORS + 2)
        match kind:
            case BlkType.IN:
                yield Request(kind, sector, length=size)
            case BlkType.OUT:
                yield Request(kind, sector, rng.randbytes(size))
            case BlkType.GET_ID:
                yield Request(kind, 0, length=20)
            case _:
                yield Request(kind)


@BOTH
def test_the_answers_are_those_of_the_plain_device(layout):
    noted, plain, notes = Disk.of(IMAGE), Disk.of(IMAGE), []
    requests = list(load(1))
    answers = world(NotedBlk(noted, notes.append, 64), layout).run(requests)
    assert answers == world(VirtioBlk(plain), layout).run(requests)
    assert noted.read(0, SECTORS) == plain.read(0, SECTORS)
    assert len(notes) == len(requests)
    assert {note.status for note in notes} == {0, BlkStatus.IOERR, BlkStatus.UNSUPP}


@BOTH
def test_the_notes_do_it_again_on_another_disk(layout):
    disk, copy, notes = Disk.of(IMAGE), Disk.of(IMAGE), []
    world(NotedBlk(disk, notes.append, 64), layout).run(list(load(2)))
    device = VirtioBlk(copy)
    for note in notes:
        again(device, note)
    assert copy.read(0, SECTORS) == disk.read(0, SECTORS) != IMAGE


def test_a_note_has_the_pieces_the_data_and_the_answer():
    notes = []
    driver = world(NotedBlk(Disk.of(IMAGE), notes.append, 64))
    driver.write(3, IMAGE[:SECTOR])
    driver.read(3, 1)
    head = (0).to_bytes(8, "little") + (3).to_bytes(8, "little")
    out, in_ = notes
    assert out.pieces == ((16, False), (SECTOR, False), (1, True))
    assert out.data == b"\x01" + head[1:] + IMAGE[:SECTOR]
    assert (out.written, out.status, out.answer) == (1, 0, zlib.crc32(b"\0"))
    assert in_.pieces == ((16, False), (SECTOR, True), (1, True))
    assert (in_.data, in_.written) == (head, SECTOR + 1)
    assert in_.answer == zlib.crc32(IMAGE[:SECTOR] + b"\0")


class Meddling(Disk):
    """While something is written to this disk the guest changes its buffers."""

    def write(self, sector, data):
        super().write(sector, data)
        self.rig.ram.write(0x20_0000, b"\xee" * (1 << 20))


def test_what_is_noted_is_what_was_done_though_the_guest_changes_it_meanwhile():
    disk, notes = Meddling.of(IMAGE), []
    rig = disk.rig = Rig(NotedBlk(disk, notes.append, 64), "mmio")
    queue = rig.guest
    queue.begin()
    queue.negotiate(frozenset({Feature.VERSION_1}))
    ring = queue.add_queue(0, 8)
    queue.ready()
    rig.ram.write(0x20_0000, b"\x01".ljust(16, b"\0") + IMAGE[SECTOR : 2 * SECTOR])
    ring.add_buf([(0x20_0000, 16 + SECTOR)], [(DATA, 1)], "a write")
    ring.kick()
    assert ring.get_buf().written == 1
    assert notes[0].data[16:] == disk.read(0) == IMAGE[SECTOR : 2 * SECTOR]


def test_of_a_failed_read_the_guest_gets_a_status_and_nothing_else():
    notes = []
    rig = Rig(NotedBlk(Disk.of(IMAGE), notes.append, 64), "mmio")
    rig.guest.begin()
    rig.guest.negotiate(frozenset({Feature.VERSION_1}))
    ring = rig.guest.add_queue(0, 8)
    rig.guest.ready()
    rig.ram.write(DATA, bytes(8) + (SECTORS).to_bytes(8, "little") + b"\xaa" * 513)
    ring.add_buf([(DATA, 16)], [(DATA + 16, 513)], "beyond the end")
    ring.kick()
    assert ring.get_buf().written == 0
    assert rig.ram.read(DATA + 16, 513) == b"\xaa" * 512 + bytes([BlkStatus.IOERR])


def test_a_chain_that_is_no_request_breaks_the_device_behind_the_answers_before_it():
    notes = []
    rig = Rig(NotedBlk(Disk.of(IMAGE), notes.append, 64), "mmio", set())
    rig.guest.begin()
    rig.guest.negotiate(frozenset({Feature.VERSION_1}))
    ring = rig.guest.add_queue(0, 8)
    rig.guest.ready()
    ring.add_buf([(DATA, 16)], [(DATA + 16, 513)], "a read")
    ring.add_buf([(DATA, 15)], [(DATA + 16, 1)], "no request")
    ring.add_buf([(DATA, 16)], [(DATA + 16, 513)], "a read behind it")
    ring.kick()
    assert ring.get_buf() == ("a read", 513)
    assert ring.get_buf() is None
    assert rig.guest.needs_reset
    assert len(notes) == 1


def test_a_request_too_large_to_be_noted_is_answered_and_counted(monkeypatch):
    monkeypatch.setattr(live_blk, "NOTED", 16 + 2 * SECTOR)
    notes = []
    device = NotedBlk(Disk.of(IMAGE), notes.append, 64)
    driver = world(device)
    assert driver.read(0, 4) == IMAGE[: 4 * SECTOR]
    driver.write(0, IMAGE[-4 * SECTOR :])
    assert driver.read(1, 1) == IMAGE[-3 * SECTOR :][:SECTOR]
    assert (len(notes), device.unnoted) == (1, 2)


NOTE = ChainNote(
    0, 0, ((16, False), (512, True), (1, True)), bytes(16), 513, 0, zlib.crc32(IMAGE[:512] + b"\0")
)


@pytest.mark.parametrize(
    "other",
    [{"status": 1}, {"written": 1}, {"answer": 0}, {"data": b"\x08" + bytes(15)}],
    ids=["status", "written", "bytes", "kind"],
)
def test_another_answer_than_then_is_an_error_that_names_the_request(other):
    device = VirtioBlk(Disk.of(IMAGE))
    assert again(device, NOTE).status == 0
    with pytest.raises(Differs, match="head 0, 16r 512w 1w"):
        again(device, NOTE._replace(**other))


def test_a_request_is_asked_in_memory_of_its_own():
    device = VirtioBlk(Disk.of(IMAGE))
    answer = ask(device, bytes(16), 513, frozenset({Feature.VERSION_1}))
    assert answer == Answer(IMAGE[:512] + b"\0", 513)
    assert answer.checksum == zlib.crc32(IMAGE[:512] + b"\0")
    for data, writable in ((b"", 0), (bytes(15), 1), (bytes(16), 0)):
        with pytest.raises(GuestError):
            ask(device, data, writable, frozenset())
