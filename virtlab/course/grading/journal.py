"""The journal of a run: each result as soon as it is there, so that nothing is graded twice.

    {"journal": "virtlab journal 1", "seed": 7, "course": "84b9...", "options": {...}}
    {"student": "ada", "assignment": "ps04", "digest": "1f0c...", ...}
    {"student": "ben", ...

The idea: a line a result, written to the disk before the next one. After a stop, of whatever kind,
`--resume` reads the lines and grades what is missing or has changed since: another digest.

The rule that keeps it honest: a journal belongs to one seed, one course and one set of options.
Another one is refused by name, not mixed. A half-written last line is cut off and graded again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from virtlab.course.cli import CommandError
from virtlab.course.grading.result import Result
from virtlab.course.grading.submissions import Submission
from virtlab.errors import FileError

FORMAT = "virtlab journal 1"
"""The first word of a journal."""

WORDS = {
    "seed": "has another seed",
    "course": "is of another version of the course or of its checks",
    "options": "was made with other options",
}
"""What is said of a journal that differs in its head."""


def path_of(output: Path) -> Path:
    """Where the journal of a run that writes `output` lies: beside it."""
    return output.with_name(output.name + ".journal")


class Journal:
    """A file of results, open for more. A context manager."""

    def __init__(self, path: Path, mode: str, done: Iterable[Result] = ()) -> None:
        self.path = path
        self.file: IO[bytes] = open(path, mode)  # noqa: SIM115  # it stays open as long as we do
        self.done = {result.key: result for result in done}

    @classmethod
    def begin(cls, path: Path, head: dict[str, Any]) -> Journal:
        """A new journal; what was there before is gone."""
        journal = cls(path, "wb")
        journal._write({"journal": FORMAT, **head})
        return journal

    @classmethod
    def resume(cls, path: Path, head: dict[str, Any]) -> Journal:
        """The journal of an earlier run with the same `head`, its last line healed.

        Raises `CommandError` if it belongs to another run, `FileError` if it is no journal.
        """
        lines, end = _lines(path)
        if not lines:  # stopped before its first line was whole
            return cls.begin(path, head)
        _compare(path, lines[0], head)
        journal = cls(path, "r+b", [_result(path, line) for line in lines[1:]])
        journal.file.truncate(end)
        journal.file.seek(end)
        return journal

    def add(self, result: Result) -> None:
        """Keep a result."""
        self._write(result.as_data(run=True))

    def _write(self, data: dict[str, Any]) -> None:
        self.file.write(json.dumps(data).encode() + b"\n")
        self.file.flush()
        os.fsync(self.file.fileno())

    def known(self, submissions: Iterable[Submission]) -> list[Result]:
        """The results of those submissions that have not changed since."""
        found = []
        for each in submissions:
            result = self.done.get((each.student, each.assignment))
            if result and (result.file, result.digest) == (each.file, each.digest):
                found.append(result)
        return found

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *why: object) -> None:
        self.file.close()


def head_of(path: Path) -> dict[str, Any]:
    """The first line of a journal, for its seed. Raises `FileError` if it is no journal."""
    lines, _ = _lines(path)
    if not lines or lines[0].get("journal") != FORMAT or type(lines[0].get("seed")) is not int:
        raise FileError(path, 0, f"not a journal: it does not begin with {FORMAT!r}")
    return lines[0]


def _lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The whole lines of a journal, and the byte where they end."""
    raw = path.read_bytes()
    lines: list[dict[str, Any]] = []
    start = 0
    while (end := raw.find(b"\n", start)) >= 0:
        try:
            line = json.loads(raw[start:end])
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict):
            raise FileError(path, start, "not a line of a journal", len(lines) + 1)
        lines.append(line)
        start = end + 1
    return lines, start


def _compare(path: Path, found: dict[str, Any], head: dict[str, Any]) -> None:
    if found.get("journal") != FORMAT:
        raise FileError(path, 0, f"not a journal: it does not begin with {FORMAT!r}")
    for name, words in WORDS.items():
        if found.get(name) != head[name]:
            raise CommandError(f"{path}: it {words}; grade afresh, without --resume")


def _result(path: Path, line: dict[str, Any]) -> Result:
    try:
        return Result.from_data(line)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileError(path, 0, f"a result in it is not whole ({error})") from None
