"""Our points in nbgrader's gradebook: its own commands show them, and a hand's stay on top."""

import csv
import dataclasses
import os
import shutil
import sys
from subprocess import CalledProcessError
from unittest.mock import Mock

import pytest

from tests.course.grading.gradebooks import COURSE, WHOLE, everything, opened, rows
from tests.course.grading.graded import full, grades, handed_in, stub
from tests.course.grading.test_feedback import HOSTILE
from virtlab.course.checks import TASKS
from virtlab.course.cli import CommandError
from virtlab.course.grading import gradebook
from virtlab.course.grading.result import CaseResult, Failure, TaskResult


def by_hand(path, **columns):
    """What a teacher enters for ben's first task: `manual_score` of the check, or a comment."""
    with opened(path) as gb:
        grade = gb.find_grade("ps1-q1", "ps01", "ps01", "ben")
        comment = gb.find_comment("ps1-q1-answer", "ps01", "ps01", "ben")
        for name, value in columns.items():
            setattr(comment if "comment" in name else grade, name, value)
        gb.db.commit()


def first_grade(path):
    with opened(path) as gb:
        grade = gb.find_grade("ps1-q1", "ps01", "ps01", "ben")
        return grade.auto_score, grade.manual_score, grade.score, grade.needs_manual_grade


# -- points


def test_points_are_those_of_the_run_with_partial_credit(book):
    with opened(book) as gb:
        found = {each.student.id: each.score for each in gb.assignment_submissions("ps01")}
        most = gb.find_assignment("ps01").max_score
    assert found == {result.student: pytest.approx(result.points) for result in WHOLE.results}
    assert 0 < found["ben"] < most == WHOLE.results[0].out_of
    assert found["cyd"] == 0


def test_nothing_waits_for_a_hand(book):
    with opened(book) as gb:
        assert not any(each.needs_manual_grade for each in gb.assignment_submissions("ps01"))
        failed = {s.student.id: s.failed_tests for s in gb.notebook_submissions("ps01", "ps01")}
    assert failed == {"ada": False, "ben": True, "cyd": True}


def test_nbgraders_own_export_shows_them(book, tmp_path):
    from nbgrader.plugins.export import CsvExportPlugin

    with opened(book) as gb:
        CsvExportPlugin(to=str(tmp_path / "grades.csv")).export(gb)
    with open(tmp_path / "grades.csv", newline="") as file:
        found = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert found == {result.student: pytest.approx(result.points) for result in WHOLE.results}


def test_a_second_run_changes_nothing(book):
    before = rows(book)
    assert gradebook.write_gradebook(WHOLE, COURSE, book) == (3, 0, 0, ())
    assert rows(book) == before


def test_points_that_changed_are_written(book):
    better = grades(everything("ben"))
    assert gradebook.write_gradebook(better, COURSE, book) == (1, 2, 2, ())
    assert first_grade(book) == (2, None, 2, False)


def test_a_hands_points_and_words_stay_and_lie_on_top(book):
    by_hand(book, manual_score=1.5, extra_credit=0.25, manual_comment="well tried")
    assert gradebook.write_gradebook(WHOLE, COURSE, book)[1:3] == (0, 0)
    assert first_grade(book)[1:] == (1.5, 1.75, False)
    with opened(book) as gb:
        assert gb.find_comment("ps1-q1-answer", "ps01", "ps01", "ben").comment == "well tried"


def test_where_points_change_below_a_hands_somebody_must_look_again(book):
    by_hand(book, manual_score=1.5)
    gradebook.write_gradebook(grades(everything("ben")), COURSE, book)
    assert first_grade(book) == (2, 1.5, 1.5, True)


def test_only_the_tasks_of_the_run_are_written(book):
    one = grades(handed_in("ben", full("ps1.q1")))
    assert gradebook.write_gradebook(one, COURSE, book) == (1, 1, 1, ())
    with opened(book) as gb:
        assert gb.find_grade("ps1-q3", "ps01", "ps01", "ben").score == TASKS["ps1.q3"].points


# -- comments


def comment(book, student, task):
    with opened(book) as gb:
        return gb.find_comment(f"{task}-answer", "ps01", "ps01", student).comment


def test_a_comment_says_what_failed_and_how(book):
    failure = WHOLE.results[1].tasks[0].failure
    lines = comment(book, "ben", "ps1-q1").split("\n")
    assert lines[:3] == [
        "3 of 9 checks pass, 0.67 of 2 points.",
        "",
        f"    fails     {failure.case}",
    ]
    assert lines[3] == f"    given     {failure.given.splitlines()[0]}"
    assert f"    yours     {failure.yours}" in lines
    assert comment(book, "ada", "ps1-q1") is None
    assert "    why       byte 7: not a notebook" in comment(book, "cyd", "ps1-q5")


