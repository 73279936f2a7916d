"""Pictures: a few functions that give SVG as a string, and `Picture`, which a notebook shows.

The idea: a picture is a pure function of a state. The same state gives the same bytes, in every
process, so a notebook's stored picture is compared byte by byte. Each picture also has a `text`,
which says the same in characters: for a terminal, for a screen reader, for a test.

The rules that keep it simple: an SVG has no ids, so two of them never clash on one page; arrow
heads and patterns are drawn, not referred to. Numbers have at most two decimals. Text is cut to
the width it has, never left to overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from virtlab.show.palette import (
    BODY,
    FAINT,
    INK,
    MARGIN,
    MONO,
    MUTED,
    PAPER,
    SANS,
    SMALL,
    TITLE,
    WIDTH,
)

TOP = 64
"""Where the drawing may begin, below the title, in pixels."""


@dataclass(frozen=True, slots=True, repr=False)
class Picture:
    """A drawing: `svg` for the eye, `text` the same in words and characters."""

    svg: str
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": self.text}


def picture(title: str, height: float, parts: Iterable[str], text: str, label: str) -> Picture:
    """Put `parts` on a panel of `height` pixels under a visible `title`.

    `label` is the alternative that a screen reader speaks: what is seen now, not only the title.
    """
    panel = rect(0.5, 0.5, WIDTH - 1, height - 1, fill=PAPER, stroke=FAINT, radius=10, weight=1)
    heading = write(MARGIN, 40, fit(title, WIDTH - 2 * MARGIN, TITLE), size=TITLE, bold=True)
    svg = element(
        "svg",
        element("title", escape(title)),
        panel,
        heading,
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        aria_label=label,
        viewBox=f"0 0 {WIDTH} {number(height)}",
        width=WIDTH,
        height=height,
        style="max-width: 100%; height: auto",
        font_family=SANS,
    )
    return Picture(svg, text)


# -- elements


def element(tag: str, *children: str, **attributes: str | float) -> str:
    """One element. An underscore in an attribute's name stands for a hyphen; empty ones go.

    >>> element("path", d="M0 0h8", stroke_width=1.50)
    '<path d="M0 0h8" stroke-width="1.5"/>'
    """
    words = [tag]
    for name, value in attributes.items():
        shown = value if isinstance(value, str) else number(value)
        if shown:
            words.append(f'{name.replace("_", "-")}="{escape(shown)}"')
    inside = "".join(children)
    return f"<{' '.join(words)}>{inside}</{tag}>" if inside else f"<{' '.join(words)}/>"


def rect(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str = PAPER,
    stroke: str = INK,
    radius: float = 4,
    weight: float = 1.5,
    dash: str = "",
) -> str:
    """A box, its corners rounded by `radius`; no outline where `stroke` is `"none"`."""
    return element(
        "rect",
        x=x,
        y=y,
        width=width,
        height=height,
        rx=radius,
        fill=fill,
        stroke=stroke,
        stroke_width=weight,
        stroke_dasharray=dash,
    )


def write(
    x: float,
    y: float,
    words: str,
    size: float = BODY,
    fill: str = INK,
    anchor: str = "start",
    bold: bool = False,
    mono: bool = False,
    halo: str = "",
) -> str:
    """One line of text, its baseline at `y`. `halo` is a colour that clears what lies behind."""
    return element(
        "text",
        escape(words),
        x=x,
        y=y,
        font_size=size,
        fill=fill,
        text_anchor="" if anchor == "start" else anchor,
        font_weight="bold" if bold else "",
        font_family=MONO if mono else "",
        stroke=halo,
        stroke_width=5 if halo else "",
        stroke_linejoin="round" if halo else "",
        paint_order="stroke" if halo else "",
        style="white-space: pre" if mono else "",
    )


def line(
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    stroke: str = INK,
    weight: float = 1.5,
    dash: str = "",
) -> str:
    """A straight line."""
    return element(
        "line",
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
        stroke=stroke,
        stroke_width=weight,
        stroke_dasharray=dash,
    )


# -- text and numbers


def number(value: float) -> str:
    """A coordinate with at most two decimals and no noise: `0.1 + 0.2` is `0.3`."""
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def visible(words: str) -> str:
    """Characters that no SVG may hold, as signs: escape becomes ␛, the rest of them too."""
    return _CONTROL.sub(lambda m: chr(0x2400 + ord(m[0])) if ord(m[0]) < 32 else "�", words)


def escape(words: str) -> str:
    """Text that can stand in an element or in a quoted attribute."""
    safe = visible(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace('"', "&quot;")


def breadth(words: str, size: float = BODY, mono: bool = False) -> float:
    """How many pixels `words` need at most, in the widest of the fonts that may be used."""
    return len(words) * size * (0.61 if mono else 0.6)


def fit(words: str, width: float, size: float = BODY, mono: bool = False) -> str:
    """`words`, cut with an ellipsis where they need more than `width` pixels.

    >>> fit("a long sentence", 60, 16)
    'a lon…'
    """
    if breadth(words, size, mono) <= width:
        return words
    room = int(width / breadth("n", size, mono))
    return words[: max(0, room - 1)].rstrip() + "…"


def caption(y: float, words: str) -> str:
    """A line that explains, in small type, at the left margin."""
    return write(MARGIN, y, fit(words, WIDTH - 2 * MARGIN, SMALL), size=SMALL, fill=MUTED)
