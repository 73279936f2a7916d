r"""A notebook's cells as plain Python: run one, and say in a line what it raised.

    run_cell(7, "x = (1,\ndef f():", names)
        "SyntaxError: '(' was never closed, in line 1: x = (1,"

The rule that keeps it simple: a cell's text is kept where Python looks for the lines of a file. So
a report can quote the line of an answer in which something went wrong.
"""

from __future__ import annotations

import linecache
import sys
import traceback
from types import TracebackType
from typing import Any

SAID, LINE = 250, 100
"""Characters that are kept of what an error says, and of the line in which it was raised."""


def plain(source: str) -> str:
    """A cell without the lines that only Jupyter understands: `%magic`, `!command`.

    They are taken out only of a cell that is no Python as it stands.
    """
    try:
        compile(source, "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        lines = [
            "" if line.lstrip().startswith(("%", "!", "?")) else line for line in source.split("\n")
        ]
        return "\n".join(lines)
    return source


def run_cell(number: int, source: str, namespace: dict[str, Any]) -> str:
    """Run one cell; what it raised, and in which line, in one line of text, or an empty text."""
    source, name = plain(source), f"<cell {number}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    try:
        exec(compile(source, name, "exec"), namespace)
    except BaseException as error:
        said = traceback.format_exception_only(type(error), error)[-1].strip()[:SAID]
        return said + _place(name, source, error, sys.exc_info()[2])
    return ""


def _place(name: str, source: str, error: BaseException, trace: TracebackType | None) -> str:
    """`, in line 3: x = 1 / 0`: the last line of this cell that led to an error, if one did.

    An error may be of the student's own making, so nothing of it is asked that could run.
    """
    line: Any = None
    if type(error) in (SyntaxError, IndentationError, TabError) and error.args[1:]:
        place = error.args[1]
        ours = type(place) is tuple and type(place[0]) is str and place[0] == name
        line = place[1] if ours else None
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == name else line
        trace = trace.tb_next
    lines = source.split("\n")
    if type(line) is not int or not 0 < line <= len(lines):
        return ""
    return f", in line {line}: {lines[line - 1].strip()[:LINE]}"
