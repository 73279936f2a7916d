"""The ring stepper: one queue, call by call, and both of its sides in your hands.

    First  Back  Play  Step  Last  Reset      Go to   Speed   Jump to: add kick pop push get
    Make a call:   add   kick   pop   push   get                       Undo
    Edit by hand:  Descriptor  Field  Value  Write            or choose A mistake

The idea: the state is a tape of calls and a place on it (`ring_tape`). Stepping moves the place.
Making a call, or editing a descriptor by hand, records it there, in the place of what came after.
So whatever a reader does is played from the beginning, and nothing can be broken for good.

The rule that keeps it simple: a picture compares two frames, this one and the one before. What a
side refuses is a frame like any other, and says which clause it broke.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import ipywidgets as widgets

from virtlab.show.frames import PlayerState
from virtlab.show.player import Player
from virtlab.show.ring_look import PackedLook, SplitLook
from virtlab.show.ring_packed_picture import packed_ring_picture
from virtlab.show.ring_picture import split_ring_picture
from virtlab.show.ring_play import Frame, look, play
from virtlab.show.ring_tape import (
    GET,
    KICK,
    MOST_CALLS,
    POP,
    SHAPES,
    Call,
    Setting,
    State,
    broken,
    chapters,
    do,
    edit,
    mistakes,
    undo,
)
from virtlab.show.shell import button, choice, entry, quoted, row, said, whole
from virtlab.show.svg import Picture

ORDERS = ("oldest", "newest")
"""Which of its chains the device gives back."""


def frame_picture(setting: Setting, frames: list[Frame], index: int) -> Picture:
    """Frame `index` of a tape, and what is not as in the frame before."""
    frame = frames[index]
    now, before = look(setting, frame), look(setting, frames[max(index - 1, 0)])
    verb = frame.call.verb if frame.call else ""
    named = {"add": "add_buf()", "get": "get_buf()", "edit": "an edit by hand", "": "before"}
    title = f"{index}. {named.get(verb, f'{verb}()')}"
    refused = frame.words if frame.refused else ""
    if isinstance(now, SplitLook) and isinstance(before, SplitLook):
        return split_ring_picture(now, title, before, verb, frame.signal, refused)
    assert isinstance(now, PackedLook)
    assert isinstance(before, PackedLook)
    return packed_ring_picture(now, title, before, verb, frame.signal, refused)


def frame_words(setting: Setting, frames: list[Frame], index: int) -> str:
    """What happened in frame `index`, and what the ring doctor says after an edit by hand."""
    frame = frames[index]
    words = f"Call {index} of {len(frames) - 1}. {frame.words}"
    edited = any(each.call and each.call.verb == "edit" for each in frames[: index + 1])
    wrong = [finding for finding in look(setting, frame).findings if not finding.warning]
    if frame.refused or not wrong or not edited:
        return words
    found = wrong[0]
    why = found.why.partition(";")[0]
    return f"{words} The ring doctor already sees it: {found.where}, {why} ({found.spec})."


class RingStepper(Player):
    """A queue of one layout under the reader's hands.

    `setting` is the queue, `RingStepper(Setting("packed", 5))` a packed one; `start` the tape that
    is there first and after Reset, and the frame that is shown.
    """

    def __init__(self, setting: Setting | None = None, start: State | None = None) -> None:
        self.setting = setting or Setting()
        self.first = self.shown = start or State()
        self.frames = play(self.setting, self.first.tape)
        super().__init__(
            len(self.frames),
            lambda index: frame_picture(self.setting, self.frames, index),
            lambda index: frame_words(self.setting, self.frames, index),
            f"RingStepper, {self.setting.layout}",
            chapters(self.first.tape),
            self.first.at,
        )
        box: Any = self
        picture, *rows, says = box.children
        box.children = (picture, says, *rows, self._calls(), *self._hand())

    # -- the tape

    def make(self, call: Call) -> None:
        """Make a call at the frame that is shown: what came after it is gone."""
        self._take(do(self._here, call))

    def undo(self) -> None:
        """Take the call that is shown off the tape, with all that came after it."""
        self._take(undo(self._here))

    def reset(self) -> None:
        """The tape of the start, at its frame."""
        self._take(self.first)
        super().reset()

    @property
    def _here(self) -> State:
        return State(self.shown.tape, self.state.index)

    def _take(self, shown: State) -> None:
        """Show another tape. A range of the controls grows before its value, and shrinks after."""
        self._toggle.value = False
        self.shown = shown
        self.frames = play(self.setting, shown.tape)
        length = len(self.frames)
        self.state = PlayerState(shown.at, length)
        most = max(length, self._go.max)
        self._play.max, self._go.max = most - 1, most
        self._show()
        self._play.max, self._go.max = length - 1, length
        self._go.description = f"Go to (1 to {length})"
        if shown.at >= MOST_CALLS:
            self._says.value = said("The tape is full: undo some calls, or reset.")

    def _chosen(self, change: Any) -> None:
        """To the first call of this name, on the tape as it is now."""
        verb = next((verb for verb, at in self._chapters.options if at == change["new"]), "")
        at = chapters(self.shown.tape).get(verb)
        if at is not None:
            self.go(at)

    # -- the controls

    def _calls(self) -> Any:
        """A button for each of the five calls, and Undo."""
        self._shape = choice("Add what", tuple(SHAPES), "read")
        self._which = choice("Push which", ORDERS, "oldest")
        buttons = [
            button("add", lambda: self.make(Call("add", self._shape.value)), "add_buf, the driver"),
            button("kick", partial(self.make, KICK), "kick, the driver"),
            button("pop", partial(self.make, POP), "pop, the device"),
            button("push", lambda: self.make(Call("push", self._which.value)), "push, the device"),
            button("get", partial(self.make, GET), "get_buf, the driver"),
        ]
        label = widgets.HTML("Make a call now:")
        return row(label, *buttons, button("Undo", self.undo), self._shape, self._which)

    def _hand(self) -> tuple[Any, Any]:
        """What edits a descriptor, past both sides."""
        fields = tuple(self.setting.fields)
        self._slot = choice("Descriptor", tuple(range(self.setting.size)), 0)
        self._field = choice("Field", fields, fields[0])
        self._value = entry("Value", "0x1400")
        write = button("Write it", self._write, "Write this value into the descriptor")
        names = [("choose one", ""), *((name, name) for name in mistakes(self.setting))]
        self._mistake = choice("or make a mistake", names, "")
        self._mistake.observe(lambda change: self._err(change["new"]), "value")
        label = widgets.HTML("Edit a descriptor by hand:")
        return row(label, self._slot, self._field, self._value, write), row(self._mistake)

    def _write(self) -> None:
        """Put the value into the field, if it is one."""
        value = whole(self._value.value)
        try:
            if value is None:
                typed = quoted(self._value.value)
                raise ValueError(f"{typed} is no number: write one such as `0x1400` or `3`")
            call = edit(self.setting, self._slot.value, self._field.value, value)
        except ValueError as error:
            self._says.value = said(f"Nothing is written: {error}.")
        else:
            self.make(call)

    def _err(self, name: str) -> None:
        """A request that is exposed, and spoilt. The list is ready for the next mistake."""
        if name:
            self._take(broken(mistakes(self.setting)[name]))
            self._mistake.value = ""
