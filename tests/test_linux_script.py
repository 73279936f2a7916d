"""`scripts/linux.py` unpacks a kernel, asks apt in two ways, and leaves nothing half done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import linux

SCRIPT = Path(linux.__file__)

APT_CACHE = """#!/bin/sh
[ -e "$WORLD/lists" ] || case "$*" in *-oDir*) ;; *) echo "N: no lists" >&2; exit 100;; esac
for last; do :; done
case "$last" in
    $KNOWN) echo "  Depends: linux-image-9.1.0-7-small" ;;
    linux-image-9*) echo "  Depends: kmod"; echo "  Depends: linux-modules-9.1.0-7-small" ;;
    *) echo "N: Unable to locate package $last" >&2; exit 100 ;;
esac
"""

APT_GET = """#!/bin/sh
echo "$*" >> "$WORLD/asked"
fail() { echo "E: $1" >&2; exit 100; }
case "$*" in
    *update*) [ ! -e "$WORLD/unreachable" ] || fail "Could not resolve the host" ;;
    *download*)
        [ ! -e "$WORLD/old" ] || case "$*" in *-oDir*) ;; *) fail "404 Not Found" ;; esac
        for name; do case "$name" in linux-*|busybox*) : > "$name.deb" ;; esac; done ;;
esac
"""

DPKG = """#!/bin/sh
[ ! -e "$WORLD/broken" ] || { echo "dpkg-deb: error: not a package" >&2; exit 2; }
mkdir -p "$3/boot"
: > "$3/boot/vmlinuz-9.1.0-7-small"
basename "$2" >> "$3/unpacked"
"""


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Programs by apt's names; files in the folder say how they fare."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"apt-cache": APT_CACHE, "apt-get": APT_GET, "dpkg-deb": DPKG}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("WORLD", str(tmp_path))
    monkeypatch.setenv("KNOWN", linux.KERNELS[0])
    return tmp_path


def put(world, *names):
    for name in names:
        (world / name).touch()


def asked(world):
    return (world / "asked").read_text().splitlines()


@pytest.mark.parametrize("known", linux.KERNELS)
def test_the_packages_are_unpacked_and_nothing_else_is_left(world, known, monkeypatch, capsys):
    monkeypatch.setenv("KNOWN", known)
    put(world, "lists")
    folder = world / "build" / "linux"
    assert linux.main([str(folder)]) == 0
    assert (folder / "unpacked").read_text().split() == [
        "busybox-static.deb",
        "linux-image-9.1.0-7-small.deb",
        "linux-modules-9.1.0-7-small.deb",
    ]
    assert f"export VIRTLAB_LINUX={folder}" in capsys.readouterr().out
    assert [path.name for path in folder.parent.iterdir()] == ["linux"]
    assert not any("update" in line for line in asked(world))


def test_a_folder_with_a_kernel_is_left_alone(world):
    put(world, "lists")
    folder = world / "linux"
    assert linux.main([str(folder)]) == 0
    before = asked(world)
    assert linux.main([str(folder)]) == 0
    assert asked(world) == before


def test_an_empty_folder_is_filled(world):
    put(world, "lists")
    (world / "linux").mkdir()
    assert linux.main([str(world / "linux")]) == 0


@pytest.mark.parametrize("why", ["no lists", "old lists"])
def test_without_lists_of_today_they_are_fetched_apart_from_the_systems(world, why):
    put(world, *(["lists", "old"] if why == "old lists" else []))
    assert linux.main([str(world / "linux")]) == 0
    (update,) = [line for line in asked(world) if "update" in line]
    assert "-oDir::State::Lists=/" in update
    assert str(world) not in update


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (["unreachable"], "E: Could not resolve the host"),
        (["lists", "broken"], "dpkg-deb: error: not a package"),
    ],
)
def test_what_cannot_be_had_is_one_line_and_no_folder(world, files, why, capsys):
    put(world, *files)
    folder = world / "build" / "linux"
    assert linux.main([str(folder)]) == 1
    assert capsys.readouterr().err == f"scripts/linux.py: no kernel in {folder}: {why}\n"
    assert list(folder.parent.iterdir()) == []


def test_a_folder_with_other_things_is_not_touched(world, capsys):
    put(world, "lists")
    (world / "linux").mkdir()
    (world / "linux" / "mine").touch()
    assert linux.main([str(world / "linux")]) == 1
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in (world / "linux").iterdir()] == ["mine"]


def test_no_such_kernel_says_what_was_looked_for(world, monkeypatch, capsys):
    monkeypatch.setenv("KNOWN", "something-else")
    put(world, "lists")
    assert linux.main([str(world / "linux")]) == 1
    assert "apt knows none of linux-image-cloud-amd64" in capsys.readouterr().err


def test_where_there_is_no_apt(tmp_path):
    """Fedora, macOS: another way is in docs/real-systems.md."""
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "linux"],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "apt-get is not on this machine" in done.stderr
    assert "Traceback" not in done.stderr
