"""How an answer is read, and how it is judged: right, or wrong at which step.

    "0x1234"  "4660"  "0x12_34"     one number, however it is written
    "03:00.1"                       bus, device, function
    "fault 0x5"  "com1, 5"          words and numbers, in order

The idea: an answer becomes a tuple of numbers and words. Two answers are equal if these are.

The rule that keeps it simple: a wrong answer is compared with the slips that the problem knows,
then with what the steps before the last one give, then part by part. The first that fits says
where it went wrong. An answer that nothing fits is wrong, and no place is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from virtlab.pci.tlp import bdf_text, parse_bdf

Tokens = tuple[int | str, ...]
"""An answer, read: numbers and lower-case words, in order."""

LONGEST = 1000
"""Characters of an answer that are looked at."""


class Slip(NamedTuple):
    """A mistake that people make: the `answer` it leads to, the `step` it is made in, and why."""

    step: str
    answer: Tokens
    why: str


class Verdict(NamedTuple):
    """What becomes of an answer. `step` names the step that went wrong, where that is known.

    It is true if the answer is right. `said` is one or two sentences.
    """

    right: bool
    step: str
    said: str

    def __bool__(self) -> bool:
        """Whether the answer is right."""
        return self.right

    def __repr__(self) -> str:
        return self.said


class Key(NamedTuple):
    """What a problem knows of its answer.

    `answer` is the right one; `form` says how it is written; `words` are those that an answer may
    have. `slips` are known mistakes. `results` are pairs (step, what it gives) before the last
    step. `parts` names for each token of the answer the step that decides it.
    """

    answer: Tokens
    form: str
    words: frozenset[str]
    slips: tuple[Slip, ...]
    results: tuple[tuple[str, Tokens], ...]
    parts: tuple[str, ...]


def read(answer: object) -> Tokens:
    """An answer as numbers and words: of text, a number, a bool, or a sequence of these.

    >>> read("fault 0x5"), read([3, "yes"]), read(True), read("3:0.1")
    (('fault', 5), (3, 'yes'), ('yes',), ('03:00.1',))
    """
    if isinstance(answer, bool):
        return ("yes" if answer else "no",)
    if isinstance(answer, int):
        return (answer,)
    if isinstance(answer, str):
        return tuple(_token(word) for word in re.split(r"[\s,;]+", answer[:LONGEST]) if word)
    if isinstance(answer, Iterable):
        return tuple(token for part in answer for token in read(part))
    return (str(answer)[:LONGEST].lower(),)


def _token(word: str) -> int | str:
    try:
        return int(word, 0) if not word.isdecimal() else int(word)
    except ValueError:
        pass
    try:
        return bdf_text(parse_bdf(word))
    except ValueError:
        return word.lower()


def judge(given: object, key: Key) -> Verdict:
    """Whether `given` is the answer; if not, where it went wrong."""
    tokens = read(given)
    if tokens == key.answer:
        return Verdict(True, "", "Right.")
    strange = _unreadable(tokens, key.words)
    if strange is not None:
        return Verdict(False, "", f"{strange} Write {key.form}.")
    for slip in key.slips:
        if tokens == slip.answer:
            return Verdict(
                False, slip.step, f"Not right. Look at the step “{slip.step}”: {slip.why}"
            )
    # A verdict that says no is false, so it is asked for None.
    found = _by_steps(tokens, key)
    found = _by_parts(tokens, key) if found is None else found
    return _unknown(key) if found is None else found


def _unreadable(tokens: Tokens, words: frozenset[str]) -> str | None:
    """What is wrong with the writing of an answer, in a sentence; None if it can be read."""
    if not tokens:
        return "There is no answer."
    for token in tokens:
        if isinstance(token, str) and token not in words and not re.fullmatch(_BDF, token):
            return f"“{token[:40]}” is no number and no word of this answer."
    return None


_BDF = r"[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"


def _by_steps(tokens: Tokens, key: Key) -> Verdict | None:
    """The result of a step before the last one: the way was right, and is not at its end."""
    for number, (name, result) in enumerate(key.results):
        if tokens == result:
            following = key.results[number + 1][0] if number + 1 < len(key.results) else "the last"
            said = f"Not yet. That is what the step “{name}” gives. Go on with “{following}”."
            return Verdict(False, following, said)
    return None


def _by_parts(tokens: Tokens, key: Key) -> Verdict | None:
    """The first part that differs, where an answer has several."""
    if len(key.parts) != len(key.answer) or len(key.answer) < 2:
        return None
    if len(tokens) != len(key.answer):
        said = f"Not right: the answer has {len(key.answer)} parts, yours {len(tokens)}."
        return Verdict(False, "", f"{said} Write {key.form}.")
    number = next(
        n for n, pair in enumerate(zip(tokens, key.answer, strict=True)) if pair[0] != pair[1]
    )
    step = key.parts[number]
    said = f"Not right: part {number + 1} of your answer differs. Look at the step “{step}”."
    return Verdict(False, step, said)


def _unknown(key: Key) -> Verdict:
    """Wrong, by no mistake that is known here."""
    names = ", ".join(f"“{name}”" for name, _ in key.results)
    return Verdict(False, "", f"Not right. Hold your work against the steps: {names}.")


def distinct(answer: Tokens, slips: Sequence[Slip]) -> tuple[Slip, ...]:
    """The slips that lead to another answer, the first of those that lead to the same."""
    seen, kept = {answer}, []
    for slip in slips:
        if slip.answer not in seen:
            seen.add(slip.answer)
            kept.append(slip)
    return tuple(kept)
