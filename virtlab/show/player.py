"""The step-through player: play, step, back, jump, over any sequence of frames.

The idea: give it a `length` and `render(index)`, which draws one frame; perhaps `explain(index)`,
which says it in a sentence. `TracePlayer` is a player of a recorded boot, ready to use.

Playing needs a clock, and the kernel has no business keeping one: a hidden `Play` ticks in the
browser. It stops when the page closes, and a kernel that is busy is not flooded. The button that a
learner presses is our own, with a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import ipywidgets as widgets

from virtlab.show.console import console_frames, console_picture, explain_access
from virtlab.show.frames import ACTIONS, PlayerState, first, jump
from virtlab.show.naming import Registers
from virtlab.show.shell import (
    Shell,
    button,
    choice,
    drawing,
    number_box,
    row,
    said,
    sentence,
    shown,
    tagged,
)
from virtlab.show.svg import Picture
from virtlab.trace import Access

SPEEDS = (("slow", 1000), ("normal", 400), ("fast", 100))
"""Milliseconds a frame, by the words in the list."""


class Player(Shell):
    """Frames 0 to `length - 1`, one at a time.

    `render(index)` draws a frame, `explain(index)` says it. `chapters` are places worth jumping
    to: words and the frame's index. `start` is the frame shown first, and after `reset`.
    """

    def __init__(
        self,
        length: int,
        render: Callable[[int], Picture],
        explain: Callable[[int], str] | None = None,
        title: str = "Player",
        chapters: Mapping[str, int] | None = None,
        start: int = 0,
    ) -> None:
        self.state = PlayerState(start, length)
        self._start, self._render = start, render
        self._explain = explain or (lambda index: f"Frame {index + 1} of {length}.")
        self._picture, self._says = drawing(), sentence()
        self._play = widgets.Play(value=start, min=0, max=length - 1, interval=400)
        self._play.layout.display = "none"
        self._toggle = tagged(
            widgets.ToggleButton(description="Play", tooltip="Play or pause"), "play"
        )
        self._toggle.layout.width = "auto"
        self._go = number_box("Go to", start + 1, length, "17em")
        self._speed = choice("Speed", SPEEDS, 400)
        self._chapters = choice("Jump to", [("choose a place", -1), *(chapters or {}).items()], -1)
        steps = [button(words, partial(self._press, words)) for words in ACTIONS]
        buttons = row(*steps[:2], self._toggle, *steps[2:], button("Reset", self.reset))
        jumps = [self._go, self._speed, *([self._chapters] if chapters else [])]
        super().__init__(
            f"{title}: {length} frames",
            [self._picture, buttons, row(*jumps, self._play), self._says],
        )
        self._listen()
        self._show()

    def go(self, index: int) -> None:
        """Show frame `index`, or the nearest there is."""
        self.state = jump(self.state, index)
        self._show()

    def reset(self) -> None:
        """Pause, and go back to where the player started."""
        self._toggle.value = False
        self._speed.value, self._chapters.value = 400, -1
        self.go(self._start)

    # -- the shell

    def _listen(self) -> None:
        self._play.observe(lambda change: self.go(change["new"]), "value")
        self._play.observe(self._ticking, "playing")
        self._toggle.observe(self._toggled, "value")
        self._go.observe(lambda change: self.go(change["new"] - 1), "value")
        self._speed.observe(lambda change: setattr(self._play, "interval", change["new"]), "value")
        self._chapters.observe(self._chosen, "value")

    def _press(self, words: str) -> None:
        """One of the buttons: pause, and do what it says."""
        self._toggle.value = False
        self.state = ACTIONS[words](self.state)
        self._show()

    def _toggled(self, change: Mapping[str, Any]) -> None:
        """Play or pause was pressed; playing on from the last frame begins again."""
        if change["new"] and self.state.at_end:
            self.state = first(self.state)
            self._show()
        self._toggle.description = "Pause" if change["new"] else "Play"
        self._play.playing = change["new"]

    def _ticking(self, change: Mapping[str, Any]) -> None:
        """The browser stopped at the last frame."""
        self._toggle.value = change["new"]

    def _chosen(self, change: Mapping[str, Any]) -> None:
        if change["new"] >= 0:
            self.go(change["new"])

    def _show(self) -> None:
        """Draw the frame. The controls follow; setting one to the value it has does nothing."""
        index = self.state.index
        self._picture.value = shown(self._render(index))
        self._says.value = said(self._explain(index))
        self._play.value, self._go.value = index, index + 1


class TracePlayer(Player):
    """A recorded boot, access by access, with the console that it prints.

    `registers` gives, for a base address, the declarations there; `transmitter` names the
    register whose writes are characters. `recording` is what has been computed of the trace.
    """

    def __init__(
        self,
        accesses: Sequence[Access],
        registers: Registers,
        title: str = "A recorded boot",
        transmitter: str = "THR",
        start: int = 0,
        chapters: Mapping[str, int] | None = None,
    ) -> None:
        self.recording = console_frames(accesses, registers, transmitter)
        super().__init__(
            len(self.recording),
            lambda index: console_picture(self.recording, index, title),
            lambda index: explain_access(self.recording, index),
            title,
            self._lines() if chapters is None else chapters,
            start,
        )

    def _lines(self, most: int = 12) -> dict[str, int]:
        """Chapters made of the console itself: the access that begins every so-many-th line."""
        starts, fresh = [], True
        for index in range(len(self.recording)):
            if self.recording.prints(index):
                byte = self.recording.output[self.recording.printed[index] - 1]
                if fresh and byte not in b"\r\n":
                    starts.append(index)
                fresh = byte in b"\r\n"
        chosen = starts[:: max(1, -(-len(starts) // most))]
        return {f"line {starts.index(at) + 1}: {self._line(at)}": at for at in chosen}

    def _line(self, index: int) -> str:
        """The console's line that begins at an access, its first 30 characters."""
        begin = self.recording.printed[index] - 1
        words = self.recording.output[begin : begin + 200].splitlines()[0][:30]
        return words.decode("ascii", "replace").strip()
