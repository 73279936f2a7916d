"""A name that is not there, because the cell that should define it ended with an error.

    cell 7    def add_buf(self, data:          SyntaxError: '(' was never closed
    ps4.q3    there is no add_buf here: cell 7, which should define it, ended with an error:
              SyntaxError: '(' was never closed, in line 1: def add_buf(self, data

The idea: "run the cell that defines it" helps nobody whose cell does not run. Which cell that is,
the cells' texts tell: a `def`, a `class`, an import or an assignment of that name.

The rule that keeps it simple: a report is changed only where a name is missing and a cell with an
error has it. What the checks found, and what they are worth, stays.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from virtlab.course.reports import Report

MISSING = re.compile(r"there is no (\w+) here yet: run the cell that defines it")
"""What an `Answer` says of a name that no cell defined."""
UNKNOWN = re.compile(r"NameError: (?:free variable|cannot access free variable|name) '(\w+)'")
"""What Python says of one that an answer uses."""

LONGEST = 200
"""Characters of a line that are looked at: who wrote it may have made it long on purpose."""

Cells = Sequence[tuple[int, str]]
"""Numbers of cells (0: the released set-up), each with its source, or with what it raised."""


def explained(report: Report, cells: Cells, errors: Cells) -> Report:
    """The report; if its failure is a name that a broken cell should define, it says which cell."""
    failure = report.failure
    if failure is None or not errors:
        return report
    yours = failure.difference.yours
    missing, unknown = MISSING.fullmatch(yours), UNKNOWN.match(yours)
    name = missing or unknown
    found = name and _broken(name[1], cells, errors)
    if not name or not found:
        return report
    cell, error = found
    place = f"cell {cell}" if cell else "the set-up cell"
    which = f"{place}, which should define it, ended with an error:\n{error}"
    said = f"there is no {name[1]} here: {which}" if missing else f"{yours}\n{which}"
    look = f"{place}: run it by itself, and Jupyter shows the same error"
    difference = failure.difference._replace(yours=said, look=look)
    return dataclasses.replace(report, failure=dataclasses.replace(failure, difference=difference))


def _broken(name: str, cells: Cells, errors: Cells) -> tuple[int, str] | None:
    """The last cell that ended with an error and would define the name, and that error."""
    sources: dict[int, str] = {}
    for number, source in cells:
        sources[number] = sources.get(number, "") + "\n" + source
    found = (each for each in reversed(errors) if defines(sources.get(each[0], ""), name))
    return next(found, None)


def defines(source: str, name: str) -> bool:
    """Whether a text that may be no Python looks as if it defined the name.

    >>> defines("def walk(ring:", "walk"), defines("walk(ring)", "walk")
    (True, False)
    """
    lines: Iterable[str] = (line.strip()[:LONGEST] for line in source.splitlines())
    start = re.compile(
        rf"(?:(?:async\s+)?def|class)\s+{name}\b|[\w\s,*]*\b{name}\b[\w\s,*]*(?::[^=]+)?=(?!=)"
    )
    imported = re.compile(rf"(?:from\s.*\s)?import\s.*\b{name}\b")
    return any(start.match(line) or imported.match(line) for line in lines)
