"""What grading one submission gives: plain data, the same bytes wherever it was found out.

    Grades   one run over a class: its seed, and a `Result` a student and problem set
      Result   one notebook: its problems, errors of its cells, a `TaskResult` a task
        TaskResult   points, every case passed or not, the first failure, the costs

The idea: whoever grades makes these records, and whoever shows grades (table, page, class report,
gradebook) reads them. Nothing else passes between the two, so a result may come from this process,
from another machine, or from a file of last week.

The rule that keeps it simple: what depends on the machine (seconds, sandbox) is in `Result.run`.
It takes no part in comparisons, and `as_data()` leaves it out. So the same seed gives the same
bytes.

What it leaves out: any source, the student's or ours. A failure says what was given and expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

FORMAT = "virtlab grades 1"
"""The first word of `grades.json`: another number is another layout."""

UNWRITTEN = re.compile(r"you have not written \S+\(\) yet|there is no \w+ here yet: .*")
"""What an `Answer` says of a stub, and of a name that is not there."""

Data = dict[str, Any]


class CaseResult(NamedTuple):
    """One check of a task. `free` ones pass without an answer, so they are worth nothing."""

    name: str
    passed: bool
    hidden: bool = False
    free: bool = False


class Cost(NamedTuple):
    """What an answer used (`"exits"`, `"notifications"`), beside the solution's own count."""

    what: str
    yours: int
    reference: int


class Failure(NamedTuple):
    """The first case that failed, in the words of its report; empty texts are not known."""

    case: str
    hidden: bool = False
    given: str = ""
    expected: str = ""
    yours: str = ""
    access: str = ""
    look: str = ""
    printed: str = ""


class CellError(NamedTuple):
    """A cell that raised: its number in the notebook (0: the released set-up), in one line why."""

    cell: int
    text: str


class Flaw(NamedTuple):
    """Something wrong with the notebook itself.

    As `submission.Problem`: `kind` is `missing`, `duplicated`, `type`, `edited` or `unknown`;
    `cells` are the numbers of the cells concerned; `message` is a sentence for the learner.
    """

    kind: str
    grade_id: str
    cells: tuple[int, ...]
    message: str


class Run(NamedTuple):
    """How it was found out: processor seconds of the child, the sandbox, and what that lacks."""

    seconds: float = 0.0
    sandbox: str = ""
    losses: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskResult:
    """One task of a submission.

    `points` are rounded to 0.01. `seed` replays its cases. `failure` is None if all cases pass.
    `report` is what `check` prints. `ended` says why the answer was stopped, else it is empty.
    """

    task: str
    title: str
    points: float
    out_of: int
    seed: int
    cases: tuple[CaseResult, ...] = ()
    failure: Failure | None = None
    costs: tuple[Cost, ...] = ()
    report: str = ""
    ended: str = ""

    @property
    def ok(self) -> bool:
        """Whether every case passed."""
        return bool(self.cases) and all(case.passed for case in self.cases)

    @property
    def attempted(self) -> bool:
        """Whether anybody wrote something: not a stub, or a name that no cell defines.

        Of several functions one is enough, if it passes a check.
        """
        unwritten = self.failure is not None and UNWRITTEN.fullmatch(self.failure.yours)
        return not unwritten or any(case.passed and not case.free for case in self.cases)

    def as_data(self) -> Data:
        """Plain data for JSON."""
        return {
            "task": self.task,
            "title": self.title,
            "points": self.points,
            "out_of": self.out_of,
            "seed": self.seed,
            "ok": self.ok,
            "attempted": self.attempted,
            "cases": [case._asdict() for case in self.cases],
            "failure": self.failure._asdict() if self.failure else None,
            "costs": [cost._asdict() for cost in self.costs],
            "report": self.report,
            "ended": self.ended,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> TaskResult:
        """The record of which `as_data` made `data`."""
        return cls(
            data["task"],
            data["title"],
            data["points"],
            data["out_of"],
            data["seed"],
            tuple(CaseResult(**case) for case in data["cases"]),
            Failure(**data["failure"]) if data["failure"] else None,
            tuple(Cost(**cost) for cost in data["costs"]),
            data["report"],
            data["ended"],
        )


@dataclass(frozen=True)
class Result:
    """One notebook of one student.

    `assignment` is the problem set (`"ps04"`), `file` where the notebook lay, `digest` the SHA-256
    of its bytes in hexadecimal. `refused` says why nothing could be graded (no notebook, two of
    them): then every task has 0 points and no cases. It is empty otherwise.
    """

    student: str
    assignment: str
    file: str
    digest: str
    tasks: tuple[TaskResult, ...] = ()
    flaws: tuple[Flaw, ...] = ()
    errors: tuple[CellError, ...] = ()
    refused: str = ""
    run: Run = field(default=Run(), compare=False)

    @property
    def points(self) -> float:
        """The sum over all tasks."""
        return round(sum((task.points for task in self.tasks), 0.0), 2)

    @property
    def out_of(self) -> int:
        """The most that this problem set gives."""
        return sum(task.out_of for task in self.tasks)

    @property
    def key(self) -> tuple[str, str]:
        """Student and problem set: the order of every output."""
        return self.student, self.assignment

    def as_data(self, run: bool = False) -> Data:
        """Plain data for JSON; with `run` also what differs from machine to machine."""
        data: Data = {
            "student": self.student,
            "assignment": self.assignment,
            "file": self.file,
            "digest": self.digest,
            "points": self.points,
            "out_of": self.out_of,
            "refused": self.refused,
            "flaws": [{**flaw._asdict(), "cells": list(flaw.cells)} for flaw in self.flaws],
            "errors": [error._asdict() for error in self.errors],
            "tasks": [task.as_data() for task in self.tasks],
        }
        if run:
            data["run"] = {**self.run._asdict(), "losses": list(self.run.losses)}
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Result:
        """The record of which `as_data` made `data`. Raises KeyError or TypeError on other data."""
        run = data.get("run", {})
        return cls(
            data["student"],
            data["assignment"],
            data["file"],
            data["digest"],
            tuple(TaskResult.from_data(task) for task in data["tasks"]),
            tuple(Flaw(**{**flaw, "cells": tuple(flaw["cells"])}) for flaw in data["flaws"]),
            tuple(CellError(**error) for error in data["errors"]),
            data["refused"],
            Run(**{**run, "losses": tuple(run.get("losses", ()))}),
        )


class Unplaced(NamedTuple):
    """A file that belongs to no student or to no problem set, and why."""

    file: str
    why: str


@dataclass(frozen=True)
class Grades:
    """One run over a class, in the order of `Result.key`.

    `seed` is the run's: each task's own seed is made from it. `course` is a digest of the released
    notebooks and of all checks: results of two courses are not compared.
    """

    seed: int
    course: str
    results: tuple[Result, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()

    def as_data(self, run: bool = False) -> Data:
        """What `grades.json` holds; with `run` also what differs from machine to machine."""
        return {
            "format": FORMAT,
            "seed": self.seed,
            "course": self.course,
            "results": [result.as_data(run) for result in self.results],
            "unplaced": [unplaced._asdict() for unplaced in self.unplaced],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Grades:
        """The record of which `as_data` made `data`. Raises ValueError on another format."""
        if data.get("format") != FORMAT:
            raise ValueError(f"not {FORMAT!r}, but {data.get('format')!r}")
        return cls(
            data["seed"],
            data["course"],
            tuple(Result.from_data(result) for result in data["results"]),
            tuple(Unplaced(**unplaced) for unplaced in data["unplaced"]),
        )
