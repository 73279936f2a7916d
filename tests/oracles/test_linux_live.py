"""Lesson 22's session with the real programs: a Linux on our disk, and our driver in its place.

What a live run does is what the recording has, in all that is promised: names, commands, statuses,
texts. The numbers of a run are its own.
"""

from __future__ import annotations

import threading
import time

import pytest

from tests.descriptors import fd_count
from tests.needs import needs_linux, needs_qemu
from virtlab.backends.disk import Disk
from virtlab.hosts.live import WORKS, Tier, content, recorded, session, sums, tier
from virtlab.hosts.live_blk import Differs, again, ask
from virtlab.hosts.live_qtest import QtestSession
from virtlab.hosts.tape import ChainNote, Tape
from virtlab.show.ring_look import Counts, look_packed, look_split
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import BlkStatus
from virtlab.virtio.features import Feature

RINGS = pytest.mark.parametrize("ring", ["split", "packed"])


def state():
    return fd_count(), threading.active_count()


def promised(works):
    """What is the same in every run."""
    return [work[: 3 if work.name == "fsck" else 4] for work in works]


def look(shot):
    counts = Counts(shot.added, shot.used, shot.last_avail, shot.used)
    looks = look_packed if shot.packed else look_split
    return looks(shot.memory, shot.rings, counts, shot.features)


@needs_qemu
@RINGS
def test_our_driver_makes_linuxs_requests_through_qemu(ring):
    before = state()
    with session("recorded", ring) as played, session("qtest", ring) as real:
        works = [real.work() for _ in real.works]
        then = [played.work() for _ in played.works]
        assert promised(works) == promised(then)
        # The same requests with the same bytes; events are those of now.
        assert [(work.requests, work.bytes) for work in works] == [
            (work.requests, work.bytes) for work in then
        ]
        assert real.image() == played.image()
        assert real.fsck().clean
        assert real.console == played.console
        tape, counts = real.tape, real.statistics
        assert (counts.errors, counts.requests) == (0, len(tape.chains))
        assert [note[2:] for note in tape.chains] == [note[2:] for note in recorded(ring).chains]
        shots = [moment.what for moment in tape.of("ring")]
        assert {shot.packed for shot in shots} == {ring == "packed"}
        assert all(look(shot).findings == () for shot in shots)
        assert real.shot().used == sum(len(event.heads) for event in tape.events) // 2
    del real, played
    assert state() == before


@needs_qemu
def test_an_answer_that_is_another_than_linux_got_is_an_error():
    tape = recorded()
    at = next(n for n, m in enumerate(tape.moments) if m.kind == "chain" and m.what.written > 1)
    moment = tape.moments[at]
    tape.moments[at] = moment._replace(what=moment.what._replace(answer=5))
    before = state()
    with pytest.raises(Differs), QtestSession(Tier("qtest", ""), tape=tape) as real:
        real.work("driver")
    del real
    assert state() == before


@needs_qemu
def test_what_a_request_that_fails_leaves_is_compared_too():
    """The driver's buffers are used again and again; of a failed read nothing of before is left."""
    tape = recorded()
    at = max(n for n, m in enumerate(tape.moments) if m.ns < tape.of("said")[4].ns)
    beyond = bytes(8) + (1 << 20).to_bytes(8, "little")
    answer = ask(VirtioBlk(Disk(512)), beyond, 513, frozenset({Feature.VERSION_1}))
    pieces = ((16, False), (512, True), (1, True))
    facts = answer.written, answer.status, answer.checksum
    tape.moments[at] = tape.moments[at]._replace(
        kind="chain", what=ChainNote(0, 0, pieces, beyond, *facts)
    )
    with QtestSession(Tier("qtest", ""), tape=tape) as real:
        assert real.work("sums").requests == recorded().said[4].counts.requests + 1
        assert real.tape.chains[-1].status == BlkStatus.IOERR


@needs_linux
@RINGS
def test_a_linux_does_what_the_recording_says(ring, tmp_path):
    assert tier("live").name == "live"
    before = state()
    with session("live", ring) as real:
        works = [real.work() for _ in real.works]
        with session("recorded", ring) as played:
            assert promised(works) == promised(played.work() for _ in played.works)
        assert real.work("sums").text == sums()
        assert sum(work.requests for work in works) == len(real.tape.chains)
        assert real.fsck().clean
        assert all(content(number)[:1024] in real.image() for number in range(1, 5))
        assert all(f"linux# {command}\n" in real.console for command in WORKS.values())
        real.press("echo $((6 * 7)) is typed\n")
        for _ in range(1000):
            if "42 is typed" in real.console:
                break
            time.sleep(0.02)
        assert "42 is typed" in real.console
        assert real.statistics.errors == 0
        assert look(real.shot()).findings == ()
        real.tape.write(tmp_path / "tape.jsonl.gz")
        image = real.image()
    del real, played
    assert state() == before
    # The tape of this run is as good as the library's.
    tape = Tape.read(tmp_path / "tape.jsonl.gz")
    assert (tmp_path / "tape.jsonl.gz").stat().st_size < 200_000
    with QtestSession(Tier("qtest", ""), ring, tape) as real:
        assert promised(works) == promised(real.work() for _ in real.works)
        assert real.image() == image
    assert again(VirtioBlk(real.disk), tape.chains[0]).status == 0
