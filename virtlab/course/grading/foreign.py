"""Objects of a child's, as the judge has them: equal to nothing, with the name of their type.

The idea: what an answer gives may be an object of any class. It stays where it is. Here it is an
empty object whose type has the same name, for a report to say; and who gives it back to the child
gives back the very object.

The rule that keeps it safe: none of its methods is one here. A student's `__eq__` never meets what
is right. Only what a machine does with an argument in a notebook is passed on: to go through its
items, and to call it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from virtlab.course.grading.channel import Coded, Several


class Asks(Protocol):
    """What of a judge is needed here."""

    def ask(self, kind: str, *values: Any) -> list[Any]:
        """Send a request, and wait for its reply."""

    def value(self, reply: list[Any]) -> Any:
        """What the reply says."""


class Foreign:
    """An object of a child's: equal to nothing, and without any behaviour here."""

    judge: Asks


class ForeignMany(Foreign):
    """One that can be gone through: all its items are asked for at once."""

    def __iter__(self) -> Iterator[Any]:
        """Over a copy."""
        items = self.judge.value(self.judge.ask("each", Coded(self)))
        return iter(items if type(items) is list else ())


class ForeignFunction(Foreign):
    """One that can be called."""

    def __call__(self, *arguments: Any) -> Any:
        """What it gives in the child."""
        return self.judge.value(self.judge.ask("invoke", Coded(self), Several(arguments)))


class ForeignBoth(ForeignMany, ForeignFunction):
    """One that can both be gone through and be called."""


KINDS: dict[tuple[bool, bool], type[Foreign]] = {
    (False, False): Foreign,
    (True, False): ForeignMany,
    (False, True): ForeignFunction,
    (True, True): ForeignBoth,
}
"""By whether it can be gone through, and whether it can be called."""
