"""A student's notebook file, held against the released one.

Notebooks get copied, split, merged and edited. Grading goes by the `grade_id` in a cell's metadata
(nbgrader's schema, version 3), so a deleted or doubled id is a lost answer that nobody notices.
`compare` notices, and says what to do.

A notebook is JSON, and is read with the standard library: nbformat costs two seconds. A file that
is no notebook is a `FileError` with the byte where it went wrong.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from virtlab.errors import FileError

MAX_BYTES = 64 << 20
"""A notebook larger than this is refused."""


class Cell(NamedTuple):
    """One cell: its `number` in the notebook (from 1), its type, its source, and its grading data.

    `grade` marks a check, `locked` a cell that nobody may change; `grade_id` is empty for a cell
    without a part in grading.
    """

    number: int
    kind: str
    source: str
    grade_id: str = ""
    grade: bool = False
    locked: bool = False

    @property
    def what(self) -> str:
        """What it is to the reader."""
        return "check cell" if self.grade else "set-up cell" if self.locked else "answer cell"


class Problem(NamedTuple):
    """Something is wrong with the cells of one id: `kind` in a word, `message` in a sentence.

    Kinds: `missing`, `duplicated`, `type`, `edited`, `unknown`. `cells` are their numbers.
    """

    kind: str
    grade_id: str
    cells: tuple[int, ...]
    message: str


# -- reading


def read_notebook(path: str | PathLike[str]) -> list[Cell]:
    """The cells of a notebook file. Raises `FileError`, or `OSError` if it cannot be read."""
    raw = Path(path).read_bytes()
    if len(raw) > MAX_BYTES:
        raise FileError(path, MAX_BYTES, f"a notebook has at most {MAX_BYTES} bytes")
    data = _parse(path, raw)
    whole = isinstance(data, dict) and isinstance(data.get("cells"), list)
    if (whole or (isinstance(data, dict) and "nbformat" in data)) and data.get("nbformat") != 4:
        why = f"a notebook of format {data.get('nbformat')!r}, not 4: save it in Jupyter again"
        raise FileError(path, 0, why)
    if not whole:
        raise FileError(path, 0, "not a notebook: it is JSON, but without a list of cells")
    return [_cell(path, number, cell) for number, cell in enumerate(data["cells"], 1)]


def _parse(path: str | PathLike[str], raw: bytes) -> Any:
    lead = len(BOM_UTF8) if raw.startswith(BOM_UTF8) else 0  # some editors put it there
    raw = raw[lead:]
    if not raw.strip():
        raise FileError(path, 0, "not a notebook: the file is empty")
    try:
        text = raw.decode("utf-8")
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise FileError(path, lead + error.start, "not a notebook: not UTF-8 text") from None
    except json.JSONDecodeError as error:
        byte = len(text[: error.pos].encode())
        cut = byte >= len(raw.rstrip()) or "Unterminated" in error.msg
        why = "the notebook is cut off" if cut else "not a notebook, not JSON"
        raise FileError(path, lead + (len(raw) if cut else byte), f"{why}: {error.msg}") from None
    except RecursionError:
        raise FileError(path, 0, "not a notebook: nested too deep") from None
    except ValueError as error:  # a number of thousands of digits
        raise FileError(path, 0, f"not a notebook: {error}") from None


def _cell(path: str | PathLike[str], number: int, cell: Any) -> Cell:
    source = cell.get("source") if isinstance(cell, dict) else None
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str) or not isinstance(cell.get("cell_type"), str):
        raise FileError(path, 0, f"not a notebook: cell {number} has no source or no type")
    metadata = cell.get("metadata")
    grading = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    if not isinstance(grading, dict) or not isinstance(grading.get("grade_id"), str):
        return Cell(number, cell["cell_type"], source)
    grade, locked = grading.get("grade") is True, grading.get("locked") is True
    return Cell(number, cell["cell_type"], source, grading["grade_id"], grade, locked)


# -- comparing


def compare(submitted: list[Cell], released: list[Cell]) -> list[Problem]:
    """Everything wrong with the graded cells of a submission, in the released notebook's order."""
    wanted = {cell.grade_id: cell for cell in released if cell.grade_id}
    problems = []
    for grade_id, cell in wanted.items():
        found = [other for other in submitted if other.grade_id == grade_id]
        if problem := _problem(cell, found):
            problems.append(problem)
    for cell in submitted:
        if cell.grade_id and cell.grade_id not in wanted:
            message = (
                f"cell {cell.number} says it is {cell.grade_id}, which this problem set has not"
            )
            problems.append(Problem("unknown", cell.grade_id, (cell.number,), message))
    return problems


def _problem(wanted: Cell, found: list[Cell]) -> Problem | None:
    """What is wrong with the cells that carry one id."""
    name = f"{wanted.what} {wanted.grade_id}"
    cells = tuple(cell.number for cell in found)

    def problem(kind: str, message: str) -> Problem:
        return Problem(kind, wanted.grade_id, cells, message)

    if not found:
        advice = (
            "the task is checked all the same" if wanted.grade else "copy it from a fresh notebook"
        )
        return problem("missing", f"the {name} is missing, or lost its metadata: {advice}")
    if len(found) > 1:
        numbers = " and ".join(map(str, cells))
        advice = "keep one" if wanted.locked else "put your answer into one and delete the others"
        return problem(
            "duplicated", f"the {name} is there {len(found)} times, copied or split: "
            f"cells {numbers}; {advice}",
        )  # fmt: skip
    cell = found[0]
    if cell.kind != wanted.kind:
        return problem("type", f"cell {cell.number}, the {name}, is {cell.kind}, not {wanted.kind}")
    if wanted.locked and _lines(released_part(cell.source)) != _lines(wanted.source):
        return problem(
            "edited", f"cell {cell.number}, the {name}, was edited: the released one counts"
        )
    return None


def _lines(source: str) -> list[str]:
    """What is compared of a source: an editor on Windows ends its lines with other characters."""
    return source.rstrip().splitlines()


_HIDDEN = re.compile(
    r"^[^\n]*BEGIN HIDDEN TESTS.*?END HIDDEN TESTS[^\n]*\n?", re.DOTALL | re.MULTILINE
)


def released_part(source: str) -> str:
    """A cell without its hidden tests: nbgrader takes them out, and a solution still has them."""
    return _HIDDEN.sub("", source)


# -- what is to be run


def to_run(submitted: list[Cell], released: list[Cell]) -> list[Cell]:
    """The code cells that define the answers, in order, set-up first.

    Locked cells are taken from the released notebook. Check cells are left out: whoever checks
    calls the checks himself. Of a doubled answer both run, and the later definition stands.
    """
    locked = {cell.grade_id for cell in released if cell.locked}
    setup = [cell for cell in released if cell.locked and not cell.grade and cell.kind == "code"]
    answers = [cell for cell in submitted if cell.kind == "code" and cell.grade_id not in locked]
    return [cell._replace(number=0) for cell in setup] + answers


def tasks_of(released: list[Cell]) -> list[str]:
    """The ids of the tasks that a released notebook has: its check `ps1-q3` is task `ps1.q3`."""
    return [cell.grade_id.replace("-", ".") for cell in released if cell.grade]
