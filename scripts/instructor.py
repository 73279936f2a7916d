"""Write what docs/instructor.md counts. Run as: python scripts/instructor.py [--check]

    topics   topic id and title | lessons that teach it | the lecture's slides | tasks that grade it
    course   the minutes of each session's lessons, of the time around them, and of the homework

The idea: the lessons' cell tags and the tasks' registry say all that, so it is made from them. The
table of topics between its two marks is replaced, and the numbers in the table of the course of
six weeks; the rest is written by hand.

The rule that keeps it simple: the first lesson listed is the one that has the topic in its line
of topics; the lecture's slides are what that lesson says it stands for. With ``--check`` nothing
is written; the exit status says whether the page is up to date.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "instructor.md"
BEGIN, END = "<!-- topics: begin -->", "<!-- topics: end -->"
TAGS = re.compile(r"^# %%.*tags=\[(.*)\]$", re.M)
LINE = re.compile(r"^# \*(\d+) minutes\. (.*)\*$", re.M)
SESSION = re.compile(
    r"^(\| \d \| \d+ \| )([\d, ]+)( \| )\d+ \| \d+( \| )(ps\d.*?)( \| )\d+ \|$", re.M
)
SESSION_MINUTES = 90
BEYOND = "beyond the lecture"


class Lesson:
    """What a lesson's text says of itself: number, minutes, topics, the slides it stands for."""

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        self.name, self.number = path.stem, path.stem[:2]
        found = LINE.search(text)
        assert found, f"{path.name}: no line that begins with its minutes"
        self.minutes, self.line = int(found[1]), found[2]
        slides = re.search(r"It stands for (?:the lecture's )?(.*?)\.", self.line)
        self.slides = slides[1] if slides else ""
        self.tagged = set(re.findall(r'"topic:(\w+)"', " ".join(TAGS.findall(text))))
        self.headings = re.findall(r"^# ## (.*)$", text, re.M)

    def names(self, topic: str) -> bool:
        """Whether the line of topics has this one, also within a range such as S09 to S12.

        Not if it says that the topic "is touched": then another lesson teaches it.
        """
        taught = re.sub(r"\b[SB]\d\d is touched", "", self.line)
        for first, last in re.findall(r"\b([SB]\d\d)(?: to ([SB]\d\d))?", taught):
            if first <= topic <= (last or first):
                return True
        return False


def lessons() -> list[Lesson]:
    """All lessons, in order."""
    texts = sorted((ROOT / "notebooks" / "text").glob("[0-9][0-9]_*.py"))
    return [Lesson(path) for path in texts]


def rows() -> list[tuple[str, str, str, str]]:
    """(topic, lessons, slides, tasks) for each topic of the syllabus."""
    from virtlab.course.checks import TASKS
    from virtlab.course.syllabus import TOPICS

    found, every = [], lessons()
    for topic, title in TOPICS.items():
        teach = [lesson for lesson in every if topic in lesson.tagged]
        teach.sort(key=lambda lesson: not lesson.names(topic))
        links = ", ".join(f"[{each.number}](../notebooks/{each.name}.ipynb)" for each in teach)
        slides = teach[0].slides if topic.startswith("S") else BEYOND
        tasks = ", ".join(task.id for task in TASKS.values() if topic in task.topics)
        found.append((f"{topic} {title}", links, slides, tasks))
    return found


def table() -> str:
    """The table as Markdown."""
    head = ["| topic | lesson | the lecture's slide | tasks |", "|---|---|---|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows())])


def tasks_of(words: str) -> list[str]:
    """The tasks of "ps1.q1 to ps1.q4, ps2.q1 to ps2.q2", in order."""
    from virtlab.course.checks import TASKS

    names, found = list(TASKS), []
    for part in words.split(", "):
        first, last = part.split(" to ")
        found += names[names.index(first) : names.index(last) + 1]
    return found


def session(row: re.Match[str]) -> str:
    """A row of the course of six weeks with its minutes as they are now."""
    from virtlab.course.checks import TASKS

    minutes = {lesson.number: lesson.minutes for lesson in lessons()}
    taught = sum(minutes[number] for number in row[2].split(", "))
    homework = sum(TASKS[task].minutes for task in tasks_of(row[5]))
    numbers = f"{taught} | {SESSION_MINUTES - taught}"
    return f"{row[1]}{row[2]}{row[3]}{numbers}{row[4]}{row[5]}{row[6]}{homework} |"


def renewed(page: str) -> str:
    """The page with its tables as they are now."""
    before, rest = page.split(BEGIN)
    before = SESSION.sub(session, before)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def main(argv: list[str] | None = None) -> int:
    """Exit status 0; with --check, 1 if the page is out of date."""
    parser = argparse.ArgumentParser(description="Write the table of topics.")
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    options = parser.parse_args(argv)
    page = PAGE.read_text(encoding="utf-8")
    if page == (new := renewed(page)):
        return 0
    if options.check:
        print("docs/instructor.md: run python scripts/instructor.py", file=sys.stderr)
        return 1
    PAGE.write_text(new, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
