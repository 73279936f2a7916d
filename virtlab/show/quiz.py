"""Questions: a prediction before an experiment, and a quiz with explained answers.

The idea: a learner who has said what will happen looks differently at what does. `Predict` keeps
the answer and never blocks the notebook: the cells below run whether it was given or not. `Quiz`
explains each option, also the right one, because a right guess is not yet knowledge.

The rule that keeps it simple: `judge` is a pure function from a question and an answer to the
words that are shown. Right and wrong differ by word and sign, not by colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import ipywidgets as widgets

from virtlab.show.shell import Shell, button, entry, marked, row, said, sentence, tagged, whole


class Option(NamedTuple):
    """One answer that can be chosen, and why it is right or wrong."""

    words: str
    why: str


class Question(NamedTuple):
    """`prompt`, the options, and which of them (from 0) is right."""

    prompt: str
    options: tuple[Option, ...]
    answer: int


def question(
    prompt: str, right: tuple[str, str], *wrong: tuple[str, str], place: int = 0
) -> Question:
    """A question from `(words, why)` pairs; the right one stands at `place` (from 0)."""
    options = [Option(*pair) for pair in wrong]
    options.insert(place, Option(*right))
    return Question(prompt, tuple(options), options.index(Option(*right)))


def judge(asked: Question, chosen: int | None) -> str:
    """What is said to the learner who chose option `chosen`, or none yet."""
    if chosen is None:
        return "Choose an answer first."
    option = asked.options[chosen]
    mark = "✓ Right." if chosen == asked.answer else "✗ Not this one."
    return f"{mark} {option.why}"


class Quiz(Shell):
    """Multiple choice, question after question: `Quiz([question(...), ...])`."""

    heard: ClassVar[list[Callable[[Quiz], None]]] = []
    """Who is told each time that an answer was checked."""
    latest: ClassVar[Quiz | None] = None
    """The quiz that was made last, in this process."""

    def __init__(self, questions: Sequence[Question], title: str = "Quiz") -> None:
        if not questions:
            raise ValueError("a quiz has at least one question")
        self.questions = tuple(questions)
        self._choices = [_radio(asked, number) for number, asked in enumerate(questions, 1)]
        self._says = [sentence() for _ in questions]
        self._total = sentence()
        blocks: list[Any] = []
        for index, asked in enumerate(self.questions):
            check = button(f"Check answer {index + 1}", partial(self.check, index))
            heading = widgets.HTML(f"<p><b>{index + 1}. {marked(asked.prompt)}</b></p>")
            blocks += [heading, self._choices[index], row(check), self._says[index]]
        blocks += [row(button("Reset", self.reset)), self._total]
        super().__init__(f"{title}: {len(self.questions)} questions", blocks)
        self.reset()
        Quiz.latest = self

    @property
    def chosen(self) -> list[int | None]:
        """For each question the option chosen, or None."""
        return [choice.index for choice in self._choices]

    @property
    def results(self) -> list[bool | None]:
        """For each question whether the checked answer is right; None where none was checked."""
        return [
            chosen == asked.answer if chosen is not None and says.value else None
            for chosen, asked, says in zip(self.chosen, self.questions, self._says, strict=True)
        ]

    def check(self, index: int) -> None:
        """Say whether answer `index` is right, and why."""
        self._says[index].value = said(judge(self.questions[index], self.chosen[index]))
        right = sum(result is True for result in self.results)
        self._total.value = said(f"{right} of {len(self.questions)} checked and right.")
        for hear in Quiz.heard:
            hear(self)

    def reset(self) -> None:
        """Take all answers back."""
        for choice, says in zip(self._choices, self._says, strict=True):
            choice.index, says.value = None, ""
        self._total.value = said("Nothing is checked yet.")


def plain(words: str) -> str:
    """Words for a radio button, which shows no code as code: without backquotes."""
    return words.replace("`", "")


def _radio(asked: Question, number: int) -> Any:
    """The options of a question as radio buttons, wide enough for their words."""
    made = widgets.RadioButtons(
        options=[plain(option.words) for option in asked.options],
        description=f"Answer {number}",
        layout=widgets.Layout(width="auto"),
        style={"description_width": "initial"},
    )
    return tagged(made, f"answer {number}")


class Predict(Shell):
    """A prediction: `Predict("How many exits?", answer=5, why="...")`, or with `options`.

    With `options`, `answer` is one of them; else it is a number, and the learner types one that
    may be off by `within`. `prediction` keeps what was said, or None. Nothing waits for it.
    """

    def __init__(
        self,
        question: str,
        answer: str | int,
        why: str,
        options: Sequence[str] = (),
        within: int = 0,
    ) -> None:
        if options and answer not in options:
            raise ValueError(f"the answer {answer!r} is not among the options {list(options)}")
        self.question, self.answer, self.why, self.within = question, answer, why, within
        self._field = entry("Your prediction", "") if not options else _options(options)
        self._says = sentence()
        heading = widgets.HTML(f"<p><b>Predict.</b> {marked(question)}</p>")
        buttons = row(button("Show answer", self.show), button("Reset", self.reset))
        super().__init__(f"Predict: {question}", [heading, self._field, buttons, self._says])
        self._field.observe(lambda _: self._noted(), "value")
        self.reset()

    @property
    def prediction(self) -> str | int | None:
        """What the learner said: an option or a number; None before."""
        if isinstance(self._field, widgets.RadioButtons):
            return self._field.value  # type: ignore[no-any-return]
        return whole(self._field.value)

    @property
    def right(self) -> bool:
        """Whether the prediction is the answer, or near enough to it."""
        said_before = self.prediction
        if isinstance(said_before, int) and isinstance(self.answer, int):
            return abs(said_before - self.answer) <= self.within
        return said_before == self.answer

    def show(self) -> None:
        """Show the answer beside the prediction."""
        shown = f"The answer is `{self.answer}`. {self.why}"
        said_before = self.prediction
        if said_before is None:
            verdict = "You made no prediction."
        elif self.right:
            verdict = f"✓ You predicted `{said_before}`."
        else:
            verdict = f"✗ You predicted `{said_before}`."
        self._says.value = said(f"{verdict} {shown}")

    def reset(self) -> None:
        """Take the prediction back."""
        if isinstance(self._field, widgets.RadioButtons):
            self._field.index = None
        else:
            self._field.value = ""
        self._says.value = said("Say what you expect, then run the cell below.")

    def _noted(self) -> None:
        noted = self.prediction
        words = (
            "Give a whole number, such as `12` or `0x0c`."
            if noted is None
            else (f"Noted: `{noted}`. Now run the cell below.")
        )
        self._says.value = said(words)


def _options(options: Sequence[str]) -> Any:
    layout = widgets.Layout(width="auto")
    made = widgets.RadioButtons(
        options=[(plain(option), option) for option in options],
        description="Your prediction",
        layout=layout,
        style={"description_width": "initial"},
    )
    return tagged(made, "Your prediction")
