"""``virtlab record``: a run becomes a file, or one line says why not."""

from __future__ import annotations

import pytest

from virtlab.course import cli, record_command
from virtlab.errors import FileError
from virtlab.hosts import live
from virtlab.hosts.live_tape import RecordedSession, recorded
from virtlab.hosts.tape import Tape

COMMAND = cli.Command(
    "record", "virtlab.course.record_command", "record a run", "virtlab record run.jsonl.gz"
)


def run(*words):
    return cli.run(COMMAND, [str(word) for word in words])


@pytest.fixture
def played(monkeypatch):
    """Instead of a Linux a recording is played. Gives what a session was asked for."""
    asked = []

    def session(name, ring):
        asked.append((name, ring))
        return RecordedSession(live.Tier(name, ""), ring)

    monkeypatch.setattr(record_command.live, "session", session)
    return asked


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
@pytest.mark.parametrize("ring", ["split", "packed"])
def test_a_run_is_recorded_and_what_the_file_has_is_said(played, tmp_path, capsys, name, ring):
    assert run(tmp_path / name, "--ring", ring) == 0
    assert played == [("live", ring)]
    assert Tape.read(tmp_path / name) == recorded(ring)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "driver: 2 requests"
    assert len(lines) == 8
    tape = recorded(ring)
    assert f"{len(tape.chains)} requests, {len(tape.moments)} moments" in lines[-1]
    assert lines[-1].endswith(f"Linux {tape.about['kernel']}, QEMU {tape.about['qemu']}")


@pytest.mark.parametrize(
    ("file", "why"),
    [("run.txt", "ends in .jsonl or .jsonl.gz"), ("none/run.jsonl", "there is no folder")],
)
def test_a_file_that_cannot_be_is_refused_before_anything_starts(
    played, tmp_path, capsys, file, why
):
    assert run(tmp_path / file) == 1
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert played == []


def test_a_work_that_fails_leaves_no_file(played, monkeypatch, tmp_path, capsys):
    plain = RecordedSession._do

    def fails(self, name):
        return plain(self, name)._replace(status=int(name == "mount"), text="no such device\n")

    monkeypatch.setattr(RecordedSession, "_do", fails)
    assert run(tmp_path / "run.jsonl") == 1
    assert "ended with status 1: no such device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "status"),
    [(FileNotFoundError("no Linux: sudo apt install one"), 1), (FileError("k", 2, "bad"), 1)],
)
def test_what_is_missing_is_one_line(monkeypatch, tmp_path, capsys, error, status):
    def session(*_):
        raise error

    monkeypatch.setattr(record_command.live, "session", session)
    assert run(tmp_path / "run.jsonl") == status
    assert str(error) in capsys.readouterr().err


def test_a_wrong_command_line(capsys):
    assert run() == 2
    assert run("a.jsonl", "--ring", "round") == 2
    assert run("--help") == 0
    assert "--ring" in capsys.readouterr().out
