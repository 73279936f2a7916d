"""A lesson's notebook as parts: each begins at a heading and has prose and code in order.

    # title        one part of level 1: what you will be able to do
    ## Round 1     parts of level 2, each until the next heading, also in the middle of a cell
    (instructor)   no part: its text becomes notes of the title

The idea: headings cut a lesson, cells do not. A Markdown cell may end one round and begin the next.

The rule that keeps it simple: the notebook is read as the JSON that it is, so no notebook package
is imported; a file that is none gives one line with its name. Left out: attachments, raw cells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from virtlab.errors import FileError

HEADING = re.compile(r"^(#{1,2}) +(.*)$", re.M)
_DETAILS = re.compile(r"</?details>|<summary>.*?</summary>")


class Code(NamedTuple):
    """A code cell: its number among all cells (from 0), source, outputs, whether source shows."""

    number: int
    source: str
    outputs: list[dict[str, Any]]
    hidden: bool


class Part(NamedTuple):
    """What stands under one heading: paragraphs of Markdown and code cells, in order."""

    heading: str
    level: int
    items: list[str | Code]


class Lesson(NamedTuple):
    """A lesson's `name` (the file's stem), its parts, and the instructor's notes."""

    name: str
    parts: list[Part]
    instructor: str

    @property
    def title(self) -> str:
        """The heading of the first part."""
        return self.parts[0].heading


def read_cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook file, sources joined. `FileError` if it is no notebook."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [{**cell, "source": joined(cell["source"])} for cell in cells]
    except (ValueError, KeyError, TypeError) as error:
        byte = int(getattr(error, "pos", 0))
        raise FileError(path, byte, f"not a notebook: {type(error).__name__}: {error}") from None


def joined(text: str | list[str]) -> str:
    """A notebook's text, which may be stored as a list of lines."""
    return text if isinstance(text, str) else "".join(text)


def read_lesson(path: Path) -> Lesson:
    """A lesson from its notebook file. `FileError` if it is none, or begins without a title."""
    parts: list[Part] = []
    instructor = ""
    for index, cell in enumerate(read_cells(path)):
        if "instructor" in cell.get("metadata", {}).get("tags", ()):
            instructor += _DETAILS.sub("", cell["source"]).strip()
            continue
        for heading, level, item in _pieces(index, cell):
            if heading:
                parts.append(Part(heading, level, []))
            elif not parts:
                raise FileError(path, 0, "not a lesson: it does not begin with a heading")
            if item:
                parts[-1].items.append(item)
    if not parts:
        raise FileError(path, 0, "not a lesson: it has no cells")
    return Lesson(path.stem, parts, instructor)


def _pieces(index: int, cell: dict[str, Any]) -> Iterator[tuple[str, int, str | Code | None]]:
    """(heading or "", level, what stands below it) for each piece of a cell."""
    if cell["cell_type"] == "code":
        hidden = bool(cell.get("metadata", {}).get("jupyter", {}).get("source_hidden"))
        yield "", 0, Code(index, cell["source"], cell.get("outputs", []), hidden)
    elif cell["cell_type"] == "markdown":
        before, *rest = HEADING.split(cell["source"])
        yield from (("", 0, text) for text in _paragraphs(before))
        for marks, heading, text in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            yield heading.strip(), len(marks), None
            yield from (("", 0, paragraph) for paragraph in _paragraphs(text))


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
