"""A problem, its steps, and how both look: in characters, and in a notebook.

    Problem   kind, level, seed     given text and tables, one question
      .check(answer) -> Verdict     right, or which step went wrong
      .answer        -> Worked      steps with their results; a picture where one helps

The idea: the same object is printed, shown in a notebook, put on paper, and written as JSON.

The rule that keeps it simple: everything in it is text. The machine that it was taken from is gone,
but for a picture, which is drawn when somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from virtlab.course.practice.answers import Key, Verdict, judge
from virtlab.show.svg import Picture, escape
from virtlab.show.tables import Table


class Step(NamedTuple):
    """One line on the board: its `name`, the `work`, and what comes out."""

    name: str
    work: str
    result: str = ""


@dataclass(frozen=True, repr=False)
class Worked:
    """The worked answer: `steps`, and the `answer` as it is written."""

    steps: tuple[Step, ...]
    answer: str
    draw: Callable[[], Picture] | None = None

    def __repr__(self) -> str:
        return self.text

    @property
    def picture(self) -> Picture | None:
        """A picture of the way, where there is one."""
        return self.draw() if self.draw else None

    @property
    def text(self) -> str:
        """The steps, a paragraph each, and the answer below them."""
        lines = []
        for number, step in enumerate(self.steps, 1):
            lines.append(f"{number}. {step.name}")
            lines += [f"   {line}" for line in step.work.splitlines()]
            if step.result:
                lines.append(f"   = {step.result}")
        return "\n".join([*lines, "", f"Answer: {self.answer}"])

    @property
    def html(self) -> str:
        """The same for a page or a notebook, without the picture."""
        rows = "".join(f"<li>{_step_html(step)}</li>\n" for step in self.steps)
        return (
            f"<ol>\n{rows}</ol>\n<p><strong>Answer:</strong> <code>{escape(self.answer)}</code></p>"
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        picture = self.picture
        if picture is None:
            return {"text/html": self.html, "text/plain": self.text}
        words = f"{self.text}\n\n{picture.text}"
        return {"text/html": f"{self.html}\n{picture.svg}", "text/plain": words}


def _step_html(step: Step) -> str:
    work = "<br>".join(escape(line) for line in step.work.splitlines())
    result = f"<br>= <code>{escape(step.result)}</code>" if step.result else ""
    return f"<strong>{escape(step.name)}.</strong> {work}{result}"


@dataclass(frozen=True, repr=False)
class Problem:
    """One problem: three words name it, and `given`, `tables` and `question` are all there is.

    `data` has the numbers that are given, as plain data for a program.
    """

    kind: str
    level: int
    seed: int
    title: str
    given: tuple[str, ...]
    tables: tuple[Table, ...]
    question: str
    answer: Worked
    key: Key = field(compare=False)
    data: dict[str, Any] = field(compare=False)

    def __repr__(self) -> str:
        return self.text

    @property
    def command(self) -> str:
        """The command that shows it again."""
        level = f" --level {self.level}" if self.level != 1 else ""
        return f"virtlab practice {self.kind} --seed {self.seed}{level}"

    def check(self, answer: object) -> Verdict:
        """Is this the answer? If not, which step goes wrong. Text, a number, or a list of them."""
        return judge(answer, self.key)

    @property
    def text(self) -> str:
        """The problem in characters."""
        heading = f"{self.title}  ({self.command})"
        tables = [table.text for table in self.tables]
        form = f"Write {self.key.form}."
        return "\n\n".join([heading, *self.given, *tables, f"{self.question}\n{form}"])

    @property
    def html(self) -> str:
        """The problem for a page or a notebook."""
        given = "".join(f"<p>{escape(text)}</p>\n" for text in self.given)
        tables = "\n".join(table.html for table in self.tables)
        form = escape(f"Write {self.key.form}.")
        return f"{given}{tables}\n<p><strong>{escape(self.question)}</strong> {form}</p>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        heading = (
            f"<p><strong>{escape(self.title)}</strong> <code>{escape(self.command)}</code></p>"
        )
        return {"text/html": f"{heading}\n{self.html}", "text/plain": self.text}

    def as_data(self, answer: bool = False) -> dict[str, Any]:
        """Plain JSON data; with `answer`, its steps and its answer too."""
        record: dict[str, Any] = {
            "kind": self.kind,
            "level": self.level,
            "seed": self.seed,
            "title": self.title,
            "given": list(self.given),
            "tables": [
                {
                    "caption": t.caption,
                    "headers": list(t.headers),
                    "rows": [list(r) for r in t.rows],
                }
                for t in self.tables
            ],
            "question": self.question,
            "form": self.key.form,
            "data": self.data,
        }
        if answer:
            record["steps"] = [step._asdict() for step in self.answer.steps]
            record["answer"] = self.answer.answer
        return record
