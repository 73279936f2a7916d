"""Step through a race for a wake-up, or run it in an order of your own.

The idea: four buttons are the four moves that a race has. First, Back, Step and Last go through the
moves that were made. A list of orders has those worth seeing, and below stands how many of all
orders go wrong.

The rule that keeps it simple: a change of race or barriers runs the same order again and shows its
end. So two ends can be compared.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

from virtlab.show.race_picture import ending, race_picture
from virtlab.show.race_run import LOST, orders
from virtlab.show.race_state import (
    BARRIERS,
    ORDERS,
    Contest,
    act,
    chosen,
    go,
    rows,
    start,
)
from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown

RACES = {
    "interrupt: the driver waits, the device gives back": "interrupt",
    "interrupt, and the driver looks only once": "careless",
    "kick: the device waits, the driver exposes": "kick",
}
SUPPRESSION = {"flags": False, "thresholds (EVENT_IDX)": True}
MOVES = {
    "Driver: next access": "D",
    "Driver: a store arrives": "d",
    "Device: next access": "V",
    "Device: a store arrives": "v",
}


@lru_cache
def odds(race: str, events: bool, barriers: str) -> str:
    """Of all orders that there are, how many end badly."""
    counts = orders(race, events, BARRIERS[barriers])
    lost, total = counts[LOST], counts.total()
    if not lost:
        return f"With these barriers none of the {total} possible orders ends with both asleep."
    return f"Of the {total} possible orders with these barriers, {lost} end with both asleep."


def explain(contest: Contest) -> str:
    """The last move, how it ends, and how it could."""
    made, bench = rows(contest)
    if contest.said:
        last = contest.said
    elif made:
        move = made[-1]
        stop = "" if move.meaning.endswith("?") else "."
        last = (
            f"Move {len(made)}, the {move.side}: `{move.words}`. {move.meaning.capitalize()}{stop}"
        )
    else:
        last = "Nobody has moved. Press one of the four moves, or Step."
    about = odds(contest.race, contest.events, contest.barriers)
    return f"{last}␊{ending(contest, bench)} {about}"


class RaceStepper(Shell):
    """Two sides, two store buffers, and every order of their moves."""

    def __init__(self, begin: Contest | None = None) -> None:
        self._begin = self.state = begin or start()
        self._picture, self._says = drawing(), sentence()
        lists = {
            "race": choice("Race", list(RACES.items()), self.state.race),
            "events": choice("Suppression", list(SUPPRESSION.items()), self.state.events),
            "barriers": choice("Barriers", list(BARRIERS), self.state.barriers),
            "order": choice("Order", list(ORDERS), self.state.order),
        }
        self._lists = lists
        steps = [
            button("First", lambda: self._take(go(self.state, 0))),
            button("Back", lambda: self._take(go(self.state, self.state.at - 1))),
            button("Step", lambda: self._take(go(self.state, self.state.at + 1)), kind="primary"),
            button("Last", lambda: self._take(go(self.state, len(self.state.moves)))),
            button("Reset", self.reset),
        ]
        moves = [button(words, partial(self.act, letter)) for words, letter in MOVES.items()]
        rest = [row(lists["race"], lists["events"]), row(lists["barriers"], lists["order"])]
        super().__init__(
            "RaceStepper: who wakes whom, move by move",
            [self._picture, row(*steps), *rest, row(*moves), self._says],
        )
        for name, control in lists.items():
            control.observe(partial(self._chosen, name), "value")
        self._take(self.state)

    def act(self, letter: str) -> None:
        """One of the four moves, now."""
        self._take(act(self.state, letter))

    def reset(self) -> None:
        """The race of the start, at its end."""
        self._take(self._begin)

    def _chosen(self, name: str, change: dict[str, Any]) -> None:
        if change["new"] != getattr(self.state, name):
            self._take(chosen(self.state, **{name: change["new"]}))

    def _take(self, contest: Contest) -> None:
        """Show `contest`, and let the lists follow."""
        self.state = contest
        for name, control in self._lists.items():
            control.value = getattr(contest, name)
        self._picture.value = shown(race_picture(contest))
        self._says.value = said(explain(contest))
