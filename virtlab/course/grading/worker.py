"""A process that grades: one line of JSON in, one line of JSON out, until its input ends.

    ->  {"setup": {"course": ..., "seed": 7, "limits": [...], "sandbox": [...], "library": "..."}}
    ->  {"student": "ada", "assignment": "ps04", "cells": [...], ...}
    <-  {"result": {...}}      or      {"failed": "KeyError: ... (grader.py, line 90)"}

The idea: a worker is the same program for every way to spread work. A pool starts
`python -m virtlab.course.grading.worker`; a cluster calls `work` with the same two texts.

The rule that keeps it simple: it holds no student's code. Each submission gets a child of its own,
which ends before the answer goes out. What fails in the grader itself is told, and costs this one
submission.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from virtlab.course.grading.course_files import Course, library_digest
from virtlab.course.grading.limits import Limits
from virtlab.course.grading.sandbox import Sandbox, available
from virtlab.course.grading.stopping import end_with_parent
from virtlab.course.grading.submissions import Submission


class Setup(NamedTuple):
    """What is the same for every submission of a run. `sandbox` None: the worker finds its own."""

    course: Course
    seed: int
    limits: Limits
    sandbox: Sandbox | None

    def as_text(self) -> str:
        """One line of JSON. It names the library, so that another version refuses it."""
        data = {
            "course": self.course.as_data(),
            "seed": self.seed,
            "limits": self.limits._asdict(),
            "sandbox": self.sandbox._asdict() if self.sandbox else None,
            "library": library_digest(),
        }
        return json.dumps(data)


@functools.lru_cache(maxsize=2)
def _setup(text: str) -> Setup:
    data = json.loads(text)
    if data["library"] != library_digest():
        raise RuntimeError("this worker has another version of virtlab")
    given = data["sandbox"]
    sandbox = Sandbox(given["kind"], tuple(given["losses"])) if given else available()
    limits = Limits(**data["limits"])
    return Setup(Course.from_data(data["course"]), data["seed"], limits, sandbox)


_ONE = threading.Lock()
"""A machine and its judge belong to one thread at a time; a cluster's worker may have several."""


def work(setup: str, submission: str) -> str:
    """Grade one submission; both and the answer are JSON, the same in a pool and on a cluster."""
    from virtlab.course.grading.grader import grade

    with _ONE:
        try:
            how = _setup(setup)
            given = Submission.from_data(json.loads(submission))
            result = grade(given, how.course, how.seed, how.limits, how.sandbox)
        except Exception as error:
            return json.dumps({"failed": _words(error)})
    return json.dumps({"result": result.as_data(run=True)})


def _words(error: Exception) -> str:
    """A failure of the grader itself in one line: what, and where."""
    place, trace = "", error.__traceback__
    while trace:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} ({place})".replace("\n", " ")[:400]


def _ended(number: int, frame: Any) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # once is enough: Python is about to end
    sys.exit(128 + number)  # as an exception, so that a student's child is ended on the way


def stay(core: list[str]) -> None:
    """Keep this process and its children on that processor, if one is said and it can be had."""
    if core and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {int(core[0])})


def main() -> None:
    """Serve lines until the input ends. Only answers go to the real standard output."""
    signal.signal(signal.SIGTERM, _ended)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us; it tells us
    end_with_parent()
    stay(sys.argv[1:])
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    gc.set_threshold(20_000, 20, 20)  # a judge makes much, and little of it in circles
    setup = ""
    for line in sys.stdin:
        if line.startswith('{"setup": '):
            setup = json.loads(line)["setup"]
            continue
        answer = work(setup, line) + "\n"
        try:
            out.write(answer)
            out.flush()
        except OSError:  # nobody listens any more
            os._exit(1)


if __name__ == "__main__":
    main()
