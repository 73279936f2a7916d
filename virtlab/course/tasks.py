"""A task and its cases: what a check asks, and how it tells right from wrong.

The idea: a `Case` sets up a small machine, lets the student's answer work on it, and compares. It
gives None where all is well, and a `Difference` in the reader's words where not. Cases stand in
order of dependency, so that the first one that fails is the earliest broken piece.

The rule that keeps it honest: values are equal only if their types are the same too, all the way
down. True is not 1 here, and an object with an `__eq__` of its own equals nothing.

A case gets its own random numbers, made from the seed and its name. So a seed replays a case
whatever the other cases do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from virtlab.course.answers import Answer

WIDEST = 300
"""Characters of one value that a report shows."""

DEEPEST = 8
"""Lists in lists that it shows: one may hold itself."""


class Difference(NamedTuple):
    """What a case found wrong: never the solution, only what should have happened and what did.

    `access` is the first access that differs, where the task has accesses; `look` says where to
    look, with the clause of the specification.
    """

    expected: str
    yours: str
    look: str = ""
    access: str = ""


Run = Callable[[Answer, Random], Difference | None]


class Case(NamedTuple):
    """One thing that an answer must do.

    `costs` says that what the answer spends here is reported, as noted by `Answer.note_cost`. Such
    a case has fixed inputs, so that its figures are the same every time.
    """

    name: str
    run: Run
    costs: bool = False


@dataclass(frozen=True)
class Task:
    """A task of a problem set.

    `names` are what the student defines; `topics` ids of the syllabus; `lines`, `minutes`,
    `difficulty` (1 to 5) and `points` say how much it is; `hints` are
    three stages, none of them the solution.
    """

    id: str
    title: str
    names: tuple[str, ...]
    topics: tuple[str, ...]
    lines: int
    minutes: int
    difficulty: int
    points: int
    cases: tuple[Case, ...]
    hints: tuple[str, str, str]


def first(found: Iterable[Difference | None]) -> Difference | None:
    """The first difference of a row of comparisons; those behind it are not made."""
    return next((difference for difference in found if difference), None)


def same(expected: object, yours: object) -> bool:
    """Equal in value and in type, in lists and tuples item by item.

    >>> same(1, 1), same(1, True), same((b"a", [1]), (b"a", [1]))
    (True, False, True)
    """
    if type(yours) is not type(expected):
        return False
    if isinstance(expected, (list, tuple)) and isinstance(yours, (list, tuple)):
        return len(expected) == len(yours) and all(map(same, expected, yours))
    return bool(expected == yours)


def shown(value: object) -> str:
    """A value as a report shows it: numbers in hexadecimal, foreign objects by their type only.

    >>> shown(0x3F8), shown(None), shown([7, "a"]), shown(object())
    ('0x3f8', 'None', "[7, 'a']", 'an object of type object')
    """
    return _shown(value, DEEPEST)


def _shown(value: object, depth: int) -> str:
    kind = type(value)
    if kind is int:
        return cut(f"{value:#x}" if not 0 <= value < 10 else f"{value}")  # type: ignore[operator]
    if kind in (list, tuple) and depth == 0:
        return "[...]" if kind is list else "(...)"
    if kind in (list, tuple):
        items = _items(value, depth - 1)  # type: ignore[arg-type]
        return cut(f"[{items}]" if kind is list else f"({items})")
    if kind in (bool, str, bytes, bytearray, float, type(None)):
        return cut(repr(value[:WIDEST] if kind in (str, bytes, bytearray) else value))  # type: ignore[index]
    return f"an object of type {kind.__name__}"


def _items(values: list[object] | tuple[object, ...], depth: int) -> str:
    """The first items, and no more of them than are shown: a list may hold itself many times."""
    texts: list[str] = []
    room = WIDEST
    for item in values[:16]:
        if room <= 0:
            break
        texts.append(_shown(item, depth))
        room -= len(texts[-1])
    return ", ".join(texts)


def returned(value: object) -> str:
    """What an answer gave, as a report shows it: None looks like a forgotten return.

    >>> returned(0x3F8), returned(None)
    ('0x3f8', 'None: is there a return?')
    """
    return shown(value) + (": is there a return?" if value is None else "")


def cut(text: str) -> str:
    """At most `WIDEST` characters of a text."""
    return text if len(text) <= WIDEST else text[: WIDEST - 4] + " ..."


def compare(expected: object, yours: object, look: str = "", access: str = "") -> Difference | None:
    """None if the two are the `same`, else their `Difference`."""
    if same(expected, yours):
        return None
    said = returned(yours)
    if yours is not None and (said == shown(expected) or type(yours) is not type(expected)):
        said += f", of type {type(yours).__name__}, not {type(expected).__name__}"
    return Difference(shown(expected), said, look, access)
