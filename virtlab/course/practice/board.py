"""Writing a problem: what is given, what is asked, the steps, and the slips people make.

    board.say("...")   board.table(...)        what is given
    board.ask("...", form="one number")        the question
    board.step("index", "0x1234 >> 12", "0x1") a line of the answer
    board.slip("index", 0x12, "...")           where a wrong answer comes from
    board.answer("0x1")                        what the library says

The idea: a kind of problem is one function that fills a board. All random numbers come from
`board.random`, so that the seed decides everything.

The rule that keeps it simple: `finish` refuses a board that is not whole: no question, a slip that
names no step, a last step that does not end at the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from virtlab.course.practice.answers import Key, Slip, distinct, read
from virtlab.course.practice.problem import Problem, Step, Worked
from virtlab.show.svg import Picture
from virtlab.show.tables import Table


class Board:
    """A problem in the making, with its random numbers. `level` is 1, 2 or 3.

    `data` is plain data for programs; `words` are those that an answer may have; `draw` makes a
    picture of the answer.
    """

    def __init__(self, random: Random, level: int) -> None:
        self.random, self.level = random, level
        self.data: dict[str, Any] = {}
        self.words: set[str] = set()
        self.parts: tuple[str, ...] = ()
        self.draw: Callable[[], Picture] | None = None
        self._given: list[str] = []
        self._tables: list[Table] = []
        self._question = self._form = self._answer = ""
        self._steps: list[Step] = []
        self._slips: list[Slip] = []

    # -- what is given

    def say(self, text: str) -> None:
        """A paragraph of what is given."""
        self._given.append(text)

    def table(self, caption: str, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table of what is given."""
        body = tuple(tuple(row) for row in rows)
        self._tables.append(Table(caption, tuple(headers), body))

    def ask(self, question: str, form: str) -> None:
        """The question, and after "Write" how the answer is written."""
        self._question, self._form = question, form

    # -- the answer

    def step(self, name: str, work: str, result: str = "") -> None:
        """One step of the worked answer."""
        self._steps.append(Step(name, work, result))

    def slip(self, step: str, answer: object, why: str) -> None:
        """A mistake in `step` that leads to `answer`. One that leads to the right one is none."""
        self._slips.append(Slip(step, read(answer), why))

    def answer(self, text: str) -> None:
        """The answer, as it is written."""
        self._answer = text

    # -- the whole

    def finish(self, kind: str, title: str, seed: int) -> Problem:
        """The problem. `ValueError` if something is missing: a mistake in its generator."""
        names = [step.name for step in self._steps]
        key = self._key()
        named = {slip.step for slip in self._slips} | set(self.parts)
        if not (self._question and names and key.answer) or len(set(names)) < len(names):
            raise ValueError(f"{kind}: a question, an answer, and steps that differ are needed")
        if not named <= set(names):
            raise ValueError(f"{kind}: no step is called {sorted(named - set(names))}")
        if read(self._steps[-1].result) != key.answer:
            raise ValueError(f"{kind}: the last step ends at {self._steps[-1].result!r}")
        worked = Worked(tuple(self._steps), self._answer, self.draw)
        given, tables = tuple(self._given), tuple(self._tables)
        return Problem(
            kind, self.level, seed, title, given, tables, self._question, worked, key, self.data
        )

    def _key(self) -> Key:
        answer = read(self._answer)
        words = self.words | {token for token in answer if isinstance(token, str)}
        results = tuple((step.name, read(step.result)) for step in self._steps)
        slips = distinct(answer, self._slips)
        return Key(answer, self._form, frozenset(words), slips, results, self.parts)


def hex_of(value: int, digits: int = 0) -> str:
    """A number as the course writes it.

    >>> hex_of(0x2A), hex_of(0x2A, 4)
    ('0x2a', '0x002a')
    """
    return f"{value:#0{digits + 2}x}" if digits else f"{value:#x}"


def bits_of(value: int, width: int) -> str:
    """A number in binary, in groups of four from the right.

    >>> bits_of(0x2A, 8)
    '0010 1010'
    """
    text = f"{value:0{width}b}"
    head = len(text) % 4
    groups = [text[:head]] if head else []
    return " ".join(groups + [text[at : at + 4] for at in range(head, len(text), 4)])
