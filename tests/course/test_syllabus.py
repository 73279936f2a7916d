"""Every topic tag is a topic of the syllabus; every topic is taught and graded."""

import json
import re

import pytest

from tests.course.answers import ROOT, SETS, grade_id, load, notebook, tasks_of, text
from virtlab.course.checks import TASKS
from virtlab.course.syllabus import TOPICS, topics

LESSONS = sorted((ROOT / "notebooks" / "text").glob("*.py"))
TEXTS = [*LESSONS, *sorted((ROOT / "solutions" / "text").glob("*.py"))]


def tagged(path):
    """The topics in the tags of a text's cells; another test proves its notebook equal."""
    heads = re.findall(r"^# %%.* tags=(\[.*?\])", path.read_text(encoding="utf-8"), re.M)
    return set().union(*(topics(json.loads(tags)) for tags in heads))


def test_the_ids_are_s01_to_s48_and_b01_to_b07():
    assert list(TOPICS) == [f"S{n:02}" for n in range(1, 49)] + [f"B{n:02}" for n in range(1, 8)]


def test_an_unknown_topic_is_an_error():
    with pytest.raises(ValueError, match="no such topic: S49"):
        topics(["topic:S49", "instructor"])


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_every_tag_is_a_topic(path):
    assert tagged(path) <= TOPICS.keys()


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_taught_and_graded(topic):
    assert any(topic in tagged(path) for path in LESSONS), "taught in a lesson"
    assert any(topic in task.topics for task in TASKS.values()), "touched by a graded task"


# -- the text of a task says what its registry entry says


CELLS = {name: load(notebook("exercises", name))["cells"] for name in SETS}
TASK_CELLS = [cell for name in SETS for cell in CELLS[name] if text(cell).startswith("## ")]
STARS = "★★★★★"


@pytest.mark.parametrize(
    ("cell", "task"), [*zip(TASK_CELLS, TASKS.values(), strict=True)], ids=TASKS
)
def test_heading_and_registry_agree(cell, task):
    heading, line = text(cell).splitlines()[:2]
    assert heading == f"## {task.id[-1]}. {task.title[0].upper()}{task.title[1:]}"
    amount = f"about {task.lines} lines · {task.minutes} min · {STARS[: task.difficulty]}"
    assert line == f"*{amount} · {' '.join(task.topics)}*"
    assert topics(cell["metadata"]["tags"]) == set(task.topics)


@pytest.mark.parametrize("name", SETS)
def test_the_table_at_the_top_agrees_too(name):
    rows = re.findall(
        r"^\| (\d) \| (.*?) \| (\d+) lines \| (\d+) \| (★+) \| (\d+) \|$",
        text(CELLS[name][0]),
        re.M,
    )
    tasks = [TASKS[task] for task in tasks_of(name)]
    assert [
        (n, title, int(lines), int(minutes), len(stars), int(points))
        for n, title, lines, minutes, stars, points in rows
    ] == [(t.id[-1], t.title, t.lines, t.minutes, t.difficulty, t.points) for t in tasks]


def test_points_in_the_notebooks_and_in_the_registry_agree():
    cells = [cell for name in SETS for cell in CELLS[name] if grade_id(cell)]
    grading = [cell["metadata"]["nbgrader"] for cell in cells]
    points = {one["grade_id"]: one["points"] for one in grading if one["grade"]}
    assert points == {task.id.replace(".", "-"): task.points for task in TASKS.values()}
