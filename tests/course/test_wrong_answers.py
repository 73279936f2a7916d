"""Plausible wrong answers are refused, and the refusal names the right place."""

import sys
import time

import pytest

from tests.course.answers import source_of
from tests.course.wrong import ps1, ps2, ps3, ps4, ps5, ps6, ps7
from virtlab.course.checks import TASKS, CheckFailed, check

WRONG = ps1.WRONG | ps2.WRONG | ps3.WRONG | ps4.WRONG | ps5.WRONG | ps6.WRONG | ps7.WRONG

LIMIT = {False: 2, True: 3}
"""Seconds of processor time that a check may take; being watched line by line takes longer."""

MISTAKES = [
    pytest.param(task, source, cases, id=f"{task} {mistake}")
    for task, mistakes in WRONG.items()
    for mistake, source, cases in mistakes
]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=[pytest.mark.volume, pytest.mark.long])])
@pytest.mark.parametrize(("task", "source", "cases"), MISTAKES)
def test_a_wrong_answer_is_refused_at_the_right_place(task, source, cases, seed):
    names = {"__name__": "__main__"}
    exec(source, names)
    start = time.process_time()
    with pytest.raises(CheckFailed) as failed:
        check(task, seed=seed, namespace=names)
    assert time.process_time() - start < LIMIT[sys.gettrace() is not None]
    assert failed.value.report.failure.case in cases, str(failed.value)
    assert not [line for line in source_of(task) if line.strip() in str(failed.value)]


@pytest.mark.parametrize("task", TASKS)
def test_no_hint_holds_a_line_of_the_solution(task):
    assert len(TASKS[task].hints) == 3
    assert not [line for line in source_of(task) if line.strip() in " ".join(TASKS[task].hints)]


def test_every_task_has_at_least_five():
    assert TASKS.keys() == WRONG.keys()
    assert all(len(mistakes) >= 5 for mistakes in WRONG.values())
