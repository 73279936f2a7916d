"""Outputs that cannot be written are refused before the first notebook is graded, in one line."""

import csv
import errno
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tests.course.grading.test_grade_command import grade, work
from virtlab.course.grading import places, tables

__all__ = ["grade", "work"]


@pytest.fixture
def refused(grade, work):
    """Run the command, see that nothing was graded, and give the one line that it says."""

    def run(*words, **more):
        status, out, err = grade(*words, **more)
        assert (status, out, work.asked) == (1, "", [])
        assert err.count("\n") == 1
        return err.removeprefix("virtlab grade: ").strip()

    return run


def rows(path):
    return [row["student"] for row in csv.DictReader(path.open())]


FILES = ("--out", "--json", "--times", "--report", "--gradebook")
FOLDERS = ("--feedback", "--gradescope", "--autograded")


@pytest.mark.parametrize("option", FILES)
def test_a_folder_where_a_file_should_be(refused, option, tmp_path):
    (tmp_path / "there").mkdir()
    assert refused(option, "there") == f"{option} there: that is a folder; name a file in it"


@pytest.mark.parametrize("option", FOLDERS)
def test_a_file_where_a_folder_should_be(refused, option, tmp_path):
    (tmp_path / "there").write_text("")
    assert refused(option, "there") == f"{option} there: there is a file, not a folder"


@pytest.mark.parametrize("option", [*FILES, *FOLDERS])
def test_a_file_on_the_way(refused, option, tmp_path):
    (tmp_path / "there").write_text("")
    assert refused(option, "there/a/b") == f"{option} there/a/b: there is a file, not a folder"


@pytest.mark.parametrize("option", [*FILES, *FOLDERS])
def test_a_place_that_may_only_be_read(refused, option, monkeypatch):
    """By root too, as on a disk that is mounted so."""

    def mkstemp(**options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "x")

    monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
    said = "it cannot be written: Read-only file system"
    assert refused(option, "o/x") == f"{option} o/x: {said}"


def test_a_name_that_is_too_long(refused):
    assert "File name too long" in refused("--out", "x" * 250)


def test_a_file_that_another_program_has_for_itself(refused, monkeypatch, tmp_path):
    (tmp_path / "g.csv").write_text("old")
    usual = os.open

    def held(path, *more):
        if str(path) == "g.csv":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return usual(path, *more)

    monkeypatch.setattr(os, "open", held)
    assert refused("--out", "g.csv") == "--out g.csv: it cannot be written: Permission denied"
    assert (tmp_path / "g.csv").read_text() == "old"


def test_folders_are_made_for_what_is_written(grade, tmp_path):
    options = ("--out", "o/p/g.csv", "--report", "o/r/class.html", "--feedback", "o/pages")
    assert grade(*options)[0] == 0
    assert rows(tmp_path / "o" / "p" / "g.csv") == ["ada", "ben", "ben"]
    assert (tmp_path / "o" / "r" / "class.html").is_file()
    left = {path.name for path in (tmp_path / "o").rglob("*") if path.is_file()}
    expected = {"g.csv", "g.csv.journal", "class.html", "index.html", "ps01.html", "ps04.html"}
    assert left == expected


@pytest.mark.parametrize("option", FOLDERS)
def test_a_file_where_a_students_folder_must_be(refused, option, tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "ben").write_text("")
    assert refused(option, "pages") == f"{option} pages: pages/ben is a file, not a folder"


def test_a_folder_where_a_students_page_must_be(refused, tmp_path):
    (tmp_path / "pages" / "ben" / "ps04.html").mkdir(parents=True)
    why = "pages/ben/ps04.html is a folder, not a file"
    assert refused("--feedback", "pages") == f"--feedback pages: {why}"


def test_one_notebook_has_its_results_in_the_folder_itself(refused, tmp_path):
    (tmp_path / "gs" / "results.json").mkdir(parents=True)
    why = "gs/results.json is a folder, not a file"
    assert refused("--only", "ada", "--gradescope", "gs") == f"--gradescope gs: {why}"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--out", "g", "--json", "./g"), "--json g: --out goes to the same place"),
        (("--out", "-", "--json", "-"), "--out and --json cannot all go to standard output"),
        (("--feedback", "-"), "--feedback does not go to standard output: name a place"),
        (("--out", "ada_ps01.ipynb"), "--out ada_ps01.ipynb: that is the name of a notebook"),
        (("--names", "--out", "g"), "--names is for the report: name it too, as --report class."),
        (("--roster", "in/x.csv"), "--roster is for the report: name it too, as --report class."),
        (("--feedback", "in"), "--feedback in: it lies among the submissions; choose a folder b"),
        (("--feedback", "in/f"), "--feedback in/f: it lies among the submissions; choose a fold"),
    ],
)
def test_what_would_undo_other_work(refused, tmp_path, words, why):
    (tmp_path / "in" / "x.csv").write_text("ada\n")
    assert refused(*words).startswith(why)


def test_a_roster_is_read_before_anything_is_graded(refused):
    said = refused("--report", "class.html", "--roster", "nowhere.csv")
    assert said == "nowhere.csv: No such file or directory"


