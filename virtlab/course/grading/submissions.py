"""Finding what a class handed in: whose is it, which problem set, and may it be read?

    submitted/ada/ps04/ps04.ipynb                       nbgrader                      ada
    ada/ps04.ipynb            ada/anything/x.ipynb      a folder for each student     ada
    ada_ps04.ipynb            ada.ipynb                 a flat folder                 ada
    Ada Byron_123_assignsubmission_file_/x.ipynb        a download from Moodle        Ada Byron_123
    byronada_LATE_123_456_ps04-1.ipynb                  a download from Canvas        byronada_123

The idea: the first folder below the root is the student, where there is one; else the file's name
is. A folder called `submitted`, or like a problem set, stands for nobody and is passed over. Which
problem set it is, the cells say by their grade ids, and only if they say nothing, the names do.

The rule that keeps it fair: nothing is guessed, and nothing is left out in silence. What cannot be
placed is `Unplaced`, by name and with why. Two different notebooks of one student and set are both
left alone: the student's result says so.

Symbolic links, pipes and names with control characters are refused: a link in a hand-in could show
another student's work, or a file of the grader's machine.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from virtlab.course.cli import CommandError
from virtlab.course.grading.course_files import Course
from virtlab.course.grading.result import Unplaced
from virtlab.course.submission import Cell, read_notebook

LARGEST = 16 << 20
"""Bytes of the largest notebook that is graded: with all its pictures, one has 2 MB."""
DEEPEST = 12
"""Folders within folders that are looked into."""
BIDI = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that turn the direction of a text, and so make a name look like another."""

MOODLE = re.compile(r"(.+?)_assignsubmission_(?:file|onlinetext)(?:_.*)?")
CANVAS = re.compile(r"([^_]+)_(?:LATE_)?(\d{2,})_\d{4,}_.+")
SET = re.compile(r"(?:^|[_\-. ])(ps\d\d)(?![0-9a-z])", re.IGNORECASE)
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")
COPY = re.compile(r"copy of ", re.IGNORECASE)  # a file manager writes it before a copy's name
FLAT = re.compile(r"(.+?)[_\-. ]ps\d\d(?![0-9a-z]).*", re.IGNORECASE)


class Submission(NamedTuple):
    """One student's notebook of one problem set, read.

    `cells` are those of the notebook, `digest` the SHA-256 of its bytes. `refused` says why there
    is nothing to grade, then `cells` is empty.
    """

    student: str
    assignment: str
    file: str
    digest: str
    cells: tuple[Cell, ...] = ()
    refused: str = ""

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**self._asdict(), "cells": [list(cell) for cell in self.cells]}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Submission:
        """The submission of which `as_data` made `data`."""
        return cls(**{**data, "cells": tuple(Cell(*cell) for cell in data["cells"])})


def find(
    root: Path, course: Course, student: str = "", ours: Collection[Path] = ()
) -> tuple[list[Submission], list[Unplaced]]:
    """Every submission below `root`, in order of student and set, and what has no place.

    `root` is a folder or one notebook. With `student`, all of it is that student's. `ours` are the
    grader's own files, as resolved paths: they are no hand-in. Raises `OSError` if there is no such
    place, `CommandError` if `student` is a name that is refused.
    """
    root.stat()
    if root.is_file() and root.name.lower().endswith(ARCHIVES):
        raise CommandError(f"{root}: an archive: unpack it into a folder, and grade that")
    if why := bad_name(student):
        raise CommandError(f"--student {student!a}: {why}")
    unplaced: list[Unplaced] = []
    found: dict[tuple[str, str], list[Submission]] = defaultdict(list)
    for path, name in _files(root, unplaced):
        placed = _place(path, name, course, student)
        if isinstance(placed, Unplaced):
            unplaced.append(placed)
        else:
            found[placed.student, placed.assignment].append(placed)
    submissions = [_one(found[key]) for key in sorted(found)]
    base = base_of(root).resolve()
    return submissions, sorted(each for each in unplaced if base / each.file not in ours)


def _one(same: list[Submission]) -> Submission:
    """The one of several notebooks of a student and set: equal bytes count once."""
    first = same[0]
    if len({each.digest for each in same}) == 1:
        return first
    names = " and ".join(each.file for each in same[:4])
    total = hashlib.sha256("".join(each.digest for each in same).encode()).hexdigest()
    why = f"{len(same)} different notebooks of {first.assignment}, none was taken: {names}"
    return first._replace(digest=total, cells=(), refused=f"{why}; keep the one that counts")


# -- walking


def _files(root: Path, unplaced: list[Unplaced]) -> Iterator[tuple[Path, str]]:
    """Every notebook file with its name relative to the root; what is odd goes to `unplaced`."""
    base = base_of(root)
    if not base.is_dir():
        yield base, base.name
        return
    yield from _walk(base, "", unplaced)


def base_of(root: Path) -> Path:
    """Where the walk begins: nbgrader's folder `submitted` in `root`, if it is there."""
    inside = root / "submitted"
    return inside if inside.is_dir() and not inside.is_symlink() else root


