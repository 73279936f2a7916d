"""What a check found: its cases, the first failure, the cost; and the text a student reads.

    ps4.q3  take a chain off the ring                                    4 of 6 checks pass
      passes  one descriptor · two chained · wrap of the avail ring · empty ring
      FAILS   indirect table
         given     avail idx 7, head 3 -> INDIRECT, table at 0x9000 with 3 descriptors
         expected  3 buffers        yours     1 buffer        look at   virtio 1.3, 2.7.5.3

The idea: a report is made once and read in many places: a cell, a terminal, a page, a gradebook.
The rule that keeps it simple: a report of success is the same text every time. So a cost stands in
it only where the inputs are fixed (`Case.costs`).
What it leaves out: points. They need to know what an empty answer passes; see `checks.points`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any, NamedTuple

from virtlab.course.tasks import Difference, Task

WIDTH = 96
"""Characters in a line of a report."""

NBSP = "\N{NO-BREAK SPACE}"
"""Holds the words of a case's name together while lines are broken."""


class Cost(NamedTuple):
    """What an answer used, counted beside the solution: `what` in the plural ("port accesses")."""

    what: str
    yours: int
    reference: int


@dataclass(frozen=True)
class Failure:
    """The first case that failed: from which state, and how."""

    case: str
    given: str
    difference: Difference
    printed: str = ""


@dataclass(frozen=True)
class Report:
    """What a check found: the names of the cases that pass, and the first failure if any.

    `cases` are the names of all that were asked, in order; empty stands for the task's own.
    `costs` has one entry for each thing that the fixed cases count.
    """

    task: Task
    seed: int
    passed: list[str] = field(default_factory=list)
    failure: Failure | None = None
    cases: tuple[str, ...] = ()
    costs: tuple[Cost, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every case passed."""
        return self.failure is None

    @property
    def results(self) -> tuple[tuple[str, bool], ...]:
        """Every case's name and whether it passed; False also for a case that did not run."""
        names = self.cases or tuple(case.name for case in self.task.cases)
        return tuple((name, name in self.passed) for name in names)

    @property
    def hidden(self) -> tuple[str, ...]:
        """The names of the cases that are not the task's own: a learner's copy lacks them."""
        own = {case.name for case in self.task.cases}
        return tuple(name for name in self.cases if name not in own)

    def as_data(self) -> dict[str, Any]:
        """The report as plain data, for a program to read."""
        return {
            "task": self.task.id,
            "ok": self.ok,
            "passed": len(self.passed),
            "cases": len(self.results),
            "seed": self.seed,
            "failed": self.failure.case if self.failure else None,
            "results": [list(result) for result in self.results],
            "costs": [cost._asdict() for cost in self.costs],
            "report": str(self),
        }

    def __str__(self) -> str:
        score = f"{len(self.passed)} of {len(self.results)} checks pass"
        title = f"{self.task.id}  {self.task.title}"
        lines = [title.ljust(WIDTH - len(score) - 2) + f"  {score}"]
        if self.passed:
            lines += labelled("  passes  ", _listed(self.passed))
        if self.failure:
            lines += [f"  FAILS   {self.failure.case}", *_details(self.failure), self._go_on()]
        elif self.costs:
            lines += labelled("  cost    ", _listed(map(_cost, self.costs)))
        return "\n".join(lines)

    __repr__ = __str__

    def _go_on(self) -> str:
        """The last line of a failure: what helps, and how to see it again."""
        name, stages = self.task.id, len(self.task.hints)
        assert self.failure is not None
        replay = f'check("{name}", seed={self.seed}) replays this case'
        if self.failure.case in self.hidden:
            replay = f"a hidden case, not in your notebook (seed {self.seed})"
        return f'  hint("{name}") has {stages} stages; {replay}'


def _listed(texts: Any) -> str:
    """Texts side by side, each of them on one line."""
    return " · ".join(text.replace(" ", NBSP) for text in texts)


def _cost(cost: Cost) -> str:
    return f"{cost.what}: {cost.yours:,} (the solution: {cost.reference:,})"


def _details(failure: Failure) -> list[str]:
    """What is known of a failure, each kind with its label."""
    found = failure.difference
    labels = {
        "given": failure.given,
        "expected": found.expected,
        "yours": found.yours,
        "access": found.access,
        "look at": found.look,
        "printed": failure.printed,
    }
    return [
        line
        for label, text in labels.items()
        if text
        for line in labelled(f"     {label:<10}", text)
    ]


def labelled(label: str, text: str) -> list[str]:
    """A labelled text over as many lines as it needs."""
    lines = [part for line in text.splitlines() for part in wrap(line, WIDTH - len(label))]
    lines = [line.replace(NBSP, " ") for line in lines]
    return [(label if not i else " " * len(label)) + line for i, line in enumerate(lines)]
