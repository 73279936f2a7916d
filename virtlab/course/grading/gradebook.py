"""Our points in nbgrader's gradebook, so that its formgrader, feedback and export show them.

    our word                 nbgrader's row                        column
    points of ps4.q3         grade of the check cell ps4-q3        auto_score, with partial credit
    what failed, and how     comment on ps4-q3-answer              auto_comment
    a hand's own points      grade                                 manual_score: never touched

The idea: `auto_score` is what a program found out, and `manual_score`, where there is one, goes
before it in every sum of nbgrader's. So our points stand where those of `nbgrader autograde` would,
and a teacher's correction stays on top. Where our points change below such a correction, the grade
is marked for another look, as nbgrader itself does.

The rule that keeps it simple: what is there stays. Assignments, notebooks and cells are made from
the released notebook only where they are missing, and a second run changes nothing. All of it is
one transaction: it is there as a whole, or not at all.

A comment is a block of code to Markdown: nbgrader's feedback would run what a student printed.
What it leaves out: due dates, penalties for late work, and students whose id nbgrader cannot carry.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from virtlab.course.cli import CommandError
from virtlab.course.grading.course_files import Course
from virtlab.course.grading.gradebook_cells import handed_in, make_notebook, submission
from virtlab.course.grading.pages import count, points, visible
from virtlab.course.grading.result import Grades, Result, TaskResult

COURSE = "virtlab"
"""The course's name in the gradebook: that of `nbgrader_config.py`."""

LONGEST = 128
"""Characters of a student's id in nbgrader's table."""

BREAKING = set('/\\:|,"<>&*?[]%#\n\t')
LEADING = "=+-@."
"""What a student's id may not hold, and not begin with: see `unfit`."""


class Written(NamedTuple):
    """What `write_gradebook` did: submissions gone through, points and comments that changed, and
    students left out, each with why.
    """

    submissions: int
    grades: int
    comments: int
    skipped: tuple[tuple[str, str], ...]


def write_gradebook(
    grades: Grades,
    course: Course,
    where: str | PathLike[str],
    submitted: str | PathLike[str] | None = None,
) -> Written:
    """Put the points of a run into the gradebook at `where`, a file or a database's URL.

    `submitted` is nbgrader's folder of that name, if there is one: the times at which work was
    handed in are read from it, because the formgrader takes a submission for ungraded without.
    Raises `CommandError` if nbgrader is not installed, or if the database cannot be used.
    """
    api = _nbgrader()
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _alembic(), contextlib.closing(api.Gradebook(_url(where), COURSE)) as book:
            return _write(book, grades, course, Path(submitted) if submitted else None)
    except (SQLAlchemyError, subprocess.SubprocessError, api.InvalidEntry) as error:
        why = str(getattr(error, "orig", None) or error).splitlines()[0]
        shown = re.sub(r"(://[^/@]*):[^/@]*@", r"\1:***@", os.fspath(where))  # without a password
        raise CommandError(f"{shown}: not a gradebook that nbgrader can write: {why}") from None


def _nbgrader() -> Any:
    """The database module of nbgrader, imported only here: it takes seconds."""
    try:
        from nbgrader import api
    except ImportError:
        raise CommandError("a gradebook needs nbgrader: pip install 'virtlab[grading]'") from None
    return api


def _url(where: str | PathLike[str]) -> Any:
    """The database's URL; a file's path becomes one of SQLite, whatever signs it has."""
    from sqlalchemy.engine import URL

    text = os.fspath(where)
    if "://" in text:
        return text
    return URL.create("sqlite", database=Path(text).resolve().as_posix())


@contextlib.contextmanager
def _alembic() -> Iterator[None]:
    """Let nbgrader find `alembic`, which it starts from PATH: it lies beside our Python."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + before
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _write(book: Any, grades: Grades, course: Course, folder: Path | None) -> Written:
    scores, comments, done, skipped = 0, 0, 0, []
    names = sorted({result.assignment for result in grades.results} & {*course.sets})
    notebooks = {name: make_notebook(book, course.sets[name]) for name in names}
    for result in grades.results:
        if why := unfit(result, course):
            skipped.append((result.student, why))
            continue
        own = submission(book, notebooks[result.assignment], result)
        if folder and (time := handed_in(folder / result.student / result.assignment)):
            own.assignment.timestamp = time
        new_scores, new_comments = _fill(own, result)
        scores, comments, done = scores + new_scores, comments + new_comments, done + 1
    book.db.commit()
    return Written(done, scores, comments, tuple(skipped))


def unfit(result: Result, course: Course) -> str:
    """Why nbgrader cannot carry a result, or an empty text.

    The id goes unescaped into the formgrader's pages, addresses and scripts, into the names of
    folders, and into a line of the export between commas.
    """
    name = result.student
    if result.assignment not in course.sets:
        return f"no released notebook of {result.assignment or 'this submission'}"
    if not name or name != name.strip() or len(name) > LONGEST:
        return f"an id has 1 to {LONGEST} characters, no blanks around them"
    if visible(name) != name or set(name) & BREAKING or name[0] in LEADING:
        signs = " ".join(sorted(BREAKING - {"\n", "\t"}))
        return f"nbgrader's pages break at {signs} in an id, and at {LEADING} before it"
    return ""


# -- points and comments


def _fill(notebook: Any, result: Result) -> tuple[int, int]:
    """Write the points and comments of one result; how many of each changed."""
    grades = {grade.cell.name: grade for grade in notebook.grades}
    comments = {comment.cell.name: comment for comment in notebook.comments}
    scores = said = 0
    for task in result.tasks:
        name = task.task.replace(".", "-")
        if name in grades:
            scores += _score(grades[name], task.points)
        if (answer := comments.get(f"{name}-answer")) is not None:
            text = comment_on(result, task)
            said += answer.auto_comment != text
            answer.auto_comment = text
    return scores, said


def _score(grade: Any, value: float) -> bool:
    """Set the points that the program found; whether they are others than before.

    A hand's points stay. If what they stand on changed, somebody must look again.
    """
    if grade.auto_score == value:
        return False
    grade.auto_score = value
    grade.needs_manual_grade = grade.manual_score is not None
    return True


def comment_on(result: Result, task: TaskResult) -> str | None:
    """What the student reads at the answer's cell, in Markdown; None where all checks pass."""
    if task.ok:
        return None
    if result.refused:
        return _block("This notebook could not be graded.", [("why", result.refused)])
    passed = sum(case.passed for case in task.cases)
    score = f"{passed} of {count(len(task.cases), 'check')} pass"
    intro = f"{score}, {points(task.points)} of {count(task.out_of, 'point')}."
    rows = [("stopped", task.ended)]
    if failure := task.failure:
        kind = " (a hidden check)" if failure.hidden else ""
        rows += [
            ("fails", failure.case + kind),
            ("given", failure.given),
            ("expected", failure.expected),
            ("yours", failure.yours),
            ("access", failure.access),
            ("look at", failure.look),
            ("printed", failure.printed),
        ]
    return _block(intro, rows)


def _block(intro: str, rows: Sequence[tuple[str, str]]) -> str:
    """A sentence, and labelled texts as a block of code: each line of it is indented."""
    lines = []
    for label, text in rows:
        for number, line in enumerate(visible(text).strip().split("\n") if text else ()):
            lines.append(f"    {'' if number else label:<9} {line}".rstrip())
    return "\n".join([intro, "", *lines])
