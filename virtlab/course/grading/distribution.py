"""How the points of a class lie: columns as a picture, and the same as a table.

        76
     41 ##
     ## ##        a column is a tenth of the points that can be had;
    80-89 90-100  the last one holds 100 % too

The idea: whether a mean of 60 % is one hill or two is seen at once, and decides what to do. The
rule that keeps it readable: each column has its number above it, and a screen reader hears them.
What it leaves out: who is where.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from virtlab.course.grading.pages import Html, bar, table, tag
from virtlab.course.grading.statistics import BINS

HIGH, WIDE, STEP = 150, 660, 62
"""The distribution: height of a full column, width of the drawing, from column to column."""


def distribution(bins: Sequence[int], of: str) -> Iterator[Html]:
    """The heading, the picture and the table of a set, from the students in each column."""
    ranges = [_range(number) for number in range(BINS)]
    yield tag("h3", "How the points lie")
    yield _columns(bins, of)
    rows = [
        (span, f"{number}", bar(number / max(bins)))
        for span, number in zip(ranges, bins, strict=True)
    ]
    inside = table(
        f"Students by their share of the points of {of}", ("share", "#students", "bar"), rows
    )
    yield tag("details", tag("summary", "The same as a table"), inside)


def _range(number: int) -> str:
    """What a column covers: `20-29 %`; the last one includes 100 %."""
    low = number * 100 // BINS
    return f"{low}-{100 if number == BINS - 1 else low + 100 // BINS - 1} %"


def _columns(bins: Sequence[int], of: str) -> Html:
    """The distribution as columns, each with its number above it and its range below."""
    most, parts = max(bins), []
    for number, students in enumerate(bins):
        x, tall = 20 + number * STEP, round(HIGH * students / most, 1)
        shape = {"x": f"{x}", "y": f"{30 + HIGH - tall:g}", "width": "50", "height": f"{tall:g}"}
        parts.append(tag("rect", **shape, class_="value"))
        middle = f"{x + 25}"
        above = f"{22 + HIGH - tall:g}"
        parts.append(_words(middle, above, f"{students}" if students else ""))
        parts.append(_words(middle, f"{HIGH + 52}", _range(number).removesuffix(" %")))
    line = f"{HIGH + 30}.5"
    parts.append(tag("line", x1="10", x2=f"{WIDE - 10}", y1=line, y2=line, class_="track"))
    parts.append(_words(f"{WIDE // 2}", f"{HIGH + 78}", "share of the points, in %"))
    said = ", ".join(f"{_range(n)}: {students}" for n, students in enumerate(bins) if students)
    return tag(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        aria_label=f"Students by their share of the points of {of}. {said}.",
        viewBox=f"0 0 {WIDE} {HIGH + 90}",
        style=f"width: 100%; max-width: {WIDE + 60}px; height: auto",
    )


def _words(x: str, y: str, words: str) -> Html:
    return tag("text", words, x=x, y=y, text_anchor="middle", font_size="16")
