"""The class report: one page for the projector, and for the teacher who prepares the next lecture.

    distribution of points   tasks   what was missed   first failures   every check   notebooks

The idea: a teacher asks first "what did they not understand?". So the weakest task stands before
the table of all checks, with the lesson to take up again, and each common failure comes with an
example of what somebody's code did.

The rules that keep it simple: `statistics.class_data` counts, this module only draws. Each bar has
its number in text beside it. Nobody is named unless asked for, and then the page says so.

What it leaves out: how long students worked. No notebook says it; the minutes are the plan's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from virtlab.course.grading.distribution import distribution
from virtlab.course.grading.pages import (
    Html,
    bar,
    count,
    join,
    page,
    percent,
    points,
    table,
    tag,
    terms,
)
from virtlab.course.grading.result import Grades
from virtlab.course.grading.statistics import class_data
from virtlab.course.grading.tables import write

Data = dict[str, Any]


def write_report(
    grades: Grades,
    path: str | PathLike[str],
    roster: Collection[str] = (),
    names: bool = False,
    run: bool = True,
) -> Path:
    """Write the report and say where: data if the name ends in `.json`, else a page.

    `roster`, `names` and `run` are those of `class_data`; data of a file never has `run`, so that
    the same grades give the same bytes. Raises `OSError`.
    """
    written = Path(path)
    write(written, report_text(grades, written.suffix == ".json", roster, names, run))
    return written


def report_text(
    grades: Grades,
    as_data: bool,
    roster: Collection[str] = (),
    names: bool = False,
    run: bool = True,
) -> str:
    """What `write_report` writes: data as JSON, or a page."""
    if as_data:
        return json.dumps(class_data(grades, roster, names), indent=1, ensure_ascii=False) + "\n"
    return report_page(class_data(grades, roster, names, run))


def report_page(data: Data) -> str:
    """The page that shows what `class_data` counted."""
    named = any("who" in part for part in data["assignments"])
    summary = [
        ("students", f"{data['students']}"),
        ("files of nobody", f"{data['unplaced']}" if data["unplaced"] else ""),
        ("seed", f"{data['seed']}"),
        ("names", "For the teacher only: students are named." if named else ""),
    ]
    header = tag("header", tag("h1", "Class report"), terms(summary))
    parts = [tag("section", *_assignment(part)) for part in data["assignments"]]
    main = tag("main", join(parts or [tag("p", "Nothing was graded.")]))
    return page("Class report", header, main, big=True)


def _assignment(data: Data) -> Iterator[Html]:
    yield tag("h2", data["title"])
    yield _turnout(data)
    if data["points"]:
        yield from distribution(data["points"]["bins"], data["assignment"])
        yield from _tasks(data)
        yield from _missed(data)
        yield from _failures(data)
        yield from _checks(data)
        yield from _costs(data)
    yield from _notebooks(data)
    yield from _time(data)


def _turnout(data: Data) -> Html:
    found = data["points"]
    everyone = data["handed_in"] + data["absent"]
    rows = [
        ("handed in", f"{data['handed_in']} of {everyone}"),
        ("not graded", f"{data['refused']}" if data["refused"] else ""),
    ]
    if found:
        rows += [
            ("mean", f"{points(found['mean'])} of {data['out_of']} points"),
            ("median", f"{points(found['median'])} points"),
            ("range", f"{points(found['lowest'])} to {points(found['highest'])} points"),
            ("all points", count(found["full"], "student")),
            ("no points", count(found["none"], "student")),
        ]
    return terms(rows)


# -- tasks, what was missed, first failures


def _share(share: float) -> Html:
    return join([bar(share), f" {percent(share)}".replace(" ", "\u00a0")], "")


def _tasks(data: Data) -> Iterator[Html]:
    yield tag("h3", "Tasks")
    rows = [
        (
            f"{task['task']} {task['title']}",
            _share(task["share"]),
            f"{task['full']} of {task['graded']}",
            f"{task['none'] - task['not_attempted']}",
            f"{task['not_attempted']}",
            f"{task['minutes'] or ''}",
        )
        for task in data["tasks"]
    ]
    tried = ("#all checks", "#tried, no points", "#not attempted")
    headers = ("task", "mean share of its points", *tried, "#planned minutes")
    yield table(f"Each task of {data['assignment']} over all graded notebooks", headers, rows)


def _missed(data: Data) -> Iterator[Html]:
    missed = data["missed"]
    if not missed:
        return
    yield tag("h3", "What the class missed most")
    name = tag("strong", f"{missed['task']} {missed['title']}")
    share = f": {percent(missed['share'])} of its points."
    check = f" The commonest first failure is “{missed['check']}”." if missed["check"] else ""
    left = missed["not_attempted"]
    yield tag(
        "p", name, share, f" {left} of {missed['graded']} did not attempt it." * bool(left), check
    )
    topics = [f"{topic} {title}" for topic, title in missed["topics"].items()]
    yield terms(
        [
            ("topics", "; ".join(topics)),
            ("take up again", ", ".join(f"lesson {number}" for number in missed["lessons"])),
        ]
    )


def _failures(data: Data) -> Iterator[Html]:
    if not data["failures"]:
        return
    yield tag("h3", "Commonest first failures")
    yield tag("p", "Of each attempt only the first check that fails is counted here.")
    yield tag("ol", *(tag("li", *_failure(failure)) for failure in data["failures"]))


def _failure(failure: Data) -> Iterator[Html]:
    hidden = ", a hidden check" if failure["hidden"] else ""
    name = tag("strong", failure["case"])
    yield tag("p", f"{failure['task']}, ", name, f"{hidden}: ", count(failure["count"], "answer"))
    alike = f" ({failure['alike']} of {failure['count']} answers)" if failure["count"] > 1 else ""
    yield terms(
        [
            ("given", _code(failure["given"])),
            ("expected", _code(failure["expected"])),
            ("for example", _code(failure["yours"])),
            ("look at", failure["look"] and failure["look"] + alike),
        ]
    )


def _code(text: str) -> str:
    return tag("code", text) if text.strip() else ""


# -- every check, costs


def _checks(data: Data) -> Iterator[Html]:
    yield tag("h3", "Every check")
    for task in data["tasks"]:
        rows = []
        for check in task["checks"]:
            kind = ["hidden"] * check["hidden"] + ["no points"] * check["free"]
            rows.append(
                (
                    check["name"],
                    _share(check["passed"] / task["graded"]),
                    f"{check['passed']} of {task['graded']}",
                    f"{check['first']}",
                    ", ".join(kind) or "open",
                )
            )
        headers = ("check", "pass", "#answers", "#fail first here", "kind")
        inside = table(f"Checks of {task['task']}, in order", headers, rows)
        yield tag("details", tag("summary", f"{task['task']} {task['title']}"), inside)


def _costs(data: Data) -> Iterator[Html]:
    rows = [
        (
            f"{task['task']} {cost['what']}",
            f"{cost['median']:,.10g}",
            f"{cost['reference']:,.10g}",
            f"{cost['more']} of {cost['counted']}",
        )
        for task in data["tasks"]
        for cost in task["costs"]
    ]
    if rows:
        yield tag("h3", "What answers cost")
        headers = ("counted", "#median", "#solution", "#need more")
        of = data["assignment"]
        yield table(
            f"Costs of {of} beside the solution's own; no points hang on them", headers, rows
        )


# -- notebooks, limits, time


def _notebooks(data: Data) -> Iterator[Html]:
    who, of = data.get("who", {}), data["assignment"]
    counted = [
        ("handed in nothing", data["absent"], who.get("absent")),
        ("broken, not graded", data["refused"], who.get("refused")),
        ("cells deleted, copied, split or edited", data["with_flaws"], None),
        ("a cell ends with an error", data["with_errors"], None),
        ("ended by a limit", data["stopped"], who.get("stopped")),
    ]
    rows = [(what, f"{number}", ", ".join(ids or ())) for what, number, ids in counted]
    yield tag("h3", "Notebooks")
    if who:
        yield table(f"What went wrong with notebooks of {of}", ("what", "#students", "who"), rows)
    else:
        short = [row[:2] for row in rows]
        yield table(f"What went wrong with notebooks of {of}", ("what", "#students"), short)
    if data["limits"]:
        limits = [(why, f"{number}") for why, number in data["limits"].items()]
        yield table(f"Limits that ended an answer of {of}", ("why", "#tasks"), limits)


def _time(data: Data) -> Iterator[Html]:
    seconds = data.get("seconds")
    if seconds:
        yield tag("h3", "Time")
        yield tag(
            "p",
            f"Grading took {seconds['sum']:g} s of processor time in the students' code: "
            f"{seconds['median']:g} s for a notebook (median), {seconds['highest']:g} s at most. "
            "How long students worked on it is not known: a notebook does not say.",
        )
