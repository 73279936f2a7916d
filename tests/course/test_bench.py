"""`virtlab bench` passes its options on, and says what went wrong in one line."""

import json
import subprocess
import sys

import pytest

from virtlab.course import bench, cli


class Done:
    """What `subprocess.run` gives."""

    def __init__(self, returncode, stderr=b""):
        self.returncode = returncode
        self.stderr = stderr


@pytest.fixture
def ran(monkeypatch):
    """Every command that was run, which ended as the last element says."""
    commands = [Done(0)]

    def run(words, **options):
        done = commands.pop()
        commands.extend([words, done])
        return done

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_the_options_are_passed_on(ran):
    words = ["--quick", "--native", "--json", "--no-gate", "--rows", "fresh"]
    assert cli.main(["bench", *words]) == 0
    asked = ["--quick", "--native", "--json", "--no-gate", "--rows=fresh"]
    assert ran[0] == [sys.executable, "-m", "benchmarks", *asked]


def test_without_options_there_are_none(ran):
    assert cli.main(["bench"]) == 0
    assert ran[0] == [sys.executable, "-m", "benchmarks"]


def test_a_missed_goal_is_status_1(ran):
    ran[-1] = Done(1)
    assert cli.main(["bench"]) == 1


def test_no_compiler_is_one_line(ran, capsys):
    ran[-1] = Done(2, b"no C compiler: install one\n")
    assert cli.main(["bench"]) == 1
    assert capsys.readouterr().err == "virtlab bench: no C compiler: install one\n"


def test_a_package_without_the_project_says_where_they_are(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "PROJECT", tmp_path)
    assert cli.main(["bench"]) == 1
    assert "project's folder" in capsys.readouterr().err


def test_no_such_row_measures_nothing():
    """The real thing, as far as the command line goes."""
    words = [sys.executable, "-m", "virtlab.course.cli", "bench", "--json", "--rows", "no such row"]
    done = subprocess.run(words, capture_output=True, timeout=60)
    assert [json.loads(line) for line in done.stdout.splitlines()] == []
    assert done.returncode in (0, 1)
