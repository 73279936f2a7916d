"""The file of a deck: one HTML page with its style, its script, its pictures, and nothing beside.

    <main> one <section> a slide, each with its notes </main> <nav> buttons, page number </nav>

The idea: the page is complete without the script: slides below each other, as they are printed.
The script shows one at a time, and listens to keys.

The rule that keeps it simple: a browser is told by the page's own policy to load nothing, so a
deck that needed the network would show it at once. Sizes come from `sizes`, so that what was
counted there is what is drawn here.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files

from virtlab.course.slides import sizes
from virtlab.course.slides.lesson import Lesson
from virtlab.course.slides.markup import inline
from virtlab.course.slides.pack import Slide

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
KEYS = "Arrow keys, Space, Home and End turn pages. N shows the speaker's notes."
SIZES = {
    "wide": sizes.WIDE,
    "high": sizes.HIGH,
    "margin": sizes.MARGIN,
    "head": sizes.HEAD,
    "foot": sizes.FOOT,
    "gap": sizes.GAP,
    "padding": sizes.PADDING,
    "claim-type": sizes.CLAIM_TYPE,
    "claim-line": sizes.CLAIM_LINE,
    "body-type": sizes.BODY_TYPE,
    "body-line": sizes.BODY_LINE,
    "code-type": sizes.CODE_TYPE,
    "code-line": sizes.CODE_LINE,
    "ask-type": sizes.ASK_TYPE,
    "ask-line": sizes.ASK_LINE,
    "table-type": sizes.TABLE_TYPE,
    "table-line": sizes.TABLE_LINE,
    "cell-line": sizes.CELL_LINE,
}


def deck(lesson: Lesson, slides: list[Slide]) -> str:
    """The whole file of a lesson's deck."""
    title = f"Lesson {lesson.name[:2]}. {lesson.title}"
    body = "\n".join(_section(slide, number, len(slides)) for number, slide in enumerate(slides, 1))
    return _PAGE.format(
        title=escape(title),
        policy=POLICY,
        style=f":root {{ {_sizes()} }}\n{_data('deck.css')}",
        slides=body,
        keys=KEYS,
        script=_data("deck.js"),
    )


def _data(name: str) -> str:
    return (files("virtlab.data") / "slides" / name).read_text(encoding="utf-8")


def _sizes() -> str:
    return " ".join(f"--{name}: {pixels}px;" for name, pixels in SIZES.items())


def _section(slide: Slide, number: int, count: int) -> str:
    """One slide as a section that a screen reader names by its number."""
    tag = "h1" if slide.level == 1 else "h2"
    part = f' <span class="part">{slide.place} of {slide.of}</span>' if slide.of > 1 else ""
    heading = f"<{tag}>{inline(slide.heading)}{part}</{tag}>"
    notes = "\n".join(slide.notes) or "<p>No notes for this slide.</p>"
    return (
        f'<section id="s{number}" class="slide level-{slide.level}" tabindex="-1" '
        f'aria-roledescription="slide" aria-label="Slide {number} of {count}">\n'
        f'<div class="stage">{heading}\n<div class="room">{"".join(slide.body)}</div>\n'
        f'<p class="number" aria-hidden="true">{number} / {count}</p></div>\n'
        f'<aside class="notes" aria-label="Speaker\'s notes {number}">{notes}</aside>\n</section>'
    )


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}
</style>
</head>
<body>
<main>
{slides}
</main>
<nav aria-label="Slides" hidden>
<button type="button" id="previous" title="Previous slide (left arrow)">Previous</button>
<button type="button" id="next" title="Next slide (right arrow)">Next</button>
<button type="button" id="notes" aria-pressed="false" title="{keys}">Notes</button>
<span id="where" role="status"></span>
</nav>
<script>
{script}
</script>
</body>
</html>
"""
