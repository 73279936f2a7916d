"""A class that hands in its notebooks: right, wrong as learners are wrong, half done, hostile.

`classroom(count)` gives the same notebooks every time, each with a student of its own. `expected`
says what one must get, task by task. It asks the checks in this process, with the student's code
run here, and knows nothing of the grader: neither its sandbox nor its pipe.
"""

import contextlib
import copy
import functools
import io
import itertools
import json
import sys
from fractions import Fraction
from math import floor
from random import Random
from typing import NamedTuple

import pytest

from tests.course.answers import ROOT, SETS, grade_id, load, notebook, sources, tasks_of, text
from tests.course.grading import hostile_class
from tests.course.test_wrong_answers import WRONG
from virtlab.course.answers import Answer
from virtlab.course.checks import TASKS, examine, free_cases
from virtlab.course.grading import hidden

KINDS = [
    *("wrong", "right", "wrong", "hostile", "wrong", "half", "wrong", "wrong", "stub", "wrong"),
    *("wrong", "wrong", "hostile", "right", "wrong", "wrong", "wrong", "half", "wrong", "hostile"),
    *("right", "wrong", "wrong", "wrong", "stub", "odd", "hostile", "wrong", "right", "wrong"),
    *("wrong", "half", "wrong", "hostile", "wrong", "wrong", "cut", "wrong", "wrong", "right"),
    *("wrong", "stub", "hostile", "wrong", "wrong", "right", "wrong", "half", "odd", "hostile"),
]
"""What fifty students do, in turns."""
LONG = [pytest.mark.volume, pytest.mark.long, pytest.mark.timeout(1800)]
"""Marks of a test that grades two hundred."""
HIDDEN = ROOT / "solutions" / "hidden"

ODD_CELLS = (
    "%matplotlib inline",
    "import warnings\nwarnings.warn('this is only a warning')\nprint('look at me')",
    "1 / 0",
    "def this is no Python",
    "check('ps1.q1')",
)
"""Cells of a student's own that change nothing."""


class Handed(NamedTuple):
    """One notebook as it is handed in: whose, which set, its data, and what it is.

    `attack` names a hostile one.
    """

    student: str
    assignment: str
    data: dict
    kind: str
    attack: str = ""

    def text(self):
        """What is in its file; half of it where the copying went wrong."""
        text = json.dumps(self.data)
        return text[: len(text) // 2] if self.kind == "cut" else text


@functools.cache
def _released(name):
    return json.dumps(load(notebook("exercises", name)))


def released(name):
    """A fresh copy of a released notebook."""
    return json.loads(_released(name))


def answered(name, answers):
    """The notebook of the set `name` with those answers, by task, in its answer cells."""
    data = released(name)
    for cell in data["cells"]:
        task = grade_id(cell).removesuffix("-answer").replace("-", ".")
        if grade_id(cell).endswith("-answer") and task in answers:
            cell["source"] = answers[task]
    return data


def right(name):
    """The solutions of a set, by task."""
    return dict(sources(notebook("solutions", name)))


def _wrong(name, rng, tasks):
    """All tasks right but one to three, each with a mistake that a learner makes."""
    answers = right(name)
    for task in rng.sample(tasks, min(len(tasks), rng.randint(1, 3))):
        _, answers[task], _ = rng.choice(WRONG[task])
    return answered(name, answers)


def _half(name, rng, tasks):
    """The first tasks done, the others not begun."""
    done = tasks[: rng.randint(1, len(tasks) - 1)]
    return answered(name, {task: right(name)[task] for task in done})


def _odd(name, rng, tasks):
    """All right, with cells of the student's own between, a copied one, and one that says more."""
    data = answered(name, right(name))
    for source in ODD_CELLS:
        cell = {"cell_type": "code", "metadata": {}, "source": source, "outputs": []}
        data["cells"].insert(rng.randint(3, len(data["cells"])), cell)
    copied = next(cell for cell in data["cells"] if grade_id(cell).endswith("-answer"))
    data["cells"].append(copy.deepcopy(copied))
    return data


MAKE = {
    "right": lambda name, rng, tasks: answered(name, right(name)),
    "wrong": _wrong,
    "half": _half,
    "stub": lambda name, rng, tasks: released(name),
    "cut": lambda name, rng, tasks: answered(name, right(name)),
    "odd": _odd,
}


def classroom(count, kinds=KINDS, tasks=tuple(TASKS)):
    """So many notebooks, spread evenly over the sets and the kinds; wrong are some of `tasks`."""
    rng = Random(9)
    attacks = itertools.cycle(rng.sample(hostile_class.NAMES, len(hostile_class.NAMES)))
    handed = []
    for number in range(count):
        name, kind = SETS[number % len(SETS)], kinds[number % len(kinds)]
        student, attack = f"student{number:03}", ""
        if kind == "hostile":
            name, attack = "ps01", next(attacks)
            data = hostile_class.notebook(hostile_class.cells(attack))
        else:
            data = MAKE[kind](name, rng, [task for task in tasks_of(name) if task in tasks])
        handed.append(Handed(student, name, data, kind, attack))
    return handed


def write(handed, folder):
    """Put them where nbgrader collects them: `submitted/STUDENT/SET/SET.ipynb`."""
    for each in handed:
        path = folder / "submitted" / each.student / each.assignment / f"{each.assignment}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(each.text(), encoding="utf-8")


# -- what each must get


def namespace(data, name):
    """What the notebook's cells define, run here, without the check cells."""
    names = {"__name__": "__main__"}
    for cell in [*released(name)["cells"][:3], *data["cells"]]:
        checks = cell["metadata"].get("nbgrader", {}).get("grade")
        if cell["cell_type"] == "code" and not checks and "setup" not in grade_id(cell):
            _run(text(cell), names)
        elif cell["cell_type"] == "code" and "setup" in grade_id(cell):
            _run(text(cell).replace("from virtlab.course.checks import check, hint", ""), names)
    return names


def _run(source, names):
    quiet = io.StringIO()
    with contextlib.suppress(Exception), contextlib.redirect_stdout(quiet):
        exec(compile(source, "<cell>", "exec"), names)


def expected(handed, seeds):
    """Points and first failure of each task, with the seed that it was graded with."""
    names = namespace(handed.data, handed.assignment)
    return {task: _task(TASKS[task], names, seed) for task, seed in seeds.items()}


def _task(task, names, seed):
    cases = (*task.cases, *hidden.cases_of(task.id, HIDDEN))
    report = examine(task, Answer(names), seed, cases)
    free = len(free_cases(task, cases))
    share = Fraction(max(0, len(report.passed) - free), len(cases) - free)
    first = report.failure.case if report.failure else None
    return floor(100 * task.points * share + Fraction(1, 2)) / 100, first


if __name__ == "__main__":  # python -m tests.course.grading.classroom 200 FOLDER
    from pathlib import Path

    write(classroom(int(sys.argv[1])), Path(sys.argv[2]))
