"""Choose a batch, and see which passes over which arrays it costs.

The idea: three lists say how many chains, of which kind, and whether the device has seen them a lap
ago. After each change the library takes such a batch, and what it does is counted.

The rule that keeps it simple: there is no clock in it. The same choice gives the same picture.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from virtlab.show.batch_passes import passes_picture
from virtlab.show.batch_rings import KINDS, LAPS
from virtlab.show.batch_run import SIZES, Choice, explain, resized, run
from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown

START = Choice()


class BatchExplorer(Shell):
    """The passes of one batch, for any size and kind."""

    def __init__(self, start: Choice = START) -> None:
        self.start = self.state = start
        self._following = False
        self._picture, self._says = drawing(), sentence()
        self._lists = {
            "n": choice("Chains", list(SIZES), start.n),
            "kind": choice("Kind", [(words, kind) for kind, words in KINDS.items()], start.kind),
            "lap": choice("Seen", [(words, lap) for lap, words in LAPS.items()], start.lap),
        }
        super().__init__(
            "BatchExplorer: the passes of one batch",
            [
                self._picture,
                row(*self._lists.values()),
                row(
                    button("Half as many", partial(self.resize, -1)),
                    button("Twice as many", partial(self.resize, 1)),
                    button("Reset", self.reset),
                ),
                self._says,
            ],
        )
        for name, control in self._lists.items():
            control.observe(partial(self._changed, name), "value")
        self._take(start)

    def resize(self, steps: int) -> None:
        """A batch so many sizes larger, or smaller."""
        self._take(resized(self.state, steps))

    def reset(self) -> None:
        """The batch of the start."""
        self._take(self.start)

    def _changed(self, name: str, change: dict[str, Any]) -> None:
        if not self._following:
            self._take(replace(self.state, **{name: change["new"]}))

    def _take(self, state: Choice) -> None:
        """Show `state`, and let every control follow."""
        self.state, self._following = state, True
        for name, control in self._lists.items():
            control.value = getattr(state, name)
        self._following = False
        outcome = run(state)
        self._picture.value = shown(passes_picture(outcome))
        self._says.value = said(explain(outcome))
