"""Stepping through a sequence: the state behind every player.

The idea: a player is at one frame of `length`. Each button is a function from state to state, so a
test walks through all of them without a browser. An index never leaves the sequence; pressing on
at either end stays there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class PlayerState:
    """Frame `index` (from 0) of `length`. `ValueError` for an empty sequence."""

    index: int
    length: int

    def __post_init__(self) -> None:
        if self.length < 1 or not 0 <= self.index < self.length:
            raise ValueError(f"there is no frame {self.index} among {self.length}")

    @property
    def at_end(self) -> bool:
        """Whether this is the last frame."""
        return self.index == self.length - 1


Action = Callable[[PlayerState], PlayerState]


def jump(state: PlayerState, index: int) -> PlayerState:
    """To frame `index`, or to the nearest end where there is no such frame."""
    return replace(state, index=min(max(index, 0), state.length - 1))


def step(state: PlayerState) -> PlayerState:
    """One frame forward."""
    return jump(state, state.index + 1)


def back(state: PlayerState) -> PlayerState:
    """One frame back."""
    return jump(state, state.index - 1)


def first(state: PlayerState) -> PlayerState:
    """To the first frame."""
    return jump(state, 0)


def last(state: PlayerState) -> PlayerState:
    """To the last frame."""
    return jump(state, state.length - 1)


ACTIONS: Mapping[str, Action] = MappingProxyType(
    {"First": first, "Back": back, "Step": step, "Last": last}
)
"""The player's buttons, by the words on them."""
