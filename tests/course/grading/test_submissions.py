"""Finding what a class handed in: whose, which set, and what is refused by name."""

import json
import os
import sys

import pytest

from tests.course.answers import ROOT, notebook
from virtlab.course.cli import CommandError
from virtlab.course.grading import course_files, submissions
from virtlab.course.grading.result import Unplaced
from virtlab.course.grading.submissions import Submission, find, student_of

PS04 = notebook("exercises", "ps04").read_bytes()
PS05 = notebook("exercises", "ps05").read_bytes()

no_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a right on Windows")


@pytest.fixture(scope="module")
def course():
    return course_files.load(ROOT / "exercises")


@pytest.fixture
def handed_in(tmp_path, course):
    """Write files by name and find them: submissions and unplaced."""

    def find_in(files, **how):
        for name, raw in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
        return find(tmp_path, course, **how)

    return find_in


def keys(found):
    return [(each.student, each.assignment) for each in found]


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("ada/ps04/ps04.ipynb", "ada"),
        ("ada/ps04.ipynb", "ada"),
        ("ada/week 3/final version.ipynb", "ada"),
        ("ada_ps04.ipynb", "ada"),
        ("ada-ps04.ipynb", "ada"),
        ("ada lovelace_PS04 (2).ipynb", "ada lovelace"),
        ("ada_lovelace_ps04.ipynb", "ada_lovelace"),
        ("ada.ipynb", "ada"),
        ("ps04/ada.ipynb", "ada"),
        ("ps04/ada/mine.ipynb", "ada"),
        ("Ada Byron_123_assignsubmission_file_/mine.ipynb", "Ada Byron_123"),
        ("Ada Byron_123_assignsubmission_file/ps04.ipynb", "Ada Byron_123"),
        ("Ada Byron_123_assignsubmission_file_ps04.ipynb", "Ada Byron_123"),
        ("byronada_1234_567890_ps04.ipynb", "byronada_1234"),
        ("byronada_LATE_1234_567890_ps04-2.ipynb", "byronada_1234"),
        ("byronada_1234_567890_mine.ipynb", "byronada_1234"),
        ("jones_2024_11_ps04.ipynb", "jones_2024_11"),
        ("Ada  Byron/ps04.ipynb", "Ada Byron"),
        ("Ame\u0301lie/ps04.ipynb", "Am\u00e9lie"),
        ("ps04.ipynb", ""),
        ("ps04/ps04.ipynb", ""),
        (r"Ada_1_assignsubmission_file_\ps04.ipynb", "Ada_1"),
        (r"Ada\ps04.ipynb", "Ada"),
        ("Copy of ps04.ipynb", ""),
        ("Copy of ada_ps04.ipynb", "ada"),
    ],
)
def test_whose_it_is_stands_in_the_first_folder_or_in_the_name(name, student):
    assert student_of(name) == student


@pytest.mark.skipif(sys.platform == "win32", reason="there it is a folder")
def test_a_set_is_found_in_a_name_that_was_unpacked_with_backslashes(handed_in):
    found, _ = handed_in({r"ada\ps04\mine.ipynb": b"{"})
    assert keys(found) == [("ada", "ps04")]


def test_nbgraders_folder_is_found_below_the_course_and_as_it_is(handed_in, tmp_path, course):
    found, unplaced = handed_in(
        {"submitted/ben/ps05/ps05.ipynb": PS05, "submitted/ada/ps04/ps04.ipynb": PS04}
    )
    assert keys(found) == [("ada", "ps04"), ("ben", "ps05")]
    assert found[0].file == "ada/ps04/ps04.ipynb"
    assert unplaced == []
    assert find(tmp_path / "submitted", course) == (found, unplaced)


def test_a_flat_folder_and_a_students_several_sets(handed_in):
    found, unplaced = handed_in({"ada_ps04.ipynb": PS04, "ada_ps05.ipynb": PS05, "b.ipynb": PS04})
    assert keys(found) == [("ada", "ps04"), ("ada", "ps05"), ("b", "ps04")]
    assert unplaced == []


def test_the_cells_say_which_set_it_is_not_the_name(handed_in):
    found, _ = handed_in({"ada/ps05.ipynb": PS04, "ben/homework.ipynb": PS05})
    assert keys(found) == [("ada", "ps04"), ("ben", "ps05")]


def test_a_notebook_that_is_broken_is_placed_by_its_name_and_refused(handed_in):
    found, unplaced = handed_in({"ada/ps04.ipynb": PS04[:500], "ben/x.ipynb": b"{}"})
    assert keys(found) == [("ada", "ps04")]
    assert found[0].refused.startswith("ada/ps04.ipynb: byte 500: the notebook is cut off")
    assert found[0].cells == ()
    assert unplaced[0].file == "ben/x.ipynb"
    assert unplaced[0].why.endswith("without a list of cells; name it as ben_ps01.ipynb")


def test_a_notebook_of_no_set_has_no_place(handed_in):
    poem = json.dumps({"nbformat": 4, "cells": []}).encode()
    found, unplaced = handed_in({"ada/poem.ipynb": poem})
    assert found == []
    why = "no cell of it belongs to a problem set, nor does its name"
    assert unplaced == [Unplaced("ada/poem.ipynb", why)]


def test_a_notebook_of_nobody_has_no_place_unless_the_student_is_given(handed_in):
    found, unplaced = handed_in({"ps04.ipynb": PS04})
    assert (found, unplaced[0].why[:10]) == ([], "no student")
    found, unplaced = handed_in({}, student="ada")
    assert (keys(found), unplaced) == ([("ada", "ps04")], [])


def test_one_notebook_may_be_given_instead_of_a_folder(tmp_path, course):
    path = tmp_path / "ada_ps04.ipynb"
    path.write_bytes(PS04)
    assert keys(find(path, course)[0]) == [("ada", "ps04")]


