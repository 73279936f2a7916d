"""A run that is stopped: no traceback, no process left, a whole journal, from which it goes on.

The work is a stand-in's, in processes of their own: `fake_worker` sleeps where a name says so.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.course.answers import ROOT
from tests.course.grading.test_grade_command import PS01
from tests.course.grading.test_pool import FAKE, gone
from virtlab.course.grading import stopping

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no signals to send")

GRADE = """
import sys
from virtlab.course import cli
from virtlab.course.grading import pool, sandbox
pool.COMMAND = (sys.executable, "-S", *sys.argv[1:3])
sandbox.available = lambda: sandbox.Sandbox("plain")
sys.exit(cli.main(sys.argv[3:]))
"""


def until(true, seconds=30.0):
    """Wait until something is so, at most so long; whether it is."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


@pytest.fixture
def started(tmp_path):
    """Start the command on some students; the process, when its journal has those that are done."""
    running = []

    def start(*students, done=0, more=()):
        for student in students:
            (tmp_path / "in" / student).mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / student / "ps01.ipynb").write_bytes(PS01)
        words = ["grade", "in", "--out", "g.csv", "--seed", "5", "--workers", "1", *more]
        process = subprocess.Popen(
            [sys.executable, "-c", GRADE, str(FAKE), "log", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        journal = tmp_path / "g.csv.journal"
        if done:
            assert until(lambda: journal.exists() and journal.read_bytes().count(b"\n") > done)
        return process

    yield start
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_run_in_one_line_and_leaves_no_process(started, tmp_path, name):
    process = started("ann", "bob", "sleeps", done=2)
    assert until(lambda: "sleeps" in (tmp_path / "log").read_text())
    process.send_signal(getattr(signal, name))
    err = process.communicate(timeout=60)[1]
    said = re.fullmatch(
        r"virtlab grade: stopped after (\d) of 3; --resume goes on from there\n", err
    )
    assert said, err
    assert said[1] in "12"  # the last one may be in the journal and not yet counted
    assert process.returncode == 1
    assert until(lambda: gone(tmp_path / "log"))
    assert (tmp_path / "g.csv.journal").read_bytes().count(b"\n") == 3
    assert not (tmp_path / "g.csv").exists()


def test_a_run_that_was_killed_goes_on_and_gives_the_same_bytes(started, tmp_path):
    process = started("ann", "bob", "sleeps", done=2)
    process.kill()
    process.wait(60)
    with open(tmp_path / "g.csv.journal", "ab") as journal:
        journal.write(b'{"student": "sl')  # a line that the power cut short
    (tmp_path / "in" / "sleeps").rename(tmp_path / "in" / "sam")
    process = started(more=("--resume", "--quiet"))
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", 0)
    resumed = (tmp_path / "g.csv").read_bytes()
    process = started(more=("--quiet",))
    process.communicate(timeout=60)
    assert (tmp_path / "g.csv").read_bytes() == resumed
    asked = (tmp_path / "log").read_text().split()
    assert asked.count("ann") == asked.count("bob") == 2  # once in the first run, once in the last


# -- signals


def test_signals_that_end_a_program_are_ctrl_c_once():
    before = [signal.getsignal(getattr(signal, name)) for name in stopping.ENDS]
    assert stopping._interrupt not in before
    with stopping.as_ctrl_c():
        for number in (signal.SIGTERM, signal.SIGHUP):
            assert signal.getsignal(number) is stopping._interrupt
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
    assert [signal.getsignal(getattr(signal, name)) for name in stopping.ENDS] == before


def test_what_is_to_be_ignored_stays_so():
    """As with `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping.as_ctrl_c():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_beside_the_main_thread_signals_stay_as_they_are():
    seen, before = [], signal.getsignal(signal.SIGTERM)

    def work():
        with stopping.as_ctrl_c():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


# -- a worker whose pool is gone

BUSY = """
import os, sys, time
from virtlab.course.grading import worker
def work(setup, line):
    print(os.getpid(), "works", file=sys.stderr, flush=True)
    time.sleep(float(line))
    return "done"
worker.work = work
worker.main()
"""

POOL = """
import os, subprocess, sys
process = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE,
    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
process.stdin.write(sys.argv[2] + "\\n")
process.stdin.flush()
print(process.stderr.readline(), end="", flush=True)
os._exit(0)
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_ends_with_the_process_that_started_it():
    done = subprocess.run(
        [sys.executable, "-c", POOL, BUSY, "60"], capture_output=True, text=True, timeout=60
    )
    pid = int(done.stdout.split()[0])
    assert until(lambda: not alive(pid))


def test_a_worker_to_whom_nobody_listens_ends_without_a_traceback():
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    process.stdin.write("0\n")
    process.stdin.close()
    said = process.stderr.read()
    assert process.wait(60) == 1
    process.stderr.close()
    assert said == f"{process.pid} works\n"
