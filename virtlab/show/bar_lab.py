"""Choose a kind of BAR and a size, and watch software find the size.

The idea: the picture is `bar_sizing`, a pure function of a `Sizing` and a step. Here are two lists
and the player's buttons around it. It starts at the access that brings the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from virtlab.show.bar_sizing import (
    KINDS,
    BarKind,
    amount,
    answered,
    bar_sizing,
    explain,
    sizes,
    sizing,
)
from virtlab.show.frames import ACTIONS, PlayerState, jump
from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown


class BarLab(Shell):
    """Choose a kind of BAR and a size, and step through how software finds the size."""

    def __init__(self, kind: str = "memory, 32 bits", size: int = 1 << 20) -> None:
        self._first = kind, size
        self.asked = sizing(KINDS[kind], size)
        self.state = PlayerState(0, len(self.asked.steps))
        self._picture, self._says = drawing(), sentence()
        self._kind = choice("Kind", list(KINDS), kind)
        self._size = choice("Size", _named(KINDS[kind]), size)
        steps = [button(words, partial(self._press, words)) for words in ACTIONS]
        fields, buttons = row(self._kind, self._size), row(*steps, button("Reset", self.reset))
        super().__init__("BarLab", [fields, self._picture, buttons, self._says])
        self._kind.observe(lambda _: self._of_kind(), "value")
        self._size.observe(lambda _: self._make(), "value")
        self.reset()

    def reset(self) -> None:
        """The kind and the size of the start, at the access that brings the answer."""
        self._kind.value, self._size.value = self._first
        self._make()

    def _of_kind(self) -> None:
        """Another kind has other sizes; keep the size where it can be kept."""
        options, size = _named(KINDS[self._kind.value]), self._size.value
        self._size.options = options
        known = [value for _, value in options]
        self._size.value = size if size in known else known[-1]
        self._make()

    def _make(self) -> None:
        self.asked = sizing(KINDS[self._kind.value], self._size.value)
        self.state = jump(PlayerState(0, len(self.asked.steps)), answered(self.asked))
        self._show()

    def _press(self, words: str) -> None:
        self.state = ACTIONS[words](self.state)
        self._show()

    def _show(self) -> None:
        at = self.state.index
        self._picture.value = shown(bar_sizing(self.asked, at))
        self._says.value = said(explain(self.asked, at))


def _named(kind: BarKind) -> Sequence[tuple[str, int]]:
    return [(amount(size, kind.space), size) for size in sizes(kind)]
