"""What a child may see of this machine: its Python, the library, and little of the course.

    system libraries     /usr/lib, /lib64 ...            as they are
    Python               its program and its lib/        as they are
    packages             site-packages: NumPy ...        as they are
    virtlab/             the library                     without virtlab/course
    virtlab/course/      what `child.FILES` names        nothing else: no judge, no grader

The idea: a list of what is there, made once. Bubblewrap mounts it (`bubblewrap`), and Landlock
allows it (`landlock`). Solutions, submissions, the checkout and the home folder are not on it.

The rule that keeps it simple: every path is the real one, at its own place. So it works for a
checkout, a wheel, a virtual environment, and any Python.

What it leaves out: secrets that somebody keeps among the system's libraries.
"""

from __future__ import annotations

import functools
import glob
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

COURSE = Path(__file__).resolve().parents[1]
LIBRARY = COURSE.parent

SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/lib32", "/lib", "/lib64", "/nix/store", "/gnu/store")
"""Where a Unix keeps what programs are linked with; what does not exist is passed over."""
SETTINGS = ("/etc/ld.so.cache", "/etc/alternatives")
"""How the loader finds a library, and which one of several it is."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
"""The devices that a child has."""

OURS = (
    "__init__.py",
    "grading/__init__.py",
    "grading/boot.py",
    "grading/confine.py",
    "grading/landlock.py",
    "grading/limits.py",
    "grading/probe.py",
    "grading/seccomp.py",
    "grading/syscalls.py",
)
"""What the child needs before `child.main`, relative to `virtlab/course`."""


class View(NamedTuple):
    """What a child may read.

    `python`: the program; `trees`: folders with all that is in them but the `hidden` ones; `links`:
    the system's folders that are symbolic links; `files`: files and folders that are shown all the
    same; `path`: what the child adds to its `sys.path`.
    """

    python: str
    trees: tuple[str, ...]
    hidden: tuple[str, ...]
    links: tuple[str, ...]
    files: tuple[str, ...]
    path: tuple[str, ...]

    def readable(self) -> list[str]:
        """Every file and folder, with a folder that hides something named by its parts."""
        shown = [part for tree in self.trees for part in without(tree, self.hidden)]
        return [*shown, *self.files, self.python, *SETTINGS, *DEVICES]


@functools.cache
def view() -> View:
    """The view of this machine, of this Python."""
    python = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    packages = [
        os.path.realpath(name)
        for name in sys.path
        if os.path.basename(name) in ("site-packages", "dist-packages") and os.path.isdir(name)
    ]
    system = [name for name in SYSTEM if os.path.isdir(name)]
    links = [name for name in system if os.path.islink(name)]
    prefix = os.path.realpath(sys.base_prefix)
    wanted = [name for name in system if name not in links]
    wanted += [f"{prefix}/lib", f"{prefix}/lib64", *packages, str(LIBRARY)]
    trees = outermost(name for name in wanted if os.path.isdir(name))
    path = tuple(dict.fromkeys([str(LIBRARY.parent), *packages]))
    return View(python, trees, hidden(trees, packages), tuple(links), files(), path)


def outermost(names: Iterable[str]) -> tuple[str, ...]:
    """Those folders that lie in no other one of them, shortest first."""
    kept: list[str] = []
    for name in sorted(set(names), key=lambda name: (len(name), name)):
        if not any(name.startswith(f"{other}/") for other in kept):
            kept.append(name)
    return tuple(kept)


def hidden(trees: Iterable[str], packages: Iterable[str]) -> tuple[str, ...]:
    """The course's folder, of this virtlab and of every other one that lies in what is shown."""
    found = {str(COURSE)}
    for folder in packages:
        found.update(glob.glob(f"{glob.escape(folder)}/virtlab/course"))
    for tree in trees:
        found.update(glob.glob(f"{glob.escape(tree)}/python3*/*-packages/virtlab/course"))
    return tuple(sorted(found))


def files() -> tuple[str, ...]:
    """The course's files that a child may import, each with its compiled form where it has one."""
    from virtlab.course.grading import child

    shown: dict[str, None] = {}
    for name in (*OURS, *child.FILES):
        file = str(COURSE / name)
        compiled = importlib.util.cache_from_source(file) if name.endswith(".py") else file
        shown.update((each, None) for each in (file, compiled) if os.path.exists(each))
    return tuple(shown)


def without(tree: str, masked: Iterable[str]) -> list[str]:
    """A folder, or if something beneath it is masked, its parts without that."""
    inside = [name for name in masked if name.startswith(f"{tree}/") or name == tree]
    if not inside:
        return [tree]
    if tree in inside:
        return []
    return [part for entry in sorted(os.scandir(tree), key=lambda entry: entry.name)
            for part in without(entry.path, inside)]  # fmt: skip
