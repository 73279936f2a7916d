"""One run at a time: the second is refused and changes nothing; who is killed holds nothing."""

import errno
import os
import signal
import subprocess
import sys
import types
from io import FileIO

import pytest

from tests.course.grading.made import FULL
from tests.course.grading.test_grade_command import grade, work
from tests.course.grading.test_journal import HEAD
from virtlab.course.cli import CommandError
from virtlab.course.grading import lock
from virtlab.course.grading.journal import Journal

__all__ = ["grade", "work"]

fcntl = pytest.importorskip("fcntl", reason="the lock of Unix")

HOLD = """
import sys, time
from io import FileIO
from virtlab.course.grading.lock import hold
file = FileIO(sys.argv[1], "r+")
print(hold(file), flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    """A journal with one result, held by nobody."""
    with Journal.begin(tmp_path / "g.csv.journal", HEAD) as journal:
        journal.add(FULL)
    return journal.path


@pytest.fixture
def holder(path):
    """Another process that holds the journal."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "True\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("begin", [Journal.begin, Journal.resume])
def test_a_journal_that_another_process_has_is_refused_and_left_alone(path, holder, begin):
    before = path.read_bytes()
    with pytest.raises(CommandError, match="journal: another run is at work on it; wait for its"):
        begin(path, HEAD)
    assert path.read_bytes() == before


def test_a_process_that_was_killed_holds_nothing(path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait(10)
    with Journal.resume(path, HEAD) as journal:
        assert journal.done == {FULL.key: FULL}


def test_a_journal_that_is_closed_or_refused_is_free(path):
    kept = []  # with its frames, and what they hold
    for _ in range(2):
        with pytest.raises(CommandError, match="another seed") as error:
            Journal.resume(path, {**HEAD, "seed": 8})
        kept.append(error)
    Journal.resume(path, HEAD).file.close()
    Journal.begin(path, HEAD).file.close()


def test_the_second_of_two_runs_is_refused_in_one_line(grade, work, tmp_path):
    """While the first one grades, and while it writes."""
    usual, said = work.grade_all, []

    def meanwhile(*arguments, **options):
        work.grade_all = usual
        said.append(grade("--out", "g.csv"))
        yield from usual(*arguments, **options)

    work.grade_all = meanwhile
    from virtlab.course.grading import pool

    pool.grade_all = lambda *a, **o: work.grade_all(*a, **o)  # the fixture puts it back
    assert grade("--out", "g.csv")[0] == 0
    ((status, out, err),) = said
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("virtlab grade: g.csv.journal: another run is at work on it")
    assert len((tmp_path / "g.csv").read_text().splitlines()) == 4


def test_it_is_held_until_all_is_written(grade, monkeypatch):
    from virtlab.course.grading import outputs

    said, usual = [], outputs.write

    def meanwhile(*arguments):
        monkeypatch.setattr(outputs, "write", usual)
        said.append(grade("--out", "g.csv", "--resume")[2])
        return usual(*arguments)

    monkeypatch.setattr(outputs, "write", meanwhile)
    assert grade("--out", "g.csv")[0] == 0
    assert "another run is at work" in said[0]


def test_a_folder_that_knows_no_locks_is_graded_without(path, monkeypatch):
    def flock(file, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    Journal.resume(path, HEAD).file.close()


@pytest.mark.parametrize("free", [True, False])
def test_windows_locks_a_byte_that_nobody_reads(path, monkeypatch, free):
    asked = []

    def locking(number, how, count):
        asked.append((how, count, os.lseek(number, 0, os.SEEK_CUR)))
        if not free:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(sys, "platform", "win32")
    windows = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    with FileIO(path, "r+") as file:
        assert lock.hold(file) is free
        assert file.tell() == 0
    assert asked == [(2, 1, lock.FAR)]
    assert path.stat().st_size < lock.FAR