def _walk(folder: Path, prefix: str, unplaced: list[Unplaced]) -> Iterator[tuple[Path, str]]:
    """The same for one folder, in order of names."""
    seen, others = False, []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = prefix + entry.name
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if why := _odd(entry, name):
            seen = True
            unplaced.append(Unplaced(_safe(name), why))
        elif entry.is_dir(follow_symlinks=False):
            seen = True
            yield from _walk(Path(entry.path), f"{name}/", unplaced)
        elif entry.name.lower().endswith(".ipynb"):
            seen = True
            yield Path(entry.path), name
        else:
            others.append(Unplaced(name, _no_notebook(entry.name)))
    if not prefix or not seen:  # beside a notebook, a student may hand in what else belongs to it
        unplaced += others
    if prefix and not seen and not others:
        unplaced.append(Unplaced(prefix, "a folder without a notebook"))


def _no_notebook(name: str) -> str:
    """Why a file is not graded."""
    if name.lower().endswith(ARCHIVES):
        return "an archive: unpack it where it lies"
    return "not a notebook: its name does not end in .ipynb"


def _odd(entry: os.DirEntry[str], name: str) -> str:
    """Why a directory entry is not looked at; empty if it is."""
    if why := bad_name(entry.name):
        return why
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return f"a symbolic link (to {_safe(os.readlink(entry.path))}): hand in the file itself"
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return "neither a file nor a folder"
    if name.count("/") >= DEEPEST:
        return f"more than {DEEPEST} folders deep"
    return ""


def bad_name(name: str) -> str:
    r"""Why a name is refused; empty if it is not.

    >>> bad_name("Ada"), bad_name("Ada\n")
    ('', 'its name has a control character')
    """
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name):
        return "its name has a control character"
    if any(char in BIDI for char in name):
        return "its name has a character that turns the direction of writing"
    return ""


def _safe(name: str) -> str:
    """A name that can be printed: what is refused in it is escaped."""
    return name if not bad_name(name) else ascii(name)[1:-1]


# -- whose, and which set


def student_of(name: str) -> str:
    """The student that a file's name relative to the root tells, or an empty text.

    >>> student_of("ada/ps04/ps04.ipynb"), student_of("ada_ps04.ipynb"), student_of("ps04.ipynb")
    ('ada', 'ada', '')
    """
    *folders, file = name.replace("\\", "/").split("/")  # some tools unpack "a/b" as "a\\b"
    people = [folder for folder in folders if not SET.fullmatch(folder)]
    if people:
        moodle = MOODLE.fullmatch(people[0])
        return tidy(moodle[1] if moodle else people[0])
    stem = COPY.sub("", file[: -len(".ipynb")])
    if moodle := MOODLE.fullmatch(stem):
        return tidy(moodle[1])
    if canvas := CANVAS.fullmatch(stem):
        return tidy(f"{canvas[1]}_{canvas[2]}")
    if flat := FLAT.fullmatch(stem):
        return tidy(flat[1])
    return "" if SET.match(stem) else tidy(stem)


def tidy(name: str) -> str:
    """One spelling for one name: composed characters, single blanks."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def set_of(cells: Iterable[Cell], name: str, course: Course) -> str:
    """The problem set that shares most grade ids with the cells, else the one that `name` names.

    Empty if there is none. Of sets that share as many, the one in `name` counts, else the first.
    """
    ids = {cell.grade_id for cell in cells if cell.grade_id}
    named: list[str] = []
    for part in reversed(re.split(r"[/\\]", name)):
        named += [str(each).lower() for each in SET.findall(part)]
    order = [*(each for each in named if each in course.sets), *course.sets]
    shared = {each: len(ids & course.sets[each].ids) for each in order}
    best = max(shared, key=lambda each: shared[each])
    if shared[best]:
        return best
    return order[0] if order[0] in named else ""


def _place(path: Path, name: str, course: Course, student: str) -> Submission | Unplaced:
    """One notebook file, read and placed; a broken one too, where its names tell enough."""
    who = student or student_of(name)
    if not who:
        return Unplaced(name, "no student: put it into a folder of the student, or see --student")
    cells, digest, refused = _read(path, name)
    assignment = set_of(cells, name, course)
    if not assignment:
        why = refused or "no cell of it belongs to a problem set, nor does its name"
        return Unplaced(name, f"{why}; name it as {who}_ps01.ipynb" if refused else why)
    return Submission(who, assignment, name, digest, cells, refused)


def _read(path: Path, name: str) -> tuple[tuple[Cell, ...], str, str]:
    """A notebook's cells, its digest, and why it cannot be read (empty if it can)."""
    try:
        if (size := path.stat().st_size) > LARGEST:
            why = f"{name}: {size:,} bytes; a notebook has at most {LARGEST:,}"
            return (), f"{size} bytes", why
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return tuple(read_notebook(path)), digest, ""
    except ValueError as error:  # FileError, and what json says of a number of 5000 digits
        return (), digest, str(error).replace(str(path), name)
    except OSError as error:
        return (), "", f"{name}: {error.strerror or error}"
