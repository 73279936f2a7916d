"""Everything that `virtlab grade` writes, and what it says at the end.

    --out grades.csv         tables.csv_text          --feedback FOLDER      feedback
    --json grades.json       tables.json_text         --report class.html    report
    --times times.csv        tables.times_text        --gradebook FILE       gradebook
    --gradescope FOLDER      gradescope               --autograded FOLDER    autograded

The idea: each output is made from the same `Grades` and knows nothing of the others. So where one
cannot be written, the others are. Each module is imported only if it is asked for.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path, PurePath
from typing import TextIO

from virtlab.course.cli import CommandError
from virtlab.course.grading import tables
from virtlab.course.grading.course_files import Course
from virtlab.course.grading.result import Grades, Result
from virtlab.course.grading.submissions import SET, tidy
from virtlab.errors import FileError

NAMED = 20
"""So many troubles are named on standard error; the outputs have all of them."""


def write(
    grades: Grades, course: Course, options: argparse.Namespace, students: Collection[str] = ()
) -> list[str]:
    """Write what the options ask for; the table to standard output if they ask for nothing.

    `students` are those of the roster. What cannot be written is told, and the rest is written all
    the same: one line for each.
    """
    works: dict[str, Callable[[], object]] = {
        "out": lambda: _put(options.out, tables.csv_text(grades)),
        "json": lambda: _put(options.json, tables.json_text(grades)),
        "times": lambda: _put(options.times, tables.times_text(grades)),
        "gradescope": lambda: _gradescope(grades, options.gradescope),
        "feedback": lambda: _feedback(grades, options.feedback),
        "report": lambda: _report(grades, options, students),
        "gradebook": lambda: _gradebook(grades, course, options),
        "autograded": lambda: _autograded(grades, course, options),
    }
    asked = {name: work for name, work in works.items() if getattr(options, name)}
    if not asked:
        return _tried("out", lambda: _put(Path("-"), tables.csv_text(grades)))
    return [line for name, work in asked.items() for line in _tried(name, work)]


def _tried(name: str, work: Callable[[], object]) -> list[str]:
    """Write one output; why it cannot be, in one line, or nothing."""
    try:
        work()
    except BrokenPipeError:
        raise
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return [f"--{name}: {place}{error.strerror or error}"]
    except CommandError as error:
        return [f"--{name}: {error}"]
    return []


def _gradescope(grades: Grades, folder: Path) -> None:
    from virtlab.course.grading import gradescope

    gradescope.write_all(grades, folder)


def _feedback(grades: Grades, folder: Path) -> None:
    from virtlab.course.grading import feedback

    feedback.write_pages(grades, folder)


def _report(grades: Grades, options: argparse.Namespace, students: Collection[str]) -> None:
    from virtlab.course.grading import report

    if students and not {each.student for each in grades.results} & {*students}:
        first = grades.results[0].student if grades.results else "nobody"
        why = f"nobody of the roster handed in; the names of students here are as {first}"
        print(f"virtlab grade: {why}", file=sys.stderr)
    as_data = options.report.suffix == ".json"
    _put(options.report, report.report_text(grades, as_data, students, options.names))


def _gradebook(grades: Grades, course: Course, options: argparse.Namespace) -> None:
    from virtlab.course.grading import gradebook

    submitted = collected(options.submissions)
    written = gradebook.write_gradebook(grades, course, options.gradebook, submitted)
    for student, why in written.skipped:
        print(f"virtlab grade: not in the gradebook: {student}: {why}", file=sys.stderr)


def _autograded(grades: Grades, course: Course, options: argparse.Namespace) -> None:
    from virtlab.course.grading import autograded

    autograded.write_autograded(grades, course, options.submissions, options.autograded)


def collected(submissions: Path) -> Path | None:
    """The folder into which nbgrader collects, if this is it or has it."""
    for folder in (submissions, submissions / "submitted"):
        if folder.name == "submitted" and folder.is_dir():
            return folder
    return None


def roster(path: Path | None) -> list[str]:
    """The students of a class, one a line, or in the first column of a CSV whose head is `student`.

    Empty without a file. Raises `FileError` if it is no text.
    """
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        between = ";" if lines and ";" in lines[0] and "," not in lines[0] else ","
        rows = list(
            csv.reader(lines, delimiter=between)
        )  # ; is what Excel writes in half of Europe
    except UnicodeDecodeError as error:
        raise FileError(path, error.start, "not a roster: not UTF-8 text") from None
    except csv.Error as error:
        raise FileError(path, 0, f"not a roster: {error}") from None
    names = [tidy(row[0]) for row in rows if row and row[0].strip()]
    return names[1:] if names[:1] and names[0].casefold() == "student" else names


def _put(path: Path, text: str) -> None:
    if str(path) != "-":
        return tables.write(path, text)
    encoding = sys.stdout.encoding or "utf-8"  # a pipe's on Windows lacks most letters
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries again
        raise OSError(error.errno, error.strerror, "standard output") from error


# -- what is said at the end


def summarise(grades: Grades, seconds: float, quiet: bool, out: TextIO) -> int:
    """Say what a person must look at, and then how it went; the exit status."""
    troubles = list(_troubles(grades))
    name(troubles, out)
    name([*_misnamed(grades)], out)
    for loss in sorted({loss for result in grades.results for loss in result.run.losses}):
        print(f"virtlab grade: not held: {loss}", file=out)
    if not quiet:
        print(_closing(grades.results, grades.seed, seconds), file=out)
    return int(bool(troubles))


def name(lines: Sequence[str], out: TextIO) -> None:
    """Say the first of so many lines, and how many more there are."""
    for line in lines[:NAMED]:
        print(f"virtlab grade: {line}", file=out)
    if lines[NAMED:]:
        print(f"virtlab grade: and {len(lines) - NAMED} more like these", file=out)


def _misnamed(grades: Grades) -> Iterator[str]:
    """Every notebook whose name is that of another problem set than its cells."""
    for result in grades.results:
        said = SET.findall(PurePath(result.file).stem)
        if said and result.assignment not in map(str.lower, said) and not result.refused:
            yield f"{result.file} has the cells of {result.assignment}, and was graded as that"


def _troubles(grades: Grades) -> Iterator[str]:
    """Every file without a place and every notebook without a grade, with why."""
    for unplaced in grades.unplaced:
        yield f"not placed: {unplaced.file}: {unplaced.why}"
    for result in grades.results:
        if result.refused:
            yield f"not graded: {result.student} {result.assignment}: {result.refused}"


def _closing(results: tuple[Result, ...], seed: int, seconds: float) -> str:
    students = len({result.student for result in results})
    graded = sum(not result.refused for result in results)
    return (
        f"{graded} of {len(results)} notebooks of {students} students graded "
        f"in {seconds:.0f} s; --seed {seed} gives the same again"
    )
