"""The journal of a run: each result as soon as it is there, so that nothing is graded twice.

    {"journal": "virtlab journal 1", "seed": 7, "course": "84b9...", "options": {...}}
    {"student": "ada", "assignment": "ps04", "digest": "1f0c...", ...}
    {"student": "ben", ...

The idea: a line a result, written to the disk before the next one. After a stop, of whatever kind,
`--resume` reads the lines and grades what is missing or has changed since: another digest.

The rule that keeps it honest: a journal belongs to one seed, one course and one set of options.
Another one is refused by name, not mixed. A half-written last line is cut off and graded again.
One run at a time has it (`lock`): a second one is told so before it changes a byte.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path
from typing import Any

from virtlab.course.cli import CommandError
from virtlab.course.grading.lock import hold
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

TAKEN = "another run is at work on it; wait for its end, or choose another place for the outputs"
"""What is said where a journal is held by somebody else."""

BINARY = getattr(os, "O_BINARY", 0)
"""On Windows: a line ends with one byte there too."""


def path_of(output: Path) -> Path:
    """Where the journal of a run that writes `output` lies: beside it."""
    return output.with_name(output.name + ".journal")


class Journal:
    """A file of results, open for more. A context manager.

    Raises `CommandError` if another run has it, `OSError` if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[tuple[str, str], Result] = {}
        self.file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o644), "r+")
        if not hold(self.file):
            self.file.close()
            raise CommandError(f"{path}: {TAKEN}")

    @classmethod
    def begin(cls, path: Path, head: dict[str, Any]) -> Journal:
        """A new journal; what was there before is gone."""
        return cls(path)._started(cls._begin, head)

    @classmethod
    def resume(cls, path: Path, head: dict[str, Any]) -> Journal:
        """The journal of an earlier run with the same `head`, its last line healed.

        Raises `CommandError` if it belongs to another run, `FileError` if it is no journal.
        """
        return cls(path)._started(cls._go_on, head)

    def _started(self, start: Callable[[Journal, dict[str, Any]], None], head: Any) -> Journal:
        """This journal, ready for results; closed again if it does not begin."""
        try:
            start(self, head)
        except BaseException:
            self.file.close()
            raise
        return self

    def _begin(self, head: dict[str, Any]) -> None:
        self.file.truncate(0)
        self._write({"journal": FORMAT, **head})

    def _go_on(self, head: dict[str, Any]) -> None:
        lines, end = _lines(self.path)
        if not lines:  # stopped before its first line was whole
            self._begin(head)
            return
        _compare(self.path, lines[0], head)
        results = [_result(self.path, line) for line in lines[1:]]
        self.done = {result.key: result for result in results}
        self.file.truncate(end)
        self.file.seek(end)

    def add(self, result: Result) -> None:
        """Keep a result."""
        self._write(result.as_data(run=True))

    def _write(self, data: dict[str, Any]) -> None:
        left = json.dumps(data).encode() + b"\n"
        try:
            while left:
                left = left[self.file.write(left) :]
            os.fsync(self.file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

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
