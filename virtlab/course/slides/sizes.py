"""The sizes of a slide and its types, in pixels of 1280 x 720, and what a block is.

    HEAD    the heading
    ROOM    blocks, one below another, GAP between them; COLUMN wide
    FOOT    the page number

The idea: types and columns are fixed, so lines can be counted before a browser draws them. The
style sheet takes the same numbers (`page`).

The rule that keeps it simple: a character counts with its mean width in the widest of the fonts
that may be used. A slide has slack below, so a line more or less does no harm.
"""

from __future__ import annotations

import math
from typing import NamedTuple

WIDE, HIGH = 1280, 720
MARGIN, HEAD, FOOT, GAP = 48, 80, 44, 14
COLUMN, ROOM = WIDE - 2 * MARGIN, HIGH - HEAD - FOOT - 12

CLAIM_TYPE, BODY_TYPE, CODE_TYPE, TABLE_TYPE = 28, 24, 20, 20
CLAIM_LINE, BODY_LINE, CODE_LINE, TABLE_LINE = 38, 34, 27, 34
CELL_LINE = 26
"""From line to line within a cell; a row of one line takes `TABLE_LINE`."""
ASK_TYPE, ASK_LINE = 36, 50
"""A prediction stands alone on its slide."""
PADDING = 10
"""Above and below code and what it prints."""
CODE_COLUMNS = int((COLUMN - 2 * PADDING) / (0.605 * CODE_TYPE))
CODE_LINES = (ROOM - 2 * PADDING) // CODE_LINE
PHOTO = 540
"""The height of a plot."""
MOST_LINES = 16
"""Of what a cell printed."""


class Block(NamedTuple):
    """`html` that needs `height` pixels. `kind`: "", "picture" (scaled), "note", "break"."""

    html: str
    height: int = 0
    kind: str = ""


def lines_of(text: str, size: int) -> int:
    """How many lines `text` takes in a type of `size` pixels across a slide."""
    return max(1, math.ceil(len(text) * 0.53 * size / COLUMN))
