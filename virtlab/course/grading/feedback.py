"""One page a student and problem set: what was asked, what happened, how to go on.

    feedback/index.html          for the teacher: everyone's points, with links
    feedback/ada/ps04.html       for ada: her own page, and nothing of anyone else's

The idea: a page begins with the points and with what is wrong with the notebook as a file, because
a deleted cell explains all the rest. Then comes a section for each task (`feedback_task`).

The rules that keep it simple: a page is made of one `Result` and of nothing else, so nobody's page
shows another student's. Its place is made of the names alone, so a second run replaces it.

What it leaves out: time. Two runs with one seed give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from virtlab.course.grading.feedback_task import anchor, task_section, verdict
from virtlab.course.grading.lessons import set_title
from virtlab.course.grading.pages import Html, file_name, join, page, points, table, tag, terms
from virtlab.course.grading.result import Flaw, Grades, Result
from virtlab.course.grading.tables import write

ADVICE = {
    "missing": "What you defined in other cells was graded all the same.",
    "duplicated": "All of them were run in order, and the last definition counted.",
    "type": "In Jupyter's command mode, Y makes a code cell of it, and M a text.",
    "edited": "Put your own code into the answer cells.",
    "unknown": "Look whether you handed in the right notebook.",
}
"""What the reader should know about each kind of `Flaw`, beside its message."""

Pages = dict[str, str]
"""Path below the folder, with `/` between its parts; the whole document."""


def write_pages(grades: Grades, folder: str | PathLike[str]) -> list[Path]:
    """Write all pages and the teacher's index below `folder`; the paths, in order.

    Files of the same names are replaced, and no others are touched. Raises `OSError`.
    """
    written = []
    for name, text in pages(grades).items():
        path = Path(folder, name)
        write(path, text)
        written.append(path)
    return written


def pages(grades: Grades) -> Pages:
    """Every page of a run by its name, `index.html` last."""
    every = {page_name(result): feedback_page(result) for result in grades.results}
    return {**every, "index.html": index_page(grades)}


def page_name(result: Result) -> str:
    """Where a student's page lies below the feedback's folder."""
    return f"{file_name(result.student)}/{file_name(result.assignment)}.html"


# -- a student's page


def feedback_page(result: Result) -> str:
    """The page of one student and problem set, as a whole HTML document."""
    title = set_title(result.assignment)
    main = [*_notebook(result), *_overview(result), *map(task_section, result.tasks)]
    return page(f"Feedback. {title}", _header(result, title), tag("main", join(main)), _footer())


def _header(result: Result, title: str) -> Html:
    passing = sum(task.ok for task in result.tasks)
    summary = terms(
        [
            ("student", result.student),
            ("points", tag("strong", f"{points(result.points)} of {result.out_of}")),
            ("tasks", f"{passing} of {len(result.tasks)} pass all their checks"),
            ("notebook", tag("code", Path(result.file).name)),
        ]
    )
    return tag("header", tag("h1", title), summary)


def _notebook(result: Result) -> Iterator[Html]:
    """What is wrong with the notebook as a file, and with its cells."""
    if result.refused:
        yield tag("h2", "This notebook could not be graded")
        yield tag("p", result.refused)
    if not (result.flaws or result.errors):
        return
    yield tag("h2", "Your notebook")
    if result.flaws:
        yield tag("ul", *map(_flaw, result.flaws))
    if result.errors:
        rows = [
            (f"cell {error.cell}" if error.cell else "set-up", tag("code", error.text))
            for error in result.errors
        ]
        yield table("Cells that ended with an error when they were run", ("cell", "error"), rows)
        yield tag(
            "p",
            "The cells were run in order, once, from a fresh start. In Jupyter, “Restart Kernel "
            "and Run All Cells” does the same.",
        )


def _flaw(flaw: Flaw) -> Html:
    said = flaw.message[:1].upper() + flaw.message[1:]
    return tag("li", f"{said}. ", ADVICE.get(flaw.kind, ""))


def _overview(result: Result) -> Iterator[Html]:
    if not result.tasks:
        return
    yield tag("h2", "All tasks")
    rows = [
        (
            tag("a", f"{task.task} {task.title}", href=f"#{anchor(task)}"),
            verdict(task),
            f"{sum(case.passed for case in task.cases)} of {len(task.cases)}",
            f"{points(task.points)} of {task.out_of}",
        )
        for task in result.tasks
    ]
    headers = ("task", "result", "#checks that pass", "#points")
    yield tag("nav", table("Your tasks", headers, rows), aria_label="tasks")


def _footer() -> Html:
    return tag(
        "footer",
        tag("h2", "How points are counted"),
        tag(
            "p",
            "The points of a task are shared evenly among its checks. A check that a function "
            "without an answer passes as well counts for nothing. Hidden checks count like open "
            "ones. What a correct answer prints takes no points.",
        ),
    )


# -- the teacher's index


def index_page(grades: Grades) -> str:
    """All pages of a run in one table, for the teacher: it has everybody's name and points."""
    sets = sorted({result.assignment for result in grades.results})
    students: dict[str, dict[str, Result]] = {}
    for result in grades.results:
        students.setdefault(result.student, {})[result.assignment] = result
    rows = [
        (student, *(_cell(own.get(assignment)) for assignment in sets))
        for student, own in sorted(students.items())
    ]
    headers = ("student", *(f"#{assignment}" for assignment in sets))
    title = "Feedback: everyone's points"
    parts = [table("Points of everyone, each with its page", headers, rows)] if rows else [
        tag("p", "Nothing was graded.")
    ]  # fmt: skip
    if grades.unplaced:
        parts.append(tag("h2", "Files that belong to nobody"))
        unplaced = [(tag("code", file), why) for file, why in grades.unplaced]
        parts.append(table("Files that were not graded", ("file", "why"), unplaced))
    intro = tag("p", "For the teacher. Give each student the folder with their own pages only.")
    seed = tag("p", f"Seed of this run: {grades.seed}.", class_="muted")
    return page(title, tag("header", tag("h1", title), intro, seed), tag("main", join(parts)))


def _cell(result: Result | None) -> str:
    if result is None:
        return "nothing"
    said = "not graded" if result.refused else f"{points(result.points)} of {result.out_of}"
    return tag("a", said, href=page_name(result))
