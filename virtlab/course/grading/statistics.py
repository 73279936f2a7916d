"""A class in numbers: what passes, what fails first and how, how the points lie.

    class_data(grades)["assignments"][0]["tasks"][2]["checks"][4]
        {"name": "two buffers", "hidden": False, "free": False, "passed": 31, "first": 9}

The idea: whatever the class report shows is counted here, as plain data for JSON. A picture or a
spreadsheet of one's own can be made from the same numbers.

The rules that keep it honest: a share is of those whose notebook was graded; who handed in nothing
is counted, and not hidden in a mean. A stub that nobody filled is "not attempted": a failure is of
an attempt. Without `names` no student's id is in it; an example that holds one has it struck out.
The time is the processor time that grading took: how long somebody worked, no notebook says.

What it leaves out: who copied from whom.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from statistics import mean, median
from typing import Any

from virtlab.course.checks import TASKS
from virtlab.course.grading.lessons import lessons_for, set_title
from virtlab.course.grading.result import Failure, Grades, Result, TaskResult
from virtlab.course.syllabus import TOPICS

FORMAT = "virtlab class 1"
"""The first word of the data: another number is another layout."""

BINS = 10
"""Columns of the distribution of points: each is a tenth of what can be had."""

FAILURES = 12
"""How many of the commonest first failures are listed."""

STRUCK = "(a student)"
"""Stands where an example holds a student's id."""

Data = dict[str, Any]


def class_data(
    grades: Grades, roster: Collection[str] = (), names: bool = False, run: bool = False
) -> Data:
    """The class as plain data, a part for each problem set.

    `roster` has the ids of all students; without it, whoever handed in anything. With `names` it is
    said who; with `run` how much processor time was used, which differs from run to run.
    """
    students = sorted({*roster, *(result.student for result in grades.results)})
    hide = _Hide(() if names else students)
    sets = defaultdict(list)
    for result in grades.results:
        sets[result.assignment].append(result)
    return {
        "format": FORMAT,
        "seed": grades.seed,
        "students": len(students),
        "unplaced": len(grades.unplaced),
        "assignments": [
            _assignment(name, sets[name], students, names, run, hide) for name in sorted(sets)
        ],
    }


def _assignment(
    name: str, results: list[Result], students: list[str], names: bool, run: bool, hide: _Hide
) -> Data:
    graded = [result for result in results if not result.refused]
    absent = sorted(set(students) - {result.student for result in results})
    refused = [result.student for result in results if result.refused]
    stopped = [result.student for result in graded if any(task.ended for task in result.tasks)]
    columns = _columns(graded)
    tasks = [_task(column) for column in columns]
    data: Data = {
        "assignment": name,
        "title": set_title(name),
        "out_of": max((result.out_of for result in results), default=0),
        "handed_in": len(results),
        "graded": len(graded),
        "absent": len(absent),
        "refused": len(refused),
        "stopped": len(stopped),
        "points": _points(graded),
        "tasks": tasks,
        "missed": _missed(tasks),
        "failures": _failures(columns, hide),
        "flaws": dict(sorted(Counter(f.kind for r in graded for f in r.flaws).items())),
        "with_flaws": sum(bool(result.flaws) for result in graded),
        "with_errors": sum(bool(result.errors) for result in graded),
        "limits": dict(Counter(hide(t.ended) for r in graded for t in r.tasks if t.ended)),
    }
    if names:
        data["who"] = {"absent": absent, "refused": refused, "stopped": stopped}
    if run:
        data["seconds"] = _seconds(results)
    return data


def _columns(graded: Sequence[Result]) -> list[list[TaskResult]]:
    """Everyone's results of each task, in the tasks' order."""
    columns: dict[str, list[TaskResult]] = {}
    for result in graded:
        for task in result.tasks:
            columns.setdefault(task.task, []).append(task)
    return list(columns.values())


def _points(graded: Sequence[Result]) -> Data | None:
    """How the points lie; None where nobody was graded."""
    if not graded:
        return None
    values = [result.points for result in graded]
    bins = [0] * BINS
    for result in graded:
        share = result.points / result.out_of if result.out_of else 0.0
        bins[min(BINS - 1, int(share * BINS))] += 1
    return {
        "mean": round(mean(values), 2),
        "median": round(median(values), 2),
        "lowest": min(values),
        "highest": max(values),
        "full": sum(result.points == result.out_of for result in graded),
        "none": sum(result.points == 0 for result in graded),
        "bins": bins,
    }


