"""nbgrader's own round trip: solutions get all points, stubs and cheats none, fitted answers some.

One course folder for all problem sets. nbgrader makes the assignments, grades, and writes feedback,
all in one process (`scripts/nbgrader_run.py`); then its gradebook is read cell by cell. What costs
is a kernel for each notebook, so two sets have all students, and the others one whose tasks are
answered in different ways. The long form has all students for all sets.
"""

import copy
import json
import os
import shutil

import pytest

from scripts import nbgrader_run
from tests.course.answers import ROOT, SETS, grade_id, load, notebook, sources, tasks_of, text
from tests.course.wrong.fitted import FITTED
from virtlab.course.checks import TASKS
from virtlab.course.grading import hidden

pytest.importorskip("nbgrader")

SLOW = os.environ.get("VIRTLAB_SLOW") == "1"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200 if SLOW else 400)]
WHOLE = SETS if SLOW else ["ps01", "ps04"]
"""Problem sets that every student hands in."""

CELL = {task: task.replace(".", "-") for task in TASKS}
KINDS = ("fitted", "stub", "fitted")
"""How the one who mixes answers the first tasks of a set; the rest is solved."""


def kinds(name):
    """How each task of a set is answered by the one who mixes."""
    tasks = tasks_of(name)
    found = dict(zip(tasks, KINDS, strict=False))
    if name == "ps07":  # its last task needs those before it
        found = {tasks[0]: "stub"}
    return {task: kind for task, kind in found.items() if kind == "stub" or FITTED.get(task)}


def put(data, task, source):
    """Put another answer into a notebook."""
    cell = next(cell for cell in data["cells"] if grade_id(cell) == f"{CELL[task]}-answer")
    cell["source"] = source


def cheated(data):
    """The same notebook, in which no check and no set-up is left."""
    for cell in data["cells"]:
        if grade_id(cell) and not grade_id(cell).endswith("-answer"):
            cell["source"] = ["pass"]
    return data


def mixed(name):
    """Some answers are fitted, one is not written, the others are right; checks are edited."""
    data, wrong = load(notebook("exercises", name)), kinds(name)
    for task, source in sources(notebook("solutions", name)).items():
        if wrong.get(task) != "stub":
            put(data, task, FITTED[task][0][1] if task in wrong else source)
    return cheated(data)


def noisy(name):
    """Solutions; the first one writes to stderr."""
    data = load(notebook("solutions", name))
    first = next(cell for cell in data["cells"] if grade_id(cell).endswith("-q1-answer"))
    warn = "    import sys; print('warning', file=sys.stderr)\n"
    first["source"] = text(first).replace("    ### BEGIN", f"{warn}    ### BEGIN", 1)
    return data


def students(name):
    """What each student hands in."""
    found = {"mixed": mixed(name)}
    if name in WHOLE:
        found["solver"] = noisy(name)
        found["cheat"] = cheated(copy.deepcopy(load(notebook("exercises", name))))
    return found


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course folder in which everything is graded."""
    course = tmp_path_factory.mktemp("course")
    shutil.copy(ROOT / "nbgrader_config.py", course)
    shutil.copytree(ROOT / "solutions" / "hidden", course / "solutions" / "hidden")
    commands = []
    for name in SETS:
        source = course / "solutions" / name / f"{name}.ipynb"
        source.parent.mkdir()
        shutil.copy(notebook("solutions", name), source)
        for student, data in students(name).items():
            path = course / "submitted" / student / name / f"{name}.ipynb"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(data), encoding="utf-8")
        commands += [f"generate_assignment {name}", f"autograde {name} --create"]
    nbgrader_run.run(course, [*commands, "generate_feedback ps01", "export"])
    return course


@pytest.fixture(scope="module")
def points(course):
    """Points by problem set, student and check cell; and how many there could be."""
    from nbgrader.api import Gradebook

    found = {}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "virtlab") as gradebook:
        for name in SETS:
            for student in students(name):
                submission = gradebook.find_submission_notebook(name, name, student)
                found[name, student] = {
                    grade.name: (grade.auto_score, grade.max_score) for grade in submission.grades
                }
    return found


def test_what_nbgrader_releases_is_what_is_stored(course):
    for name in SETS:
        made = (course / "exercises" / name / f"{name}.ipynb").read_text(encoding="utf-8")
        assert made.rstrip("\n") + "\n" == notebook("exercises", name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SETS)
def test_every_cell_gets_the_points_that_its_answer_is_worth(points, name):
    wrong = kinds(name)
    for task in tasks_of(name):
        score, most = points[name, "mixed"][CELL[task]]
        assert most == TASKS[task].points
        kind = wrong.get(task, "solved")
        worth = {"solved": score == most, "stub": score == 0, "fitted": 0 < score < most}
        assert worth[kind], f"{task}, {kind}: {score} of {most}"


@pytest.mark.parametrize("name", WHOLE)
def test_solutions_get_all_points_and_released_notebooks_none(points, name):
    assert all(score == most for score, most in points[name, "solver"].values())
    assert all(score == 0 for score, _ in points[name, "cheat"].values())
    assert points[name, "solver"].keys() == {CELL[task] for task in tasks_of(name)}


def test_the_exported_table_has_every_student(course):
    rows = (course / "grades.csv").read_text().splitlines()
    assert len(rows) - 1 == sum(1 for name in SETS for _ in {"mixed", "solver", "cheat"})


def test_feedback_shows_the_report_and_no_hidden_source(course):
    page = course / "feedback" / "mixed" / "ps01" / "ps01.html"
    shown = page.read_text(encoding="utf-8")
    assert "FAILS   a map of memory" in shown
    assert "a hidden case, not in your notebook" in shown
    assert "you have not written put() yet" in shown
    source = (ROOT / "solutions" / "hidden" / "ps01.py").read_text(encoding="utf-8")
    lines = [line.strip() for line in source.splitlines() if len(line.strip()) > 24]
    names = [case.name for case in hidden.cases_of("ps1.q1", ROOT / "solutions")]
    assert not [line for line in lines if line in shown and not any(n in line for n in names)]
    assert "Explained." not in shown
