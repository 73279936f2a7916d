"""Tasks 4 and 5 of problem set 7: their judges, held to the library and to a recorded Linux."""

import struct
from random import Random

import numpy as np
import pytest

from tests.course.answers import right
from tests.course.refusals import refusal
from virtlab.backends.disk import SECTOR, Disk
from virtlab.course.answers import Answer
from virtlab.course.given.world import FEATURES, PROTOCOL, disk_config
from virtlab.course.ps7 import front_chains, linux_requests, requests
from virtlab.course.ps7.life import Life, Notes
from virtlab.course.ps7.lives import noted
from virtlab.course.ps7.notes import bytes_of, right_start
from virtlab.hosts.live_blk import ask
from virtlab.hosts.live_tape import recorded
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.features import Feature, from_bits
from virtlab.virtio.vhost_user.inflight_split import SplitTracker
from virtlab.virtio.vhost_user.layouts import ProtocolFeature
from virtlab.virtio.vhost_user.messages import ProtocolError
from virtlab.virtio.vhost_user.session import PROTOCOL as KNOWN

# -- the examples of the texts


def test_the_example_of_task_4_holds():
    life = noted(Answer({}), 5, [(3, 9), (6, 12), (1, 10)], [3])
    assert right()["start"](life.q, 0) == [1, 6]
    assert (life.q.pushed, life.q.last_avail, life.q.clock) == (5, 7, 13)


def test_the_example_of_task_5_holds():
    back_end = right()["BackEnd"](Disk(SECTOR), b"")
    back_end.q = Life(Answer({})).q
    back_end.q.pushed = 65_537
    assert back_end.handle(11, bytes(8), []) == b"\0\0\0\0\1\0\0\0"


def test_the_offsets_that_the_text_gives_are_those_of_the_library():
    notes = Notes(np.arange(bytes_of(2), dtype=np.uint8))
    two = lambda at: at + 256 * (at + 1)  # noqa: E731
    header = {name: int(notes.header[name][0]) for name in notes.header.dtype.names}
    assert [header[name] for name in ("version", "desc_num", "last_batch_head", "used_idx")] == [
        two(8), two(10), two(12), two(14)
    ]  # fmt: skip
    assert (notes.states["inflight"].tolist(), int(notes.states["next"][1])) == ([16, 32], two(38))
    assert int(notes.states["counter"][1]) == int.from_bytes(bytes(range(40, 48)), "little")


def test_what_is_offered_is_what_our_disk_offers():
    every = VirtioBlk(Disk(SECTOR)).features | {Feature.VERSION_1, 28, 29, 30}
    assert from_bits(FEATURES) <= every
    assert from_bits(PROTOCOL) == {ProtocolFeature.CONFIG, ProtocolFeature.REPLY_ACK}
    assert set(from_bits(PROTOCOL)) <= set(KNOWN)
    assert struct.unpack_from("<QII", disk_config(Disk(1 << 20))) == (2048, 0, 126)


# -- task 4, held to the library's notes


def test_a_start_finds_what_our_tracker_finds():
    rng, seen = Random(9), set()
    for _ in range(300):
        size = 1 << rng.randrange(1, 5)
        raw = np.zeros(bytes_of(size), np.uint8)
        notes = Notes(raw)
        notes.header["version"], notes.header["desc_num"] = rng.choice((0, 1, 1, 1, 2)), size
        notes.header["used_idx"], used = rng.choice((0, 65_533)), 0
        used = (int(notes.header["used_idx"][0]) + rng.randrange(-1, size + 3)) & 0xFFFF
        notes.header["last_batch_head"] = rng.randrange(size + 1)
        notes.states["next"] = [rng.randrange(size + 1) for _ in range(size)]
        notes.states["inflight"] = [rng.getrandbits(1) for _ in range(size)]
        notes.states["counter"] = rng.sample(range(1000), size)
        if not notes.header["version"][0]:
            notes.states["inflight"] = 0
        theirs = raw.copy()
        try:
            due = [taken.head for taken in SplitTracker(theirs, size, size).recover(used)]
        except ProtocolError:
            due = "broken"
        assert right_start(notes, used, size) == due
        seen.add(type(due))
        if due != "broken":
            assert (raw == theirs).all()
    assert seen == {list, str}


