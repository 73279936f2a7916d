"""`check("ps1.q3")` and `hint("ps1.q3")`: the one registry of checks.

In a notebook's cell `check` finds the student's functions in the cell's own namespace, runs the
task's cases in order, and gives a report. If a case fails it raises `CheckFailed`, an
AssertionError: Jupyter shows the report alone, nbgrader and plain Python see an exception.

The rule that keeps it fair: every check mixes fixed inputs with fresh random ones. The report of
a failure names its seed; `check("ps1.q3", seed=1841)` replays it. A report of success is the same
text every time.
"""

from __future__ import annotations

import difflib
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from textwrap import wrap
from typing import Any

from virtlab.course import ps1, ps2, ps3, ps4, ps5, ps6, ps7
from virtlab.course.answers import Answer, Stopped, Trouble, own_builtins, time_limit
from virtlab.course.tasks import Case, Difference, Task

TASKS: dict[str, Task] = {
    task.id: task for each in (ps1, ps2, ps3, ps4, ps5, ps6, ps7) for task in each.TASKS
}
"""Every task of the course, by id."""

WIDTH = 96
"""Characters in a line of a report."""

NBSP = "\N{NO-BREAK SPACE}"
"""Holds the words of a case's name together while lines are broken."""

Namespace = Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """The first case that failed: from which state, and how."""

    case: str
    given: str
    difference: Difference
    printed: str = ""


@dataclass(frozen=True)
class Report:
    """What a check found: the names of the cases that pass, and the first failure if any."""

    task: Task
    seed: int
    passed: list[str] = field(default_factory=list)
    failure: Failure | None = None

    @property
    def ok(self) -> bool:
        """Whether every case passed."""
        return self.failure is None

    def as_data(self) -> dict[str, Any]:
        """The report as plain data, for a program to read."""
        return {
            "task": self.task.id,
            "ok": self.ok,
            "passed": len(self.passed),
            "cases": len(self.task.cases),
            "seed": self.seed,
            "failed": self.failure.case if self.failure else None,
            "report": str(self),
        }

    def __str__(self) -> str:
        task, failure = self.task, self.failure
        score = f"{len(self.passed)} of {len(task.cases)} checks pass"
        lines = [f"{task.id}  {task.title}".ljust(WIDTH - len(score) - 2) + f"  {score}"]
        if self.passed:
            lines += _row("  passes  ", " · ".join(name.replace(" ", NBSP) for name in self.passed))
        if failure:
            found = failure.difference
            lines.append(f"  FAILS   {failure.case}")
            for label, text in (
                ("given", failure.given),
                ("expected", found.expected),
                ("yours", found.yours),
                ("access", found.access),
                ("look at", found.look),
                ("printed", failure.printed),
            ):
                if text:
                    lines += _row(f"     {label:<10}", text)
            lines.append(
                f'  hint("{task.id}") has {len(task.hints)} stages; '
                f'check("{task.id}", seed={self.seed}) replays this case'
            )
        return "\n".join(lines)

    __repr__ = __str__


def _row(label: str, text: str) -> list[str]:
    """A labelled text over as many lines as it needs."""
    lines = [part for line in text.splitlines() for part in wrap(line, WIDTH - len(label))]
    lines = [line.replace(NBSP, " ") for line in lines]
    return [(label if not i else " " * len(label)) + line for i, line in enumerate(lines)]


class CheckFailed(AssertionError):
    """A check failed; the message is its `report`."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows in place of a traceback."""
        return str(self).splitlines()


def find(task_id: str) -> Task:
    """The task of that id; `ValueError` names those that are near."""
    if task_id in TASKS:
        return TASKS[task_id]
    near = difflib.get_close_matches(str(task_id), TASKS, n=3, cutoff=0.5) or list(TASKS)
    raise ValueError(f"there is no task {task_id!r}; did you mean {', '.join(near)}?")


def check(task_id: str, seed: int | None = None, namespace: Namespace | None = None) -> Report:
    """Check the answer to a task.

    The answer is looked up in `namespace`, by default where `check` is called. `seed` replays the
    random inputs of an earlier check. Raises `CheckFailed`.
    """
    task = find(task_id)
    if namespace is None:
        namespace = _callers_names()
    report = examine(task, Answer(namespace), secrets.randbelow(10_000) if seed is None else seed)
    if not report.ok:
        raise CheckFailed(report)
    return report


def _callers_names() -> Namespace:
    """What the caller of `check` sees: a cell's names, or a function's own before those."""
    caller = sys._getframe(2)
    local, shared = caller.f_locals, caller.f_globals
    return shared if local is shared else {**shared, **local}


def examine(task: Task, answer: Answer, seed: int) -> Report:
    """Run every case of a task, also those after a failure, unless the answer does not end."""
    passed: list[str] = []
    first: Failure | None = None
    with own_builtins():
        for case in task.cases:
            failure, go_on = attempt(case, answer, Random(f"{task.id} {case.name} {seed}"))
            if failure is None:
                passed.append(case.name)
            first = first or failure
            if not go_on:
                break
    return Report(task, seed, passed, first)


def attempt(case: Case, answer: Answer, rng: Random) -> tuple[Failure | None, bool]:
    """Run one case: its failure if any, and whether it makes sense to go on."""
    answer.begin()
    go_on = True
    try:
        with time_limit():
            found = case.run(answer, rng)
    except Trouble as trouble:
        found, go_on = Difference("", str(trouble)), not trouble.unwritten
    except Stopped as stopped:
        found, go_on = Difference("your code comes to an end", str(stopped)), False
    return (Failure(case.name, answer.given, found, answer.printed) if found else None), go_on


class Hint:
    """One stage of a task's hints; Jupyter shows its text."""

    def __init__(self, task: Task, stage: int) -> None:
        self.task, self.stage = task, stage

    def __repr__(self) -> str:
        total = len(self.task.hints)
        lines = _row(
            f"{self.task.id}  hint {self.stage} of {total}  ", self.task.hints[self.stage - 1]
        )
        return "\n".join(lines)


_shown: dict[str, int] = {}


def hint(task_id: str, stage: int | None = None) -> Hint:
    """The next hint for a task, or that of `stage` (from 1). The last one stays."""
    task = find(task_id)
    if stage is None:
        stage = min(_shown.get(task_id, 0) + 1, len(task.hints))
        _shown[task_id] = stage
    if not 1 <= stage <= len(task.hints):
        raise ValueError(f"{task_id} has hints 1 to {len(task.hints)}, not {stage}")
    return Hint(task, stage)
