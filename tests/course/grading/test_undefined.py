"""A name that is missing because its cell is broken: the task says which cell, and its line."""

import json

import pytest

from tests.course.answers import SOLUTION, grade_id, load
from tests.course.grading.test_remote import RIGHT, student
from virtlab.course import cli
from virtlab.course.answers import Answer
from virtlab.course.checks import examine, find
from virtlab.course.grading.undefined import defines, explained

BROKEN = RIGHT.replace("size):", "size:")
TASK = find("ps1.q1")


def said(*sources):
    """What the report of `ps1.q1` says of a notebook with these cells."""
    with student(*sources) as one:
        failure = one.examine(TASK, 5).failure
    return failure and (failure.difference.yours, failure.difference.look)


def test_a_cell_with_a_syntax_error_is_named_with_its_line():
    yours, look = said("x = 1", BROKEN)
    assert yours == (
        "there is no who_answers here: cell 2, which should define it, ended with an error:\n"
        "SyntaxError: '(' was never closed, in line 2: def who_answers(mappings, address, size:"
    )
    assert look == "cell 2: run it by itself, and Jupyter shows the same error"


def test_a_cell_above_with_an_import_that_fails_is_named():
    source = RIGHT.replace("for base", "np.zeros(3)\n    for base")
    yours, look = said("import numpyy as np", source)
    assert yours.startswith("NameError: name 'np' is not defined\nin line 3 of your cell: ")
    assert yours.endswith(
        "\ncell 1, which should define it, ended with an error:\n"
        "ModuleNotFoundError: No module named 'numpyy', in line 1: import numpyy as np"
    )
    assert look.startswith("cell 1: run it by itself")


def test_a_cell_above_that_used_a_name_too_early_is_named():
    yours, _ = said("TABLE = made()", RIGHT.replace("for base", "TABLE\n    for base"))
    assert yours.endswith("NameError: name 'made' is not defined, in line 1: TABLE = made()")


def test_a_cell_that_does_not_come_to_its_end_is_named():
    yours, _ = said("import os\nos._exit(3)\n" + RIGHT)
    assert yours.endswith("ended with an error:\nit ended Python itself, with status 3")


def test_where_no_cell_would_define_it_nothing_is_changed():
    yours, look = said("1 / 0", "who_answers(")
    assert yours == "there is no who_answers here yet: run the cell that defines it"
    assert look == ""


def test_a_right_answer_beside_a_broken_cell_is_right():
    assert said("1 / 0\ndef who_answers(*a): pass", RIGHT) is None


def test_the_released_set_up_has_no_number():
    report = examine(TASK, Answer({}), 5)
    found = explained(report, [(0, "a = 1"), (0, "who_answers = b")], [(0, "NameError: b")])
    assert "the set-up cell, which should define it, ended" in found.failure.difference.yours
    assert explained(report, [(1, "")], []) is report


def test_the_last_of_several_broken_cells_counts():
    cells = [(4, "def who_answers("), (9, "def who_answers(a"), (11, "1 +")]
    errors = [(4, "four"), (9, "nine"), (11, "eleven")]
    found = explained(examine(TASK, Answer({}), 5), cells, errors)
    assert found.failure.difference.yours.endswith("ended with an error:\nnine")


def test_virtlab_check_says_so_in_the_task(tmp_path, capsys):
    data = load(SOLUTION)
    cell = next(cell for cell in data["cells"] if grade_id(cell) == "ps1-q1-answer")
    cell["source"] = BROKEN
    (tmp_path / "ps01.ipynb").write_text(json.dumps(data), encoding="utf-8")
    assert cli.main(["check", str(tmp_path / "ps01.ipynb")]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "there is no who_answers here: cell 4, which should define it, ended with an" in out
    assert out.count("SyntaxError: '(' was never closed, in line 2: def who_answers(") == 2


@pytest.mark.parametrize(
    "line",
    ["def a(", "async def a(", "class a:", "a = 1", "a: int = 1", "b, a = f()", "  a = 3",
     "from x import (a", "import x as a", "import a"],
)  # fmt: skip
def test_a_line_that_would_define_a_name(line):
    assert defines(f"x = 1\n{line}", "a")


@pytest.mark.parametrize("line", ["a == 1", "f(a=1)", "aa = 1", "def aa(a):", "return a", "# a"])
def test_a_line_that_would_not(line):
    assert not defines(line, "a")


def test_a_line_that_was_made_to_be_looked_at_for_ever_is_cut():
    assert not defines("put " * 1_000_000, "put")
