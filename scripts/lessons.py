"""What a lesson says of itself, read from its text: `notebooks/text/14_data_exchange.py`.

    the first cell       the title, and the line under it: minutes, what it builds on, topics
    tags                 which topics its cells teach
    "## Take away"       where its exercise is

The rule that keeps it simple: a lesson is the one place where these facts stand. The index, the
glossary and the tests ask here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from virtlab.course.syllabus import TOPICS, topics

TEXTS = Path(__file__).resolve().parents[1] / "notebooks" / "text"

HEADER = re.compile(
    r"\*(?P<minutes>\d+) minutes\. Builds on (?P<on>[^.]+)\. Topics? (?P<topics>[^*]+?)\. "
    r"(?P<lecture>[^*]+)\*"
)
"""The line under a lesson's title."""


class Cell(NamedTuple):
    """A cell of a text: its kind, its tags, what stands in it (prose without the #)."""

    markdown: bool
    tags: tuple[str, ...]
    text: str


class About(NamedTuple):
    """What a lesson says of itself: minutes, the lessons it builds on, its topics and its tasks."""

    title: str
    minutes: int
    builds_on: tuple[str, ...]
    topics: tuple[str, ...]
    lecture: str
    tasks: tuple[str, ...]


def cells(text: str) -> list[Cell]:
    """The cells of a py:percent text."""
    found = []
    for part in re.split(r"^# %%", text, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        tags = re.search(r"tags=(\[.*?\])", head)
        markdown = "[markdown]" in head
        if markdown:
            body = "\n".join(re.sub(r"^# ?", "", line) for line in body.splitlines())
        found.append(Cell(markdown, tuple(json.loads(tags[1])) if tags else (), body.strip()))
    return found


def words(text: str) -> str:
    """What a lesson tells its reader, without the ending's lists and the instructor's part."""
    prose = [cell.text for cell in cells(text) if cell.markdown and "instructor" not in cell.tags]
    lines = [line for part in prose for line in part.splitlines()]
    return "\n".join(line for line in lines if not line.startswith(("**New terms", "**Next")))


def about(stem: str) -> About:
    """What the lesson of that stem says of itself. `ValueError` where it does not."""
    found = cells((TEXTS / f"{stem}.py").read_text(encoding="utf-8"))
    title = re.match(r"# (.+)", found[0].text)
    header = HEADER.search(found[0].text)
    if title is None or header is None:
        raise ValueError(f"{stem}: no title, or no line of minutes under it")
    taught = set().union(*(topics(cell.tags) for cell in found))
    tasks = re.findall(r"ps0(\d)\.ipynb#(\d)\.-", ending(stem))
    return About(
        title[1],
        int(header["minutes"]),
        tuple(numbers(header["on"])),
        tuple(topic for topic in TOPICS if topic in taught),
        header["lecture"],
        tuple(f"ps{ps}.q{task}" for ps, task in tasks),
    )


def ending(stem: str) -> str:
    """The last cell that a reader reads: what to take away, and where to go on."""
    found = cells((TEXTS / f"{stem}.py").read_text(encoding="utf-8"))
    return next(cell.text for cell in found if cell.text.startswith("## Take away"))


def numbers(words: str) -> list[str]:
    """The lessons that words such as `lessons 07, 13 to 15 and 18` name.

    >>> numbers("lessons 07, 13 to 15 and 18")
    ['07', '13', '14', '15', '18']
    """
    found = []
    for first, last in re.findall(r"(\d\d)(?: to (\d\d))?", words):
        found += [f"{n:02}" for n in range(int(first), int(last or first) + 1)]
    return found
