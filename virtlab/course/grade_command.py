"""``virtlab grade SUBMISSIONS``: a class's notebooks, graded in sandboxes, in order.

    look       can every output be written              grading/places.py
    find       whose notebook, which problem set        grading/submissions.py
    grade      each in a sandboxed child, side by side  grading/{grader,worker,pool,cluster}.py
    keep       a journal, so that a stop loses nothing  grading/journal.py
    write      CSV, JSON, Gradescope, pages, gradebook  grading/{tables,gradescope,feedback,...}.py

The idea: the command reads options, calls these five, and says what a person must look at.

The rule that keeps it simple: what goes to standard output is what was asked for with `-`. All
else that it says goes to standard error.

Exit status: 0 all graded, whatever the grades; 1 something could not be placed, graded or written
(it is named, and the rest is written all the same); 2 a wrong command line.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import functools
import secrets
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from virtlab.course.cli import CommandError
from virtlab.course.selfcheck import exercises

if TYPE_CHECKING:
    from virtlab.course.grading.batch import Spread
    from virtlab.course.grading.course_files import Course
    from virtlab.course.grading.journal import Journal
    from virtlab.course.grading.result import Grades, Unplaced
    from virtlab.course.grading.submissions import Submission
    from virtlab.course.grading.worker import Setup

HOUR = 3600
"""Seconds of processor time that one process may be given."""
SEEDS = 1_000_000
"""A fresh seed is a number below this."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("submissions", type=Path, metavar="SUBMISSIONS", help="a folder, or one notebook")
    output = parser.add_argument_group("what is written")
    add = output.add_argument
    add("--out", type=Path, metavar="FILE", help="the grades as CSV (- for standard output)")
    add("--json", type=Path, metavar="FILE", help="all results as JSON (- for standard output)")
    add("--times", type=Path, metavar="FILE", help="processor seconds and sandboxes as CSV")
    add("--feedback", type=Path, metavar="FOLDER", help="a page for each student, as HTML")
    add("--report", type=Path, metavar="FILE", help="a report on the class, as HTML")
    add("--gradescope", type=Path, metavar="FOLDER", help="results.json as Gradescope reads it")
    add("--gradebook", metavar="FILE", help="put the points into an nbgrader gradebook")
    add("--autograded", type=Path, metavar="FOLDER", help="notebooks for nbgrader's formgrader")
    add("--roster", type=Path, metavar="FILE", help="the class, one student a line, for the report")
    add("--names", action="store_true", help="a report with names, for the teacher's eyes alone")
    which = parser.add_argument_group("what is graded")
    add = which.add_argument
    add("--only", action="append", default=[], metavar="STUDENT", help="this student (repeatable)")
    add("--task", action="append", default=[], metavar="ID", help="as ps4.q3 (repeatable)")
    add("--student", default="", metavar="NAME", help="all notebooks are this student's")
    add("--exercises", type=Path, default=exercises(), metavar="FOLDER", help="released notebooks")
    add("--solutions", type=Path, metavar="FOLDER", help="where hidden/ lies (beside exercises/)")
    how = parser.add_argument_group("how")
    add = how.add_argument
    add("--seed", type=int, metavar="N", help="replay the random inputs of an earlier run")
    add("--resume", action="store_true", help="grade only what is missing or has changed")
    add("--workers", type=_positive, metavar="N", help="processes at once (one for each core)")
    add("--scheduler", metavar="ADDRESS", help="a Dask cluster, as tcp://10.0.0.5:8786")
    add("--seconds", type=_seconds, metavar="S", help="processor time of each process (20)")
    add("--memory", type=_positive, metavar="MIB", help="address space of its process (2048)")
    add("--plain", action="store_true", help="without bubblewrap; says what is then not held")
    add("--quiet", action="store_true", help="no progress")


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= HOUR:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0 and at most {HOUR}")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def run(options: argparse.Namespace) -> int:
    """Grade a class: 0 if every notebook was graded and every output written, else 1."""
    from virtlab.course.grading import outputs, places, stopping, submissions

    start = time.monotonic()
    students = outputs.roster(options.roster)
    written = places.look(options)
    course = _course(options)
    path = _journal_path(options)
    ours = {place.path.resolve() for place in written} | ({path.resolve()} if path else set())
    found, unplaced = submissions.find(options.submissions, course, options.student, ours)
    found = _chosen(found, course, options)
    if not found and not options.gradescope:
        outputs.name([f"not placed: {file}: {why}" for file, why in unplaced], sys.stderr)
        raise CommandError(f"{options.submissions}: there is no notebook to grade")
    places.look_below(written, found)
    setup = _setup(options, course, path)
    with stopping.as_ctrl_c(), _journal(options, path, setup) as journal:
        grades = _grade(options, found, unplaced, setup, journal)
        try:
            failed = outputs.write(grades, course, options, students)
        except KeyboardInterrupt:
            failed = ["stopped while the outputs were written"]
    status = outputs.summarise(grades, time.monotonic() - start, options.quiet, sys.stderr)
    return _said(failed, path) or status


