"""A notebook file against the released one: what was deleted, copied, split or edited is said."""

import copy
import json

import pytest

from tests.course.answers import RELEASED, SOLUTION, grade_id, load, text
from virtlab.course import submission
from virtlab.course.submission import compare, read_notebook, tasks_of, to_run
from virtlab.errors import FileError


@pytest.fixture
def save(tmp_path):
    """Write a notebook's data and read it back as cells."""

    def save(data):
        path = tmp_path / "ps01.ipynb"
        path.write_text(json.dumps(data), encoding="utf-8")
        return read_notebook(path)

    return save


def position(data, name):
    return next(i for i, cell in enumerate(data["cells"]) if grade_id(cell) == name)


def only(save, data):
    """The one problem of a changed notebook."""
    problems = compare(save(data), read_notebook(RELEASED))
    assert len(problems) == 1, problems
    return problems[0]


def test_solutions_and_exercises_themselves_have_no_problem():
    released = read_notebook(RELEASED)
    assert compare(released, released) == []
    assert compare(read_notebook(SOLUTION), released) == []
    assert tasks_of(released) == [f"ps1.q{n}" for n in range(1, 8)]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("ps1-q2-answer", "the answer cell ps1-q2-answer is missing"),
        ("ps1-q2", "the check cell ps1-q2 is missing"),
        ("ps1-setup", "the set-up cell ps1-setup is missing"),
    ],
)
def test_a_deleted_cell(save, name, advice):
    data = load(SOLUTION)
    del data["cells"][position(data, name)]
    problem = only(save, data)
    assert (problem.kind, problem.grade_id, problem.cells) == ("missing", name, ())
    assert advice in problem.message


def test_a_cell_that_lost_its_metadata(save):
    data = load(SOLUTION)
    data["cells"][position(data, "ps1-q4-answer")]["metadata"] = {}
    assert only(save, data).kind == "missing"


def test_a_copied_cell(save):
    data = load(SOLUTION)
    at = position(data, "ps1-q3-answer")
    data["cells"].insert(at, copy.deepcopy(data["cells"][at]))
    problem = only(save, data)
    assert problem.kind == "duplicated"
    assert problem.cells == (at + 1, at + 2)
    assert f"copied or split: cells {at + 1} and {at + 2}; put your answer" in problem.message


def test_a_split_cell(save):
    data = load(SOLUTION)
    at = position(data, "ps1-q6-answer")
    half = copy.deepcopy(data["cells"][at])
    lines = text(half).splitlines(True)
    half["source"], data["cells"][at]["source"] = lines[:3], lines[3:]
    data["cells"].insert(at, half)
    assert only(save, data).kind == "duplicated"


@pytest.mark.parametrize("name", ["ps1-q5", "ps1-setup"])
def test_an_edited_locked_cell(save, name):
    data = load(SOLUTION)
    data["cells"][position(data, name)]["source"] = ["pass"]
    problem = only(save, data)
    assert problem.kind == "edited"
    assert "the released one counts" in problem.message


def test_blanks_at_the_end_are_no_edit(save):
    data = load(SOLUTION)
    data["cells"][position(data, "ps1-q5")]["source"] += "\n"
    assert compare(save(data), read_notebook(RELEASED)) == []


def test_a_cell_whose_type_changed(save):
    data = load(SOLUTION)
    data["cells"][position(data, "ps1-q1-answer")]["cell_type"] = "markdown"
    problem = only(save, data)
    assert problem.kind == "type"
    assert "is markdown, not code" in problem.message


def test_an_id_of_another_problem_set(save):
    data = load(SOLUTION)
    foreign = copy.deepcopy(data["cells"][position(data, "ps1-q1")])
    foreign["metadata"]["nbgrader"]["grade_id"] = "ps9-q1"
    data["cells"].append(foreign)
    assert only(save, data).kind == "unknown"


def test_cells_of_the_students_own_are_welcome(save):
    data = load(SOLUTION)
    data["cells"].insert(5, {"cell_type": "code", "source": "1 + 1", "metadata": {}})
    assert compare(save(data), read_notebook(RELEASED)) == []


def test_what_runs_is_the_released_set_up_and_every_cell_but_the_checks(save):
    data = load(SOLUTION)
    data["cells"][position(data, "ps1-setup")]["source"] = "check = print"
    data["cells"][position(data, "ps1-q1")]["source"] = "cheat()"
    cells = to_run(save(data), read_notebook(RELEASED))
    sources = "\n".join(cell.source for cell in cells)
    assert cells[0].source.startswith("from virtlab.course.checks import check")
    assert len(cells) == 8
    assert "cheat" not in sources
    assert "print" not in sources.replace("printed", "")


# -- what is no notebook


def broken(tmp_path, raw):
    path = tmp_path / "bad.ipynb"
    path.write_bytes(raw)
    with pytest.raises(FileError) as error:
        read_notebook(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return error.value


@pytest.mark.parametrize("cut", [1, 100, 5000, 20_000])
def test_a_truncated_file_names_its_end(tmp_path, cut):
    error = broken(tmp_path, SOLUTION.read_bytes()[:cut])
    assert "cut off" in error.why
    assert error.byte == cut


def test_the_byte_counts_bytes_not_characters(tmp_path):
    raw = '{"é": ?}'.encode()
    assert broken(tmp_path, raw).byte == raw.index(b"?")


@pytest.mark.parametrize(
    ("raw", "byte", "why"),
    [
        (b"", 0, "the file is empty"),
        (b"\xef\xbb\xbf \n", 0, "the file is empty"),
        (b"# A title\n", 0, "not JSON"),
        (b'{"cells": []} x', 14, "not JSON"),
        (b"\x89PNG\r\n", 0, "not UTF-8"),
        (b'{"a": "\xff"}', 7, "not UTF-8"),
        (b"[]", 0, "without a list of cells"),
        (b'{"cells": 3}', 0, "without a list of cells"),
        (b'{"cells": [], "nbformat": 3}', 0, "format 3, not 4"),
        (b'{"worksheets": [], "nbformat": 3}', 0, "format 3, not 4: save it in Jupyter again"),
        (b'{"cells": []}', 0, "format None, not 4"),
        (b'{"nbformat": 4}', 0, "without a list of cells"),
        (b'{"cells": [7], "nbformat": 4}', 0, "cell 1 has no source"),
        (b'{"nbformat": 4, "cells": [{"source": [1], "cell_type": "code"}]}', 0, "cell 1 has no"),
        (b'{"cells": [{"source": ""}], "nbformat": 4}', 0, "no type"),
        (b"[" * 100_000, 0, "nested too deep"),
        (b"\xef\xbb\xbf{} x", 6, "not JSON"),
        (b'{"nbformat": ' + b"4" * 5000 + b"}", 0, "not a notebook: Exceeds the limit"),
    ],
)
def test_what_is_no_notebook(tmp_path, raw, byte, why):
    error = broken(tmp_path, raw)
    assert error.byte == byte
    assert why in error.why


def test_a_huge_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "MAX_BYTES", 10)
    assert "at most 10 bytes" in broken(tmp_path, b"x" * 11).why


@pytest.mark.parametrize("grading", [None, 7, {}, {"grade_id": 7}])
def test_odd_metadata_is_no_grading(save, grading):
    cell = {"cell_type": "code", "source": "", "metadata": {"nbgrader": grading}}
    assert save({"cells": [cell], "nbformat": 4})[0].grade_id == ""
    cell["metadata"] = None
    assert save({"cells": [cell], "nbformat": 4})[0].grade_id == ""
