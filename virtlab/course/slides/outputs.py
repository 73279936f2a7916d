"""Blocks of a code cell: its lines, and what it printed, drew or put into a table.

    source    every line, on as many slides as it needs
    output    characters, at most MOST_LINES of them; a table, as many rows as fit
    picture   an SVG or PNG as it is stored, with its text alternative
    widget    its first picture, and a line that says where the live one is

The idea: the notebook's stored outputs are shown as they are; nothing is drawn anew.

The rule that keeps it simple: what is cut says so, and where the rest is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from html import escape, unescape
from itertools import zip_longest
from typing import Any

from virtlab.course.slides.first import First
from virtlab.course.slides.lesson import Code, joined
from virtlab.course.slides.markup import code, plain
from virtlab.course.slides.sizes import (
    BODY_LINE,
    CELL_LINE,
    CODE_COLUMNS,
    CODE_LINE,
    CODE_LINES,
    COLUMN,
    MOST_LINES,
    PADDING,
    PHOTO,
    ROOM,
    TABLE_LINE,
    TABLE_TYPE,
    Block,
)


def run_blocks(item: Code, first: First | None) -> Iterator[Block]:
    """A code cell: its source, its outputs, and what its widget shows first."""
    if item.source.strip() and not item.hidden:
        yield from _source(item.source)
    if first:
        yield from _widget(first)
        return
    for output in item.outputs:
        yield from _output(output)


def _source(source: str) -> Iterator[Block]:
    """The lines of a cell, on as many slides as they need."""
    lines = code(source.strip("\n")).split("\n")
    plain_lines = source.strip("\n").split("\n")
    while lines:
        count, room = 0, CODE_LINES
        while count < len(lines) and (need := _wrapped(plain_lines[count], CODE_COLUMNS)) <= room:
            room, count = room - need, count + 1
        yield _typed("code", "\n".join(lines[:count]), CODE_LINES - room)
        lines, plain_lines = lines[count:], plain_lines[count:]


def _wrapped(line: str, columns: int) -> int:
    """Lines that one line of code becomes where `columns` characters fit, indented by a half."""
    return max(1, math.ceil(len(line) / (columns * 0.9))) if len(line) > columns else 1


def _typed(kind: str, html: str, lines: int) -> Block:
    return Block(f'<pre class="{kind}">{html}</pre>', lines * CODE_LINE + 2 * PADDING)


def _output(output: dict[str, Any]) -> Iterator[Block]:
    """One stored output: a picture, a table, or characters."""
    data = {mime: joined(value) for mime, value in output.get("data", {}).items()}
    if svg := data.get("image/svg+xml"):
        yield _picture(svg)
    elif png := data.get("image/png"):
        yield _photo(png, output, data.get("text/plain", ""))
    elif "<table" in data.get("text/html", ""):
        yield table(data["text/html"])
    elif output["output_type"] == "error":
        yield _printed(f"{output['ename']}: {output['evalue']}", "error")
    elif text := plain(joined(output.get("text", data.get("text/plain", "")))):
        yield _printed(text, "output")


def _printed(text: str, kind: str) -> Block:
    """Characters, cut where there are more lines than a slide should hold."""
    height = 0
    shown: list[str] = []
    lines = plain(text).split("\n")
    for line in lines:
        height += _wrapped(line, CODE_COLUMNS)
        if height > MOST_LINES:
            rest = len(lines) - len(shown)
            return _typed(kind, "\n".join([*shown, f"… {rest} more lines are in the notebook"]), 17)
        shown.append(escape(line))
    return _typed(kind, "\n".join(shown), height)


def table(html: str) -> Block:
    """A table, cut to the rows that a slide holds."""
    rows = re.findall(r"<tr>.*?</tr>", html, re.S)
    kept, height = 0, TABLE_LINE * ("<caption" in html)
    for lines in _row_lines(rows):
        if height + (more := lines * CELL_LINE + TABLE_LINE - CELL_LINE) > ROOM - 2 * TABLE_LINE:
            break
        kept, height = kept + 1, height + more
    for row in rows[kept:]:
        html = html.replace(row, "", 1)
    if left := len(rows) - kept:
        html += f'<p class="more">{left} more rows are in the notebook.</p>'
        height += TABLE_LINE
    return Block(f'<div class="table">{html}</div>', height)


def _row_lines(rows: list[str]) -> list[int]:
    """How many lines each row takes, if columns share the slide as their longest cells ask for."""
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S) for row in rows]
    lengths = [[len(unescape(re.sub("<.*?>", "", cell))) + 2 for cell in row] for row in cells]
    longest = [max(column) for column in zip_longest(*lengths, fillvalue=0)]
    share = min(1.0, COLUMN / (0.54 * TABLE_TYPE * sum(longest)))
    return [
        max(1, *(math.ceil(n / (share * most)) for n, most in zip(row, longest, strict=False)))
        for row in lengths
    ]


def _picture(svg: str) -> Block:
    """An SVG at full width, or smaller where the room is lower."""
    box = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg)
    wide, high = (float(box[1]), float(box[2])) if box else (940.0, 400.0)
    return Block(svg, int(high * COLUMN / wide), "picture")


def _photo(png: str, output: dict[str, Any], text: str) -> Block:
    """A PNG with its text alternative."""
    alternative = output.get("metadata", {}).get("image/png", {}).get("alt") or text
    source = png.replace("\n", "")
    return Block(
        f'<img src="data:image/png;base64,{source}" alt="{escape(alternative)}">', PHOTO, "picture"
    )


def _widget(first: First) -> Iterator[Block]:
    """A widget's first picture, what it says, and where the live one is."""
    said = "".join(first["says"][-1:]) if first["svg"] else ""
    controls = ", ".join(escape(name) for name in first["controls"][:6])
    live = f"The live one is in the notebook: {controls}" if controls else ""
    where = f'<p class="more">{live or "This is live in the notebook."}</p>'
    if first["svg"]:
        yield _picture(first["svg"])
        yield Block(said, 0, "note")
    yield Block(where, BODY_LINE)
