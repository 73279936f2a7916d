"""What is made from the lessons: the index, the glossary's page, and the lessons' lists of terms.

    notebooks/text/index.py     lessons and problem sets in order, topics, the reader's progress
    docs/glossary.md            from docs/glossary.tsv
    "New terms" in each lesson  from the same table

Run as: python scripts/index.py, then scripts/notebooks.py, which stores the notebooks. With --check
nothing is written; the exit status says whether everything is as it would be made.

The rule that keeps it simple: each fact stands once. Titles, minutes, topics and what a lesson
builds on are read from the lesson; tasks from the checks; parts and short names from the syllabus.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts import glossary  # noqa: E402  # found whether run as a file or as a module
from scripts.lessons import TEXTS, About, about  # noqa: E402
from virtlab.course.checks import TASKS  # noqa: E402
from virtlab.course.syllabus import LESSONS, PARTS, TOPICS, Part  # noqa: E402

PROBLEMS = ROOT / "solutions" / "text"
READING = ROOT / "docs" / "reading.md"

JUPYTER = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---
"""


# -- the index


def index() -> str:
    """The text of the index notebook."""
    lessons = {lesson.number: about(lesson.stem) for lesson in LESSONS}
    tasks = sum(task.minutes for task in TASKS.values())
    minutes = sum(each.minutes for each in lessons.values())
    opening = (
        f"# The course\n\n{len(LESSONS)} lessons and {problem_sets()} problem sets about one "
        "question: how can I/O devices be shared and created for virtual machines, safely and "
        f"quickly? The lessons take {hours(minutes)} hours, the {len(TASKS)} tasks about "
        f"{hours(tasks)}. Begin with [lesson 00](00_tour.ipynb), and go on in order. Each lesson "
        "ends with its exercise, and with a link to the next one.\n\n"
        "<!-- Made from the lessons by scripts/index.py: change them. -->"
    )
    here = (
        "## Where you are\n\nThe picture shows which lessons you have run to the end, what was "
        "right in their quizzes, and which tasks pass. This is kept in one small file on your "
        "machine, and nowhere else. *Begin anew* forgets it."
    )
    view = "from virtlab.course import progress\n\nprogress.view()"
    parts = [f"## {part.name}\n\n{part_table(part, lessons)}" for part in PARTS]
    rest = [reading_part(), other_doors(), topic_table(lessons)]
    return (
        "\n".join([JUPYTER, prose(opening), prose(here), f"# %%\n{view}\n"])
        + "\n"
        + "\n".join(prose(text) for text in [*parts, *rest])
    )


def prose(text: str) -> str:
    """A cell of prose in a py:percent text."""
    lines = [f"# {line}" if line else "#" for line in text.splitlines()]
    return "\n".join(["# %% [markdown]", *lines, ""])


def problem_sets() -> int:
    """How many problem sets there are."""
    return sum(len(part.sets) for part in PARTS)


def hours(minutes: int) -> int:
    """Minutes as whole hours."""
    return round(minutes / 60)


def lesson_link(number: str, words: str = "") -> str:
    """A link from the index to a lesson."""
    lesson = next(each for each in LESSONS if each.number == number)
    return f"[{words or number}]({lesson.stem}.ipynb)"


def part_table(part: Part, lessons: dict[str, About]) -> str:
    """The lessons and problem sets of a part, one a row."""
    rows = [
        "| | question | minutes | builds on | in the lecture | topics |",
        "|---|---|---|---|---|---|",
    ]
    for lesson in part.lessons:
        told = lessons[lesson.number]
        on = ", ".join(map(lesson_link, told.builds_on)) or "-"
        cells = (
            lesson_link(lesson.number, f"{lesson.number} {lesson.name}"),
            told.title,
            str(told.minutes),
            on,
            told.lecture.removeprefix("It stands for the lecture's ").rstrip("."),
            " ".join(told.topics),
        )
        rows.append(f"| {' | '.join(cells)} |")
        for number in [n for n, after in part.sets.items() if after == lesson.number]:
            rows.append(set_row(number, lessons))
    return "\n".join(rows)


