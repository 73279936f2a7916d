"""The runner of all parts: its table, its exit status, and that it leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts import test as runner

ROOT = Path(__file__).parents[1]
CHILD = """
import pathlib, subprocess, sys, scripts.test as runner
code = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\\n"
code += "time.sleep(60)"
runner.PARTS = (runner.Part("slow", (sys.executable, "-c", code, sys.argv[1])),)
sys.exit(runner.main([]))
"""


def part(name, code):
    return runner.Part(name, (sys.executable, "-c", code))


@pytest.fixture
def no_signals(monkeypatch):
    """The tests' own process keeps its signal handlers."""
    monkeypatch.setattr(runner.signal, "signal", lambda *_: None)


def test_the_last_line_counts_the_parts(monkeypatch, capsys, no_signals):
    monkeypatch.setattr(runner, "PARTS", (part("good", "pass"), part("bad", "raise SystemExit(3)")))
    assert runner.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 passed, 1 failed"
    assert [line.split()[:2] for line in lines if " s " in f"{line} " and line[0] != " "] == [
        ["good", "passed"],
        ["bad", "FAILED"],
    ]
    assert runner.main(["good"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed"


def test_a_part_that_must_be_asked_for_runs_only_then(monkeypatch, capsys, no_signals):
    asked = part("dear", "pass")._replace(asked=True)
    monkeypatch.setattr(runner, "PARTS", (part("good", "pass"), asked))
    assert runner.main([]) == 0
    assert "dear" not in capsys.readouterr().out
    assert runner.main(["dear"]) == 0
    assert "dear" in capsys.readouterr().out


def test_a_part_that_takes_too_long_fails(monkeypatch, no_signals):
    monkeypatch.setattr(runner, "PART_SECONDS", 1)
    result = runner.run(part("slow", "import time; time.sleep(60)"))
    assert not result.passed
    assert result.why == "not done after 1 s"
    assert result.seconds < 20


def test_no_such_part(capsys):
    assert runner.main(["none"]) == 2
    assert capsys.readouterr().err.startswith("no part 'none'; there are: lint, format, types")


def test_the_processes_of_a_part_keep_what_they_compile(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in runner.environment()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_ending_the_runner_ends_its_part(number, tmp_path):
    told = tmp_path / "pid"
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(told)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        pid = int(told.read_text())
        process.send_signal(number)
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.wait(30)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
