"""The cells of a notebook in a child, and the modules that they may import."""

import os
import subprocess
import sys

import pytest

from tests.course.grading.line import line
from virtlab.course.answers import Stopped, Trouble
from virtlab.course.grading import cells, child, modules


def outcome(answer, *call):
    """What a call gives or raises, as words."""
    try:
        return answer.call(*call)
    except (Trouble, Stopped) as error:
        return type(error).__name__, str(error)


def test_a_cell_loses_jupyters_lines_only_where_it_must():
    assert cells.plain("%time\nx = 1\n!ls") == "\nx = 1\n"
    percent = "x = (7\n  % 4)"
    assert cells.plain(percent) == percent


LONG = "raise KeyError('x' * 999)"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("display(1); x = 2", ""),
        ("x =", "SyntaxError: invalid syntax, in line 1: x ="),
        ("raise SystemExit", "SystemExit, in line 1: raise SystemExit"),
        ("1 / 0", "ZeroDivisionError: division by zero, in line 1: 1 / 0"),
        (LONG, "KeyError: '" + "x" * 239 + f", in line 1: {LONG}"),
        ("x = '\\0'.join('ab')", ""),
    ],
)
def test_a_cell_says_what_it_raised_in_one_line(source, error):
    with line() as (answer, there):
        assert cells.run_cell(3, source, there.names) == error
        assert answer.judge.ask("cell", 4, source) == ["ran", error]


def test_a_refusal_quotes_the_line_of_the_cell():
    with line() as (answer, _):
        answer.judge.ask("cell", 12, "def f():\n    return 1 // 0  # here")
        assert outcome(answer, "f")[1].endswith("in line 2 of your cell: return 1 // 0  # here")


def test_builtins_are_pythons_own_again_after_each_cell():
    with line() as (answer, _):
        answer.judge.ask("cell", 1, "import builtins\nbuiltins.len = lambda x: 7")
        assert len([1]) == 1
        answer.judge.ask("cell", 2, "def f(x): return len(x)")
        assert answer.call("f", [1, 2]) == 2


def test_a_check_in_a_cell_does_nothing():
    module = modules.checks()
    assert module.check("ps1.q1", seed=4).ok
    assert module.hint("ps1.q1") == ""


def find(name):
    return modules.Course.find_spec(name)


def test_of_the_course_only_the_files_of_the_list_are_there():
    assert find("virtlab.course.given.parts").origin.endswith("given/parts.py")
    assert find("virtlab.course.given").submodule_search_locations
    assert find("virtlab.memory") is find("os") is None
    for name in ("ps1", "ps4.walks", "checks", "tasks", "grading.judge", "given.walks"):
        with pytest.raises(ModuleNotFoundError, match=f"No module named 'virtlab.course.{name}'"):
            find(f"virtlab.course.{name}")


def said_by(code):
    """What a fresh Python prints that is given the folder of the library."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    return subprocess.run(
        [sys.executable, "-I", "-c", code, root], capture_output=True, text=True, check=True
    ).stdout


def test_the_list_of_files_is_all_that_a_child_imports():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from virtlab.course.grading import child, modules\n"
        "sys.meta_path.insert(0, modules.Course)\n"
        "from virtlab.course.given import parts, random_numbers, rings, scalar_walk, world\n"
        "print(*[m for m in sys.modules if m.startswith('virtlab.course.')])\n"
    )
    said = said_by(code)
    found = {name.removeprefix("virtlab.course.").replace(".", "/") for name in said.split()}
    listed = {name.removesuffix(".py").removesuffix("/__init__") for name in modules.FILES}
    assert found | {"__init__"} == listed


def test_a_child_starts_without_numpy():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from virtlab.course.grading import child\n"
        "print('numpy' in sys.modules, 'dataclasses' in sys.modules)"
    )
    said = said_by(code)
    assert said.split()[0] == "False"


def test_the_judges_side_is_not_in_the_list():
    assert not {f"grading/{name}.py" for name in ("offers", "judge", "remote")} & {*modules.FILES}
    assert child.FILES is modules.FILES
