"""Who writes a tape while it happens: bounded, in order, and honest about what is left out."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from virtlab.hosts import live_record
from virtlab.hosts.live_record import EVERY, YOUNG, Recorder, look
from virtlab.hosts.tape import ChainNote, Counts, Event, Said, Tape
from virtlab.memory import GuestMemory
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split import SplitQueue

NOTE = ChainNote(0, 0, ((1000, False), (1, True)), bytes(1000), 1, 0, 0)
SAID = Said("a", "b", 0, "c" * 1000, 0, Counts())
KICK = Event("kick", 0)


def back_end(ram=1 << 16, at=0x1000):
    """As much of a back-end with one ring as is looked at."""
    queue = SplitQueue(GuestMemory(ram), lambda: None)
    queue.enable(SplitRings.placed(at, 8))
    memory = SimpleNamespace(shapes=[SimpleNamespace(guest=0, size=ram)])
    return SimpleNamespace(rings=[SimpleNamespace(queue=queue, broken=False)], memory=memory)


def test_what_happened_is_on_the_tape_with_its_time(tmp_path):
    recorder = Recorder("my disk")
    recorder.event(back_end(), Event("pop", 0, [3], [17]))
    recorder.chain(NOTE)
    recorder.said(SAID)
    recorder.console(b"a")
    tape = recorder.tape({"kernel": "6.1"})
    kinds = [(moment.kind, moment.device) for moment in tape.moments]
    mine = [("event", "my disk"), ("ring", "my disk"), ("chain", "my disk")]
    assert kinds == [*mine, ("said", ""), ("console", "")]
    times = [moment.ns for moment in tape.moments]
    assert times == sorted(times)
    assert 0 < times[0]
    assert times[-1] <= recorder.now
    assert tape.about == {"kernel": "6.1", "left_out": {"shots": 0, "moments": 0, "chains": 0}}
    tape.write(tmp_path / "tape.jsonl")
    assert Tape.read(tmp_path / "tape.jsonl") == tape


def test_what_is_printed_at_once_is_one_moment(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(live_record, "AT_ONCE", 1 << 60)
    for letter in b"linux# ":
        recorder.console(bytes([letter]))
    assert recorder.tape().console == b"linux# "
    assert len(recorder.tape().moments) == 1
    recorder.chain(NOTE)
    recorder.console(b"a")
    monkeypatch.setattr(live_record, "AT_ONCE", 0)
    recorder.console(b"b")
    assert [moment.what for moment in recorder.tape().of("console")] == [b"linux# ", b"a", b"b"]


def test_the_first_events_have_a_shot_each_and_later_ones_share_one():
    recorder, there = Recorder(), back_end()
    for _ in range(YOUNG + 10 * EVERY):
        recorder.event(there, KICK)
    assert len(recorder.tape().of("ring")) == YOUNG + 10
    assert recorder.tape().about["left_out"]["shots"] == 10 * (EVERY - 1)
    recorder.fresh()
    for _ in range(YOUNG):
        recorder.event(there, KICK)
    assert len(recorder.tape().of("ring")) == 2 * YOUNG + 10
    for moment, before in zip(recorder.tape().moments[1:], recorder.tape().moments, strict=False):
        assert moment.kind != "ring" or before.kind == "event"


@pytest.mark.parametrize("kind", ["start", "stop", "error", "refused"])
def test_a_ring_is_not_looked_at_where_it_begins_or_ends(kind):
    recorder = Recorder()
    recorder.event(back_end(), Event(kind, 0))
    assert [moment.kind for moment in recorder.tape().moments] == ["event"]


def test_there_is_no_shot_of_a_ring_that_cannot_be_looked_at():
    there = back_end()
    assert look(there, 0).regions == ((0, 1 << 16),)
    there.rings[0].broken = True
    assert look(there, 0) is None
    there.rings[0].queue = None
    assert look(there, 0) is None
    assert look(back_end(ram=1 << 12, at=1 << 13), 0) is None
    recorder = Recorder()
    recorder.event(there, KICK)
    assert recorder.tape().of("ring") == []


def test_the_newest_moments_are_kept_and_the_others_counted():
    recorder = Recorder(moments=10)
    for number in range(25):
        recorder.chain(NOTE._replace(head=number))
    assert [note.head for note in recorder.tape().chains] == list(range(15, 25))
    assert recorder.tape().about["left_out"]["moments"] == 15


def test_a_tape_has_a_bounded_number_of_bytes():
    recorder, there = Recorder(size=100_000), back_end()
    for _ in range(300):
        recorder.chain(NOTE)
        recorder.said(SAID)
        recorder.event(there, KICK)
        recorder.console(b"x" * 1000)
    moments = recorder.tape().moments
    assert 20 < len(moments) < 200
    assert recorder.left_out["moments"] > 1000
    # What is printed without an end is cut into moments, and the first are dropped.
    for _ in range(300):
        recorder.console(b"x" * 1000)
    assert len(recorder.tape().console) <= 100_000


def test_threads_tell_at_once_and_no_moment_is_lost_or_out_of_order():
    recorder = Recorder()

    def tell(head):
        for _ in range(500):
            recorder.chain(NOTE._replace(head=head))

    threads = [threading.Thread(target=tell, args=(head,)) for head in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tape = recorder.tape()
    assert sorted(note.head for note in tape.chains) == [0] * 500 + [1] * 500 + [2] * 500
    assert [m.ns for m in tape.moments] == sorted(m.ns for m in tape.moments)
