"""Blocks become slides: a slide takes the next block while there is room.

    heading                    Round 2. Two bells (1 of 3)
    blocks, one below another  heights and gaps add up to at most ROOM
    notes                      said while this slide is shown

The idea: a picture takes what room is left, as long as it stays nearly as large as on a slide of
its own; else it gets one. Prose goes to the slide that is being filled when it comes.

The rule that keeps it simple: a slide without a block is no slide; its notes go to the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from virtlab.course.slides.blocks import blocks
from virtlab.course.slides.first import First
from virtlab.course.slides.lesson import Lesson
from virtlab.course.slides.markup import markdown
from virtlab.course.slides.sizes import GAP, ROOM, Block

SHRINK = 0.85
"""How much smaller a picture may be than on a slide of its own."""


@dataclass
class Slide:
    """One slide: its heading, its place among those of the same heading, HTML, and notes."""

    heading: str
    level: int
    body: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    place: int = 1
    of: int = 1
    used: int = 0

    def room(self) -> int:
        """Pixels that are left below what is there."""
        return ROOM - self.used - GAP * bool(self.body)

    def put(self, html: str, height: int) -> None:
        """Add a block below the others."""
        self.used = ROOM - self.room() + height
        self.body.append(html)


def slides_of(lesson: Lesson, firsts: dict[int, First]) -> list[Slide]:
    """All slides of a lesson, the instructor's notes with the first one."""
    made: list[Slide] = []
    for part in lesson.parts:
        made += pack(part.heading, part.level, blocks(part, firsts))
    if lesson.instructor:
        made[0].notes.insert(0, f"<h2>For the instructor</h2>{markdown(lesson.instructor)}")
    return made


def pack(heading: str, level: int, given: Iterable[Block]) -> list[Slide]:
    """The slides of one part; at least one, also if nothing is on it."""
    made = [Slide(heading, level)]
    for block in given:
        if block.kind == "note":
            made[-1].notes.append(block.html)
        elif block.kind == "break":
            _turn(made)
        else:
            html, height = _sized(made, block)
            made[-1].put(html, height)
    if len(made) > 1 and not made[-1].body:
        made[-2].notes += made.pop().notes
    for place, slide in enumerate(made, 1):
        slide.place, slide.of = place, len(made)
    return made


def _turn(made: list[Slide]) -> None:
    """Begin a new slide, unless this one is empty."""
    if made[-1].body:
        made.append(Slide(made[-1].heading, made[-1].level))


def _sized(made: list[Slide], block: Block) -> tuple[str, int]:
    """The block as it fits on the last slide, or on a new one."""
    if block.kind != "picture":
        if block.height > made[-1].room():
            _turn(made)
        return block.html, block.height
    alone = min(block.height, ROOM)
    if made[-1].room() < SHRINK * alone:
        _turn(made)
    height = min(alone, made[-1].room())
    return f'<div class="picture" style="height: {height}px">{block.html}</div>', height
