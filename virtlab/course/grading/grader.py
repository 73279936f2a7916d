"""Grading one submission: a notebook, the course, and a seed give one `Result`.

    compare   hold the cells against the released ones: what was deleted, copied, split, edited
    run       the cells, in a sandboxed child of their own; set-up cells are the released ones
    examine   each task: the visible cases and the hidden ones, judged in this process
    count     points x (passed - free) / (all - free)

The idea: the student's code is in the child, everything that judges it is here. What comes back is
plain data, and a `Result` is made of nothing else.

The rule that keeps it fair: points are counted by cases that pass. A `free` case passes without an
answer, so it earns nothing. Of a doubled or split answer all pieces run in order, as they do in the
notebook, and the last definition counts. A copy gains nothing, and is named.

The rule that makes it the same everywhere: a task's seed is made from the run's seed, the student
and the task. Addresses of objects in texts are masked. No clock and no place go into a result.
"""

from __future__ import annotations

import functools
import hashlib
import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from virtlab.course import checks
from virtlab.course.grading import hidden
from virtlab.course.grading.course_files import Course, ProblemSet
from virtlab.course.grading.limits import Limits
from virtlab.course.grading.remote import Student
from virtlab.course.grading.result import (
    CaseResult,
    CellError,
    Cost,
    Failure,
    Flaw,
    Result,
    Run,
    TaskResult,
)
from virtlab.course.grading.sandbox import Sandbox
from virtlab.course.grading.submissions import Submission
from virtlab.course.submission import compare, to_run
from virtlab.course.tasks import Case, Task

SEEDS = 1_000_000
"""A task's seed is a number below this: a person can type it."""
FLAWS = 60
"""Flaws and errors of cells that a result keeps, at most so many of each."""
WORDS = 400
"""Characters of one text that comes from a notebook."""

ADDRESS = re.compile(r"(?<= at )0x[0-9a-fA-F]{6,}(?=>)")
"""Where an object lies, as Python shows it: another number each time."""


def grade(
    submission: Submission,
    course: Course,
    seed: int,
    limits: Limits | None = None,
    sandbox: Sandbox | None = None,
) -> Result:
    """Grade one submission. Nothing that a student does raises out of here.

    Raises `NotStarted` where the sandbox could not begin: that is no answer's fault, and no grade.
    """
    problem_set = course.sets[submission.assignment]
    if submission.refused:
        return nothing(submission, problem_set, seed, submission.refused)
    released, submitted = list(problem_set.cells), list(submission.cells)
    flaws = [
        Flaw(kind, grade_id[:WORDS], cells[:FLAWS], message[:WORDS])
        for kind, grade_id, cells, message in compare(submitted, released)
    ]
    cells = [(cell.number, cell.source) for cell in to_run(submitted, released)]
    with Student(cells, limits or Limits(), sandbox) as student:
        tasks = [
            _task(student, checks.find(task_id), course, seed_of(seed, submission.student, task_id))
            for task_id in problem_set.tasks
        ]
        errors = [CellError(number, stable(text)[:WORDS]) for number, text in student.errors]
    used = student.sandbox
    run = Run(round(student.seconds, 3), used.kind, used.losses)
    return Result(
        *_name(submission), tuple(tasks), tuple(flaws[:FLAWS]), tuple(errors[:FLAWS]), run=run
    )


def nothing(submission: Submission, problem_set: ProblemSet, seed: int, why: str) -> Result:
    """The result of what cannot be graded: every task of its set, no points, and why."""
    tasks = [
        TaskResult(
            task.id, task.title, 0.0, task.points, seed_of(seed, submission.student, task.id)
        )
        for task in map(checks.find, problem_set.tasks)
    ]
    return Result(*_name(submission), tuple(tasks), refused=why[:WORDS])


def _name(submission: Submission) -> tuple[str, str, str, str]:
    """Whose a result is, of what, from which file, and of which bytes."""
    return submission.student, submission.assignment, submission.file, submission.digest


def _task(student: Student, task: Task, course: Course, seed: int) -> TaskResult:
    """One task, examined with visible and hidden cases."""
    secret = hidden_cases(course).get(task.id, ())
    cases = (*task.cases, *secret)
    before = student.ended
    report = student.examine(task, seed, cases)
    free = checks.free_cases(task, cases)
    names = {case.name for case in secret}
    found = tuple(
        CaseResult(name, passed, name in names, name in free) for name, passed in report.results
    )
    return TaskResult(
        task.id,
        task.title,
        checks.points(report, cases),
        task.points,
        seed,
        found,
        _failure(report, names),
        tuple(Cost(cost.what, cost.yours, cost.reference) for cost in report.costs),
        stable(str(report)),
        student.ended if student.ended != before else "",
    )


def _failure(report: checks.Report, names: Collection[str]) -> Failure | None:
    """The report's first failure, as plain texts."""
    failure = report.failure
    if failure is None:
        return None
    found = failure.difference
    texts = (failure.given, found.expected, found.yours, found.access, found.look, failure.printed)
    return Failure(failure.case, failure.case in names, *map(stable, texts))


def seed_of(seed: int, student: str, task_id: str) -> int:
    """The seed of one student's task in a run: it depends on nothing else."""
    digest = hashlib.sha256(f"{seed}\0{student}\0{task_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % SEEDS


def stable(text: str) -> str:
    """A text without addresses of objects, which differ from run to run.

    >>> stable("<object object at 0x7f3a5c0b1e40>")
    '<object object at 0x...>'
    """
    return ADDRESS.sub("0x...", text)


@functools.cache
def hidden_cases(course: Course) -> Mapping[str, tuple[Case, ...]]:
    """The hidden cases of every task that has some, from the sources that `course` carries.

    They are files for a moment only: in this folder, before any student's child is there.
    """
    with tempfile.TemporaryDirectory() as name:
        for file, source in course.hidden.items():
            Path(name, file).write_text(source, encoding="utf-8")
        names = [each for each in course.sets if f"{each}.py" in course.hidden]
        tasks = [task for each in names for task in course.sets[each].tasks]
        return {task: hidden.cases_of(task, name) for task in tasks}
