"""Grades as files for other programs: `grades.csv`, `grades.json`, and a time sheet.

    student,set,points,out of,q1,q1 fails,q2,q2 fails,...,problems,note,seed
    ada,ps04,41.0,43,4.0,,6.0,,3.0,no room,...

The idea: one row a student and problem set, in that order. A task's column is its points; beside it
stands the first case that failed. Sets with fewer tasks leave the last columns empty.

The rule that keeps it safe: a spreadsheet runs what begins with =, +, - or @. Such a text gets an
apostrophe in front, as OWASP advises ("CSV Injection"). The rule that keeps it the same each time:
no clock and no machine is in these two files. Processor seconds have a file of their own.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from virtlab.course.grading.result import Grades, Result

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What makes a spreadsheet take a text for a formula, also in full width."""


NOT_ATTEMPTED = "not attempted"
"""Stands in place of the first case that fails, where nobody wrote an answer."""

CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\ufffd")
"""Characters that a terminal obeys, all but tab and end of line: a student's text has none here."""


def disarmed(text: str) -> str:
    """A text that no spreadsheet runs.

    >>> disarmed("=HYPERLINK(1)"), disarmed("Ada")
    ("'=HYPERLINK(1)", 'Ada')
    """
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def csv_text(grades: Grades) -> str:
    """All results as a table."""
    widest = max((len(result.tasks) for result in grades.results), default=0)
    head = ["student", "set", "points", "out of"]
    for number in range(1, widest + 1):
        head += [f"q{number}", f"q{number} fails"]
    rows = [_row(result, widest, grades.seed) for result in grades.results]
    return _table([[*head, "problems", "note", "seed"], *rows])


def _row(result: Result, widest: int, seed: int) -> list[Any]:
    cells: list[Any] = [result.student, result.assignment, result.points, result.out_of]
    for task in result.tasks:
        fails = task.failure.case if task.failure else ""
        cells += [task.points, fails if task.attempted else NOT_ATTEMPTED]
    cells += [""] * (2 * (widest - len(result.tasks)))
    problems = [flaw.message for flaw in result.flaws]
    problems += [f"cell {error.cell}: {error.text}" for error in result.errors]
    return [*cells, "; ".join(problems), result.refused, seed]


def times_text(grades: Grades) -> str:
    """What a run took: processor seconds of each submission's child, and its sandbox."""
    rows: list[list[Any]] = [["student", "set", "seconds", "sandbox", "not held"]]
    for result in grades.results:
        how = result.run
        rows.append(
            [result.student, result.assignment, how.seconds, how.sandbox, " ".join(how.losses)]
        )
    return _table(rows)


def _table(rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        writer.writerow(
            [disarmed(cell).translate(CONTROL) if isinstance(cell, str) else cell for cell in row]
        )
    return out.getvalue()


def json_text(grades: Grades) -> str:
    """All that is known, as `Grades.as_data` says."""
    return json.dumps(grades.as_data(), indent=1) + "\n"


def read(path: Path) -> Grades:
    """The grades of a `grades.json`. Raises ValueError, KeyError or TypeError on another file."""
    return Grades.from_data(json.loads(path.read_text(encoding="utf-8")))


# -- files


def write(path: Path, text: str) -> None:
    r"""Write a file whole or not at all: whoever reads it never sees a half.

    Half a character, which UTF-8 cannot hold, is written as `\udc80`. A pipe or a device, as
    `/dev/stdout`, is written to and not replaced. An `OSError` names `path`.
    """
    try:
        if is_special(path):
            path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        else:
            _write(path, text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def is_special(path: Path) -> bool:
    """Whether it is there, and neither a file nor a folder."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = beside(path)
    try:
        with open(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def beside(path: Path) -> tuple[int, str]:
    """A new file in the folder of `path`, for what will be `path`: its descriptor and its name."""
    return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
