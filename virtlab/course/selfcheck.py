"""``virtlab check NOTEBOOK``: is my notebook whole, and what do the checks say?

First the file is held against the released one: cells that were deleted, copied, split or edited.
Then its answers run in a child process, with the clock in this one, and every task's check is made
with the same registry as `check()` in the notebook. Check cells of the file itself are not run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import secrets
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from virtlab.course.cli import CommandError
from virtlab.course.submission import Cell, Problem, compare, read_notebook, tasks_of, to_run

SECONDS = 20.0
"""The longest that one cell, or one task's check, may take."""

Record = dict[str, Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("notebook", type=Path, metavar="NOTEBOOK", help="your copy, as ps01.ipynb")
    parser.add_argument(
        "--released",
        type=Path,
        metavar="FILE",
        help="the notebook as it was handed out (found in exercises/ by its cells)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="replay the random inputs of a check")
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        metavar="S",
        help=f"limit for a cell ({SECONDS:g})",
    )
    parser.add_argument("--json", action="store_true", help="print an object for a program to read")


def run(options: argparse.Namespace) -> int:
    """Check one notebook: 0 if it is whole and every check passes, else 1."""
    submitted = read_notebook(options.notebook)
    source = options.released or find_released(options.notebook, submitted, exercises())
    released = read_notebook(source)
    seed = secrets.randbelow(10_000) if options.seed is None else options.seed
    problems = compare(submitted, released)
    cells = [[cell.number, cell.source] for cell in to_run(submitted, released)]
    request = {"cells": cells, "tasks": tasks_of(released), "seed": seed}
    folder = options.notebook.resolve().parent
    records = converse(request, folder, options.seconds)
    tasks = [record for record in records if "task" in record]
    errors = [record for record in records if record.get("error")]
    if options.json:
        said = [problem._asdict() for problem in problems]
        print(json.dumps({"problems": said, "errors": errors, "tasks": tasks}, indent=2))
    else:
        print("\n".join(lines(problems, errors, tasks)))
    return int(bool(problems) or not all(record["ok"] for record in tasks))


def lines(problems: list[Problem], errors: list[Record], tasks: list[Record]) -> list[str]:
    """What was found, for a person to read."""
    text = [f"notebook  {problem.message}" for problem in problems]
    text += [f"cell {record['cell']:<5}{record['error']}" for record in errors]
    passing = sum(record["ok"] for record in tasks)
    return [*text, *(record["report"] for record in tasks), f"{passing} of {len(tasks)} tasks pass"]


# -- the released notebook


def exercises() -> Path:
    """The folder of released notebooks of the checkout that this package lies in."""
    return Path(__file__).parents[2] / "exercises"


def find_released(path: Path, submitted: list[Cell], folder: Path) -> Path:
    """The released notebook that shares most cells with a submission, or else its name."""
    ids = {cell.grade_id for cell in submitted if cell.grade_id}
    best, most = None, 0
    for candidate in sorted(folder.glob("*/*.ipynb")):
        shared = len(ids & {cell.grade_id for cell in read_notebook(candidate)})
        shared += candidate.name == path.name
        if shared > most:
            best, most = candidate, shared
    if best is None:
        raise CommandError(
            f"{path}: no cell of it belongs to a problem set in {folder.name}/; "
            "name the notebook as it was handed out with --released FILE"
        )
    return best


# -- the child


def converse(request: Record, folder: Path, seconds: float) -> list[Record]:
    """Let a child run the cells and the checks; what takes too long is left out, and said.

    Each time something does not end, the child is ended and another begins without it.
    """
    order = {task: number for number, task in enumerate(request["tasks"])}
    request = {**request, "cells": list(request["cells"]), "tasks": list(request["tasks"])}
    late: list[Record] = []
    while True:
        records, stuck = attempt(request, folder, seconds)
        if not stuck:
            return sorted([*late, *records], key=lambda one: order.get(one.get("task", ""), -1))
        why = f"{stuck} did not come to an end within {seconds:g} s, or ended Python"
        if stuck.startswith("cell "):
            number = int(stuck[5:])
            request["cells"] = [cell for cell in request["cells"] if cell[0] != number]
            late.append({"cell": number, "error": why})
        else:
            request["tasks"].remove(stuck)
            late.append({"task": stuck, "ok": False, "passed": 0, "report": f"{stuck}  {why}"})


def attempt(request: Record, folder: Path, seconds: float) -> tuple[list[Record], str]:
    """One child: what it said, and what it was at when it ended (empty if it came through)."""
    command = [sys.executable, "-I", "-m", "virtlab.course.runner"]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "agg"},
        text=True,
        encoding="utf-8",
    )
    assert child.stdin is not None
    said: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_listen, args=(child, said), daemon=True).start()
    records: list[Record] = []
    doing = ""
    try:
        with contextlib.suppress(BrokenPipeError), child.stdin:
            child.stdin.write(json.dumps(request))
        while (line := said.get(timeout=seconds)) is not None:
            record = json.loads(line)
            doing = record.get("begin", doing)
            if "begin" not in record:
                records.append(record)
        child.wait(seconds)
    except (queue.Empty, subprocess.TimeoutExpired):
        pass
    finally:
        child.kill()
        child.wait()
    if not doing:
        raise CommandError(f"the child process did not start (status {child.returncode})")
    return records, "" if doing == "end" else doing


def _listen(child: subprocess.Popen[str], said: queue.Queue[str | None]) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        said.put(line)
    said.put(None)
