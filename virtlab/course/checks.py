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
import functools
import secrets
import sys
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from virtlab.course import progress, ps1, ps2, ps3, ps4, ps5, ps6, ps7
from virtlab.course.answers import Answer, Built, Stopped, Trouble, own_builtins, time_limit
from virtlab.course.reports import Cost, Failure, Report, labelled
from virtlab.course.tasks import Case, Difference, Task

__all__ = [
    "TASKS", "CheckFailed", "Cost", "Failure", "Report", "callers_names", "check", "examine",
    "find", "free_cases", "hint", "points",
]  # fmt: skip

TASKS: dict[str, Task] = {
    task.id: task for each in (ps1, ps2, ps3, ps4, ps5, ps6, ps7) for task in each.TASKS
}
"""Every task of the course, by id."""

FREE_SEEDS = 3
"""A case is free if an empty answer passes it with each of so many seeds."""

Namespace = Mapping[str, Any]


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
        namespace = callers_names(2)
    report = examine(task, Answer(namespace), secrets.randbelow(10_000) if seed is None else seed)
    if not report.ok:
        raise CheckFailed(report)
    progress.note_task(task.id)
    return report


def callers_names(depth: int) -> Namespace:
    """What the caller `depth` calls up sees: a cell's names, or a function's own before those."""
    caller = sys._getframe(depth)
    local, shared = caller.f_locals, caller.f_globals
    return shared if local is shared else {**shared, **local}


def examine(task: Task, answer: Answer, seed: int, cases: Sequence[Case] | None = None) -> Report:
    """Run every case, also those after a failure, unless the answer does not end.

    `cases` are the task's own by default; whoever grades adds the hidden ones behind them.
    """
    cases = task.cases if cases is None else tuple(cases)
    passed: list[str] = []
    first: Failure | None = None
    costs: dict[str, Cost] = {}
    several = len(task.names) > 1
    with own_builtins():
        for case in cases:
            rng = Random(f"{task.id} {case.name} {seed}")
            failure, go_on = attempt(case, answer, rng, several)
            if failure is None:
                passed.append(case.name)
            first = first or failure
            if case.costs:
                _add(costs, answer.costs)
            if not go_on:
                break
    names = tuple(case.name for case in cases)
    return Report(task, seed, passed, first, names, tuple(costs.values()))


def _add(costs: dict[str, Cost], more: Sequence[tuple[str, int, int]]) -> None:
    """Add up what several cases count of one thing."""
    for what, yours, reference in more:
        before = costs.get(what, Cost(what, 0, 0))
        costs[what] = Cost(what, before.yours + yours, before.reference + reference)


def attempt(
    case: Case, answer: Answer, rng: Random, several: bool = False
) -> tuple[Failure | None, bool]:
    """Run one case: its failure if any, and whether it makes sense to go on.

    After a stub it does where the task has `several` functions: the others may be written.
    """
    answer.begin()
    go_on = True
    try:
        with time_limit(answer.patience):
            found = case.run(answer, rng)
    except Trouble as trouble:
        found, go_on = Difference("", str(trouble)), several or not trouble.unwritten
    except Stopped as stopped:
        found, go_on = Difference("your code comes to an end", str(stopped)), False
    return (Failure(case.name, answer.given, found, answer.printed) if found else None), go_on


# -- partial credit


class _Empty(Answer):
    """An answer whose every function and method returns None, whatever it is asked."""

    def call(self, name: str, *arguments: Any) -> Any:
        """None."""
        return None

    def method(self, built: Built, verb: str, *arguments: Any) -> Any:
        """None."""
        return None


@functools.cache
def _free(task: Task, cases: tuple[Case, ...]) -> frozenset[str]:
    for seed in range(FREE_SEEDS):  # each round asks only those that are free so far
        passed = examine(task, _Empty({}), seed, cases).passed
        cases = tuple(case for case in cases if case.name in passed)
    return frozenset(case.name for case in cases)


def free_cases(task: Task, cases: Sequence[Case] | None = None) -> frozenset[str]:
    """The names of the cases that an empty function passes: they show nothing and earn nothing."""
    return _free(task, task.cases if cases is None else tuple(cases))


def points(report: Report, cases: Sequence[Case] | None = None) -> float:
    """The task's points for a report made of the same `cases`, rounded to 0.01, half up.

    points * (passed - free) / (all - free): full points for all cases, none for what is free. To
    fail a free case costs a share, so only an answer that passes all of them gets all points.
    """
    task, free = report.task, len(free_cases(report.task, cases))
    earned, most = len(report.passed) - free, len(report.results) - free
    return (200 * task.points * max(0, earned) + most) // (2 * most) / 100  # whole numbers: exact


# -- hints


class Hint:
    """One stage of a task's hints; Jupyter shows its text."""

    def __init__(self, task: Task, stage: int) -> None:
        self.task, self.stage = task, stage

    def __repr__(self) -> str:
        total = len(self.task.hints)
        lines = labelled(
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
