"""The formgrader opens a course that we graded: its queries are answered, its pages are safe."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.course.answers import RELEASED
from tests.course.grading import gradebooks
from tests.course.grading.gradebooks import COURSE, WHOLE, everything, opened
from tests.course.grading.graded import full, grades, handed_in
from virtlab.course.checks import TASKS
from virtlab.course.grading import autograded, gradebook, gradebook_cells

nbgrader = pytest.importorskip("nbgrader")

from nbconvert import HTMLExporter  # noqa: E402  # after the check that there is nbgrader
from nbgrader.apps.api import NbGraderAPI  # noqa: E402
from nbgrader.coursedir import CourseDirectory  # noqa: E402


@pytest.fixture
def formgrader(book, tmp_path, monkeypatch):
    """The course as the formgrader sees it: its folder, its settings, its gradebook."""
    monkeypatch.chdir(tmp_path)
    for student in ("ada", "ben", "cyd"):
        for step in ("submitted", "autograded"):
            path = tmp_path / step / student / "ps01" / "ps01.ipynb"
            path.parent.mkdir(parents=True)
            shutil.copy(RELEASED, path)
    (tmp_path / "source" / "ps01").mkdir(parents=True)
    coursedir = CourseDirectory(root=str(tmp_path), course_id="virtlab")
    coursedir.db_url = f"sqlite:///{book}"
    return NbGraderAPI(coursedir)


def test_every_query_of_the_formgraders_pages_is_answered(formgrader):
    (assignment,) = formgrader.get_assignments()
    assert (assignment["max_score"], assignment["num_submissions"]) == (24, 3)
    (notebook,) = formgrader.get_notebooks("ps01")
    assert notebook["average_score"] == pytest.approx(sum(r.points for r in WHOLE.results) / 3)
    assert notebook["needs_manual_grade"] is False
    points = {result.student: pytest.approx(result.points) for result in WHOLE.results}
    listed = formgrader.get_submissions("ps01")
    assert {each["student"]: each["score"] for each in listed} == points
    assert all(each["autograded"] for each in listed)
    shown = formgrader.get_notebook_submissions("ps01", "ps01")
    assert {each["student"]: each["score"] for each in shown} == points
    assert {each["id"]: each["score"] for each in formgrader.get_students()} == points
    for student in points:
        (own,) = formgrader.get_student_submissions(student)
        (book,) = formgrader.get_student_notebook_submissions(student, "ps01")
        assert own["score"] == book["score"] == points[student]
        assert own["needs_manual_grade"] is False
    assert len(formgrader.get_notebook_submission_indices("ps01", "ps01")) == 3


def test_a_submissions_own_page_gets_its_grades_and_comments(book):
    with opened(book) as gb:
        own = gb.find_submission_notebook("ps01", "ps01", "ben")
        found = gb.find_submission_notebook_by_id(own.id)
        scores = {
            g["name"]: g["auto_score"] for g in map(gradebooks.api.Grade.to_dict, found.grades)
        }
        said = {
            c["name"]: c["auto_comment"]
            for c in map(gradebooks.api.Comment.to_dict, found.comments)
        }
    assert scores["ps1-q1"] == WHOLE.results[1].tasks[0].points
    assert said["ps1-q1-answer"].startswith("3 of 9 checks pass")


def handed_in_at(folder, student, text):
    (folder / "submitted" / student / "ps01" / "timestamp.txt").write_text(text)


def test_the_time_of_handing_in_is_what_nbgrader_noted(formgrader, book, tmp_path):
    """Without it the formgrader says that the submission waits to be graded."""
    handed_in_at(tmp_path, "ada", "2026-11-02 15:58:23.948203 UTC")
    handed_in_at(tmp_path, "ben", "2026-11-03")
    assert not formgrader.get_submission("ps01", "ada")["autograded"]
    gradebook.write_gradebook(WHOLE, COURSE, book, tmp_path / "submitted")
    found = {each["student"]: each["timestamp"] for each in formgrader.get_submissions("ps01")}
    assert found == {
        "ada": "2026-11-02T15:58:23.948203",
        "ben": "2026-11-03T00:00:00",
        "cyd": None,
    }
    assert formgrader.get_submission("ps01", "ada")["autograded"]


@pytest.mark.parametrize("text", ["soon", "9" * 150, "x" * 999, "2026-99-99 1:2:3 UTC"])
def test_what_is_no_time_is_passed_over(text, tmp_path):
    (tmp_path / "timestamp.txt").write_text(text)
    assert gradebook_cells.handed_in(tmp_path) is None


# -- the notebooks that its pages show


def notebook(*cells, **more):
    """A notebook file: cells of `(type, source)`, or as plain data."""
    made = [
        cell
        if isinstance(cell, dict)
        else {"cell_type": cell[0], "source": cell[1], "metadata": {}}
        for cell in cells
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 4, **more})


def graded_cell(name, source, kind="code"):
    grading = {"grade_id": name, "grade": not name.endswith("-answer"), "points": 99}
    return {"cell_type": kind, "source": source, "metadata": {"nbgrader": grading}}


@pytest.fixture
def course(tmp_path):
    """Hands in ada's notebook, and gives what `write_autograded` makes of it."""

    def hand_in(text, result=None, folder=tmp_path):
        path = tmp_path / "submitted" / "ada" / "ps01" / "ps01.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        own = dataclasses.replace(result or everything(), file="ada/ps01/ps01.ipynb", digest=digest)
        return autograded.write_autograded(grades(own), COURSE, folder, tmp_path / "autograded")

    return hand_in


