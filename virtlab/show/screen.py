"""The text screen as a picture: 25 lines of 80 characters, in the colours that their bytes name.

The idea: the picture is drawn from the cells that the guest stored, and from nothing else. The
caption has the same text, for whoever does not see the picture.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from virtlab.devices.text_screen import BACKGROUND, COLUMNS, FOREGROUND, ROWS
from virtlab.machine import TEXT_SCREEN
from virtlab.show.palette import MARGIN, SMALL, WIDTH
from virtlab.show.svg import Picture, caption, picture, rect, write

COLOURS = (
    *("#000000", "#0000AA", "#00AA00", "#00AAAA", "#AA0000", "#AA00AA", "#AA5500", "#AAAAAA"),
    *("#555555", "#5555FF", "#55FF55", "#55FFFF", "#FF5555", "#FF55FF", "#FFFF55", "#FFFFFF"),
)
"""The sixteen colours of the VGA's text modes, by number: the device's own, not this course's."""

CELL = (WIDTH - 2 * MARGIN) / COLUMNS
LINE = 20
TOP = 62


def text_screen(cells: npt.NDArray[np.uint8], rows: int = ROWS) -> Picture:
    """Draw the first `rows` lines of `cells`, (25, 80, 2) uint8: the character, the attribute."""
    if not 1 <= rows <= ROWS:
        raise ValueError(f"the screen has 1 to {ROWS} rows, not {rows}")
    parts = [
        rect(MARGIN - 4, TOP - 4, WIDTH - 2 * MARGIN + 8, rows * LINE + 8, "#000000", radius=2)
    ]
    lines = []
    for row in range(rows):
        parts += _line(cells[row], TOP + row * LINE)
        lines.append(bytes(cells[row, :, 0]).decode("cp437").rstrip())
    text = "\n".join(lines).rstrip() or "(the screen is blank)"
    height = TOP + rows * LINE + 40
    place = f"{COLUMNS} columns, two bytes a cell, from {TEXT_SCREEN:#x} in memory space"
    parts.append(caption(height - 14, place))
    return picture("The text screen", height, parts, text, f"The text screen shows: {text}")


def _line(cells: npt.NDArray[np.uint8], y: float) -> list[str]:
    """One line of the screen, drawn as runs of equal attribute."""
    parts, start = [], 0
    for column in range(1, COLUMNS + 1):
        if column == COLUMNS or cells[column, 1] != cells[start, 1]:
            parts += _run(cells[start:column], MARGIN + start * CELL, y)
            start = column
    return parts


def _run(cells: npt.NDArray[np.uint8], x: float, y: float) -> list[str]:
    attribute = int(cells[0, 1])
    ground, ink = COLOURS[BACKGROUND.get(attribute)], COLOURS[FOREGROUND.get(attribute)]
    words = bytes(cells[:, 0]).decode("cp437")
    parts = []
    if ground != COLOURS[0]:
        parts.append(rect(x, y, len(cells) * CELL, LINE, ground, "none", 0))
    for i, character in enumerate(words):
        if character not in " \0":
            middle = x + (i + 0.5) * CELL
            parts.append(write(middle, y + 15, character, SMALL, ink, "middle", mono=True))
    return parts
