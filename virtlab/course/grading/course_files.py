"""What an instructor grades against: the released notebooks, the hidden checks, and a digest.

    exercises/ps04/ps04.ipynb   ->  ProblemSet("ps04", cells)      which cells, which tasks
    solutions/hidden/ps04.py    ->  hidden["ps04.py"] = "..."      its source, never a student's
    the library's own files     ->  digest                         which version of all checks

The idea: a `Course` is plain data. It goes as JSON to each worker process and to each machine of a
cluster, so that all of them grade against the same bytes, and nobody looks for files.

The rule that keeps it honest: results carry the digest. It covers every file of virtlab, the
released notebooks and the hidden checks. Results of different digests are never mixed.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from virtlab.course.cli import CommandError
from virtlab.course.submission import Cell, read_notebook, tasks_of

PACKAGE = Path(__file__).parents[2]
"""The folder of the library."""


class ProblemSet(NamedTuple):
    """A released notebook: its `name` (`"ps04"`), its cells, and which tasks (empty: all)."""

    name: str
    cells: tuple[Cell, ...]
    chosen: tuple[str, ...] = ()

    @property
    def tasks(self) -> list[str]:
        """The ids of its tasks that are graded, in order."""
        tasks = tasks_of(list(self.cells))
        return [task for task in tasks if task in self.chosen or not self.chosen]

    @property
    def ids(self) -> frozenset[str]:
        """The grade ids of its cells."""
        return frozenset(cell.grade_id for cell in self.cells if cell.grade_id)


@dataclass(frozen=True, eq=False)
class Course:
    """The problem sets by name, and the source of the hidden checks by file name.

    Two are the same course if their digests are equal.
    """

    sets: Mapping[str, ProblemSet]
    hidden: Mapping[str, str]

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over the library's files, the released notebooks and the hidden checks."""
        cells = {name: each.cells for name, each in self.sets.items()}
        text = json.dumps([library_digest(), cells, dict(self.hidden)])
        return hashlib.sha256(text.encode()).hexdigest()

    def only(self, tasks: Sequence[str]) -> Course:
        """The course with those tasks alone. Raises `CommandError` for one that it has not."""
        known = {task: name for name, each in self.sets.items() for task in each.tasks}
        for task in tasks:
            if task not in known:
                near = difflib.get_close_matches(task, known, n=3, cutoff=0.5) or ["ps1.q1"]
                raise CommandError(f"there is no task {task}; did you mean {', '.join(near)}?")
        chosen = {
            name: each._replace(chosen=tuple(task for task in each.tasks if task in tasks))
            for name, each in self.sets.items()
            if name in {known[task] for task in tasks}
        }
        return Course({**self.sets, **chosen}, self.hidden)

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "sets": {name: [each.cells, each.chosen] for name, each in self.sets.items()},
            "hidden": dict(self.hidden),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Course:
        """The course of which `as_data` made `data`."""
        sets = {
            name: ProblemSet(name, tuple(Cell(*cell) for cell in cells), tuple(chosen))
            for name, (cells, chosen) in data["sets"].items()
        }
        return cls(sets, data["hidden"])


@functools.cache
def library_digest() -> str:
    """SHA-256 over every Python file of virtlab: another one may judge otherwise."""
    total = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        total.update(f"{path.relative_to(PACKAGE).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).digest())
    return total.hexdigest()


def load(exercises: Path, hidden: Path | None = None) -> Course:
    """Read the released notebooks of `exercises`, and hidden checks from the folder `hidden`.

    Raises `CommandError` if there is no released notebook, `FileError` if one cannot be read.
    """
    sets = {}
    for path in sorted(exercises.glob("ps*/ps*.ipynb")):
        if path.stem == path.parent.name:
            sets[path.stem] = ProblemSet(path.stem, tuple(read_notebook(path)))
    if not sets:
        raise CommandError(
            f"{exercises}: no released notebook such as ps01/ps01.ipynb; "
            "name their folder with --exercises FOLDER"
        )
    return Course(sets, sources(hidden) if hidden else {})


def sources(folder: Path) -> dict[str, str]:
    """The Python files of a folder by name, in order."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}


def find_hidden(exercises: Path, solutions: Path | None) -> Path | None:
    """The folder of the hidden checks: in `solutions`, or in the one beside `exercises`.

    Raises `CommandError` if it was named and is not there.
    """
    folder = (solutions or exercises.parent / "solutions") / "hidden"
    if any(folder.glob("*.py")):
        return folder
    if solutions:
        raise CommandError(f"{solutions}: no hidden checks here, such as hidden/ps01.py")
    return None
