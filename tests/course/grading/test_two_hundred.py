"""A class graded by the command itself: no grade is wrong, and each is the same every time.

What each notebook must get is found out in this process (`classroom`), by the checks alone. The
long form grades 200 notebooks; the other one has 8 of the same kinds.
"""

import json
import sys
import time

import pytest

from tests.course.answers import SETS, tasks_of
from tests.course.grading import classroom
from tests.course.grading.test_hostile import EXPECTED
from virtlab.course import cli
from virtlab.course.checks import TASKS
from virtlab.course.grading import tables

SOME = ["right", "wrong", "stub", "hostile", "wrong", "half", "cut", "odd"]
"""What the students of a small class do, in turns."""
FEW = [task for name in SETS for task in tasks_of(name)[::3]] + ["ps1.q6"]
"""The tasks that a small class is graded for."""
SIZES = [
    pytest.param(8, SOME, FEW, id="8"),
    pytest.param(200, classroom.KINDS, list(TASKS), id="200", marks=classroom.LONG),
]
LIMITS = ("--seconds", "4", "--memory", "512")
SECONDS = 60
"""How long 200 notebooks may take, on two cores that nobody else uses."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the hostile ones are Linux's")


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Make a class, grade it, and give its folder and what was handed in; once for each size."""
    done = {}

    def run(count, kinds, tasks):
        if count not in done:
            folder = tmp_path_factory.mktemp(f"class{count}")
            handed = classroom.classroom(count, kinds, tasks)
            classroom.write(handed, folder)
            start = time.monotonic()
            chosen = chosen_of(tasks)
            assert grade(folder, "first", "--workers", 2, *chosen) == int("cut" in kinds)
            print(f"{count} notebooks: {time.monotonic() - start:.1f} s")
            done[count] = folder, handed
        return done[count]

    return run


def chosen_of(tasks):
    """The options for these tasks."""
    return [word for task in tasks for word in ("--task", task) if len(tasks) < len(TASKS)]


def grade(folder, name, *words):
    """Run the command with one seed; its exit status."""
    outputs = ("--out", folder / f"{name}.csv", "--json", folder / f"{name}.json")
    options = ("--seed", "9", "--quiet", *LIMITS, *outputs, *words)
    return cli.main(["grade", str(folder), *map(str, options)])


@pytest.mark.parametrize(("count", "kinds", "tasks"), SIZES)
def test_no_grade_is_wrong(graded, count, kinds, tasks):
    folder, handed = graded(count, kinds, tasks)
    grades = tables.read(folder / "first.json")
    assert [result.student for result in grades.results] == [each.student for each in handed]
    assert grades.unplaced == ()
    wrong = {
        f"{each.student} {each.kind} {each.attack}": said
        for each, result in zip(handed, grades.results, strict=True)
        if (said := complaint(each, result))
    }
    assert wrong == {}


def complaint(handed, result):
    """What is wrong with a grade; empty if it is the one that it must be."""
    got = {task.task: task.points for task in result.tasks}
    if handed.kind == "cut":
        return "" if "notebook" in result.refused and result.points == 0 else str(got)
    if handed.kind == "hostile":
        most = dict(zip(("ps1.q1", "ps1.q2", "ps1.q6"), EXPECTED[handed.attack][0], strict=True))
        above = {task: value for task, value in got.items() if value > most.get(task, 0)}
        return above or (got["ps1.q6"] < most["ps1.q6"] and got)
    found = {
        task.task: (task.points, task.failure.case if task.failure else None)
        for task in result.tasks
    }
    must = classroom.expected(handed, {task.task: task.seed for task in result.tasks})
    return {task: (must[task], found[task]) for task in must if must[task] != found[task]}


@pytest.mark.parametrize(("count", "kinds", "tasks"), SIZES)
def test_kinds_of_students_get_what_their_kind_earns(graded, count, kinds, tasks):
    folder, handed = graded(count, kinds, tasks)
    grades = tables.read(folder / "first.json")
    for each, result in zip(handed, grades.results, strict=True):
        if each.kind in ("right", "odd"):
            assert result.points == result.out_of
        elif each.kind in ("wrong", "half"):
            assert 0 < result.points < result.out_of
        elif each.kind in ("stub", "cut"):
            assert result.points == 0
        assert bool(result.flaws) == (each.kind == "odd")


@pytest.mark.parametrize(("count", "kinds", "tasks"), SIZES)
def test_the_number_of_workers_changes_nothing(graded, count, kinds, tasks):
    folder, handed = graded(count, kinds, tasks)
    some = [each.student for each in handed if each.kind in ("wrong", "stub", "cut", "odd")]
    some = some[: max(2, count // 10)]
    only = [*chosen_of(tasks), *(word for student in some for word in ("--only", student))]
    grade(folder, "one", "--workers", "1", *only)
    grade(folder, "five", "--workers", "5", *only)
    one, five = ((folder / f"{name}.json").read_bytes() for name in ("one", "five"))
    assert one == five
    whole = json.loads((folder / "first.json").read_text())["results"]
    assert json.loads(one)["results"] == [each for each in whole if each["student"] in some]
