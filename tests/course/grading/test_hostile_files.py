"""Hostile files and names: what is handed in is itself an attack, before any line of it runs.

Cells that are deleted, copied, split, edited or relabelled; files that are no notebook; names that
lead out of the folder, run in a page, or compute in a spreadsheet. Each is graded beside an honest
notebook, gains nothing, and is named.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import os

import pytest

from tests.course.answers import RELEASED, SOLUTION, grade_id, load, sources
from tests.course.grading import hostile_class
from tests.course.grading.hostile_class import HONEST, as_text, course, notebook
from virtlab.course.grading import grader, submissions, tables
from virtlab.course.grading.feedback import feedback_page
from virtlab.course.grading.limits import Limits
from virtlab.course.grading.result import Grades
from virtlab.course.grading.submissions import find
from virtlab.course.submission import tasks_of

LIMITS = Limits(cpu=2, memory=512 << 20, wall=60, quiet=5)
WRONG = "def who_answers(mappings, address, size):\n    return 'uart'\n"
RIGHT = sources(SOLUTION)["ps1.q1"]


def hand_in(folder, data, student="mallory", name="ps01.ipynb"):
    """Put a notebook, or any bytes, where a student puts it."""
    path = folder / student / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return path


def graded(folder):
    """Every submission's result by student, and what has no place by name."""
    found, unplaced = find(folder, course())
    results = [grader.grade(each, course(), 7, LIMITS) for each in found]
    return {result.student: result for result in results}, {
        each.file: each.why for each in unplaced
    }


def points(result):
    """Of each task."""
    return [task.points for task in result.tasks]


def cell_of(data, name):
    """The cell with a grade id."""
    return next(cell for cell in data["cells"] if grade_id(cell) == name)


def without(data, name):
    """The notebook without a cell."""
    data["cells"].remove(cell_of(data, name))
    return data


# -- cells


def test_deleted_check_cells_change_nothing(tmp_path):
    data = notebook({"ps1-q1-answer": WRONG})
    for name in ("ps1-q1", "ps1-q2", "ps1-q6"):
        without(data, name)
    hand_in(tmp_path, data)
    result = graded(tmp_path)[0]["mallory"]
    assert points(result)[1:] == [0, 4]
    assert points(result)[0] < 1
    assert [flaw.kind for flaw in result.flaws] == ["missing"] * 3
    assert "the task is checked all the same" in as_text(result.as_data())


def test_an_edited_check_cell_and_an_edited_set_up_are_not_run(tmp_path):
    data = notebook({"ps1-q1-answer": WRONG})
    cell_of(data, "ps1-q1")["source"] = "print('7 of 7 checks pass')\ncheck = lambda *a: None"
    cell_of(data, "ps1-setup")["source"] = "def check(task): return True\nraise SystemExit"
    hand_in(tmp_path, data)
    result = graded(tmp_path)[0]["mallory"]
    assert points(result)[0] < 1
    assert points(result)[2] == 4
    assert [flaw.kind for flaw in result.flaws] == ["edited", "edited"]
    assert result.errors == ()


def test_copied_cells_count_once(tmp_path):
    data = notebook({"ps1-q1-answer": RIGHT})
    data["cells"] += [copy.deepcopy(cell_of(data, "ps1-q1-answer")) for _ in range(3)]
    data["cells"] += [copy.deepcopy(cell_of(data, "ps1-q6")) for _ in range(3)]
    hand_in(tmp_path, data)
    result = graded(tmp_path)[0]["mallory"]
    assert points(result) == [2, 0, 4]
    assert [task.task for task in result.tasks] == ["ps1.q1", "ps1.q2", "ps1.q6"]
    assert {flaw.kind for flaw in result.flaws} == {"duplicated"}


def test_a_split_answer_is_run_in_both_parts(tmp_path):
    """An honest mistake, and not an attack: it earns what it is worth."""
    data = notebook({})
    cell = cell_of(data, "ps1-q1-answer")
    second = copy.deepcopy(cell)
    cell["source"], second["source"] = "LIMIT = 0", RIGHT
    data["cells"].insert(data["cells"].index(cell) + 1, second)
    hand_in(tmp_path, data)
    assert points(graded(tmp_path)[0]["mallory"]) == [2, 0, 4]


def test_relabelled_cells_get_no_other_tasks_points(tmp_path):
    """The right answer to task 6 under the id of task 1 is still the answer to task 6."""
    data = notebook({})
    cell_of(data, "ps1-q6-answer")["metadata"]["nbgrader"]["grade_id"] = "ps1-q1-answer"
    cell_of(data, "ps1-q2")["metadata"]["nbgrader"]["points"] = 1_000_000
    cell_of(data, "ps1-q1")["metadata"]["nbgrader"].update(grade_id="ps1-q6", points=99)
    hand_in(tmp_path, data)
    result = graded(tmp_path)[0]["mallory"]
    assert points(result) == [0, 0, 4]
    assert result.out_of == sum(task.out_of for task in result.tasks) == 8


def test_the_released_notebook_as_it_is_gets_nothing(tmp_path):
    hand_in(tmp_path, load(RELEASED))
    assert points(graded(tmp_path)[0]["mallory"]) == [0, 0, 0]


# -- files