def _said(failed: Sequence[str], path: Path | None) -> int:
    """Say what could not be written, and how it still can; 1 if there is something."""
    for line in failed:
        print(f"virtlab grade: not written: {line}", file=sys.stderr)
    if failed and path:
        how = "the same command with --resume writes the rest and grades nothing again"
        print(f"virtlab grade: all results are in {path}: {how}", file=sys.stderr)
    return int(bool(failed))


def _course(options: argparse.Namespace) -> Course:
    """What is graded against; where hidden checks are missing, that is said."""
    from virtlab.course.grading import course_files

    secret = course_files.find_hidden(options.exercises, options.solutions)
    course = course_files.load(options.exercises, secret).only(options.task)
    if secret is None:
        say = "there are no hidden checks, so the visible ones decide (--solutions FOLDER)"
        print(f"virtlab grade: {say}", file=sys.stderr)
    return course


def _chosen(
    found: list[Submission], course: Course, options: argparse.Namespace
) -> list[Submission]:
    """The submissions of the students and tasks that were asked for."""
    students = {each.student for each in found}
    for name in options.only:
        if name not in students:
            raise CommandError(f"no notebook of {name}; there are some of {_some(students, name)}")
    wanted = [each for each in found if each.student in options.only or not options.only]
    if options.task:
        wanted = [each for each in wanted if course.sets[each.assignment].chosen]
    return wanted


def _some(names: Iterable[str], wanted: str) -> str:
    """A few names, for a message: first those that are like the wanted one, or have it in them."""
    every = sorted(names)
    inside = [name for name in every if wanted.casefold() in name.casefold()]
    near = difflib.get_close_matches(wanted, every, 4, 0.5)
    every = list(dict.fromkeys([*inside, *near, *every])) or ["nobody"]
    return ", ".join(every[:4]) + (" ..." if every[4:] else "")


def _setup(options: argparse.Namespace, course: Course, journal: Path | None) -> Setup:
    """What is the same for every submission: the seed is the given one, the journal's, or fresh."""
    from virtlab.course.grading import sandbox
    from virtlab.course.grading.journal import head_of
    from virtlab.course.grading.limits import Limits
    from virtlab.course.grading.worker import Setup

    seed: int | None = options.seed
    if seed is None and options.resume and journal and journal.exists():
        seed = head_of(journal)["seed"] if journal.read_bytes().count(b"\n") else None
    if seed is None:
        seed = secrets.randbelow(SEEDS)
    limits = Limits()
    cpu, memory = options.seconds or limits.cpu, (options.memory or 0) << 20 or limits.memory
    limits = limits._replace(cpu=cpu, memory=memory, wall=max(limits.wall, 10 * cpu))
    found = sandbox.available()
    if options.plain:
        found = sandbox.Sandbox("plain", sandbox.plain_losses())
    return Setup(course, seed, limits, found)


def _journal_path(options: argparse.Namespace) -> Path | None:
    """Where the journal lies: beside the first file that is written, or the pages' folder."""
    from virtlab.course.grading.journal import path_of
    from virtlab.course.grading.places import places

    for place in places(options):
        if place.option not in ("gradebook", "gradescope", "autograded"):
            return path_of(place.path)
    if options.resume:
        raise CommandError("--resume needs --out FILE: the journal lies beside it")
    return None


def _grade(
    options: argparse.Namespace,
    found: Sequence[Submission],
    unplaced: Sequence[Unplaced],
    setup: Setup,
    journal: Journal | None,
) -> Grades:
    """Grade what was found, with a bar; Ctrl-C ends it, and what is done is in the journal."""
    from virtlab.course.grading.batch import Batch
    from virtlab.course.grading.progress import Progress

    with Progress(len(found), sys.stderr, options.quiet) as progress:
        batch = Batch(found, unplaced, setup, _spread(options), progress.step)
        try:
            return batch.grade(journal)
        except KeyboardInterrupt:
            done = f"stopped after {progress.done} of {len(found)}"
        except OSError as error:
            if journal is None or error.filename != str(journal.path):
                raise
            why = f"{error.filename}: {error.strerror}"  # its disk is full, or gone
            done = f"{why}: stopped after {progress.done} of {len(found)}"
    raise CommandError(f"{done}; --resume goes on from there" if journal else done)


def _spread(options: argparse.Namespace) -> Spread:
    """How the work is spread: over processes here, or over a cluster."""
    if options.scheduler:
        from virtlab.course.grading import cluster

        return functools.partial(cluster.grade_all, address=options.scheduler)
    from virtlab.course.grading import pool

    return functools.partial(pool.grade_all, workers=options.workers or pool.cores())


def _journal(
    options: argparse.Namespace, path: Path | None, setup: Setup
) -> contextlib.AbstractContextManager[Journal | None]:
    """The journal of this run: an earlier one with `--resume`, if it is there, else a new one."""
    from virtlab.course.grading.journal import Journal

    if path is None:
        return contextlib.nullcontext()
    chosen = {"task": options.task, "limits": list(setup.limits), "plain": options.plain}
    head = {"seed": setup.seed, "course": setup.course.digest, "options": chosen}
    if options.resume and path.exists():
        return Journal.resume(path, head)
    return Journal.begin(path, head)
