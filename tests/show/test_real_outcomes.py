"""Where no back-end can run: kept outcomes stand for it, say so, and are what one says today."""

import os

import pytest

from tests.show.looks import words_of
from virtlab.show import real_outcomes
from virtlab.show.real_crash import crash
from virtlab.show.real_handshake import Handshake, handshake_picture
from virtlab.show.real_heard import handshake
from virtlab.show.real_outcomes import able, record, session_key
from virtlab.show.real_replay import MISTAKES, replay, spoilt

SESSION = handshake()


@pytest.fixture(params=real_outcomes.NEEDS)
def elsewhere(request, monkeypatch):
    """A system whose `os` lacks one of the names."""
    monkeypatch.delattr(os, request.param)
    assert not able()


@pytest.mark.parametrize("mistake", ["", *MISTAKES])
def test_a_kept_session_is_what_a_back_end_says_today(mistake, monkeypatch):
    session = spoilt(SESSION, mistake) if mistake else SESSION
    today = replay(session)
    assert not today.recorded
    monkeypatch.delattr(os, "memfd_create")
    assert replay(session) == today._replace(recorded=True)


def test_a_kept_crash_is_what_happens_today(monkeypatch):
    today = crash()
    assert not today.recorded
    assert "Recorded" not in today.table.caption
    monkeypatch.delattr(os, "eventfd")
    kept = crash()
    assert kept == today._replace(recorded=True)
    assert kept.table.rows == today.table.rows
    assert "Recorded: this system has no memfd" in kept.table.caption


def test_the_file_is_the_one_that_would_be_made_today(tmp_path):
    """It is short, has no time in it, and every line has its own key."""
    new = tmp_path / "outcomes.jsonl"
    assert record(str(new)) == len(MISTAKES) + 2
    kept = real_outcomes.resources.files("virtlab").joinpath(*real_outcomes.FILE)
    assert new.read_text("utf-8") == kept.read_text("utf-8")


def test_of_what_nobody_recorded_there_is_no_outcome(elsewhere):
    with pytest.raises(OSError, match="of this one nothing was recorded"):
        replay(SESSION[:5])
    with pytest.raises(OSError, match="of this one nothing was recorded"):
        crash(4, 1)


def test_the_widget_says_that_it_shows_a_recording(elsewhere):
    widget = Handshake(SESSION)
    drawn = handshake_picture(SESSION, 0)
    assert "a UNIX socket, as it was recorded" in words_of(drawn)
    assert drawn.text.splitlines()[-1].startswith("Recorded: this system has no memfd")
    assert "(Recorded: this system has no memfd" in widget._says.value
    for mistake in MISTAKES:
        widget.mistake.value = mistake
        assert "Refused, and the connection" in widget._says.value
        assert "(Recorded: " in widget._says.value


def test_a_session_is_known_by_what_is_said_and_not_by_when():
    later = [one._replace(ns=one.ns + 1) for one in SESSION]
    assert session_key(later) == session_key(SESSION)
    keys = {session_key(spoilt(SESSION, mistake)) for mistake in MISTAKES}
    assert len(keys | {session_key(SESSION)}) == len(MISTAKES) + 1
