"""A notebook's cells as plain Python: run one, and say in a line what it raised.

The rule that keeps it simple: a cell's text is kept where Python looks for the lines of a file. So
a report can quote the line of an answer in which something went wrong.
"""

from __future__ import annotations

import linecache
import traceback
from typing import Any


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
    """Run one cell; what it raised, in one line, or an empty text."""
    source, name = plain(source), f"<cell {number}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    try:
        exec(compile(source, name, "exec"), namespace)
    except BaseException as error:
        return traceback.format_exception_only(type(error), error)[-1].strip()[:300]
    return ""
