"""The child process of `virtlab check`: runs a notebook's cells, then the checks.

It reads one JSON object from stdin, `{"cells": [[number, source]], "tasks": [id], "seed": n}`,
and writes one JSON object a line, *before* it begins something and after: so the parent, which
holds the clock, knows what did not come to an end.

    {"begin": "cell 7"}   {"cell": 7, "error": "..."}
    {"begin": "ps1.q2"}   {"task": "ps1.q2", ...}
    {"begin": "end"}

What the cells print goes nowhere. This is a learner's own check of a learner's own file: it keeps
a loop or a crash away from the command, and no more. It is no sandbox.
"""

from __future__ import annotations

import json
import linecache
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from virtlab.course.answers import Answer
from virtlab.course.checks import CheckFailed, examine, find

Say = Callable[[dict[str, Any]], None]


def plain(source: str) -> str:
    """A cell without the lines that only Jupyter understands: `%magic`, `!command`.

    They are taken out only of a cell that is no Python as it stands.
    """
    try:
        compile(source, "<cell>", "exec")
    except SyntaxError:
        lines = [
            "" if line.lstrip().startswith(("%", "!", "?")) else line for line in source.split("\n")
        ]
        return "\n".join(lines)
    return source


def run_cell(number: int, source: str, namespace: dict[str, Any]) -> str:
    """Run one cell; what it raised, in one line, or an empty text."""
    source, name = plain(source), f"<cell {number}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    try:
        exec(compile(source, name, "exec"), namespace)
    except CheckFailed:
        return ""  # the student's own call of check(): we make ours
    except BaseException as error:
        return traceback.format_exception_only(type(error), error)[-1].strip()[:300]
    return ""


def main() -> None:
    """Serve one request; the only thing written to the real stdout is JSON."""
    request = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)

    def say(record: dict[str, Any]) -> None:
        out.write(json.dumps(record) + "\n")
        out.flush()

    serve(request, say)


def serve(request: dict[str, Any], say: Say) -> None:
    """Run all the cells in one namespace, then every task's checks."""
    namespace: dict[str, Any] = {"__name__": "__main__", "display": lambda *things, **options: None}
    for number, source in request["cells"]:
        say({"begin": f"cell {number}"})
        say({"cell": number, "error": run_cell(number, source, namespace)})
    for task_id in request["tasks"]:
        say({"begin": task_id})
        say(examine(find(task_id), Answer(namespace), request["seed"]).as_data())
    say({"begin": "end"})


if __name__ == "__main__":
    main()
