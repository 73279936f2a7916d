"""The rows of nbgrader's gradebook that a course needs: made where they are missing.

    Assignment ps04 - Notebook ps04 - check cells (GradeCell), answers (SolutionCell), SourceCell
         |                |               |                      |
    a student's submission, her notebook, a Grade each ...       a Comment each

The idea: these are the rows that `nbgrader generate_assignment` makes on the left, and `nbgrader
autograde` below. So its commands find a gradebook that they know, in whatever order they come.

The rule that keeps it simple: what is there stays as it is. A check cell that `generate_assignment`
wrote has its hidden part; ours has not. Both have the same ids, so that nbgrader may replace ours.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from virtlab.course.checks import TASKS
from virtlab.course.grading.course_files import ProblemSet
from virtlab.course.grading.result import Result
from virtlab.course.submission import Cell

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
"""nbgrader notes the kernel of a notebook, and autograde reads it back."""

LONGEST = 200
"""Bytes of a file that holds a time."""


def make_notebook(book: Any, released: ProblemSet) -> Any:
    """The row of a released notebook; it and its cells are made where they are missing."""
    from nbgrader.api import GradeCell, SolutionCell, SourceCell

    notebook = _notebook(book, released.name)
    checks = {cell.name for cell in notebook.grade_cells}
    answers = {cell.name for cell in notebook.solution_cells}
    sources = {cell.name for cell in notebook.source_cells}
    for cell in released.cells:
        name = cell.grade_id
        if cell.grade and name not in checks:
            row = GradeCell(name=name, notebook=notebook)
            row.max_score, row.cell_type = worth(name), cell.kind
            book.db.add(row)
        if is_answer(cell) and name not in answers:
            book.db.add(SolutionCell(name=name, notebook=notebook))
        if name and name not in sources:
            book.db.add(SourceCell(name=name, notebook=notebook, **_source(cell)))
    book.db.flush()
    return notebook


def _notebook(book: Any, name: str) -> Any:
    """The row of the notebook `name` in the assignment `name`."""
    from nbgrader.api import Assignment, Notebook

    assignment = book.db.query(Assignment).filter_by(name=name).one_or_none()
    if assignment is None:
        assignment = Assignment(name=name, course_id=book.course_id)
        book.db.add(assignment)
    for notebook in assignment.notebooks:
        if notebook.name == name:
            return notebook
    notebook = Notebook(name=name, kernelspec=json.dumps(KERNEL))
    assignment.notebooks.append(notebook)
    return notebook


def is_answer(cell: Cell) -> bool:
    """Whether a released cell is one that a student writes into."""
    return bool(cell.grade_id) and not (cell.grade or cell.locked)


def worth(grade_id: str) -> float:
    """The points of the task whose check cell it is."""
    task = TASKS.get(grade_id.replace("-", "."))
    return float(task.points) if task else 0.0


def _source(cell: Cell) -> dict[str, Any]:
    """What nbgrader keeps of a cell, to put it back when a student changed it."""
    from nbformat import from_dict
    from nbgrader.utils import compute_checksum

    grading = {"grade_id": cell.grade_id, "grade": cell.grade, "solution": is_answer(cell)}
    grading |= {"locked": cell.locked, "points": worth(cell.grade_id)}
    plain = {"cell_type": cell.kind, "source": cell.source, "metadata": {"nbgrader": grading}}
    checksum = compute_checksum(from_dict(plain))
    locked = cell.locked or cell.grade
    return {
        "cell_type": cell.kind, "locked": locked, "source": cell.source, "checksum": checksum,
    }  # fmt: skip


def submission(book: Any, notebook: Any, result: Result) -> Any:
    """The student's own row of a notebook, with a grade and a comment for each of its cells."""
    from nbgrader.api import Comment, Grade, SubmittedNotebook

    whole = _submission(book, notebook.assignment, result.student)
    own = next((each for each in whole.notebooks if each.notebook_id == notebook.id), None)
    if own is None:
        own = SubmittedNotebook(notebook=notebook, assignment=whole)
        book.db.add(own)
    graded = {grade.cell_id for grade in own.grades}
    commented = {comment.cell_id for comment in own.comments}
    new = [Grade(cell=c, notebook=own) for c in notebook.grade_cells if c.id not in graded]
    new += [Comment(cell=c, notebook=own) for c in notebook.solution_cells if c.id not in commented]
    book.db.add_all(new)
    return own


def _submission(book: Any, assignment: Any, student_id: str) -> Any:
    """The student's submission; the student is made too, without a name, where unknown."""
    from nbgrader.api import Student, SubmittedAssignment

    student = book.db.get(Student, student_id)
    if student is None:
        student = Student(id=student_id)
        book.db.add(student)
    asked = book.db.query(SubmittedAssignment).filter_by(
        assignment_id=assignment.id, student_id=student_id
    )
    whole = asked.one_or_none()
    if whole is None:
        whole = SubmittedAssignment(assignment=assignment, student=student)
        book.db.add(whole)
    return whole


def handed_in(folder: Path) -> datetime | None:
    """When work was handed in, in UTC, as `timestamp.txt` in its folder says; None if it does not.

    nbgrader's `collect` writes that file.
    """
    from nbgrader.utils import parse_utc

    path = folder / "timestamp.txt"
    if not path.is_file() or path.stat().st_size > LONGEST:
        return None
    try:
        time: datetime = parse_utc(path.read_text(encoding="utf-8").strip())
    except (OSError, ValueError, OverflowError):
        return None
    return time
