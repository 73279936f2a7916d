"""nbgrader's own round trip: solutions get all points, stubs none, edited checks gain nothing.

One course folder a problem set, four students: nbgrader makes the assignment, grades, and its
gradebook is read.
"""

import copy
import json
import shutil
import subprocess
import sys

import pytest

from scripts import exercises
from tests.course.answers import ROOT, SETS, grade_id, load, notebook, tasks_of, text
from virtlab.course.checks import TASKS

pytest.importorskip("nbgrader")


def students(name):
    """What each student hands in. The one who warns has an answer that writes to stderr."""
    solved, released = (load(notebook(side, name)) for side in ("solutions", "exercises"))
    cheat, noisy = copy.deepcopy(released), copy.deepcopy(solved)
    for cell in cheat["cells"]:
        if grade_id(cell) and not grade_id(cell).endswith("-answer"):
            cell["source"] = ["pass"]
    answer = next(cell for cell in noisy["cells"] if grade_id(cell).endswith("-q1-answer"))
    warn = "    import sys; print('warning', file=sys.stderr)\n"
    answer["source"] = text(answer).replace("    ### BEGIN", f"{warn}    ### BEGIN", 1)
    return {"solver": solved, "stub": released, "cheat": cheat, "noisy": noisy}


@pytest.fixture(params=SETS)
def graded(request, tmp_path):
    """Points by student, from nbgrader's gradebook; and the points of the whole set."""
    name, course = request.param, tmp_path
    shutil.copy(ROOT / "nbgrader_config.py", course)
    source = course / "solutions" / name / f"{name}.ipynb"
    source.parent.mkdir(parents=True)
    shutil.copy(notebook("solutions", name), source)
    exercises.release(course, name)
    for student, data in students(name).items():
        path = course / "submitted" / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(data), encoding="utf-8")
    for command in (["autograde", name, "--create"], ["export"]):
        subprocess.run(
            [sys.executable, "-m", "nbgrader", *command],
            cwd=course,
            check=True,
            env=exercises.environment(),
            capture_output=True,
            timeout=240,
        )
    rows = [line.split(",") for line in (course / "grades.csv").read_text().splitlines()]
    table = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    scores = {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in table}
    return scores, sum(TASKS[task].points for task in tasks_of(name))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_round_trip(graded):
    """One test a problem set, so that no two workers grade the same."""
    scores, points = graded
    shares = {"solver": 1, "stub": 0, "cheat": 0, "noisy": 1}
    assert scores == {student: (share * points, points) for student, share in shares.items()}