# -- a gradebook


def test_a_gradebook_without_nbgrader(refused, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert refused("--gradebook", "g.db") == (
        "a gradebook needs nbgrader: pip install 'virtlab[grading]'"
    )


def test_a_gradebook_that_is_no_database(refused, tmp_path):
    (tmp_path / "g.db").write_bytes(b"student,points\n")
    why = "not a gradebook that nbgrader can write"
    assert refused("--gradebook", "g.db") == f"--gradebook g.db: {why}"


@pytest.mark.parametrize("begins", [b"", places.SQLITE + b"more"])
def test_a_gradebook_that_may_be_one(tmp_path, begins):
    (tmp_path / "g.db").write_bytes(begins)
    places._gradebook(str(tmp_path / "g.db"))
    places._gradebook("postgresql://host/grades")


# -- the grader's own files


def test_outputs_that_lie_among_the_submissions_are_no_hand_in(grade, work, tmp_path, monkeypatch):
    monkeypatch.chdir(grade.folder)
    first = grade("--out", "g.csv", "--json", "g.json", "--seed", 5, source=".")
    data = (grade.folder / "g.json").read_bytes()
    again = grade("--out", "g.csv", "--json", "g.json", "--resume", source=".")
    assert (first[0], again[0]) == (0, 0)
    assert (grade.folder / "g.json").read_bytes() == data
    assert len(work.asked) == 3
    assert "g.csv: not a notebook" in grade("--json", "-", source=".")[2]


# -- the end of the run


@pytest.fixture
def full(monkeypatch):
    """A disk that has no room for the files of these names."""
    names, usual = set(), os.replace

    def replace(source, target):
        if Path(target).name in names:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source, None, target)
        return usual(source, target)

    monkeypatch.setattr(os, "replace", replace)
    return names


@pytest.mark.parametrize(
    ("option", "file"), [("--json", "g.json"), ("--report", "class.html"), ("--feedback", "fb")]
)
def test_a_disk_that_fills_up_loses_nothing(grade, work, full, tmp_path, option, file):
    full.add("index.html" if option == "--feedback" else file)
    words = ("--out", "g.csv", "--times", "t.csv", option, file)
    status, _, err = grade(*words)
    assert status == 1
    assert f"not written: {option}: {file}" in err
    assert "No space left on device" in err
    assert err.endswith(
        "virtlab grade: all results are in g.csv.journal: the same command with --resume "
        "writes the rest and grades nothing again\n"
    )
    assert rows(tmp_path / "g.csv") == rows(tmp_path / "t.csv") == ["ada", "ben", "ben"]
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]
    full.clear()
    work.asked = []
    assert grade(*words, "--resume")[0] == 0
    assert work.asked == []
    assert (tmp_path / file).exists()


def test_a_gradebook_that_fails_at_the_end_leaves_the_rest(grade, tmp_path, monkeypatch):
    from virtlab.course.cli import CommandError
    from virtlab.course.grading import gradebook

    def locked(*arguments):
        raise CommandError("g.db: database is locked")

    monkeypatch.setattr(gradebook, "write_gradebook", locked)
    status, _, err = grade("--gradebook", "g.db", "--autograded", "a", "--report", "class.html")
    assert status == 1
    assert "virtlab grade: not written: --gradebook: g.db: database is locked\n" in err
    assert "all results are in class.html.journal" in err
    assert (tmp_path / "class.html").is_file()


def test_ctrl_c_while_outputs_are_written_loses_nothing(grade, monkeypatch):
    def write(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "write", write)
    status, _, err = grade("--out", "g.csv")
    assert status == 1
    assert "not written: stopped while the outputs were written" in err
    assert "all results are in g.csv.journal" in err


def test_a_journal_whose_disk_is_full_says_so_and_how_far_it_came(grade, work, monkeypatch):
    usual = os.fsync

    def fsync(number):
        if work.asked:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        usual(number)

    monkeypatch.setattr(os, "fsync", fsync)
    status, out, err = grade("--out", "g.csv", "--quiet")
    assert (status, out) == (1, "")
    why = "g.csv.journal: No space left on device: stopped after 0 of 3"
    assert err == f"virtlab grade: {why}; --resume goes on from there\n"
    monkeypatch.undo()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has /dev/full")
def test_a_standard_output_that_is_full_is_one_line():
    program = (
        "from pathlib import Path; from virtlab.course.grading.outputs import _put, _tried\n"
        "import sys; sys.stderr.write(str(_tried('out', lambda: _put(Path('-'), 'x'))))"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True
        )
    said = "['--out: standard output: No space left on device']"
    assert (done.returncode, done.stderr) == (0, said)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_is_written_to_and_not_replaced(grade, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    heard = []
    reader = threading.Thread(
        target=lambda: heard.append((tmp_path / "pipe").read_text()), daemon=True
    )
    reader.start()
    assert grade("--out", "pipe", "--json", "g.json")[0] == 0
    reader.join(10)
    assert heard[0].startswith("student,set,points")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "g.json.journal").is_file()
