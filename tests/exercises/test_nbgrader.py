"""nbgrader's own round trip: solutions get all points, stubs none, edited checks gain nothing.

One course folder, four students: nbgrader makes the assignment, grades, and its gradebook is read.
"""

import json
import shutil
import subprocess
import sys

import pytest

from scripts import exercises
from tests.course.answers import RELEASED, ROOT, SOLUTION, grade_id, load, text

pytest.importorskip("nbgrader")


def students():
    """What each student hands in."""
    cheat = load(RELEASED)
    for cell in cheat["cells"]:
        if grade_id(cell) and not grade_id(cell).endswith("-answer"):
            cell["source"] = ["pass"]
    noisy = load(SOLUTION)
    answer = next(cell for cell in noisy["cells"] if grade_id(cell) == "ps1-q1-answer")
    warn = "    import sys; print('warning', file=sys.stderr)\n"
    answer["source"] = text(answer).replace("    for base", f"{warn}    for base")
    return {"solver": load(SOLUTION), "stub": load(RELEASED), "cheat": cheat, "noisy": noisy}


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """Points by student, from nbgrader's gradebook."""
    course = tmp_path_factory.mktemp("course")
    shutil.copy(ROOT / "nbgrader_config.py", course)
    source = course / "solutions" / "ps01" / "ps01.ipynb"
    source.parent.mkdir(parents=True)
    shutil.copy(SOLUTION, source)
    exercises.release(course, "ps01")
    for student, notebook in students().items():
        path = course / "submitted" / student / "ps01" / "ps01.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(notebook), encoding="utf-8")
    for command in (["autograde", "ps01", "--create"], ["export"]):
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
    return {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in table}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("student", "points"), [("solver", 24), ("stub", 0), ("cheat", 0), ("noisy", 24)]
)
def test_round_trip(scores, student, points):
    assert scores[student] == (points, 24)
