"""Choose how interrupts are remapped, what the guest does, who sends and what, and go with it.

The idea: each choice is a real run on a virtual machine. The stepper shows it place by place. An
honest message and a forged one begin alike; the words below say where they part.

The rule that keeps it simple: the state is a plan and the number of a step. A new plan starts at
its first step; `Reset` gives back the trip that was there at the start, told to its end.
"""

from __future__ import annotations

from functools import partial

from virtlab.show.frames import ACTIONS, Action, PlayerState
from virtlab.show.irq_picture import explain, irq_picture
from virtlab.show.irq_run import run
from virtlab.show.irq_scene import MESSAGES, SENDERS, STATES, UNITS, Plan
from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown


class InterruptLab(Shell):
    """An interrupt's way to a guest, honest or forged, step by step."""

    def __init__(self, start: Plan | None = None) -> None:
        self.start = self.plan = start or Plan()
        self._picture, self._says = drawing(), sentence()
        self._lists = {
            "unit": choice("Interrupts", UNITS, self.start.unit),
            "guest": choice("The guest is", STATES, self.start.guest),
            "sender": choice("Who sends", SENDERS, self.start.sender),
            "named": choice("What it sends", MESSAGES, self.start.named),
        }
        self._following = False
        buttons = [button(words, partial(self._press, act)) for words, act in ACTIONS.items()]
        super().__init__(
            "InterruptLab: 3 set-ups, 3 states of the guest, 2 senders, 3 messages",
            [
                row(*self._lists.values(), button("Reset", self.reset)),
                self._picture,
                row(*buttons),
                self._says,
            ],
        )
        for control in self._lists.values():
            control.observe(lambda _: self._chosen(), "value")
        self._begin(self.start, at_end=True)

    def reset(self) -> None:
        """Back to the plan and the step that it started with."""
        self._begin(self.start, at_end=True)

    def _chosen(self) -> None:
        if not self._following:
            self._begin(Plan(**{name: each.value for name, each in self._lists.items()}))

    def _begin(self, plan: Plan, at_end: bool = False) -> None:
        """Take another plan, and let every control follow."""
        self.plan, self._following = plan, True
        for name, control in self._lists.items():
            control.value = getattr(plan, name)
        self._following = False
        self.trip = run(plan)
        length = len(self.trip.steps)
        self.state = PlayerState(length - 1 if at_end else 0, length)
        self._show()

    def _press(self, act: Action) -> None:
        self.state = act(self.state)
        self._show()

    def _show(self) -> None:
        self._picture.value = shown(irq_picture(self.trip, self.state.index))
        self._says.value = said(explain(self.trip, self.state.index))