def _seconds(results: Sequence[Result]) -> Data:
    values = [result.run.seconds for result in results]
    return {
        "sum": round(sum(values), 2),
        "median": round(median(values), 3),
        "highest": round(max(values), 3),
    }


# -- tasks and checks


def _task(column: Sequence[TaskResult]) -> Data:
    """One task over all whose notebooks were graded."""
    task = column[0]
    known = TASKS.get(task.task)
    return {
        "task": task.task,
        "title": task.title,
        "minutes": known.minutes if known else None,
        "topics": list(known.topics) if known else [],
        "lessons": [lesson.number for lesson in lessons_for(task.task)],
        "out_of": task.out_of,
        "mean": round(mean(each.points for each in column), 2),
        "share": round(mean(each.points / (each.out_of or 1) for each in column), 4),
        "graded": len(column),
        "full": sum(each.ok for each in column),
        "none": sum(each.points == 0 for each in column),
        "not_attempted": sum(not each.attempted for each in column),
        "stopped": sum(bool(each.ended) for each in column),
        "checks": _checks(column),
        "costs": _costs(column),
    }


def _checks(column: Sequence[TaskResult]) -> list[Data]:
    first = Counter(each.failure.case for each in column if each.failure and each.attempted)
    passed: Counter[str] = Counter()
    order: dict[str, tuple[bool, bool]] = {}
    for each in column:
        for case in each.cases:
            order.setdefault(case.name, (case.hidden, case.free))
            passed[case.name] += case.passed
    return [
        {"name": name, "hidden": hidden, "free": free, "passed": passed[name], "first": first[name]}
        for name, (hidden, free) in order.items()
    ]


def _costs(column: Sequence[TaskResult]) -> list[Data]:
    """What right answers cost beside the solution, over all who were counted."""
    pairs = defaultdict(list)
    for each in column:
        for cost in each.costs if all(case.passed for case in each.cases) else ():
            pairs[cost.what].append((cost.yours, cost.reference))
    return [
        {
            "what": what,
            "counted": len(seen),
            "median": median(yours for yours, _ in seen),
            "reference": median(reference for _, reference in seen),
            "more": sum(yours > reference for yours, reference in seen),
        }
        for what, seen in pairs.items()
    ]


def _missed(tasks: Sequence[Data]) -> Data | None:
    """The task of which the class got the least, and its first check that most of them miss."""
    missed = [task for task in tasks if task["share"] < 1]
    if not missed:
        return None
    task = min(missed, key=lambda task: task["share"])
    check = max(task["checks"], key=lambda check: check["first"], default=None)
    return {
        "task": task["task"],
        "title": task["title"],
        "share": task["share"],
        "graded": task["graded"],
        "not_attempted": task["not_attempted"],
        "check": check["name"] if check and check["first"] else "",
        "topics": {topic: TOPICS[topic] for topic in task["topics"]},
        "lessons": task["lessons"],
    }


# -- first failures


def _failures(columns: Iterable[Sequence[TaskResult]], hide: _Hide) -> list[Data]:
    """The commonest first failures, each with the example that is most like the others."""
    found: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    for column in columns:
        for each in column:
            if each.failure and each.attempted:
                found[each.task, each.failure.case].append(each.failure)
    common = sorted(found.items(), key=lambda item: -len(item[1]))[:FAILURES]
    return [_failure(task, case, failures, hide) for (task, case), failures in common]


def _failure(task: str, case: str, failures: Sequence[Failure], hide: _Hide) -> Data:
    look, alike = Counter(failure.look for failure in failures).most_common(1)[0]
    example = next(failure for failure in failures if failure.look == look)
    return {
        "task": task,
        "case": case,
        "hidden": example.hidden,
        "count": len(failures),
        "alike": alike,
        "look": hide(look),
        "given": hide(example.given),
        "expected": hide(example.expected),
        "yours": hide(example.yours),
    }


class _Hide:
    """Strikes students' ids out of a text, as whole words; with no ids, nothing.

    Ids of one to three characters, and numbers of up to five digits, stay: they are words and
    values of the tasks themselves.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        telling = [each for each in ids if len(each) > (5 if each.isdecimal() else 3)]
        words = [re.escape(each) for each in sorted(telling, key=len, reverse=True)]
        self.pattern = re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.I) if words else None

    def __call__(self, text: str) -> str:
        return self.pattern.sub(STRUCK, text) if self.pattern else text
