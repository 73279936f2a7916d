"""No page of feedback gives away a line of a solution, or of a hidden check."""

import dataclasses
from random import Random

import pytest

from tests.course.answers import ROOT, source_of
from tests.course.grading.graded import plain, wrong
from tests.course.grading.reading import Seen
from tests.course.grading.test_feedback import page_of
from tests.course.test_wrong_answers import WRONG
from virtlab.course.answers import Answer
from virtlab.course.checks import TASKS, attempt
from virtlab.course.grading.hidden import cases_of
from virtlab.course.grading.result import (
    CaseResult,
    TaskResult,
)


def wrong_pages(numbers):
    """Every task with so many of its wrong answers."""
    return [
        pytest.param(task, n, id=f"{task} {n}")
        for task in TASKS
        for n in range(len(WRONG[task]))[numbers]
    ]


@pytest.mark.parametrize(
    ("task", "number"),
    [
        *wrong_pages(slice(0, 1)),
        *(
            pytest.param(*each.values, id=each.id, marks=[pytest.mark.long, pytest.mark.volume])
            for each in wrong_pages(slice(1, None))
        ),
    ],
)
def test_no_page_holds_a_line_of_the_solution(task, number):
    result = wrong(task, number)
    for stage in range(4):  # so many checks pass that each of the three hints has its turn
        passed = len(result.cases) * stage // 4
        cases = tuple(case._replace(passed=n < passed) for n, case in enumerate(result.cases))
        page = page_of(dataclasses.replace(result, cases=cases), assignment=f"ps0{task[2]}")
        seen = Seen(page).text
        assert not [line for line in source_of(task) if line.strip() in seen]


HIDDEN = sorted((ROOT / "solutions" / "hidden").glob("ps*.py"))


@pytest.mark.parametrize("path", HIDDEN, ids=lambda path: path.stem)
def test_no_page_holds_a_line_of_the_hidden_checks(path):
    """A page is made of a result alone, which holds no source; nothing else is read for it."""
    lines = {line.strip() for line in path.read_text("utf-8").split("\n")}
    results = [
        failed
        for task in TASKS
        if task.startswith(f"ps{int(path.stem[2:])}.")
        for failed in failed_hidden(task)
    ]
    assert results
    seen = Seen(page_of(*results, assignment=path.stem)).text
    assert "(a hidden check)" in seen
    assert not [line for line in lines if len(line) > 25 and line in seen]


def failed_hidden(task_id):
    """A result for each hidden case that a wrong answer fails."""
    names = {"__name__": "__main__"}
    exec(WRONG[task_id][0][1], names)
    for case in cases_of(task_id, ROOT / "solutions"):
        failure, _ = attempt(case, Answer(names), Random(1))
        if failure:
            found = (CaseResult(case.name, False, hidden=True),)
            hidden = plain(failure)._replace(hidden=True)
            yield TaskResult(f"{task_id}.{case.name}", case.name, 0.0, 1, 1, found, hidden)
