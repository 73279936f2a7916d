"""The graded notebooks for nbgrader's formgrader: it shows a submission only if it finds its file.

    submitted/ada/ps04/ps04.ipynb      ada's notebook, as she handed it in
    autograded/ada/ps04/ps04.ipynb     her answers, the released checks, and our report below each

The idea: the formgrader opens `autograded/`, where `nbgrader autograde` leaves the notebook that it
ran. We ran it elsewhere. So the notebook is built anew, from the sources of its cells alone.

The rules that keep it safe: no output and no metadata of the student's goes in. Text cells that are
not the released ones become blocks of code, because the page would run a script in them. A file
that is not the one that was graded is left out, and so is one that nbgrader itself has written.

What it leaves out: pictures and files beside the notebook.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from virtlab.course.grading.course_files import Course
from virtlab.course.grading.gradebook import unfit
from virtlab.course.grading.gradebook_cells import KERNEL, is_answer, worth
from virtlab.course.grading.pages import visible
from virtlab.course.grading.result import Grades, Result
from virtlab.course.grading.submissions import LARGEST
from virtlab.course.grading.tables import write
from virtlab.course.submission import Cell, read_notebook

OURS = "virtlab"
"""The key in a notebook's metadata by which we know our own."""

Data = dict[str, Any]


def write_autograded(
    grades: Grades,
    course: Course,
    submissions: str | PathLike[str],
    folder: str | PathLike[str],
) -> list[Path]:
    """Write the notebooks of a run below `folder`, nbgrader's `autograded/`; the paths, in order.

    `submissions` is the folder that was graded. Raises `OSError` where nothing can be written.
    """
    written = []
    for result in grades.results:
        source = _source(Path(submissions), result)
        name = result.assignment
        if source is None or unfit(result, course):
            continue
        path = Path(folder, result.student, name, f"{name}.ipynb")
        if not _may_write(path):
            continue
        notebook = graded_notebook(read_notebook(source), course.sets[name].cells, result)
        write(path, json.dumps(notebook, indent=1) + "\n")
        written.append(path)
    return written


def _source(root: Path, result: Result) -> Path | None:
    """The file that was graded, or None if there is none or it is another one by now."""
    if result.refused:
        return None
    places = (root / "submitted" / result.file, root / result.file, root)
    return next((path for path in places if _digest(path) == result.digest), None)


def _digest(path: Path) -> str:
    """SHA-256 of a notebook's bytes; empty where there is none that would be graded."""
    if not path.is_file() or path.stat().st_size > LARGEST:
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _may_write(path: Path) -> bool:
    """Whether a file is not there, or is one of ours."""
    try:
        metadata = json.loads(path.read_bytes())["metadata"]
    except FileNotFoundError:
        return True
    except (ValueError, KeyError, TypeError):
        return False
    return isinstance(metadata, dict) and OURS in metadata


def graded_notebook(submitted: Sequence[Cell], released: Sequence[Cell], result: Result) -> Data:
    """A notebook of the submitted cells: checks from `released`, each with its report below.

    Of cells with one grade id the first one keeps it. Missing ones come at the end.
    """
    wanted = {cell.grade_id: cell for cell in released if cell.grade_id}
    texts = {cell.source for cell in released if cell.kind == "markdown"}
    reports = {task.task.replace(".", "-"): task.report for task in result.tasks}
    cells, left = [], dict(wanted)
    for cell in submitted:
        known = left.pop(cell.grade_id, None)
        cells.append(_graded(known, cell, reports) if known else _plain(cell, texts))
    cells += [_graded(cell, cell, reports) for cell in left.values()]
    return {
        "cells": cells,
        "metadata": {"kernelspec": KERNEL, OURS: {"digest": result.digest}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }


def _graded(wanted: Cell, cell: Cell, reports: dict[str, str]) -> Data:
    """A cell with a part in grading: the student's source only in an answer."""
    name = wanted.grade_id
    source = visible(cell.source) if is_answer(wanted) else wanted.source
    grading: Data = {"grade_id": name, "grade": wanted.grade, "locked": wanted.locked}
    grading |= {"solution": is_answer(wanted), "task": False, "schema_version": 3}
    if wanted.grade:
        grading["points"] = worth(name)
    said = visible(reports.get(name, "")) if wanted.grade else ""
    return _cell(wanted.kind, source, {"nbgrader": grading}, said)


def _plain(cell: Cell, texts: set[str]) -> Data:
    """A cell without a part in grading; a text of the student's own as a block of code."""
    if cell.kind == "code":
        return _cell("code", visible(cell.source))
    if cell.source in texts:
        return _cell("markdown", cell.source)
    return _cell("markdown", "\n".join(_indented(visible(cell.source).split("\n"))))


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def _cell(kind: str, source: str, metadata: Data | None = None, said: str = "") -> Data:
    """A cell as a notebook file has it, with what it printed."""
    cell: Data = {"cell_type": kind, "metadata": metadata or {}, "source": source}
    if kind == "code":
        stream = {"name": "stdout", "output_type": "stream", "text": said}
        cell |= {"execution_count": None, "outputs": [stream] if said else []}
    return cell
