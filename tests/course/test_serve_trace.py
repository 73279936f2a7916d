"""``virtlab serve``: each event of a ring as a line, and what was counted."""

from __future__ import annotations

import json
import os
import sys
import time
from io import FileIO

from tests.course.serve_command import (
    disk_at,
    fails,
    run_with,
    write_one,
)
from virtlab.course import serve_command
from virtlab.course.serve_trace import Trace
from virtlab.virtio.vhost_user.statistics import Event

# -- traces and statistics


def test_a_trace_has_a_line_for_each_event(image, path, monkeypatch, capfd):
    words = ("blk", image, "--socket", path, "--trace")
    assert run_with(monkeypatch, write_one(path), *words)[0] == 0
    rows = [line.split(maxsplit=5) for line in capfd.readouterr().out.splitlines()]
    assert {row[1] for row in rows} == {str(path)}
    times = [float(row[0]) for row in rows]
    assert times == sorted(times)
    kinds = [row[2] for row in rows]
    assert kinds[kinds.index("kick") :] == ["kick", "pop", "push", "quiet", "stop"]
    assert "start" in kinds
    pop = next(row for row in rows if row[2] == "pop")
    head, length = pop[5].split(":")
    assert pop[3:5] == ["ring", "0"]
    assert int(length) == 16 + 512 + 1
    assert next(row for row in rows if row[2] == "push")[5] == f"{head}:1"


def test_a_trace_in_a_file_of_objects(image, thin, tmp_path, monkeypatch):
    one, two, file = tmp_path / "one.sock", tmp_path / "two.sock", tmp_path / "trace.jsonl"
    traced = ("--trace", file)

    def client():
        write_one(one)()
        write_one(two)()

    words = ("blk", image, "--socket", one, *traced, "+", "blk", thin, "--socket", two, *traced)
    assert run_with(monkeypatch, client, *words)[0] == 0
    events = [json.loads(line) for line in file.read_text().splitlines()]
    pops = [event for event in events if event["kind"] == "pop"]
    assert [event["device"] for event in pops] == [str(one), str(two)]
    for event in pops:
        assert (event["ring"], event["lengths"], len(event["heads"])) == (0, [529], 1)
        assert event["ns"] > 0


def test_a_trace_that_cannot_be_written_ends_and_the_disk_goes_on(image, path, monkeypatch):
    words = ("blk", image, "--socket", path, "--trace")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        status, _, lines = run_with(monkeypatch, write_one(path), *words)
        monkeypatch.undo()
    assert status == 0
    assert [line for line in lines if "the trace ends here" in line] == lines[2:3]
    assert lines[-1].startswith(f"{path}: 1 requests")
    assert image.read_bytes()[9 * 512 : 10 * 512] == bytes(512)


def test_a_trace_into_a_pipe_that_nobody_reads_ends_and_the_device_goes_on():
    """A pipe that does not block and is full takes nothing, and that is no error of its own."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    lines = []
    with FileIO(theirs, "w") as file:
        watch = Trace(file, True, lines.append).watch("disk.sock")
        for number in range(2000):
            watch(Event("kick", number))
    with open(ours, "rb") as end:
        assert end.read(200).startswith(b'{"ns": ')
    assert lines == ["the trace ends here: nobody reads it"]


def test_a_trace_whose_file_cannot_be_made_is_one_line(image, path, tmp_path, capfd):
    missing = tmp_path / "no" / "trace.txt"
    said = fails(capfd, "blk", image, "--socket", path, "--trace", missing)
    assert said == f"{missing}: No such file or directory"


def test_statistics_are_said_while_it_runs(image, path, monkeypatch):
    lines = []

    def client():
        seen = serve_command.say.__self__
        with disk_at(path) as disk:
            disk.read(0, 4)
            end = time.monotonic() + 20
            while sum(" 1 requests (" in line for line in seen) < 2 and time.monotonic() < end:
                time.sleep(0.002)
        lines.extend(seen)

    words = ("blk", image, "--socket", path, "--statistics", "0.02")
    assert run_with(monkeypatch, client, *words)[0] == 0
    live = [line for line in lines if " 1 requests" in line]
    assert live[0].startswith(f"{path}: 1 requests (50/s) in 1 batches, {16 + 2048 + 1} bytes, ")
    assert " 1 requests (0/s) in 1 batches, " in live[1]
