"""Choose where the VMM stands and how much is written; step along the journey, see what it costs.

The idea: each choice is an experiment on a fresh virtual machine. The picture is `journey`, with
the counts of that run; the steps are its places.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from virtlab.show.frames import ACTIONS, PlayerState, last
from virtlab.show.layer_journey import layer_journey
from virtlab.show.layer_runs import SIZES, WAYS, Choice, experiment
from virtlab.show.layer_words import PATHS, explain
from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown


class LayerLab(Shell):
    """A stepper: the place of the VMM, the size of the write, and the stage of the journey.

    It starts at the end of the journey, where everything is seen.
    """

    def __init__(self, start: Choice | None = None) -> None:
        self.start = self.state = start or Choice()
        self.stage = self._fresh()
        self._picture, self._says = drawing(), sentence()
        sizes = [(f"{size} bytes", size) for size in SIZES]
        self._way = choice("The VMM stands", WAYS, self.start.way)
        self._size = choice("Write", sizes, self.start.size)
        steps = [button(words, partial(self._press, words)) for words in ACTIONS]
        buttons = row(*steps, button("Reset", self.reset))
        controls = row(self._way, self._size)
        super().__init__(
            "Where to cut: one write, three layers",
            [controls, self._picture, buttons, self._says],
        )
        for control in (self._way, self._size):
            control.observe(lambda _: self._changed(), "value")
        self._show()

    def reset(self) -> None:
        """Back to where it started."""
        self._way.value, self._size.value = self.start.way, self.start.size
        self._changed()

    def _fresh(self) -> PlayerState:
        return last(PlayerState(0, len(PATHS[self.state.way])))

    def _changed(self, *_: Any) -> None:
        self.state = Choice(self._way.value, self._size.value)
        self.stage = self._fresh()
        self._show()

    def _press(self, words: str) -> None:
        self.stage = ACTIONS[words](self.stage)
        self._show()

    def _show(self) -> None:
        counts = experiment(self.state)
        drawn = layer_journey({self.state.way: counts}, self.state, self.stage.index)
        where = f"Step {self.stage.index + 1} of {self.stage.length}. "
        self._picture.value = shown(drawn)
        self._says.value = said(where + explain(self.state, counts, self.stage.index))
