"""``virtlab check NOTEBOOK``: is my notebook whole, and what do the checks say?

First the file is held against the released one: cells that were deleted, copied, split or edited.
Then its answers run in a child process, as they do when a class is graded (`grading.remote`), and
every task's check is made here, with the same registry as `check()` in the notebook. Check cells of
the file itself are not run.
"""

from __future__ import annotations

import argparse
import json
import secrets
from pathlib import Path
from typing import Any

from virtlab.course.cli import CommandError
from virtlab.course.submission import Cell, Problem, compare, read_notebook, tasks_of, to_run

SECONDS = 20.0
"""The longest that one cell, or one task's check, may take."""

CPU, WALL = 300.0, 1800.0
"""Seconds that a notebook may take in all, of the processor and by the clock."""

Record = dict[str, Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("notebook", type=Path, metavar="NOTEBOOK", help="your copy, as ps01.ipynb")
    parser.add_argument(
        "--released",
        type=Path,
        metavar="FILE",
        help="the notebook as it was handed out (found in exercises/ by its cells)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="replay the random inputs of a check")
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        metavar="S",
        help=f"limit for a cell ({SECONDS:g})",
    )
    parser.add_argument("--json", action="store_true", help="print an object for a program to read")


def run(options: argparse.Namespace) -> int:
    """Check one notebook: 0 if it is whole and every check passes, else 1."""
    submitted = read_notebook(options.notebook)
    source = options.released or find_released(options.notebook, submitted, exercises())
    released = read_notebook(source)
    seed = secrets.randbelow(10_000) if options.seed is None else options.seed
    problems = compare(submitted, released)
    cells = [(cell.number, cell.source) for cell in to_run(submitted, released)]
    errors, tasks = examine(cells, tasks_of(released), seed, options.seconds)
    if options.json:
        said = [problem._asdict() for problem in problems]
        print(json.dumps({"problems": said, "errors": errors, "tasks": tasks}, indent=2))
    else:
        print("\n".join(lines(problems, errors, tasks)))
    return int(bool(problems) or not all(record["ok"] for record in tasks))


def examine(
    cells: list[tuple[int, str]], tasks: list[str], seed: int, seconds: float
) -> tuple[list[Record], list[Record]]:
    """What cells raised, and a report for each task, as plain data."""
    from virtlab.course.checks import find
    from virtlab.course.grading.limits import Limits
    from virtlab.course.grading.remote import Student
    from virtlab.course.grading.sandbox import NotStarted

    limits = Limits(cpu=CPU, wall=WALL, quiet=seconds)
    try:
        with Student(cells, limits) as student:
            reports = [student.examine(find(task), seed).as_data() for task in tasks]
            errors = [{"cell": number, "error": text} for number, text in student.errors]
    except NotStarted as error:
        raise CommandError(str(error)) from None
    return errors, reports


def lines(problems: list[Problem], errors: list[Record], tasks: list[Record]) -> list[str]:
    """What was found, for a person to read."""
    text = [f"notebook  {problem.message}" for problem in problems]
    text += [f"cell {record['cell']:<5}{record['error']}" for record in errors]
    passing = sum(record["ok"] for record in tasks)
    return [*text, *(record["report"] for record in tasks), f"{passing} of {len(tasks)} tasks pass"]


# -- the released notebook


def exercises() -> Path:
    """The folder of released notebooks of the checkout that this package lies in."""
    return Path(__file__).parents[2] / "exercises"


def find_released(path: Path, submitted: list[Cell], folder: Path) -> Path:
    """The released notebook that shares most cells with a submission, or else its name."""
    ids = {cell.grade_id for cell in submitted if cell.grade_id}
    best, most = None, 0
    for candidate in sorted(folder.glob("*/*.ipynb")):
        shared = len(ids & {cell.grade_id for cell in read_notebook(candidate)})
        shared += candidate.name == path.name
        if shared > most:
            best, most = candidate, shared
    if best is None:
        raise CommandError(
            f"{path}: no cell of it belongs to a problem set in {folder.name}/; "
            "name the notebook as it was handed out with --released FILE"
        )
    return best
