"""What a child sees of this machine, and the command lines that show it that."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from virtlab.course.grading import (
    bubblewrap,
    confine,
    sandbox,
    view,
)
from virtlab.course.grading.limits import Limits

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux's")


# -- what a child sees


def test_a_tree_that_hides_something_is_named_by_its_other_parts(tmp_path):
    for name in ("a/b/secret", "a/b/open", "a/c", "d"):
        (tmp_path / name).mkdir(parents=True)
    secret = str(tmp_path / "a/b/secret")
    shown = [
        Path(each).relative_to(tmp_path).as_posix()
        for each in view.without(str(tmp_path), [secret])
    ]
    assert shown == ["a/b/open", "a/c", "d"]
    assert view.without(str(tmp_path / "d"), [secret]) == [str(tmp_path / "d")]
    assert view.without(secret, [secret]) == []


def test_of_trees_within_trees_the_outermost_are_kept():
    assert view.outermost(["/usr/lib/python3", "/usr/lib", "/usr/lib64", "/usr/lib"]) == (
        "/usr/lib",
        "/usr/lib64",
    )


def test_the_course_is_hidden_wherever_a_virtlab_lies(tmp_path):
    installed = tmp_path / "python3.11" / "site-packages" / "virtlab" / "course"
    another = tmp_path / "env" / "site-packages" / "virtlab" / "course"
    for folder in (installed, another):
        folder.mkdir(parents=True)
    found = view.hidden([str(tmp_path)], [str(another.parents[1])])
    assert set(found) == {str(view.COURSE), str(installed), str(another)}


def test_the_view_has_the_library_but_of_the_course_only_what_a_child_imports():
    seen = view.view()
    assert str(view.COURSE) in seen.hidden
    inside = [name for name in seen.files if name.startswith(str(view.COURSE))]
    assert str(view.COURSE / "grading" / "boot.py") in inside
    assert not [name for name in inside if "checks" in name or "/ps" in name or "hidden" in name]
    assert not [name for name in inside if "grader" in name or "remote" in name]
    readable = seen.readable()
    assert str(view.COURSE) not in readable
    assert str(view.LIBRARY) not in readable
    assert str(view.LIBRARY / "virtio") in readable


def test_bubblewrap_hides_before_it_shows_and_closes_behind_it(monkeypatch):
    monkeypatch.setattr(bubblewrap, "sized", lambda: True)
    words = bubblewrap.command(view.view(), Limits(folder=4096), {"HOME": "/tmp"}, 7)
    course = str(view.COURSE)
    shown, hides = words.index(str(view.LIBRARY)), words.index(course)
    inside = words.index(str(view.COURSE / "grading" / "boot.py"))
    assert shown < hides < inside < words.index("--remount-ro")
    assert words[-2:] == ["--remount-ro", "/"]
    assert words[words.index("--size") + 1] == "4096"
    assert words[words.index("--cap-drop") + 1] == "ALL"
    assert "--proc" not in words
    monkeypatch.setattr(bubblewrap, "sized", lambda: False)
    assert "--size" not in bubblewrap.command(view.view(), Limits(), {}, 7)


def test_whether_bubblewrap_bounds_a_folder_is_read_from_its_help(monkeypatch, tmp_path):
    for told, expected in (("    --size BYTES", True), ("    --tmpfs DEST", False)):
        program = tmp_path / f"bwrap{expected}"
        program.write_text(f"#!/bin/sh\necho '{told}'\n")
        program.chmod(0o755)
        monkeypatch.setattr(bubblewrap, "program", lambda: str(program))  # noqa: B023
        assert bubblewrap.sized.__wrapped__() is expected


def test_an_older_bubblewrap_is_used_and_its_loss_is_said(monkeypatch, anew):
    monkeypatch.setattr(sandbox.bubblewrap, "program", lambda: "bwrap")
    monkeypatch.setattr(sandbox.bubblewrap, "sized", lambda: False)
    monkeypatch.setattr(sandbox, "tried", lambda kind: ())
    assert sandbox.available.__wrapped__() == ("bubblewrap", (sandbox.NO_SIZE,))
    monkeypatch.setattr(sandbox, "tried", lambda kind: (confine.NO_FILES,))
    assert sandbox.available.__wrapped__().kind == "plain"


def test_a_probe_that_says_nothing_is_not_believed(monkeypatch):
    class Silent:
        stdout = io.BytesIO(b"no list")

        def __enter__(self):
            return self

        def __exit__(self, *about):
            pass

        def ended(self, patience):
            return "it crashed"

    monkeypatch.setattr(sandbox, "_start", lambda *_: Silent())
    with pytest.raises(sandbox.NotStarted, match="the sandbox does not work: it crashed"):
        sandbox.tried("plain")
