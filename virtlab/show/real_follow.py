"""A player of what is not over yet: frames that are there, and the next ones as they come.

    First  Back  Play  Step  Last  Reset     Go to   Speed   Jump to            Follow

The idea: a recording has all its frames; of a living machine there are those so far. So a player
can grow. While it follows, a hidden `Play` ticks in the browser. Each tick asks what is new,
and shows the last frame. A browser that is closed does not tick, and no thread calls anybody.

The rule that keeps it simple: whoever steps back stops following. With nothing to follow, there is
no such button.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

from virtlab.show.frames import PlayerState
from virtlab.show.player import Player
from virtlab.show.shell import row, tagged
from virtlab.show.svg import Picture

EVERY = 500
"""Milliseconds between two ticks."""

TICKS = 1_000_000
"""Ticks after which the hidden clock begins again."""


class Follower(Player):
    """A `Player` whose `grow()` gives how many frames there are by now; None if it cannot grow."""

    def __init__(
        self,
        length: int,
        render: Callable[[int], Picture],
        explain: Callable[[int], str],
        title: str,
        chapters: Mapping[str, int] | None = None,
        start: int = 0,
        grow: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(length, render, explain, title, chapters, start)
        self.grow = grow
        self._tick = widgets.Play(value=0, min=0, max=TICKS, interval=EVERY)
        self._tick.layout.display = "none"
        self._tick.loop = True
        self._follow = tagged(
            widgets.ToggleButton(description="Follow", tooltip="Show what is new as it comes"),
            "follow",
        )
        self._follow.layout.width = "auto"
        box: Any = self
        picture, *controls, says = box.children
        more = [row(self._follow, self._tick)] if grow else []
        if grow:
            self._go.description = "Go to frame"  # how many there are is not known yet
        box.children = (picture, says, *controls, *more)
        self._tick.observe(lambda _: self.refresh(), "value")
        self._follow.observe(self._followed, "value")

    @property
    def following(self) -> bool:
        """Whether it shows what is new."""
        return bool(self._follow.value)

    def refresh(self) -> None:
        """Ask for what is new; while it follows, show the last frame."""
        if self.grow is None:
            return
        length = max(self.grow(), 1)
        at = length - 1 if self.following else min(self.state.index, length - 1)
        self._resize(PlayerState(at, length))

    def _resize(self, state: PlayerState) -> None:
        """Other frames. A range of the controls grows before its value, and shrinks after it."""
        self.state = state
        most = max(state.length, self._go.max)
        self._play.max, self._go.max = most - 1, most
        self._show()
        self._play.max, self._go.max = state.length - 1, state.length

    def reset(self) -> None:
        """Stop following, and go back to where it started."""
        self._follow.value = False
        super().reset()

    # -- the shell

    def _press(self, words: str) -> None:
        self._follow.value = False
        super()._press(words)

    def _followed(self, change: Mapping[str, Any]) -> None:
        if change["new"]:
            self._toggle.value = False
            self.refresh()
        self._tick.playing = bool(change["new"])
