"""What a slide shows of a lesson's parts: blocks of HTML, each with the height that it needs.

    claim      the bold sentence of a round, or the first one of a part that has none
    code       the cell's lines; then what it printed, drew or put into a table (`outputs`)
    question   a prediction or a quiz: asked on one slide, answered on a later one
    note       all other prose, of height 0: the speaker's

The idea: headings, claims, code and pictures carry the argument; prose is for whoever speaks.

The rule that keeps it simple: order is the notebook's. Only the answer to a prediction moves: it
stands below what the next cell shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from virtlab.course.slides.first import First
from virtlab.course.slides.lesson import Part
from virtlab.course.slides.markup import inline, markdown
from virtlab.course.slides.outputs import run_blocks, table
from virtlab.course.slides.sizes import (
    ASK_LINE,
    ASK_TYPE,
    BODY_LINE,
    BODY_TYPE,
    CLAIM_LINE,
    CLAIM_TYPE,
    GAP,
    Block,
    lines_of,
)

LAST = "Take away"
"""The heading of the part whose prose is shown."""
BREAK = Block("", 0, "break")


def blocks(part: Part, firsts: dict[int, First]) -> Iterator[Block]:
    """The blocks of one part, in order."""
    yield from _lead(part)
    answer: list[Block] = []
    for item in part.items:
        if isinstance(item, str):
            yield from _prose(part, item)
            continue
        first = firsts.get(item.number)
        if first and first["kind"] == "predict":
            yield from (*answer, BREAK, _asked(first), BREAK)
            answer = [_answered(first)]
        elif first and first["kind"] == "quiz":
            yield from _quiz(first)
        else:
            yield from run_blocks(item, first)
            yield from answer
            answer = []
    yield from answer


# -- words


def _lead(part: Part) -> Iterator[Block]:
    """The claim of a part: its first bold sentence that says so, else its first sentence."""
    prose = [item for item in part.items if isinstance(item, str)]
    claims = [match[1] for text in prose if (match := re.search(r"\*\*Claim: (.*?)\*\*", text))]
    if part.level == 1 or part.heading == LAST or not (claims or prose):
        return
    lead = claims[0] if claims else _sentence(prose[0])
    yield _words("claim", inline(lead[0].upper() + lead[1:]), lead, CLAIM_TYPE, CLAIM_LINE)


def _sentence(text: str) -> str:
    """The first sentence of a paragraph; nothing of one that is a table or a list."""
    return re.split(r"(?<=[.?:]) +(?=[A-Z`*\[])", text.partition("\n")[0])[0]


def _words(kind: str, html: str, text: str, size: int, line: int, tag: str = "p") -> Block:
    return Block(f'<{tag} class="{kind}">{html}</{tag}>', lines_of(text, size) * line)


def _prose(part: Part, text: str) -> Iterator[Block]:
    """Prose: shown on the title and in tables, spoken everywhere else."""
    html = markdown(text)
    if "<table" in html:
        yield table(html)
    elif part.level == 1 or part.heading == LAST:
        lines = sum(lines_of(line, BODY_TYPE) for line in text.splitlines())
        yield Block(f'<div class="body">{html}</div>', lines * BODY_LINE + GAP)
    else:
        yield Block(html, 0, "note")


def _asked(first: First) -> Block:
    """The question of a prediction, with the answers to choose from."""
    options = "".join(f"<li>{inline(choice)}</li>" for choice in first["choices"])
    rows = sum(lines_of(choice, BODY_TYPE) for choice in first["choices"])
    html = (
        f'<div class="predict"><p class="label">Predict</p><p class="ask">'
        f"{inline(first['question'])}</p>{options and f'<ul>{options}</ul>'}</div>"
    )
    return Block(html, 160 + lines_of(first["question"], ASK_TYPE) * ASK_LINE + rows * BODY_LINE)


def _answered(first: First) -> Block:
    words = f"The answer is `{first['answer']}`. {first['why']}"
    return _words("answer", inline(words), words, BODY_TYPE, BODY_LINE)


def _quiz(first: First) -> Iterator[Block]:
    """Each question twice: as it is asked, and with the right answer and the reasons."""
    for number, one in enumerate(first["questions"], 1):
        for answered in (False, True):
            yield BREAK
            yield _question(number, one, answered)
    yield BREAK


def _question(number: int, asked: dict[str, Any], answered: bool) -> Block:
    prompt = asked["prompt"]
    height = lines_of(f"{number}. {prompt}", CLAIM_TYPE) * CLAIM_LINE + 2 * GAP
    rows = ""
    for place, option in enumerate(asked["options"]):
        sign, word = ("✓", "Right.") if place == asked["answer"] else ("✗", "Not this one.")
        mark = f'<span class="mark">{sign} {word}</span> ' if answered else ""
        why = f'<p class="why">{mark}{inline(option["why"])}</p>' if answered else ""
        rows += f"<li>{inline(option['words'])}{why}</li>"
        height += lines_of(option["words"], BODY_TYPE) * BODY_LINE + GAP
        height += lines_of(f"✗ Not this one. {option['why']}", BODY_TYPE) * BODY_LINE * answered
    label = "Question and answer" if answered else "Question"
    head = f'<p class="label">{label}</p><p class="claim">{number}. {inline(prompt)}</p>'
    return Block(f'<div class="quiz">{head}<ol>{rows}</ol></div>', height + 40)
