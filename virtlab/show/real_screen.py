r"""The console of a Linux as a screen: what a terminal of 80 columns shows after so many bytes.

    "Writing 0/2\b\b\b   \b\b\bdone\r\n"        Writing done
    "linux# "                                   linux# _

The idea: a serial console is a stream of bytes. Most are characters; a few move the place where the
next one goes. A terminal is the small machine that follows them.

The rule that keeps it simple: it knows a carriage return, a new line, a backspace and a tab. Longer
escape sequences, such as those for colours, are taken out.

Left out: cursor addressing, so no editor and no `top`.
"""

from __future__ import annotations

import re

from virtlab.show.palette import (
    INK,
    MARGIN,
    PHOSPHOR,
    SCREEN,
    SMALL,
    WIDTH,
    YELLOW,
)
from virtlab.show.svg import TOP, Picture, caption, fit, picture, rect, visible, write

COLUMNS, LINES = 96, 16
"""Characters of the drawn console."""

TAIL = COLUMNS * LINES * 4
"""Bytes at the end of which a screen is made: those before have gone off it."""

_ESCAPE = re.compile("\x1b(?:\\[[0-9;?]*[ -/]*[@-~]|[@-Z\\\\-_])")
_LINE = 21.0
_TAB = 8


def terminal(data: bytes, columns: int = COLUMNS, lines: int = LINES) -> list[str]:
    r"""The last `lines` lines of a terminal after `data`, long ones wrapped.

    >>> terminal(b"Writing 0/2\b\b\b   \b\b\bdone\r\nlinux# ")
    ['Writing done', 'linux# ']
    """
    text = plain(data[-TAIL:])
    found: list[str] = []
    for raw in text.split("\n"):
        words = visible(_typed(raw))
        found += [words[at : at + columns] for at in range(0, max(1, len(words)), columns)]
    return found[-lines:]


def plain(data: bytes) -> str:
    """Bytes as text, without escape sequences."""
    return _ESCAPE.sub("", data.decode("utf-8", "replace"))


def _typed(raw: str) -> str:
    """One line, when all that moves in it has moved."""
    line: list[str] = []
    at = 0
    for sign in raw:
        if sign == "\r":
            at = 0
        elif sign == "\b":
            at = max(0, at - 1)
        elif sign == "\t":
            at += _TAB - at % _TAB
        else:
            line += " " * (at + 1 - len(line))
            line[at] = sign
            at += 1
    return "".join(line)


def screen_picture(
    data: bytes, title: str = "The console of Linux", fresh: int = 0, below: str = ""
) -> Picture:
    """The screen after `data`; the last `fresh` bytes are new. `below` is a line of explanation."""
    shown = terminal(data)
    new = len(terminal(data[len(data) - fresh :])) if fresh else 0
    height = LINES * _LINE + 20
    parts = [rect(MARGIN - 4, TOP, WIDTH - 2 * MARGIN + 8, height, SCREEN, INK, 8)]
    for n, words in enumerate(shown):
        lit = n >= len(shown) - new
        y = TOP + 24 + n * _LINE
        cut = fit(words, WIDTH - 2 * MARGIN - 16, SMALL, mono=True)
        parts.append(write(MARGIN + 8, y, cut, SMALL, YELLOW if lit else PHOSPHOR, mono=True))
    bottom = TOP + height + 26
    parts.append(caption(bottom - 4, below) if below else "")
    text = "\n".join([title, *(line.rstrip() for line in shown), below]).rstrip()
    last = next((line.strip() for line in reversed(shown) if line.strip()), "nothing yet")
    return picture(title, bottom + 10, parts, text, f"{title}. The last line: {last}")
