"""Everything that `virtlab grade` writes, and what it says at the end.

    --out grades.csv         tables.csv_text          --feedback FOLDER      feedback
    --json grades.json       tables.json_text         --report class.html    report
    --times times.csv        tables.times_text        --gradebook FILE       gradebook
    --gradescope FOLDER      gradescope               --autograded FOLDER    autograded

The idea: each output is made from the same `Grades` and knows nothing of the others. Each module is
imported only if it is asked for: an HTML page costs nothing where a table is wanted.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from virtlab.course.grading import tables
from virtlab.course.grading.course_files import Course
from virtlab.course.grading.result import Grades, Result
from virtlab.errors import FileError

NAMED = 20
"""So many troubles are named on standard error; the outputs have all of them."""


def write(grades: Grades, course: Course, options: argparse.Namespace) -> None:
    """Write what the options ask for; the table to standard output if they ask for nothing."""
    asked = (options.json, options.times, options.feedback, options.report, options.gradescope)
    if options.out or not any((*asked, options.gradebook, options.autograded)):
        _put(options.out or Path("-"), tables.csv_text(grades))
    if options.json:
        _put(options.json, tables.json_text(grades))
    if options.times:
        _put(options.times, tables.times_text(grades))
    if options.gradescope:
        from virtlab.course.grading import gradescope

        gradescope.write_all(grades, options.gradescope)
    _write_pages(grades, course, options)


def _write_pages(grades: Grades, course: Course, options: argparse.Namespace) -> None:
    """What people read: pages, the report on the class, and what nbgrader shows."""
    if options.feedback:
        from virtlab.course.grading import feedback

        feedback.write_pages(grades, options.feedback)
    if options.report:
        from virtlab.course.grading import report

        report.write_report(grades, options.report, roster(options.roster), options.names)
    if options.gradebook:
        from virtlab.course.grading import gradebook

        submitted = collected(options.submissions)
        written = gradebook.write_gradebook(grades, course, options.gradebook, submitted)
        for student, why in written.skipped:
            print(f"virtlab grade: not in the gradebook: {student}: {why}", file=sys.stderr)

    if options.autograded:
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
    except UnicodeDecodeError as error:
        raise FileError(path, error.start, "not a roster: not UTF-8 text") from None
    names = [row[0].strip() for row in csv.reader(lines) if row and row[0].strip()]
    return names[1:] if names[:1] == ["student"] else names


def _put(path: Path, text: str) -> None:
    if str(path) == "-":
        encoding = sys.stdout.encoding or "utf-8"  # a pipe's on Windows lacks most letters
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    else:
        tables.write(path, text)


# -- what is said at the end


def summarise(grades: Grades, seconds: float, quiet: bool, out: TextIO) -> int:
    """Say what a person must look at, and then how it went; the exit status."""
    troubles = list(_troubles(grades))
    for trouble in troubles[:NAMED]:
        print(f"virtlab grade: {trouble}", file=out)
    if troubles[NAMED:]:
        print(f"virtlab grade: and {len(troubles) - NAMED} more like these", file=out)
    for loss in sorted({loss for result in grades.results for loss in result.run.losses}):
        print(f"virtlab grade: not held: {loss}", file=out)
    if not quiet:
        print(_closing(grades.results, grades.seed, seconds), file=out)
    return int(bool(troubles))


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
