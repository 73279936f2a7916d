"""The stepper: choose a request and the home of its device model, and go with it step by step.

The idea: each choice is a real run, with a real process where the home is a service. The first time
takes as long as the process takes to start; after that the journey is known.

The rule that keeps it simple: the state is a plan and the number of a step. A new plan begins at
its first step; `Reset` gives back the journey that was there at the start, told to its end.
"""

from __future__ import annotations

from functools import partial

from virtlab.show.frames import ACTIONS, Action, PlayerState
from virtlab.show.journey_picture import explain, journey_picture
from virtlab.show.journey_runs import REQUESTS, Home, Plan, Request, homes, run
from virtlab.show.shell import (
    Shell,
    button,
    choice,
    drawing,
    row,
    said,
    sentence,
    shown,
)


class Journey(Shell):
    """Choose a request and the home of its device model, and go with it step by step."""

    def __init__(self, start: Plan | None = None, title: str = "A request's journey") -> None:
        self.start = start or Plan(home=homes()[-1][1] if len(homes()) == 1 else "service")
        self.plan = self.start
        self._picture, self._says = drawing(), sentence()
        self._request = choice("Request", REQUESTS, self.start.request)
        self._home = choice("Device model", homes(), self.start.home)
        buttons = [button(words, partial(self._press, act)) for words, act in ACTIONS.items()]
        super().__init__(
            f"{title}: {len(REQUESTS)} requests, {len(homes())} homes",
            [
                row(self._request, self._home, button("Reset", self.reset)),
                self._picture,
                row(*buttons),
                self._says,
            ],
        )
        for control in (self._request, self._home):
            control.observe(lambda _: self._chosen(), "value")
        self._begin(at_end=True)

    def reset(self) -> None:
        """Back to the journey and the step that it started with."""
        self._request.value, self._home.value = self.start.request, self.start.home
        self._begin(at_end=True)

    def _chosen(self) -> None:
        request: Request = self._request.value
        home: Home = self._home.value
        self.plan = Plan(request, home)
        self._begin()

    def _begin(self, at_end: bool = False) -> None:
        self.trip = run(self.plan)
        length = len(self.trip.steps)
        self.state = PlayerState(length - 1 if at_end else 0, length)
        self._show()

    def _press(self, act: Action) -> None:
        self.state = act(self.state)
        self._show()

    def _show(self) -> None:
        self._picture.value = shown(journey_picture(self.trip, self.state.index))
        self._says.value = said(explain(self.trip, self.state.index))
