"""The answers that the stored notebooks of problem set 1 hold: solutions and stubs."""

import functools
import json
from pathlib import Path

from virtlab.course.checks import TASKS

ROOT = Path(__file__).resolve().parents[2]
SOLUTION = ROOT / "solutions" / "ps01" / "ps01.ipynb"
RELEASED = ROOT / "exercises" / "ps01" / "ps01.ipynb"


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


def _names(path):
    names = {"__name__": "__main__"}
    for task in TASKS:
        exec(sources(path)[task], names)
    return names


def solutions():
    """What the solution notebook defines."""
    return _names(SOLUTION)


def released():
    """What the exercise notebook defines."""
    return _names(RELEASED)


def source_of(task):
    """The lines of a solution that the exercise has not, without trivial ones."""
    lines = set(sources(SOLUTION)[task].split("\n")) - set(sources(RELEASED)[task].split("\n"))
    return [line for line in lines if len(line.strip()) > 15]
