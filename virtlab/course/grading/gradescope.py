"""Results in the form that Gradescope shows: one `results.json` a submission.

    {"score": 41.0, "stdout_visibility": "hidden", "output": "...", "tests": [
        {"number": "3", "name": "ps4.q3 Add a buffer and kick", "score": 3.0, "max_score": 5,
         "status": "failed", "visibility": "visible", "output": "<what check prints>"},
        {"number": "3.7", "name": "ps4.q3: two at the wrap", "status": "passed",
         "visibility": "hidden"}, ...]}

The idea: a task is one test that the student sees, with its points and its report. Each hidden case
is a test more that only instructors see; it has a status and no points, for the task has them.

The format is that of https://gradescope-autograders.readthedocs.io/en/latest/specs/ ("Output
format"). `score` stands at the top, so Gradescope adds nothing up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from virtlab.course.grading.pages import file_name
from virtlab.course.grading.result import Grades, Result, TaskResult, Unplaced
from virtlab.course.grading.tables import write

Data = dict[str, Any]


def results(result: Result, seed: int) -> Data:
    """One result as the data of a `results.json`."""
    tests = [test for number, task in enumerate(result.tasks, 1) for test in _tests(number, task)]
    said = [result.refused] if result.refused else []
    said += [flaw.message for flaw in result.flaws]
    said += [f"cell {error.cell}: {error.text}" for error in result.errors]
    return {
        "score": result.points,
        "output": "\n".join(said),
        "output_format": "text",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {"seed": seed, "set": result.assignment, "digest": result.digest},
    }


def _tests(number: int, task: TaskResult) -> list[Data]:
    """A task as tests: one for the student, and one more for each of its hidden cases."""
    seen = {
        "number": str(number),
        "name": f"{task.task} {task.title}",
        "score": task.points,
        "max_score": task.out_of,
        "status": _status(task.ok),
        "visibility": "visible",
        "output": task.report,
        "output_format": "text",
    }
    secret = [
        {
            "number": f"{number}.{place}",
            "name": f"{task.task}: {case.name}",
            "status": _status(case.passed),
            "visibility": "hidden",
        }
        for place, case in enumerate(task.cases, 1)
        if case.hidden
    ]
    return [seen, *secret]


def _status(passed: bool) -> str:
    return "passed" if passed else "failed"


def nothing(unplaced: Sequence[Unplaced]) -> Data:
    """What is said where no notebook was found."""
    said = [f"{each.file}: {each.why}" for each in unplaced] or ["there is no notebook here"]
    return {"score": 0, "output": "\n".join(said), "output_format": "text", "tests": []}


def write_all(grades: Grades, folder: Path) -> list[Path]:
    """Write `results.json`; of several submissions, each into a folder of its student and set."""
    if len(grades.results) > 1:
        data = {
            folder / file_name(result.student) / result.assignment: results(result, grades.seed)
            for result in grades.results
        }
    elif grades.results:
        data = {folder: results(grades.results[0], grades.seed)}
    else:
        data = {folder: nothing(grades.unplaced)}
    for path, each in data.items():
        write(path / "results.json", json.dumps(each, indent=1) + "\n")
    return [path / "results.json" for path in data]
