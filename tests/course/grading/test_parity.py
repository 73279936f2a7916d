"""The same report, byte for byte, whether an answer runs in the notebook or in a child.

Solutions, stubs and a few wrong answers of each task; all of them in the long form.
"""

import sys
from dataclasses import replace

import pytest

from tests.course.answers import SETS, grade_id, load, notebook, tasks_of, text
from tests.course.test_wrong_answers import WRONG
from virtlab.course.answers import Answer
from virtlab.course.checks import TASKS, examine
from virtlab.course.grading.cells import run_cell
from virtlab.course.grading.limits import Limits
from virtlab.course.grading.modules import checks
from virtlab.course.grading.remote import Student
from virtlab.course.grading.sandbox import Sandbox

PLAIN = Sandbox("plain")
LIMITS = Limits(cpu=200, wall=600, quiet=60)
"""Wide: a machine that is busy must not look like another report."""

CLOCK = {"20 times faster"}
"""Cases that look at a clock: two readings never agree."""


CHANCE = {"a random number", "chains side by side"}
"""Answers that give something else each time: one asks for a random number, the other one gives
memory that it never wrote."""


def cells(side, name):
    """The code cells of a notebook of ours, without its checks."""
    found = []
    for number, cell in enumerate(load(notebook(side, name))["cells"], 1):
        if cell["cell_type"] == "code" and grade_id(cell).endswith(("-answer", "-setup")):
            found.append((number, text(cell)))
    return found


def here(sources, monkeypatch):
    """The answers of these cells, in this process, as a notebook has them."""
    names = {"__name__": "__main__"}
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "virtlab.course.checks", checks())
        for number, source in sources:
            run_cell(number, source, names)
    return Answer(names)


def without_clock(task):
    """The task without the cases that look at a clock."""
    return replace(task, cases=tuple(case for case in task.cases if case.name not in CLOCK))


def assert_the_same(tasks, sources, monkeypatch, seed=1):
    answer = here(sources, monkeypatch)
    with Student(sources, limits=LIMITS, sandbox=PLAIN) as student:
        for task in tasks:
            task = without_clock(task)
            mine, theirs = examine(task, answer, seed), student.examine(task, seed)
            assert str(theirs) == str(mine)
            assert theirs.as_data() == mine.as_data()
            assert theirs.costs == mine.costs
        assert student.ended == ""


@pytest.mark.parametrize("side", ["solutions", "exercises"])
@pytest.mark.parametrize("name", SETS)
def test_solutions_and_stubs_get_the_same_report(name, side, monkeypatch):
    tasks = [TASKS[task] for task in tasks_of(name)]
    assert_the_same(tasks, cells(side, name), monkeypatch)


def some(sources, count):
    """A few of them, from the whole list."""
    return sources[:: max(1, len(sources) // count)][:count]


SAMPLE = [
    pytest.param(task, source, id=f"{task} {mistake}")
    for task, mistakes in WRONG.items()
    for mistake, source, _ in some(mistakes, 1)
]
ALL = [
    pytest.param(task, source, id=f"{task} {mistake}")
    for task, mistakes in WRONG.items()
    for mistake, source, _ in mistakes
    if mistake not in CHANCE
]


@pytest.mark.parametrize(("task", "source"), SAMPLE[::4])
def test_a_wrong_answer_gets_the_same_report(task, source, monkeypatch):
    assert_the_same([TASKS[task]], [(1, source)], monkeypatch)


@pytest.mark.volume
@pytest.mark.long
@pytest.mark.parametrize(("task", "source"), ALL)
def test_every_wrong_answer_gets_the_same_report(task, source, monkeypatch):
    assert_the_same([TASKS[task]], [(1, source)], monkeypatch)


def test_the_clock_lets_the_solution_pass_and_a_loop_not():
    task = TASKS["ps4.q8"]
    fast = [case for case in task.cases if case.name in CLOCK]
    right = [cell for cell in cells("solutions", "ps04") if "def walk_many" in cell[1]]
    with Student(right, limits=LIMITS, sandbox=PLAIN) as student:
        assert student.examine(task, 1, fast).ok
    loop = next(source for name, source, _ in WRONG["ps4.q8"] if name.startswith("a loop over the"))
    with Student([(1, loop)], limits=LIMITS, sandbox=PLAIN) as student:
        failure = student.examine(task, 1, fast).failure
        assert failure.difference.expected == "at least 20 times as fast as walk_each"


def test_every_answer_of_chance_is_known():
    assert {mistake for mistakes in WRONG.values() for mistake, *_ in mistakes} >= CHANCE


def test_every_case_that_looks_at_a_clock_is_known():
    assert {case.name for task in TASKS.values() for case in task.cases} >= CLOCK
