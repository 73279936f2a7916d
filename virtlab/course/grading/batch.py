"""A class graded: from the submissions that were found to `Grades`, with a journal on the way.

    known from the journal  ----------------------------+
    refused (no notebook, two of them)  ----------------+-->  sorted  -->  Grades
    all others  -->  pool or cluster  -->  journal  ----+

The idea: nothing here knows how one submission is graded or where. It keeps what is done, and puts
it in order.

The rule that keeps it honest: what the grader itself could not do is in the grades, with 0 points
and why, and never in the journal: `--resume` tries again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

from virtlab.course.grading.journal import Journal
from virtlab.course.grading.pool import Failed, Outcome
from virtlab.course.grading.result import Grades, Result, Unplaced
from virtlab.course.grading.submissions import Submission
from virtlab.course.grading.worker import Setup

Spread = Callable[[Sequence[Submission], Setup], Generator[Outcome, None, None]]
"""How work is spread: over the processes of a pool, or over a cluster."""


class Batch(NamedTuple):
    """What is to be graded, how, and who counts: `step` is called for each one that is done."""

    submissions: Sequence[Submission]
    unplaced: Sequence[Unplaced]
    setup: Setup
    spread: Spread
    step: Callable[[], None]

    def grade(self, journal: Journal | None) -> Grades:
        """Grade what the journal does not know, and put all of it in order."""
        known = journal.known(self.submissions) if journal else []
        keys = {result.key for result in known}
        rest = [each for each in self.submissions if (each.student, each.assignment) not in keys]
        refused = [self._nothing(each, each.refused) for each in rest if each.refused]
        results = [*known, *refused]
        for _ in results:
            self.step()
        results += self._work([each for each in rest if not each.refused], journal)
        results.sort(key=lambda result: result.key)
        course, seed = self.setup.course.digest, self.setup.seed
        return Grades(seed, course, tuple(results), tuple(self.unplaced))

    def _work(self, submissions: Sequence[Submission], journal: Journal | None) -> list[Result]:
        """What pool or cluster makes of them."""
        results = []
        with contextlib.closing(self.spread(submissions, self.setup)) as outcomes:
            for found in outcomes:
                if isinstance(found, Failed):
                    found = self._nothing(found.submission, f"{found.why}; --resume tries again")
                elif journal:
                    journal.add(found)
                results.append(found)
                self.step()
        return results

    def _nothing(self, submission: Submission, why: str) -> Result:
        from virtlab.course.grading.grader import nothing

        course = self.setup.course
        return nothing(submission, course.sets[submission.assignment], self.setup.seed, why)