def test_the_solution_notes_as_our_tracker_notes():
    life = noted(Answer(right()), 7)
    raw = life.pages.bytes.copy()
    tracker = SplitTracker(raw, life.size, life.size)
    assert life.begin(7) is None
    assert tracker.recover(7) == []
    for head in (3, 5, 0):
        tracker.take([head], [1], b"")
        assert life.take(head) is None
    for used, head in enumerate((5, 3), 8):
        tracker.giving([head], used)
        tracker.gave([head], used)
        assert life.give(head, 512) is None
    assert (raw == life.pages.bytes).all()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def stop(q): return None", "yours None: is there a return?"),
        ("def start(q, b): return 7", "expected [] yours 7"),
        ("def taken(q, h): raise ValueError('no')", "ValueError: no"),
        (
            "t = taken\ndef taken(q, h): t(q, h); q.notes.store(14, 2, 9)",
            "used_idx 0 in the header",
        ),
    ],
)
def test_what_is_no_life_is_said(source, said):
    assert said in refusal("ps7.q4", source)


# -- task 5: the requests of Linux


def test_the_requests_are_those_that_linux_made():
    """All but discards, in their pieces; each gets the answer that Linux got then."""
    device = VirtioBlk(Disk(linux_requests.DISK_BYTES), "virtlab")
    features = frozenset({int(Feature.VERSION_1), 9})
    answers = {note.data: [] for note in recorded().chains}
    for note in recorded().chains:
        answers[note.data].append((note.pieces, note.answer))
    kinds = set()
    for work in linux_requests.WORKS:
        for one in linux_requests.requests(work):
            answer = ask(device, one.data, one.writable, features)
            kinds.add(struct.unpack_from("<I", one.data)[0])
            assert answer.status == 0, one.told
            if one.data in answers:
                assert (tuple(one.pieces), answer.checksum) == answers[one.data].pop(0)
            else:
                assert not any(one.data[16:]), one.told
    left = {struct.unpack_from("<I", data)[0] for data, more in answers.items() if more}
    assert left <= {11, 13}
    assert kinds == {0, 1, 4}


def test_a_long_run_of_zeros_is_written_in_pieces():
    """130 KiB from sector 8 on: two whole pieces, and what is left."""
    data = struct.pack("<IIQ", 13, 0, 0) + struct.pack("<QII", 8, 260, 0)
    asked = list(linux_requests._asked("mkfs", data, ((32, False), (1, True))))
    heads = [struct.unpack_from("<IIQ", one.data) for one in asked]
    assert heads == [(1, 0, 8), (1, 0, 136), (1, 0, 264)]
    assert [len(one.data) - 16 for one in asked] == [1 << 16, 1 << 16, 4 * SECTOR]


def test_a_disk_before_a_work_is_what_the_works_before_left():
    disk, last = linux_requests.disk_before("driver"), linux_requests.disk_before("fsck")
    assert not disk.array().any()
    assert last.read(2)[56:58] == b"\x53\xef"  # ext4's magic number


BACK = "class BackEnd(BackEnd):\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def BackEnd(d, n): raise ValueError('no')", "ValueError: no"),
        (BACK + " def kicked(self): return None", "yours None: is there a return?"),
        (BACK + " def kicked(self): return True, 'more'", "yours state 'more'"),
        (BACK + " def kicked(self):\n"
         "  if self.q: self.memory.store(0x9000, 1, 7)\n"
         "  return super().kicked()", "a byte at 0x9000"),
        (BACK + " def kicked(self):\n"
         "  c, s = super().kicked()\n"
         "  self.disk.write(9, bytes(512)) if self.word else None\n"
         "  return c, s if s == 'more' else 'sleep'", "FAILS a ring that is nowhere"),
        (BACK + " def handle(self, *a):\n"
         "  if a[0] == 5: self.disk.write(1, b'x' * 512)\n"
         "  return super().handle(*a)", "what was written is on the disk, and nothing else"),
    ],
)  # fmt: skip
def test_what_is_no_back_end_is_said(source, said):
    assert said in refusal("ps7.q5", source)


def test_a_disk_that_differs_in_the_end_is_said():
    driver = front_chains.Driver(Answer(right()))
    assert driver.disks() is None
    driver.disk.write(3, b"\5" * SECTOR)
    assert driver.disks().yours == "0x05"
    assert driver.disks().expected == "0x00 in byte 0 of sector 3"
    assert requests.ask_for(77, 1).told == "type 77, sector 1, 0 bytes"
