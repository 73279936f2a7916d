"""Plausible wrong answers are refused, and the refusal names the right place.

The first case that fails decides, so the rest of a check is run only in the long form of the test.
"""

import sys
import time
from random import Random

import pytest

from tests.course.answers import source_of
from tests.course.wrong import ps1, ps2, ps3, ps4, ps5, ps6, ps7
from virtlab.course.answers import Answer, own_builtins
from virtlab.course.checks import TASKS, CheckFailed, Report, attempt, check

WRONG = ps1.WRONG | ps2.WRONG | ps3.WRONG | ps4.WRONG | ps5.WRONG | ps6.WRONG | ps7.WRONG

LIMIT = {False: 2, True: 3}
"""Seconds of processor time that a check may take; being watched line by line takes longer."""

MISTAKES = [
    pytest.param(task, source, cases, id=f"{task} {mistake}")
    for task, mistakes in WRONG.items()
    for mistake, source, cases in mistakes
]


def refused(task_id, names, seed):
    """The report of the first case that fails. What `check` finds, without the cases behind it."""
    task, answer, passed = TASKS[task_id], Answer(names), []
    with own_builtins():
        for case in task.cases:
            failure, _ = attempt(case, answer, Random(f"{task_id} {case.name} {seed}"))
            if failure:
                return Report(task, seed, passed, failure)
            passed.append(case.name)
    pytest.fail(f"{task_id} lets a wrong answer pass")


def looked_through(task_id, names, seed):
    """The report of a whole check."""
    with pytest.raises(CheckFailed) as failed:
        check(task_id, seed=seed, namespace=names)
    return failed.value.report


@pytest.mark.parametrize(
    ("seed", "judged"),
    [
        pytest.param(1, refused, id="first"),
        pytest.param(2, looked_through, marks=[pytest.mark.volume, pytest.mark.long], id="whole"),
    ],
)
@pytest.mark.parametrize(("task", "source", "cases"), MISTAKES)
def test_a_wrong_answer_is_refused_at_the_right_place(task, source, cases, seed, judged):
    names = {"__name__": "__main__"}
    exec(source, names)
    start = time.process_time()
    report = judged(task, names, seed)
    assert time.process_time() - start < LIMIT[sys.gettrace() is not None]
    assert report.failure.case in cases, str(report)
    assert not [line for line in source_of(task) if line.strip() in str(report)]


@pytest.mark.parametrize("task", TASKS)
def test_the_first_failure_is_what_a_whole_check_reports(task):
    _, source, _ = WRONG[task][0]
    names = {"__name__": "__main__"}
    exec(source, names)
    first, whole = refused(task, names, 1), looked_through(task, names, 1)
    assert (first.task, first.seed) == (whole.task, whole.seed)
    assert first.failure.case == whole.failure.case


@pytest.mark.parametrize("task", TASKS)
def test_no_hint_holds_a_line_of_the_solution(task):
    assert len(TASKS[task].hints) == 3
    assert not [line for line in source_of(task) if line.strip() in " ".join(TASKS[task].hints)]


def test_every_task_has_at_least_five():
    assert TASKS.keys() == WRONG.keys()
    assert all(len(mistakes) >= 5 for mistakes in WRONG.values())