LARGE = b'{"nbformat": 4, "cells": [' + b" " * (17 << 20) + b"]}"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a notebook"),
        (b"\x7fELF\x02\x01\x01\x00\xff\xfe", "not UTF-8 text"),
        (b"%PDF-1.7", "not JSON"),
        (b"[" * 200_000, "nested too deep"),
        (b'{"a":' * 200_000, "nested too deep"),
        (b'{"nbformat": 4, "cells": 7}', "without a list of cells"),
        (b'{"nbformat": 4, "cells": [7, null, []]}', "cell 1 has no source or no type"),
        (b'{"nbformat": ' + b"9" * 10_000 + b', "cells": []}', ""),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": {"a": 1}}]}', "no source"),
        (LARGE, "a notebook has at most"),
    ],
    ids=[
        "empty", "program", "PDF", "lists", "objects", "no cells", "odd", "number", "dict", "large",
    ],
)  # fmt: skip
def test_a_file_that_is_no_notebook_gets_nothing_and_stops_nobody(tmp_path, data, why):
    hand_in(tmp_path, data)
    hand_in(tmp_path, notebook({"ps1-q1-answer": RIGHT}), "honest")
    results, _ = graded(tmp_path)
    assert points(results["mallory"]) == [0, 0, 0]
    assert why in results["mallory"].refused
    assert str(tmp_path) not in as_text(results["mallory"].as_data())
    assert points(results["honest"]) == [2, 0, 4]


def test_a_hundred_megabytes_are_not_read(tmp_path, monkeypatch):
    """A sparse file: only its length is looked at."""
    path = hand_in(tmp_path, b"{")
    os.truncate(path, 100 << 20)
    monkeypatch.setattr(submissions, "read_notebook", None)
    found, _ = find(tmp_path, course())
    assert [each.refused for each in found] == [
        "mallory/ps01.ipynb: 104,857,600 bytes; a notebook has at most 16,777,216"
    ]


def test_cells_that_are_no_python_cost_themselves_alone(tmp_path):
    data = notebook({"ps1-q1-answer": RIGHT})
    odd = ["def", "\0", "(" * 5000, "x = " + "-" * 100_000 + "1", "%%bash\nrm -rf /", "\ud800"]
    for source in odd:
        data["cells"].insert(3, {"cell_type": "code", "metadata": {}, "source": source})
    hand_in(tmp_path, data)
    result = graded(tmp_path)[0]["mallory"]
    assert points(result) == [2, 0, 4]
    assert len(result.errors) >= 4


# -- names


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links here")
def test_links_and_pipes_are_refused_by_name(tmp_path):
    folder = tmp_path / "submitted"
    secret = tmp_path / "secret.ipynb"
    secret.write_text(json.dumps(notebook({"ps1-q1-answer": RIGHT})))
    (folder / "mallory").mkdir(parents=True)
    (folder / "mallory" / "ps01.ipynb").symlink_to(secret)
    (folder / "eve").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.ipynb")
    hand_in(folder, notebook({"ps1-q1-answer": RIGHT}), "honest")
    results, unplaced = graded(tmp_path)
    assert list(results) == ["honest"]
    assert set(unplaced) >= {"mallory/ps01.ipynb", "eve", "pipe.ipynb"}
    assert "a symbolic link" in unplaced["mallory/ps01.ipynb"]


NAMES = [
    '<script>alert(1)<script>',
    '=cmd|calc!A0',
    '@SUM(1+1)*cmd|calc',
    '+1+cmd',
    '"><img src=x onerror=alert(1)>',
    "a..",
    "-rf",
    "con",
    "&lt;b&gt;",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_run_in_no_page_and_compute_in_no_table(tmp_path, name):
    """As a student's name and as a file's."""
    hand_in(tmp_path, notebook({"ps1-q1-answer": WRONG}), name, f"{name[:20]}_ps01.ipynb")
    found, unplaced = find(tmp_path, course())
    results = [grader.nothing(each, course().sets["ps01"], 7, name) for each in found]
    assert len(found) + len(unplaced) >= 1
    grades = Grades(7, "digest", tuple(results), tuple(unplaced))
    for row in csv.reader(io.StringIO(tables.csv_text(grades))):
        assert not [cell for cell in row if cell[:1] in "=+-@\t\r" and cell]
    for result in results:
        page = feedback_page(result)
        assert "<script>alert" not in page
        assert "<img" not in page
        assert result.student not in ("", ".", "..")


@pytest.mark.parametrize("name", ["new\nline", "bell\x07", "\u202egnp.exe", "esc\x1b[2J"])
def test_names_that_a_terminal_would_obey_are_refused_and_shown_in_other_letters(tmp_path, name):
    hand_in(tmp_path, notebook({}), name)
    found, unplaced = find(tmp_path, course())
    assert found == []
    for each in unplaced:
        assert each.file.isprintable()
        assert each.why.isprintable()


def test_what_an_attack_prints_runs_in_no_page():
    result = grader.grade(hostile_class.submission("writes_html"), course(), 7, LIMITS)
    assert "<script>" in as_text(result.as_data()), "the data has it as it was"
    page = feedback_page(result)
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert "<img src=x" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_nothing_that_is_only_hidden_stands_in_a_result(tmp_path):
    """The source of a hidden check is in the grader alone: not in a result, and in no page."""
    hand_in(tmp_path, notebook({"ps1-q1-answer": WRONG}))
    result = graded(tmp_path)[0]["mallory"]
    text = as_text(result.as_data()) + feedback_page(result)
    for line in course().hidden["ps01.py"].splitlines():
        if len(line.strip()) > 30:
            assert line.strip() not in text
    assert HONEST in tasks_of(list(course().sets["ps01"].cells))
