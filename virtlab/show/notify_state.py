"""A notification threshold: an index went from `old` to `new`. Did it pass entry `event`?

    old 65533                    new 2        entries 65533, 65534, 65535, 0, 1 were passed
      |----.----.----.----.----|
                event 65535                   it is among them: notify

The idea: positions lie on a circle. A split ring's has 65536 places. A packed ring's has two laps,
so twice its size; the wrap counter tells them apart. On both circles the question is the same: how
far is it from `old` to `event`, and is that less than from `old` to `new`?

The rule that keeps it simple: the verdict comes from the library's own `need_event` and
`wants_event`. The formula beside it is for the reader.

Source: virtio 1.3 2.7.7.2, 2.7.10.1 (split), 2.8.10 and 2.8.14 (packed).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from virtlab.virtio.layouts import need_event
from virtlab.virtio.packed_layouts import EVENT_DESC, event_word, to_word, wants_event, wrap_at

DRIVER, DEVICE = "driver", "device"
SIZES = (3, 4, 5, 8, 16)
"""Descriptors of the packed rings that can be chosen."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Who `asks` to be told, in which layout, and the three positions. `size` is a packed ring's.

    `ValueError` for a position that is not on the circle.
    """

    packed: bool = False
    asks: str = DEVICE
    size: int = 5
    old: int = 65533
    new: int = 2
    event: int = 65535

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"a ring of {SIZES} can be chosen, not of {self.size}")
        for name in ("old", "new", "event"):
            if not 0 <= getattr(self, name) < self.modulus:
                raise ValueError(f"{name} is 0 to {self.modulus - 1}, not {getattr(self, name)}")

    @property
    def modulus(self) -> int:
        """Places on the circle."""
        return 2 * self.size if self.packed else 1 << 16

    @property
    def passed(self) -> int:
        """How many entries the index went past."""
        return (self.new - self.old) % self.modulus

    @property
    def notify(self) -> bool:
        """Whether to notify: the library's answer."""
        if not self.packed:
            return need_event(self.event, self.new, self.old)
        event = event_word(EVENT_DESC, to_word(self.event, self.size))
        return wants_event(event, True, self.old + self.passed, self.passed, self.size)

    @property
    def asked(self) -> str:
        """The field that holds the threshold."""
        if self.packed:
            return f"{self.asks} event"
        return "avail_event" if self.asks == DEVICE else "used_event"

    @property
    def mover(self) -> str:
        """Who moves, and asks before it notifies: the other side."""
        return DRIVER if self.asks == DEVICE else DEVICE


# -- actions


def moved(state: Threshold, name: str, steps: int) -> Threshold:
    """One of the three positions `steps` further, round the circle."""
    return placed(state, name, (getattr(state, name) + steps) % state.modulus)


def placed(state: Threshold, name: str, position: int) -> Threshold:
    """One of the three positions somewhere else; past the end it is the nearest place."""
    nearest = min(max(position, 0), state.modulus - 1)
    return replace(state, **{name: nearest})  # type: ignore[arg-type]


def next_batch(state: Threshold) -> Threshold:
    """The index moves on by as many entries again."""
    return moved(replace(state, old=state.new), "new", state.passed)


def listen(state: Threshold) -> Threshold:
    """Ask for the very next entry: the side is awake."""
    return replace(state, event=state.old)


def hush(state: Threshold) -> Threshold:
    """Ask for the entry just passed, which comes again last of all: the side wants silence."""
    return moved(replace(state, event=state.old), "event", -1)


def across(state: Threshold) -> Threshold:
    """Turn the circle, so that the index runs over its end."""
    turn = state.modulus - 2 - state.old
    for name in ("old", "new", "event"):
        state = moved(state, name, turn)
    return state


def other(state: Threshold, **changed: bool | int | str) -> Threshold:
    """Another layout, size or side: the three stay as far apart as they can, across the end."""
    wish = replace(state, old=0, new=0, event=0, **changed)  # type: ignore[arg-type]
    if wish.modulus == state.modulus:
        return replace(state, **changed)  # type: ignore[arg-type]
    event = min((state.event - state.old) % state.modulus, wish.modulus - 1)
    wish = replace(wish, new=min(state.passed, wish.size), event=event)
    return across(wish)


# -- in words


def name_of(state: Threshold, position: int) -> str:
    """A place on the circle: its number, or a packed ring's offset and wrap counter."""
    if not state.packed:
        return f"{position}"
    return f"{position % state.size}/{wrap_at(position, state.size)}"


def formula(state: Threshold) -> tuple[str, str, str]:
    """The two distances with their numbers, and the comparison."""
    old, new, event, m = state.old, state.new, state.event, state.modulus
    if state.packed:
        left = (event - old) % m
        first = f"event - old = {event} - {old} = {left}  (mod {m})"
    else:
        left = (new - event - 1) % m
        first = f"new - event - 1 = {new} - {event} - 1 = {left}  (mod {m})"
    second = f"new - old = {new} - {old} = {state.passed}  (mod {m})"
    answer = "yes, notify" if left < state.passed else "no, stay silent"
    return first, second, f"{left} < {state.passed}:  {answer}"


def explain(state: Threshold) -> str:
    """What the picture shows, in sentences."""
    ring = "makes available" if state.mover == DRIVER else "uses"
    call = "rings the bell" if state.mover == DRIVER else "interrupts"
    thing = "descriptors" if state.packed else "entries"
    if not state.passed:
        return f"The {state.mover} {ring} nothing new, so there is nothing to tell."
    last = name_of(state, (state.new - 1) % state.modulus)
    first = name_of(state, state.old)
    many = f"`{first}`" if state.passed == 1 else f"`{first}` to `{last}`"
    one = thing if state.passed > 1 else {"entries": "entry"}.get(thing, "descriptor")
    words = f"The {state.mover} {ring} {state.passed} {one}: {many}."
    words += f" The {state.asks} asked for `{name_of(state, state.event)}` in its {state.asked}."
    if state.packed and state.passed > state.size:
        return f"{words} But so many at once do not fit into a ring of {state.size}."
    if state.notify:
        return f"{words} It is among them, so the {state.mover} {call}, once."
    return f"{words} It is not among them, so the {state.mover} tells nobody."
