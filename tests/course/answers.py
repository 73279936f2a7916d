"""The answers that the stored notebooks of the problem sets hold: solutions and stubs."""

import functools
import json
from pathlib import Path

from virtlab.course.checks import TASKS

ROOT = Path(__file__).resolve().parents[2]
SETS = sorted(path.stem for path in (ROOT / "solutions" / "text").glob("ps*.py"))


def notebook(side, name):
    """The notebook of a problem set, on the side of `solutions` or of `exercises`."""
    return ROOT / side / name / f"{name}.ipynb"


SOLUTION, RELEASED = notebook("solutions", "ps01"), notebook("exercises", "ps01")


def tasks_of(name):
    """The ids of the tasks of a problem set: those of `ps02` begin with `ps2.`"""
    return [task for task in TASKS if task.startswith(f"ps{int(name[2:])}.")]


def load(path):
    """A notebook as plain data."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def text(cell):
    """A cell's source in one piece."""
    return "".join(cell["source"])


def grade_id(cell):
    """A cell's grade id, or an empty text."""
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


@functools.cache
def sources(path):
    """Source of each answer cell, by task."""
    cells = [cell for cell in load(path)["cells"] if grade_id(cell).endswith("-answer")]
    return {grade_id(cell).removesuffix("-answer").replace("-", "."): text(cell) for cell in cells}


def _names(side):
    """What the notebooks define, each in a namespace of its own; then put together."""
    found = {}
    for name in SETS:
        names = {"__name__": "__main__"}
        for source in sources(notebook(side, name)).values():
            exec(source, names)
        found |= names
    return found


def solutions():
    """What the solution notebooks define."""
    return _names("solutions")


@functools.cache
def _right():
    return solutions()


def right():
    """The same, run once for all tests: what a test may add to, or take away from."""
    return dict(_right())


def released():
    """What the exercise notebooks define."""
    return _names("exercises")


def source_of(task):
    """The lines of a solution that the exercise has not, without trivial ones."""
    name = next(name for name in SETS if task in tasks_of(name))
    right, stub = (sources(notebook(side, name))[task] for side in ("solutions", "exercises"))
    lines = set(right.split("\n")) - set(stub.split("\n"))
    return [line for line in lines if len(line.strip()) > 15]
