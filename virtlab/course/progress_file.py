"""The reader's own file: where it is, what may stand in it, how it is changed.

    {"virtlab": 1, "lessons": ["00", "01"], "quizzes": {"00": [3, 3]}, "tasks": ["ps1.q1"]}

The idea: one small file outside of the course. Nothing in it names anybody, and nothing leaves the
machine. `VIRTLAB_PROGRESS` names another file; `off` keeps nothing.

The rule that keeps it simple: whatever goes wrong, the lesson does not hear of it. A home that
cannot be written, a damaged file, no home at all: then nothing is noted, and nothing is said. What
was read is cut to what can be true, so the file stays small whatever somebody wrote into it.

Two kernels may note at once: whoever writes has made the lock file, reads anew, and renames the
new file over the old one. A damaged file is kept beside the new one, as `progress.json.damaged`.

Nothing is noted outside of a notebook, by tests, or while nbgrader runs somebody's notebook.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

VARIABLE = "VIRTLAB_PROGRESS"
"""Names another file; `off`, or nothing, keeps none."""

NOT_A_READER = ("PYTEST_VERSION", "NBGRADER_EXECUTION")
"""Set where a program runs the notebook, and no reader."""

LARGEST = 1 << 16
"""Bytes of a file that is looked at; ours has at most a tenth of that."""

PATIENCE = 10.0
"""Seconds after which a lock is taken to be a dead kernel's. A living one needs a few ms."""

_LESSON = re.compile(r"\d\d")
_TASK = re.compile(r"ps\d\.q\d")


class Progress(NamedTuple):
    """What was noted: numbers of lessons, `(right, of how many)` by lesson, ids of tasks."""

    lessons: frozenset[str] = frozenset()
    quizzes: dict[str, tuple[int, int]] = {}  # noqa: RUF012  # a fresh one is made for each change
    tasks: frozenset[str] = frozenset()

    def with_lesson(self, number: str) -> Progress:
        """One lesson more."""
        return self._replace(lessons=self.lessons | {number})

    def with_quiz(self, number: str, right: int, total: int) -> Progress:
        """A quiz as it stands now; a better result is kept, if it was of as many questions."""
        before = self.quizzes.get(number, (0, total))
        best = max(right, before[0]) if before[1] == total else right
        return self._replace(quizzes={**self.quizzes, number: (best, total)})

    def with_task(self, task_id: str) -> Progress:
        """One task more that passes."""
        return self._replace(tasks=self.tasks | {task_id})

    def as_data(self) -> dict[str, Any]:
        """Plain data, as the file has it."""
        return {
            "virtlab": 1,
            "lessons": sorted(self.lessons),
            "quizzes": {number: list(self.quizzes[number]) for number in sorted(self.quizzes)},
            "tasks": sorted(self.tasks),
        }


# -- where


def place() -> Path | None:
    """The reader's file; None where nothing is to be kept."""
    if (named := os.environ.get(VARIABLE)) is not None:
        return Path(named).expanduser() if named not in ("", "off") else None
    if any(name in os.environ for name in NOT_A_READER):
        return None
    try:
        return _folder(sys.platform) / "virtlab" / "progress.json"
    except RuntimeError:  # this user has no home
        return None


def _folder(platform: str) -> Path:
    """Where programs keep a user's data on this kind of system."""
    if platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    shared = os.environ.get("XDG_DATA_HOME", "")
    return Path(shared) if os.path.isabs(shared) else Path.home() / ".local" / "share"


# -- reading


def read(path: Path | None = None) -> Progress:
    """What is noted in `path`, by default in the reader's file. Nothing, if that cannot be told."""
    path = path or place()
    return (_read(path) if path else None) or Progress()


def _read(path: Path) -> Progress | None:
    """What the file says; None if it is not there, or says nothing that could be understood."""
    try:
        with open(path, "rb") as file:
            data = json.loads(file.read(LARGEST).decode())
    except (OSError, ValueError, RecursionError):
        return None
    return understood(data) if isinstance(data, dict) and data.get("virtlab") == 1 else None


def understood(data: dict[str, Any]) -> Progress:
    """The part of `data` that can be true."""
    quizzes = data.get("quizzes")
    return Progress(
        _names(data.get("lessons"), _LESSON),
        {
            number: (result[0], result[1])
            for number, result in (quizzes.items() if isinstance(quizzes, dict) else ())
            if _LESSON.fullmatch(number) and _is_result(result)
        },
        _names(data.get("tasks"), _TASK),
    )


def _names(found: object, pattern: re.Pattern[str]) -> frozenset[str]:
    items = found if isinstance(found, list) else []
    return frozenset(item for item in items if isinstance(item, str) and pattern.fullmatch(item))


def _is_result(found: object) -> bool:
    if not isinstance(found, list) or [type(item) for item in found] != [int, int]:
        return False
    return bool(0 <= found[0] <= found[1] < 100)


# -- writing


def note(change: Callable[[Progress], Progress]) -> bool:
    """Change what is noted; whether that was done."""
    path = place()
    if path is None or not _in_a_notebook():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            before = _read(path)
            after = change(before or Progress())
            if before is None and path.exists():
                os.replace(path, f"{path}.damaged")
            if after != before:
                _write(path, after)
    except OSError:
        return False
    return True


def _in_a_notebook() -> bool:
    """Whether IPython runs us, as in every notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock file of `path`; one that is as old as `PATIENCE` is taken over."""
    lock, end = f"{path}.lock", time.monotonic() + PATIENCE
    # A file that is being removed refuses to be made, on Windows, with another error.
    busy = (FileExistsError, PermissionError) if os.name == "nt" else (FileExistsError,)
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except busy:
            if time.monotonic() > end or _age(lock) > PATIENCE:
                break
            time.sleep(0.01)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(lock)


def _age(lock: str) -> float:
    """Seconds since the lock was made; 0 if it is gone."""
    try:
        return time.time() - os.stat(lock).st_mtime
    except OSError:
        return 0.0


def _write(path: Path, progress: Progress) -> None:
    """Put a whole file in the place of the old one, in one step."""
    new = f"{path}.{os.getpid()}.new"
    try:
        with open(new, "w", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(progress.as_data(), indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise
