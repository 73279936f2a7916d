"""Hidden cases: checks that only whoever grades has, from `solutions/hidden/psNN.py`.

    solutions/hidden/ps04.py     HIDDEN = {"ps4.q3": (Case("a ring of another size", ...), ...)}
    cases_of("ps4.q3")           those cases, to be asked behind the task's own
    check("ps4.q3")              what nbgrader calls: points, and the report to read

The idea: the visible cases of a task are known to whoever can read this package, and some of their
inputs are fixed. A hidden case asks the same judge other things, so that an answer fitted to what
can be seen loses points.

The rule that keeps it simple: the file lies beside the solutions and nowhere else. It is found by
its place, it is read anew when it changes, and it is in no package that a notebook could import.

What it leaves out: secrecy from code that runs in the same process. nbgrader runs answers in one
kernel with the checks; `virtlab grade` does not.
"""

from __future__ import annotations

import functools
import html
import secrets
import traceback
from os import PathLike
from pathlib import Path
from typing import Any

from virtlab.course.answers import Answer
from virtlab.course.checks import callers_names, examine, find, points
from virtlab.course.reports import Report
from virtlab.course.tasks import Case
from virtlab.errors import FileError

PLACE = Path("solutions", "hidden")
"""Where the files lie in a course folder."""

Hidden = dict[str, tuple[Case, ...]]


def cases_of(task_id: str, folder: str | PathLike[str] | None = None) -> tuple[Case, ...]:
    """The hidden cases of a task; empty if its file names none.

    `folder` is `solutions/` or `solutions/hidden/`; by default it is found upward from the current
    folder. Raises `FileError` where there is no such file, or it is not what it should be, and
    `ValueError` for an unknown task.
    """
    task = find(task_id)
    path = _place(folder) / f"ps{int(task.id[2 : task.id.index('.')]):02}.py"
    try:
        stat = path.stat()
    except OSError:
        raise FileError(path, 0, "there is no such file of hidden cases") from None
    return _load(path, stat.st_mtime_ns, stat.st_size).get(task.id, ())


def _place(folder: str | PathLike[str] | None) -> Path:
    """The folder that holds the files."""
    if folder is not None:
        inside = Path(folder, PLACE.name)
        return inside if inside.is_dir() else Path(folder)
    here = Path.cwd()
    for parent in (here, *here.parents):
        if (parent / PLACE).is_dir():
            return parent / PLACE
    raise FileError(here, 0, f"no folder {PLACE.as_posix()} here, nor in a folder above")


@functools.lru_cache(maxsize=64)
def _load(path: Path, changed: int, size: int) -> Hidden:
    """What the file defines as HIDDEN. `changed` and `size` make a new version another entry."""
    names: dict[str, Any] = {"__name__": f"hidden_{path.stem}", "__file__": str(path)}
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), names)
    except Exception as error:
        said = traceback.format_exception_only(type(error), error)[-1].strip()
        raise FileError(path, 0, f"it cannot be run: {said.splitlines()[0]}") from error
    hidden = names.get("HIDDEN")
    if not isinstance(hidden, dict):
        raise FileError(path, 0, "it has no dictionary HIDDEN")
    for task_id, cases in hidden.items():
        _look_at(path, task_id, cases)
    return hidden


def _look_at(path: Path, task_id: object, cases: object) -> None:
    """Refuse what are no cases, and names that are there twice: results go by name."""
    try:
        own = [case.name for case in find(str(task_id)).cases]
    except ValueError as error:
        raise FileError(path, 0, str(error)) from None
    if not isinstance(cases, tuple) or not all(isinstance(case, Case) for case in cases):
        raise FileError(path, 0, f"the cases of {task_id} are not a tuple of Case")
    names = [*own, *(case.name for case in cases)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileError(path, 0, f"{task_id} has two cases of the name {twice[0]!r}")


# -- nbgrader


class Points:
    """The value of a check cell where nbgrader grades: a number to it, a report to people.

    nbgrader reads a cell's points from the text of its value, and shows the HTML in the feedback.
    """

    def __init__(self, value: float, report: Report) -> None:
        self.value, self.report = value, report

    def __repr__(self) -> str:
        return str(self.value)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self.report))}</pre>"


def check(task_id: str, seed: int | None = None) -> Points:
    """In place of `checks.check` where nbgrader grades: hidden cases too, and partial credit.

    It does not raise: nbgrader gives a cell that raises no points at all.
    """
    task, names = find(task_id), callers_names(2)
    cases = (*task.cases, *cases_of(task_id))
    seed = secrets.randbelow(10_000) if seed is None else seed
    report = examine(task, Answer(names), seed, cases)
    return Points(points(report, cases), report)
