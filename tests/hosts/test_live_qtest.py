"""The tier with a QEMU and no Linux: its groups of requests, and how it ends."""

from __future__ import annotations

import threading

import pytest

from tests.needs import needs_qemu
from virtlab.hosts import live_qtest
from virtlab.hosts.live import session
from virtlab.hosts.live_qtest import _groups
from virtlab.hosts.tape import ChainNote, Event, Moment

NOTE = ChainNote(0, 0, ((16, False), (1, True)), bytes(16), 1, 0, 0)


def test_requests_that_came_by_one_ring_of_the_bell_are_one_group():
    kick = Moment(0, "event", "disk", Event("kick", 0))
    pop = Moment(0, "event", "disk", Event("pop", 0))
    a, b, c = (Moment(0, "chain", "disk", NOTE._replace(head=head)) for head in range(3))
    assert list(_groups([])) == list(_groups([kick, kick, pop])) == []
    groups = list(_groups([pop, a, kick, kick, pop, b, c, kick]))
    assert [[note.head for note in group] for group in groups] == [[0], [1, 2]]
    assert len(list(_groups([a, kick, b]))) == 2


@needs_qemu
def test_requests_that_nobody_answers_end_the_session(monkeypatch):
    busy = threading.Event()
    monkeypatch.setattr(live_qtest, "PATIENCE", 0.05)
    with session(tier="qtest") as real:
        # The disk's thread has something else to do, until the session ends.
        real._served._loop.call(lambda: busy.wait(20))
        threading.Timer(0.3, busy.set).start()
        with pytest.raises(TimeoutError, match="1 requests were not answered"):
            real.work()
        assert not real._served.folder.exists()


def test_without_a_qemu_nothing_is_left(monkeypatch):
    made = []

    class Served:
        def __init__(self, *_):
            self.path = "/nowhere"

        def close(self):
            made.append("closed")

    monkeypatch.setattr(live_qtest, "ServedDisk", Served)
    monkeypatch.setattr("virtlab.hosts.remote.find_qemu", lambda: None)
    with pytest.raises(FileNotFoundError, match="apt install qemu"):
        session("qtest")
    assert made == ["closed"]
