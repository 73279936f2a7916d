"""A student's answers that live in another process: the same `Answer` to whoever checks them.

    with Student(cells) as student:
        report = student.examine(find("ps4.q2"), seed=7)       the report that `check` gives

The idea: a case asks an `Answer` to call this and to build that. Where the answer really is, it
cannot tell. So there is one registry of checks, in the notebook and for a whole class.

The rule that keeps it fair: what an answer does to its own process costs that answer. It is begun
again for the next task, with the same cells; a cell that ends the process is left out, and said.

The rule that keeps it safe: whatever a case meets in the values of an answer, an exception in the
case itself is one more way to fail it. Nothing that a student does raises out of here. `NotStarted`
does: where no child can be had, nothing is known of an answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random
from types import TracebackType
from typing import Any, Self

from virtlab.course import checks
from virtlab.course.answers import PRINTED, Answer, Built, Stopped, Trouble
from virtlab.course.grading.channel import Coded, Several
from virtlab.course.grading.judge import BROKEN, Judge
from virtlab.course.grading.limits import NOTHING_RUN, Limits
from virtlab.course.grading.sandbox import NotStarted, Sandbox, available, start
from virtlab.course.grading.undefined import explained
from virtlab.course.reports import Report
from virtlab.course.tasks import Case, Difference, Run, Task

CELLS, LIVES = 3, 10
"""Cells that may end the process, and children in all."""

ODD = "a value that the checker can work with"
LOST = "it ended Python too often"


class RemoteAnswer(Answer):
    """What the notebook in a judge's child defines."""

    elsewhere = True
    patience = 5.0  # it is the judge's own: a busy machine may make each step some times longer

    def __init__(self, judge: Judge) -> None:
        super().__init__({})
        self.judge = judge
        self.fresh = True

    def begin(self) -> None:
        """Forget what the case before left, here and there."""
        super().begin()
        self.judge.begin()
        self.fresh = True

    def call(self, name: str, *arguments: Any) -> Any:
        """What the function `name` returns."""
        return self._ask("call", name, Several(arguments))

    def method(self, built: Built, verb: str, *arguments: Any) -> Any:
        """What a method of something that was built returns."""
        return self._ask("method", Coded(built.instance), built.name, verb, Several(arguments))

    def seconds(self) -> float:
        """Processor seconds that the child has used so far, as the kernel counts them."""
        return self.judge.child.cpu_seconds()

    def way(self, value: object) -> None:
        """Take a value there and back, past the answer's own code."""
        self._ask("way", Coded(value))

    def _ask(self, kind: str, *values: Any) -> Any:
        fresh, self.fresh = self.fresh, False
        reply = self.judge.ask(kind, fresh, *values)
        if type(reply[-1]) is str:
            self.printed = reply[-1][:PRINTED]
        return self.judge.value(reply)


class _Gone(Answer):
    """An answer whose process is at its end: every call says why."""

    def __init__(self, why: str) -> None:
        super().__init__({})
        self.why = why

    def call(self, name: str, *arguments: Any) -> Any:
        """`Stopped`."""
        raise Stopped(self.why)


class Student:
    """A submission's cells, run in a child. `errors` are what cells raised: (number, text).

    `ended` says why the child ended, the last time that one did; `sandbox` is what holds it;
    `seconds` is the processor time of all its children, once it is closed.
    """

    def __init__(
        self,
        cells: Sequence[tuple[int, str]],
        limits: Limits | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        self.cells = list(cells)
        self.limits = limits or Limits()
        self.sandbox = sandbox or available()
        self.ended = ""
        self.seconds = 0.0
        self.judge: Judge | None = None
        self.lives = 0
        self.until = time.monotonic() + self.limits.wall
        self._raised: dict[int, str] = {}
        self._fatal: dict[int, str] = {}
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        judge, self.judge = self.judge, None
        if judge is not None:
            judge.close()
            self.seconds += judge.child.cpu_seconds()

    @property
    def errors(self) -> list[tuple[int, str]]:
        """What cells raised, in the notebook's order."""
        found = sorted((self._raised | self._fatal).items())
        return [(self.cells[index][0], text) for index, text in found if text]

    def examine(self, task: Task, seed: int, cases: Sequence[Case] | None = None) -> Report:
        """Every case of the task, or those given; a child that ended is begun again before it."""
        if self.judge is None or self.judge.dead:
            self._begin()
        judge = self.judge
        answer = _Gone(self.ended or LOST) if judge is None else RemoteAnswer(judge)
        own = task.cases if cases is None else cases
        guarded = [case._replace(run=_guarded(case.run)) for case in own]
        report = checks.examine(task, answer, seed, guarded)
        if judge is not None and judge.dead:
            self.ended = judge.dead
        return explained(report, self.cells, self.errors)

    # -- the child

    def _begin(self) -> None:
        """A new child with all cells run but those that ended one; none after `wall` seconds."""
        self.close()
        while self.lives < LIVES and len(self._fatal) <= CELLS and time.monotonic() < self.until:
            self.lives += 1
            judge = self.judge = Judge(start(self.limits, self.sandbox), self.limits)
            if self._run_cells(judge):
                return
            self.close()

    def _run_cells(self, judge: Judge) -> bool:
        """Run the cells; False if the child did not live through one."""
        self._greet(judge)
        for index, (number, source) in enumerate(self.cells):
            if index in self._fatal:
                continue
            try:
                self._raised[index] = _said(judge.ask("cell", number, source))
            except Stopped as stopped:
                self.ended = str(stopped)
                self._fatal[index] = self.ended
                return False
        return True

    def _greet(self, judge: Judge) -> None:
        """A first cell, an empty one of ours. What comes after its reply may be a student's doing.

        Raises `NotStarted` if the child ends before: no line of the student's has run.
        """
        try:
            judge.ask("cell", 0, "")
        except Stopped as stopped:
            self.close()
            why = str(stopped)
            raise NotStarted(why if why == NOTHING_RUN else f"{NOTHING_RUN}: {why}") from None
        judge.child.begun = True


def _said(reply: Sequence[Any]) -> str:
    """What a cell raised, as its reply says; an answer may have forged that."""
    match reply:
        case ["ran", str(error)]:
            return error[:PRINTED]
    return BROKEN


def _guarded(run: Run) -> Run:
    """A case that fails, and does not raise, if a value is more than it can take."""

    def guarded(answer: Answer, rng: Random) -> Difference | None:
        try:
            return run(answer, rng)
        except Trouble:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            return Difference(ODD, f"what your code gave or did leads to {said[:PRINTED]}")

    return guarded
