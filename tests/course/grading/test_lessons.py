"""Which lesson goes with which task: the table agrees with the notebooks."""

import re

import pytest

from tests.course.answers import ROOT, SETS
from virtlab.course.checks import TASKS
from virtlab.course.grading import lessons
from virtlab.course.syllabus import LESSONS


def lesson_text(lesson):
    return (ROOT / "notebooks" / "text" / f"{lesson.stem}.py").read_text("utf-8")


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.id)
def test_the_lesson_to_read_again_teaches_the_task(task):
    """It has one of the task's topics, or its exercise is the task."""
    found = lessons.lessons_for(task.id)
    assert found
    for lesson in found:
        text = lesson_text(lesson)
        taught = set(re.findall(r"topic:(\w+)", text)) & set(task.topics)
        sent = f"ps0{task.id[2]}.ipynb#{task.id[5:]}.-" in text
        assert taught or sent


def test_there_is_a_row_for_every_task_and_no_more():
    rows = {f"{name}.q{n + 1}" for name, row in lessons.FOR.items() for n in range(len(row))}
    assert rows == set(TASKS)
    assert lessons.lessons_for("ps4.q99") == lessons.lessons_for("nothing") == ()
    assert lessons.named(LESSONS[14]) == "lesson 14, “Data exchange”"


@pytest.mark.parametrize("name", SETS)
def test_a_problem_set_is_called_as_in_its_notebook(name):
    text = (ROOT / "solutions" / "text" / f"{name}.py").read_text("utf-8")
    assert f"# # {lessons.set_title(name)}\n" in text


def test_an_unknown_set_has_the_name_it_has():
    assert lessons.set_title("ps99") == "ps99"
    assert lessons.set_title("") == "No problem set"