def test_a_hidden_check_and_a_stop_are_named():
    failed = dataclasses.replace(stub("ps1.q1"), ended="it was stopped after 20 s")
    failed = dataclasses.replace(failed, failure=failed.failure._replace(hidden=True))
    text = gradebook.comment_on(everything(), failed)
    assert "    stopped   it was stopped after 20 s" in text
    assert f"{failed.failure.case} (a hidden check)" in text


TRICKS = (
    *HOSTILE,
    "\n<script>alert(1)</script>\n\n<img src=x onerror=alert(1)>",
    "$$\n</code></pre><script>alert(1)</script>\n$$",
    "```\n<script>alert(1)</script>",
    "\\begin{x}\r<script>alert(1)</script>\x0b\x0c\u2028<script>alert(1)</script>\\end{x}",
    "[x](javascript:alert(1)) ![x](http://example.org/x.png) <javascript:alert(1)>",
)


@pytest.mark.parametrize("text", TRICKS)
def test_what_a_student_wrote_does_nothing_in_nbgraders_feedback(text):
    """Its feedback page puts a comment through this function, unescaped."""
    from nbconvert.filters import markdown2html

    failure = Failure("two", False, *[text] * 6)
    task = TaskResult("ps1.q1", "t", 0.0, 2, 1, (CaseResult("two", False),), failure, ended=text)
    for said in (
        gradebook.comment_on(handed_in("ada", task), task),
        gradebook.comment_on(handed_in("ada", task, refused=text), task),
    ):
        shown = markdown2html(said)
        for tag in ("<script", "<img", "<svg", "<a ", "</section", 'javascript:alert(1)"'):
            assert tag not in shown
        assert shown.count("<pre>") == 1


# -- what can go wrong


def test_without_nbgrader_the_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "nbgrader", None)
    with pytest.raises(CommandError, match=r"^a gradebook needs nbgrader: pip install 'virtlab"):
        gradebook.write_gradebook(WHOLE, COURSE, tmp_path / "gradebook.db")


def test_a_file_that_is_no_gradebook_is_named(tmp_path):
    path = tmp_path / "notes.db"
    path.write_text("this is no database, however long it may be " * 9)
    with pytest.raises(CommandError) as failed:
        gradebook.write_gradebook(WHOLE, COURSE, path)
    said = str(failed.value)
    assert said == f"{path}: not a gradebook that nbgrader can write: file is not a database"
    assert path.read_text().startswith("this is no database")


@pytest.mark.parametrize(
    "where", ["nowhere/gradebook.db", "mysterious://x/y", "sqlite:////no/x.db"]
)
def test_a_place_that_cannot_be_used_is_one_line(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError) as failed:
        gradebook.write_gradebook(WHOLE, COURSE, where)
    assert str(failed.value).startswith(f"{where}: not a gradebook that nbgrader can write")
    assert "\n" not in str(failed.value)


def test_a_password_is_not_repeated():
    with pytest.raises(CommandError) as failed:
        gradebook.write_gradebook(WHOLE, COURSE, "mysterious://ada:secret@host/x")
    assert str(failed.value).startswith("mysterious://ada:***@host/x: not a gradebook")


def test_all_of_it_is_written_or_nothing(book, monkeypatch):
    """An error in the middle leaves the gradebook as it was."""
    before = rows(book)
    monkeypatch.setattr(gradebook, "comment_on", lambda result, task: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gradebook.write_gradebook(grades(everything("zoe")), COURSE, book)
    assert rows(book) == before


def test_the_environment_is_as_before(book, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    gradebook.write_gradebook(grades(), COURSE, book)
    assert os.environ["PATH"] == "/nowhere"


def test_a_path_may_have_signs_that_a_url_may_not(book, tmp_path):
    path = tmp_path / "a?b#c %41.db"
    shutil.copy(book, path)
    gradebook.write_gradebook(grades(everything("ben")), COURSE, path)
    assert rows(path) != rows(book)


def test_a_url_will_do(book):
    assert gradebook.write_gradebook(WHOLE, COURSE, f"sqlite:///{book}") == (3, 0, 0, ())


def test_where_alembic_does_not_run_it_is_one_line(tmp_path, monkeypatch):
    """nbgrader asks it for a number when it makes a gradebook."""
    said = CalledProcessError(1, ["alembic", "heads"])
    monkeypatch.setattr("nbgrader.api.get_alembic_version", Mock(side_effect=said))
    with pytest.raises(CommandError, match="returned non-zero exit status 1"):
        gradebook.write_gradebook(WHOLE, COURSE, tmp_path / "new.db")