def test_two_different_notebooks_of_one_set_are_both_left_alone(handed_in):
    other = PS04.replace(b"# YOUR CODE HERE", b"# MY CODE HERE", 1)
    found, _ = handed_in({"ada/ps04.ipynb": PS04, "ada/ps04 (1).ipynb": other})
    assert keys(found) == [("ada", "ps04")]
    assert found[0].cells == ()
    assert "2 different notebooks of ps04, none was taken" in found[0].refused
    assert "ada/ps04 (1).ipynb and ada/ps04.ipynb" in found[0].refused


def test_the_same_notebook_twice_counts_once(handed_in):
    found, _ = handed_in({"ada/ps04.ipynb": PS04, "ada/copy/ps04.ipynb": PS04})
    assert keys(found) == [("ada", "ps04")]
    assert found[0].refused == ""


def test_what_is_hidden_is_passed_over(handed_in):
    files = {"ada/.ipynb_checkpoints/ps04.ipynb": b"x", "__MACOSX/b/ps04.ipynb": b"x"}
    assert handed_in(files) == ([], [Unplaced("ada/", "a folder without a notebook")])


def test_what_is_no_notebook_is_named_where_there_is_none_beside_it(handed_in):
    found, unplaced = handed_in(
        {"ada/ps04.zip": b"", "ben/ps04.ipynb": PS04, "ben/notes.txt": b"", "grades.xls": b""}
    )
    assert keys(found) == [("ben", "ps04")]
    assert [each.file for each in unplaced] == ["ada/ps04.zip", "grades.xls"]
    assert unplaced[0].why == "an archive: unpack it where it lies"
    assert "does not end in .ipynb" in unplaced[1].why


@no_links
@pytest.mark.parametrize("target", ["/etc/passwd", "ps04.ipynb", "../ben/ps04.ipynb", "/"])
def test_a_symbolic_link_is_refused_by_name(handed_in, tmp_path, target):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "link.ipynb").symlink_to(target)
    found, unplaced = handed_in({"ben/ps04.ipynb": PS04})
    assert keys(found) == [("ben", "ps04")]
    assert [each.file for each in unplaced] == ["ada/link.ipynb"]
    assert f"a symbolic link (to {target})" in unplaced[0].why


@no_links
def test_a_folder_that_is_a_link_is_not_entered(handed_in, tmp_path):
    (tmp_path / "ada").symlink_to(tmp_path)
    (tmp_path / "submitted").symlink_to("/")
    found, unplaced = handed_in({"ben/ps04.ipynb": PS04})
    assert keys(found) == [("ben", "ps04")]
    assert [each.file for each in unplaced] == ["ada", "submitted"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe with a name needs Unix")
def test_a_pipe_is_not_opened(handed_in, tmp_path):
    os.mkfifo(tmp_path / "ada_ps04.ipynb")
    assert handed_in({}) == ([], [Unplaced("ada_ps04.ipynb", "neither a file nor a folder")])


@pytest.mark.skipif(sys.platform != "linux", reason="such names need Linux")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ada\n=1+1", "ada\\n=1+1"),
        ("ada\x1b[2J", "ada\\x1b[2J"),
        ("ada\u202egpj", "ada\\u202egpj"),
        (os.fsdecode(b"ada\xff"), "ada\\udcff"),
    ],
)
def test_a_name_that_could_deceive_is_refused_and_escaped(handed_in, name, shown):
    found, unplaced = handed_in({f"{name}/ps04.ipynb": PS04, f"{name}.ipynb": PS04})
    assert found == []
    assert [each.file for each in unplaced] == [shown, f"{shown}.ipynb"]
    assert all("its name has a" in each.why for each in unplaced)


def test_a_large_file_is_not_read(handed_in, monkeypatch):
    monkeypatch.setattr(submissions, "LARGEST", 1000)
    found, _ = handed_in({"ada/ps04.ipynb": PS04})
    assert "a notebook has at most 1,000" in found[0].refused


def test_a_file_that_cannot_be_read_is_a_result(handed_in, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(submissions, "read_notebook", denied)
    found, _ = handed_in({"ada/ps04.ipynb": PS04})
    assert found[0].refused == "ada/ps04.ipynb: Permission denied"


def test_a_number_of_many_digits_is_no_notebook(handed_in):
    raw = b'{"nbformat": 4, "cells": [], "x": ' + b"9" * 5000 + b"}"
    found, _ = handed_in({"ada/ps04.ipynb": raw})
    assert "digits" in found[0].refused


def test_folders_have_a_bottom(handed_in):
    _, unplaced = handed_in({"/".join(["x"] * 14 + ["ps04.ipynb"]): PS04})
    assert any("more than 12 folders deep" in each.why for each in unplaced)


def test_a_submission_survives_as_json(handed_in):
    found, _ = handed_in({"ada/ps04.ipynb": PS04})
    assert Submission.from_data(json.loads(json.dumps(found[0].as_data()))) == found[0]


def test_of_two_sets_with_as_many_cells_the_named_one_counts(course):
    cells = [cell for name in ("ps04", "ps05") for cell in course.sets[name].cells]
    both = [cell for cell in cells if cell.grade_id.endswith("-setup")]
    assert submissions.set_of(both, "ada/ps05.ipynb", course) == "ps05"
    assert submissions.set_of(both, "ada/x.ipynb", course) == "ps04"
    assert submissions.set_of([], "ada/x.ipynb", course) == ""


def test_a_given_student_has_a_name_that_can_be_printed(tmp_path, course):
    with pytest.raises(CommandError, match=r"--student 'a\\nb': its name has a control character"):
        find(tmp_path, course, student="a\nb")