def cells_of(path):
    return json.loads(path.read_text())["cells"]


def test_the_formgrader_finds_the_graded_notebook(course, formgrader, tmp_path):
    shutil.rmtree(tmp_path / "autograded")
    assert formgrader.get_notebook_submissions("ps01", "ps01") == []
    (path,) = course(RELEASED.read_text())
    assert path == tmp_path / "autograded" / "ada" / "ps01" / "ps01.ipynb"
    (only,) = formgrader.get_notebook_submissions("ps01", "ps01")
    assert only["student"] == "ada"


def test_below_each_check_stands_our_report(course):
    task = dataclasses.replace(full("ps1.q1"), report="ps1.q1 \x1b[31m 9 of 9")
    (path,) = course(RELEASED.read_text(), handed_in("ada", task))
    outputs = {cell["metadata"]["nbgrader"]["grade_id"]: cell["outputs"]
               for cell in cells_of(path) if "nbgrader" in cell["metadata"]}  # fmt: skip
    said = {"name": "stdout", "output_type": "stream", "text": "ps1.q1 ␛[31m 9 of 9"}
    assert outputs["ps1-q1"] == [said]
    assert not any(printed for name, printed in outputs.items() if name != "ps1-q1")


def test_checks_are_the_released_ones_and_answers_the_students(course):
    (path,) = course(notebook(graded_cell("ps1-q1", "pass"), graded_cell("ps1-q1-answer", "mine")))
    made = {cell["metadata"]["nbgrader"]["grade_id"]: cell for cell in cells_of(path)}
    released = {cell.grade_id: cell.source for cell in COURSE.sets["ps01"].cells}
    assert made["ps1-q1"]["source"] == released["ps1-q1"]
    assert made["ps1-q1"]["metadata"]["nbgrader"]["points"] == TASKS["ps1.q1"].points
    assert made["ps1-q1-answer"]["source"] == "mine"
    assert made["ps1-q1-answer"]["metadata"]["nbgrader"]["solution"] is True


def test_what_was_deleted_is_there_again_and_what_was_copied_counts_once(course):
    (path,) = course(notebook(graded_cell("ps1-q1", "a"), graded_cell("ps1-q1", "b")))
    ids = [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in cells_of(path)]
    released = [cell.grade_id for cell in COURSE.sets["ps01"].cells if cell.grade_id]
    assert ids[:2] == ["ps1-q1", None]
    assert sorted(ids[2:]) == sorted(set(released) - {"ps1-q1"})


def test_nothing_of_a_students_runs_in_the_formgrader(course):
    """Its pages show text cells and outputs as they are; here they go through its own template."""
    script = "<script>alert('mine')</script>"
    shown = {"output_type": "display_data", "data": {"text/html": script}, "metadata": {}}
    (path,) = course(
        notebook(
            ("markdown", f"# {script}\n\n<img src=x onerror=alert('mine')>"),
            {"cell_type": "raw", "source": script, "metadata": {"raw_mimetype": "text/html"}},
            {"cell_type": "code", "source": script, "metadata": {"x": script}, "outputs": [shown]},
            graded_cell("ps1-q1-answer", script, "markdown"),
            graded_cell("stranger", script, "markdown"),
            metadata={"title": script, "language_info": {"pygments_lexer": script}},
        )
    )
    page = formgrader_page(path)
    assert page.count("&lt;script&gt;alert(") == 3
    assert f"{script[:9]}alert('mine" not in page
    assert "<img src=x" not in page


def formgrader_page(path):
    """A submission's page as the formgrader makes it."""
    templates = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates"
    exporter = HTMLExporter(template_name="formgrade", extra_template_basedirs=[str(templates)])
    names = ("base_url", "student", "notebook_id", "assignment_id", "submission_id")
    resources = dict.fromkeys(names, "x") | {"index": 0, "total": 1}
    return exporter.from_filename(str(path), resources=resources)[0]


def test_the_courses_own_texts_stay_texts(course):
    text = next(cell.source for cell in COURSE.sets["ps01"].cells if cell.kind == "markdown")
    (path,) = course(notebook(("markdown", text), ("markdown", "my own")))
    assert [cell["source"] for cell in cells_of(path)[:2]] == [text, "    my own"]


def test_a_second_run_writes_the_same_bytes(course):
    (path,) = course(RELEASED.read_text())
    before = path.read_bytes()
    assert course(RELEASED.read_text()) == [path]
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ['{"metadata": {}, "cells": []}', "{}", "[]", "no JSON"])
def test_a_notebook_of_nbgraders_own_stays(course, tmp_path, text):
    path = tmp_path / "autograded" / "ada" / "ps01" / "ps01.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert course(RELEASED.read_text()) == []
    assert path.read_text() == text


def test_what_was_not_graded_is_not_written(course, tmp_path):
    assert course("{}", everything(refused="no notebook")) == []
    assert course(RELEASED.read_text(), everything("a/../b")) == []
    assert course(RELEASED.read_text(), folder=tmp_path / "elsewhere") == []
    own = dataclasses.replace(everything(), file="ada/ps01/ps01.ipynb", digest="00")
    out = tmp_path / "autograded"
    assert autograded.write_autograded(grades(own), COURSE, tmp_path, out) == []


def test_the_submitted_folder_or_one_notebook_will_do(course, tmp_path):
    submitted = tmp_path / "submitted"
    assert len(course(RELEASED.read_text(), folder=submitted)) == 1
    assert len(course(RELEASED.read_text(), folder=submitted / "ada" / "ps01" / "ps01.ipynb")) == 1