def set_row(number: int, lessons: dict[str, About]) -> str:
    """A problem set, as a row: its lessons are those whose endings lead to one of its tasks."""
    text = (PROBLEMS / f"ps0{number}.py").read_text(encoding="utf-8")
    title = re.search(r"^# # Problem set \d: (.+)$", text, re.MULTILINE)
    tasks = [task for task in TASKS.values() if task.id.startswith(f"ps{number}.")]
    after = [n for n, told in lessons.items() if any(task.id in told.tasks for task in tasks)]
    taught = {topic for task in tasks for topic in task.topics}
    cells = (
        f"[**Problem set {number}**](../exercises/ps0{number}/ps0{number}.ipynb)",
        f"{len(tasks)} tasks: {title[1] if title else ''}",
        str(sum(task.minutes for task in tasks)),
        ", ".join(map(lesson_link, after)),
        "",
        " ".join(topic for topic in TOPICS if topic in taught),
    )
    return f"| {' | '.join(cells)} |"


def reading_part() -> str:
    """The sittings of the tour of the library, with their questions."""
    text = READING.read_text(encoding="utf-8")
    sittings = re.findall(
        r"^## Sitting (\d)\. ([^\n]+)\n\n(.+?)\n\n", text, re.MULTILINE | re.DOTALL
    )
    lines = [
        f"- [{number}. {name}](../docs/reading.md#sitting-{number}): {' '.join(question.split())}"
        for number, name, question in sittings
    ]
    opening = (
        "## How to read virtlab\n\nThe library is meant to be read. [A tour](../docs/reading.md) "
        "leads through it in five sittings of 20 minutes, each along one thing from end to end.\n"
    )
    return "\n".join([opening, *lines])


def other_doors() -> str:
    """What else there is."""
    doors = (
        "[Glossary](../docs/glossary.md): every term, with its lesson and its clause.",
        "`virtlab check ps01.ipynb` says how far a problem set is.",
        "`virtlab practice` makes fresh problems, for the screen or for paper.",
        "`virtlab doctor` says what this machine can do.",
        "[Real systems](../docs/real-systems.md): QEMU, and a Linux to boot.",
        "[Architecture](../docs/architecture.md): the layers of the library on one page.",
    )
    return "\n".join(["## Beside the lessons", "", *(f"- {door}" for door in doors)])


def topic_table(lessons: dict[str, About]) -> str:
    """Each topic of the syllabus, with the lessons that teach it and the tasks that ask for it."""
    rows = ["| topic | what | lessons | tasks |", "|---|---|---|---|"]
    for topic, title in TOPICS.items():
        taught = [n for n, told in lessons.items() if topic in told.topics]
        asked = [task.id for task in TASKS.values() if topic in task.topics]
        rows.append(
            f"| {topic} | {title} | {', '.join(map(lesson_link, taught))} | {', '.join(asked)} |"
        )
    return "\n".join(["## What is taught where", "", *rows])


# -- the lessons' lists of terms


def with_terms(text: str, line: str) -> str:
    """A lesson's text with `line` as its list of new terms, before what it says to read."""
    text = re.sub(r"^# \*\*New terms\*\*.*\n#\n", "", text, flags=re.MULTILINE)
    if not line:
        return text
    return re.sub(
        r"^(?=# \*\*Read the code\*\*)", lambda _: f"# {line}\n#\n", text, flags=re.MULTILINE
    )


def made() -> dict[Path, str]:
    """Every file that is made here, or has a part that is, and what it should hold."""
    terms = glossary.terms()
    files = {glossary.PAGE: glossary.page(terms)}
    for lesson in LESSONS:
        path = TEXTS / f"{lesson.stem}.py"
        line = glossary.new_terms(terms, lesson.number)
        files[path] = with_terms(path.read_text(encoding="utf-8"), line)
    files[TEXTS / "index.py"] = index()
    return files


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 all is as made, 1 with --check something is not."""
    parser = argparse.ArgumentParser(
        description="Make the index, the glossary and the lists of terms.",
        epilog="example: python scripts/index.py --check",
    )
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    options = parser.parse_args(argv)
    status = 0
    for path, text in made().items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old != text:
            print(f"{'differs' if options.check else 'changed':<10}{path.relative_to(ROOT)}")
            status = int(options.check)
            if not options.check:
                path.write_text(text, encoding="utf-8", newline="\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
