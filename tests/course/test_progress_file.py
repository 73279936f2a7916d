"""What a reader has done is kept in one file: never lost, never in the way."""

import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from tests.course.reader import some
from virtlab.course import progress, progress_file
from virtlab.course.progress_file import Progress

SOME = Progress(frozenset({"00", "14"}), {"14": (4, 5)}, frozenset({"ps4.q3"}))


# -- what is kept


def test_what_is_noted_is_read_again(file):
    some()
    assert progress.read() == SOME
    assert [path.name for path in file.parent.iterdir()] == ["progress.json"]


def test_the_file_is_plain_and_says_nothing_of_anybody(file):
    some()
    assert json.loads(file.read_text()) == {
        "virtlab": 1,
        "lessons": ["00", "14"],
        "quizzes": {"14": [4, 5]},
        "tasks": ["ps4.q3"],
    }


def test_what_is_known_already_writes_nothing(file):
    some()
    before = file.stat().st_mtime_ns, file.stat().st_ino
    some()
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before


def test_a_quiz_keeps_its_best_result_until_its_questions_change():
    known = Progress().with_quiz("14", 4, 5)
    assert known.with_quiz("14", 2, 5).quizzes == {"14": (4, 5)}
    assert known.with_quiz("14", 5, 5).quizzes == {"14": (5, 5)}
    assert known.with_quiz("14", 2, 4).quizzes == {"14": (2, 4)}
    assert known.quizzes == {"14": (4, 5)}


def test_forgetting_leaves_nothing(file):
    some()
    assert progress.forget()
    assert progress.read() == Progress()


# -- damage


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"\xff", b"null", b'{"virtlab": 2}', b"[" * 100_000]
)
def test_a_damaged_file_is_put_aside_and_the_next_note_counts(file, damage):
    file.parent.mkdir()
    file.write_bytes(damage)
    assert progress.read() == Progress()
    assert progress.note_task("ps1.q1")
    assert progress.read().tasks == {"ps1.q1"}
    assert file.with_name("progress.json.damaged").read_bytes() == damage


def test_only_what_can_be_true_is_believed():
    wrong = {
        "lessons": ["00", "0", 14, None, "14\n", ["00"]],
        "quizzes": {
            "01": [3, 2],
            "02": [-1, 3],
            "03": [1],
            "04": "5 5",
            "05": [True, 3],
            "x": [1, 1],
            "06": [100, 100],
            "07": [2, 3],
        },
        "tasks": ["ps1.q1", "ps10.q1", "../ps1.q1", 3],
    }
    assert progress_file.understood(wrong) == Progress(
        frozenset({"00"}), {"07": (2, 3)}, frozenset({"ps1.q1"})
    )
    assert progress_file.understood({"lessons": "00", "quizzes": [], "tasks": None}) == Progress()


def test_however_long_the_file_is_only_its_beginning_is_looked_at(file):
    file.parent.mkdir()
    with open(file, "wb") as thin:
        thin.truncate(1 << 40)
    assert progress.read() == Progress()


# -- where nothing can be kept


def test_a_folder_that_is_a_file_is_no_trouble(file):
    file.parent.write_text("in the way")
    assert not progress.note_task("ps1.q1")
    assert progress.read() == Progress()
    assert not progress.forget()


def test_a_file_that_cannot_be_written_leaves_no_rubbish(file, monkeypatch):
    some()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert not progress.note_task("ps1.q1")
    assert progress.read() == SOME
    assert [path.name for path in file.parent.iterdir()] == ["progress.json"]


@pytest.mark.parametrize("value", ["", "off"])
def test_it_can_be_switched_off(file, monkeypatch, value):
    monkeypatch.setenv("VIRTLAB_PROGRESS", value)
    assert progress_file.place() is None
    assert not progress.note_task("ps1.q1")
    assert progress.read() == Progress()


@pytest.mark.parametrize("name", progress_file.NOT_A_READER)
def test_where_a_program_runs_the_notebook_nothing_is_kept(monkeypatch, name):
    for other in (progress_file.VARIABLE, *progress_file.NOT_A_READER):
        monkeypatch.delenv(other, raising=False)
    assert progress_file.place()
    monkeypatch.setenv(name, "1")
    assert progress_file.place() is None


def test_outside_of_a_notebook_nothing_is_noted(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    assert not progress.note_task("ps1.q1")
    monkeypatch.delitem(sys.modules, "IPython")
    assert not progress.note_task("ps1.q1")
    assert not file.parent.exists()


@pytest.mark.parametrize(
    ("platform", "names", "folder"),
    [
        ("linux", {}, "home/.local/share"),
        ("linux", {"XDG_DATA_HOME": "/elsewhere"}, "/elsewhere"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "home/.local/share"),
        ("darwin", {}, "home/Library/Application Support"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local"),
        ("win32", {}, "home/.local/share"),
        ("emscripten", {}, "home/.local/share"),
    ],
)
def test_each_kind_of_system_has_its_place(monkeypatch, platform, names, folder):
    for name in (
        progress_file.VARIABLE,
        *progress_file.NOT_A_READER,
        "XDG_DATA_HOME",
        "LOCALAPPDATA",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("home"))
    assert progress_file.place() == Path(folder) / "virtlab" / "progress.json"


def test_a_user_without_a_home_has_no_place(monkeypatch):
    def homeless():
        raise RuntimeError

    for name in (progress_file.VARIABLE, *progress_file.NOT_A_READER, "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "home", homeless)
    assert progress_file.place() is None


# -- two kernels


WRITER = """
import sys, types
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=object)
from virtlab.course import progress
for number in range(1, 8):
    for task in range(10):
        if task % 4 == int(sys.argv[1]):
            assert progress.note_task(f"ps{number}.q{task}")
"""


def test_kernels_that_note_at_once_lose_nothing(file):
    command = [sys.executable, "-c", WRITER]
    kernels = [subprocess.Popen([*command, str(number)]) for number in range(4)]
    try:
        assert [kernel.wait(60) for kernel in kernels] == [0] * 4
    finally:
        for kernel in kernels:
            kernel.kill()
            kernel.wait()
    assert len(progress.read().tasks) == 70
    assert [path.name for path in file.parent.iterdir()] == ["progress.json"]


def left_by_a_dead_kernel(file, age):
    """A lock of that age, in seconds."""
    file.parent.mkdir()
    lock = file.with_name("progress.json.lock")
    lock.touch()
    os.utime(lock, (time.time() - age,) * 2)
    return lock


def test_an_old_lock_is_a_dead_kernels_and_taken_over_at_once(file, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits"))
    lock = left_by_a_dead_kernel(file, age=60)
    assert progress.note_task("ps1.q1")
    assert not lock.exists()
    assert progress.read().tasks == {"ps1.q1"}


@pytest.mark.parametrize("age", [0, -3600])
def test_a_young_lock_is_waited_for_but_not_for_ever(file, monkeypatch, age):
    """Also one whose time lies ahead, as on a server whose clock is wrong."""
    monkeypatch.setattr(progress_file, "PATIENCE", 0.05)
    before = time.monotonic()
    left_by_a_dead_kernel(file, age)
    assert progress.note_task("ps1.q1")
    assert time.monotonic() - before >= 0.04
    assert progress.read().tasks == {"ps1.q1"}


def test_a_lock_that_is_gone_has_no_age(file):
    assert progress_file._age(f"{file}.lock") == 0
