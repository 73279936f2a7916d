"""The hostile submissions of `hostile/`, as notebooks: each file is the answer cells of one.

A file begins with the attack in a docstring; `# %% ps1-q1-answer` begins a cell. Its notebook is
the released problem set 1 with these cells, and with an honest answer to task 6. So each shows two
things: that the attack gains nothing, and that it costs what it attacked, not what is right.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from tests.course.answers import RELEASED, ROOT, SOLUTION, grade_id, load, sources
from virtlab.course.grading import course_files
from virtlab.course.grading.submissions import Submission
from virtlab.course.submission import Cell

FOLDER = Path(__file__).with_name("hostile")
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
HONEST = "ps1.q6"
TASKS = ("ps1.q1", "ps1.q2", HONEST)
LEAKED = "LEAKED"
"""What an attack prints when it has got through."""


def source(name: str) -> str:
    """The text of one attack."""
    return (FOLDER / f"{name}.py").read_text(encoding="utf-8")


def attack(name: str) -> str:
    """What it does, in the words of its docstring."""
    found = re.search(r'"""(.+?)"""', source(name), re.S)
    assert found
    return found[1]


def cells(name: str) -> dict[str, str]:
    """Its answer cells, by grade id."""
    pieces = re.split(r"^# %% (\S+)\n", source(name), flags=re.M)[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def notebook(changed: dict[str, str]) -> dict:
    """The released notebook as plain data, with an honest answer to task 6, and these cells."""
    data = load(RELEASED)
    honest = {"ps1-q6-answer": sources(SOLUTION)[HONEST]}
    for cell in data["cells"]:
        new = {**honest, **changed}.get(grade_id(cell))
        if new is not None:
            cell["source"] = new
    return data


def submission(name: str) -> Submission:
    """One attack as the grader gets it."""
    data = notebook(cells(name))
    read = [
        Cell(number, cell["cell_type"], "".join(cell["source"]), grade_id(cell), *rights(cell))
        for number, cell in enumerate(data["cells"], 1)
    ]
    return Submission(name, "ps01", f"{name}.ipynb", "00", tuple(read))


def rights(cell: dict) -> tuple[bool, bool]:
    """Whether it is a check, and whether it is locked."""
    about = cell["metadata"].get("nbgrader", {})
    return about.get("grade") is True, about.get("locked") is True


@functools.cache
def course() -> course_files.Course:
    """Problem set 1 with its hidden checks, but only the three tasks."""
    whole = course_files.load(ROOT / "exercises", ROOT / "solutions" / "hidden")
    return whole.only(TASKS)


def as_text(data: object) -> str:
    """Plain data as one text to look into."""
    return json.dumps(data, ensure_ascii=False)
