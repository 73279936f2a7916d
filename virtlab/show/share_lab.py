"""Choose how many VMs share a network, and what they send; see what each way costs them.

The idea: the picture has all numbers of VMs at once, and the list beside it those of one. So a
change of the load moves the curves, and a change of the number of VMs moves along them.

The rule that keeps it simple: everything here is by the closed forms, which the tests hold to runs
of 1, 2, 4 and 8 VMs. So each control answers at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from virtlab.show.path_choice import LONGEST, SHORTEST
from virtlab.show.share_load import LIMITS, MOST_VMS, STEPS, Load, Way, served
from virtlab.show.share_metrics import METRICS, Metric, metric
from virtlab.show.share_picture import share_picture
from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown

SIZES = ((f"{SHORTEST} bytes", SHORTEST), (f"{LONGEST} bytes", LONGEST))
BATCHES = (1, 8, 32)
GUESTS = (("sleep until the card calls", True), ("look again and again", False))
FRAMES = 32
"""Frames that a VM sends, and gets."""


class State(NamedTuple):
    """What is shown: `name` of `METRICS`, for a load."""

    vms: int = 16
    size: int = LONGEST
    batch: int = 8
    asleep: bool = True
    name: str = "exits"

    @property
    def load(self) -> Load:
        """What the VMs do."""
        return Load(self.vms, FRAMES, self.size, self.batch, self.asleep)


START = State()


def twice(state: State) -> State:
    """Twice as many VMs, as far as there are any."""
    return state._replace(vms=min(2 * state.vms, MOST_VMS))


def half(state: State) -> State:
    """Half as many, and at least one."""
    return state._replace(vms=max(state.vms // 2, 1))


def explain(state: State) -> str:
    """In words: who is best, who is worst, why, and who has run out of devices."""
    chosen, load = metric(state.name), state.load
    order = chosen.ranked(load)
    best, worst = (_alike(order, chosen, load, end) for end in (order[0], order[-1]))
    ends = ("Most", "Least") if chosen.most_is_best else ("Least", "Most")
    says = [f"{chosen.name[0].upper()}{chosen.name[1:]}."]
    if best == worst:
        says.append(f"The same in all five ways: {_number(chosen, load, order[0])}.")
    else:
        says.append(f"{ends[0]}: {_names(best)}, {_number(chosen, load, best[0])}.")
        says.append(f"{ends[1]}: {_names(worst)}, {_number(chosen, load, worst[0])}.")
    return " ".join([*says, chosen.why, *_run_out(state)])


def _alike(order: list[Way], chosen: Metric, load: Load, end: Way) -> list[Way]:
    """The ways that have the same number as `end`."""
    return [way for way in order if chosen.each(way, load) == chosen.each(end, load)]


def _names(ways: list[Way]) -> str:
    """`one`, or `one, another and a third`."""
    return " and ".join(part for part in (", ".join(ways[:-1]), ways[-1]) if part)


def _number(chosen: Metric, load: Load, way: Way) -> str:
    """`8 for each VM`, or what all of them have together."""
    words = chosen.shown(chosen.each(way, load))
    return words if chosen.most_is_best else f"{words} for each VM"


def _run_out(state: State) -> list[str]:
    """A sentence for each way that has not enough devices."""
    found = []
    for way, limit in LIMITS.items():
        if (without := state.vms - served(way, state.vms)) > 0:
            what = "cards, and no slot for more" if way == "VT-d" else "virtual functions"
            go = "VMs go" if without > 1 else "VM goes"
            found.append(f"{way} has {limit} {what}: {without} {go} without.")
    return found or ["Every VM has a device in all five ways."]


class ShareLab(Shell):
    """The comparison of five ways, for 1 to 64 VMs."""

    def __init__(self, state: State = START) -> None:
        self.state = self._begin = state
        self._picture, self._says = drawing(), sentence()
        names = tuple((each.name, name) for name, each in METRICS.items())
        self._controls = {
            "vms": choice("VMs", STEPS, state.vms),
            "size": choice("Frames of", SIZES, state.size),
            "batch": choice("Batch", BATCHES, state.batch),
            "asleep": choice("Guests", GUESTS, state.asleep),
            "name": choice("Show", names, state.name),
        }
        controls = [
            self._controls["vms"],
            button("Half the VMs", lambda: self._go(half(self.state))),
            button("Twice the VMs", lambda: self._go(twice(self.state))),
            *list(self._controls.values())[1:],
            button("Reset", lambda: self._go(self._begin)),
        ]
        super().__init__(
            "ShareLab: five ways to share a network", [row(*controls), self._picture, self._says]
        )
        for control in self._controls.values():
            control.observe(lambda _: self._chosen(), "value")
        self._show()

    def _values(self) -> dict[str, Any]:
        return {name: control.value for name, control in self._controls.items()}

    def _chosen(self) -> None:
        """A control was changed."""
        self.state = State(**self._values())
        self._show()

    def _go(self, state: State) -> None:
        """Let the controls show `state`. Each that changes calls `_chosen`."""
        for name, value in state._asdict().items():
            self._controls[name].value = value

    def _show(self) -> None:
        self._picture.value = shown(share_picture(self.state.load, self.state.name))
        self._says.value = said(explain(self.state))
