"""A child from outside: what is measured of it, why it ended, and what is left."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from virtlab.course.grading import (
    folder,
    measure,
    process,
)
from virtlab.course.grading.bubblewrap import number_of
from virtlab.course.grading.folder import remove
from virtlab.course.grading.limits import ENTRIES, Limits, size
from virtlab.course.grading.process import Child, Started

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux's")


# -- what is measured, and left


def test_the_contents_of_a_folder_are_counted_and_no_link_is_followed(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file").write_bytes(bytes(100_000))
    (tmp_path / "link").symlink_to("/usr")
    total, entries = folder.contents(str(tmp_path))
    assert 100_000 <= total < 200_000
    assert entries == 4
    assert folder.contents(str(tmp_path / "nowhere")) == (0, 0)


def test_counting_stops_a_little_above_what_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "ENTRIES", 5)
    for number in range(20):
        (tmp_path / str(number)).touch()
    assert folder.contents(str(tmp_path))[1] == 6
    assert folder.full(str(tmp_path), False, Limits()) == "it made more than 5 files"
    assert (
        folder.full(str(tmp_path), False, Limits(folder=-1))
        == "it wrote more than -1 bytes of files"
    )
    assert ENTRIES == 10_000


@LINUX
def test_a_child_on_its_way_is_not_measured_by_the_hosts_files():
    assert folder.file_system("/tmp") is None
    assert folder.file_system("/nowhere") is None
    assert folder.full("/tmp", True, Limits(folder=0)) == ""
    total, entries = folder.file_system("/dev") or (0, 0)
    assert total >= 0
    assert entries > 0


@LINUX
def test_what_nobody_can_tell_bounds_nothing(monkeypatch):
    assert measure.processor_time((1 << 22) - 1) is measure.size_of((1 << 22) - 1) is None
    assert measure.busy((1 << 22) - 1, Limits()) == ""
    own = measure.size_of(os.getpid())
    assert own
    assert own.resident > 1 << 20
    assert own.threads >= 1
    assert measure.busy(os.getpid(), Limits(cpu=1e9, memory=1 << 20)) == (
        "it used more than 1 MiB of memory"
    )
    monkeypatch.setattr(measure, "LINUX", False)
    assert measure.processor_time(os.getpid()) is measure.size_of(os.getpid()) is None


def test_a_strangers_folder_is_removed_whatever_is_in_it(tmp_path):
    """With a path longer than a system call takes, and a folder that nobody may enter."""
    folder, outside = tmp_path / "stranger", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "kept").touch()
    (folder / "link").symlink_to(outside)
    (folder / "shut").mkdir()
    (folder / "shut" / "file").touch()
    (folder / "shut").chmod(0)
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        for _ in range(40):
            os.mkdir("name" * 40)
            os.chdir("name" * 40)
    finally:
        os.fchdir(here)
        os.close(here)
    remove(str(folder))
    assert not folder.exists()
    assert (outside / "kept").exists()
    remove(str(folder))


@pytest.mark.parametrize(
    ("count", "text"), [(2 << 30, "2 GiB"), (3 << 19, "1.5 MiB"), (999, "999 bytes")]
)
def test_sizes_are_said_in_words(count, text):
    assert size(count) == text


@pytest.mark.parametrize(
    ("said", "number"),
    [
        (b'{"child-pid": 12, "net-namespace": 3}\n{"exit-code": 0}\n', 12),
        (b"{}\n", 0),
        (b"", 0),
        (b"{", 0),
    ],
)
def test_bubblewraps_report_gives_the_childs_number(said, number):
    reader, writer = os.pipe()
    os.write(writer, said)
    os.close(writer)
    try:
        assert number_of(reader, 0.5) == number
    finally:
        os.close(reader)


def test_a_report_that_does_not_come_is_not_waited_for():
    reader, writer = os.pipe()
    assert number_of(reader, 0.01) == 0
    os.close(reader)
    os.close(writer)


# -- why it ended


def ended(code: str, **changes) -> str:
    """What a process of this account says of its end, without any sandbox."""
    limits = Limits(**changes)
    popen = subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    with Child(Started(popen, popen.pid, ""), limits) as child:
        return child.ended(30.0)


@LINUX
def test_the_words_tell_the_kernels_reasons_apart():
    kill = "import os, signal; os.kill(os.getpid(), signal.{})"
    assert ended(kill.format("SIGXCPU")) == "it was stopped after 20 s of processor time"
    assert "killed by the system" in ended(kill.format("SIGKILL"))
    assert ended(kill.format("SIGKILL"), cpu=0.0) == "it was stopped after 0 s of processor time"
    assert ended(kill.format("SIGABRT")) == "it crashed Python (SIGABRT)"
    assert ended("raise SystemExit(7)") == "it ended Python itself, with status 7"


@LINUX
def test_without_process_descriptors_a_child_is_ended_all_the_same(monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")
    popen = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(60)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        bufsize=0,
    )
    child = Child(Started(popen, popen.pid, ""), Limits())
    child.kill()
    assert child.ended(30.0) == "it was ended by the grader"
    child.close()


@LINUX
def test_without_wait4_and_process_groups_as_on_windows(monkeypatch):
    for name in ("pidfd_open", "wait4", "killpg"):
        monkeypatch.delattr(os, name)
    monkeypatch.setattr(process, "LINUX", False)
    monkeypatch.setattr(measure, "LINUX", False)
    popen = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(60)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    child = Child(Started(popen, popen.pid, ""), Limits(wall=0.2))
    assert child.ended(30.0) == "it was stopped after 0.2 s by the clock"
    assert child.cpu_seconds() >= 0
    child.close()
    child.close()


@LINUX
def test_a_grader_that_waits_for_all_its_children_does_not_confuse_it():
    popen = subprocess.Popen(
        [sys.executable, "-S", "-c", ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    os.waitpid(popen.pid, 0)
    with Child(Started(popen, popen.pid, ""), Limits()) as child:
        assert child.ended(30.0) == "it ended Python itself"
