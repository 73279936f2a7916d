"""A tape of one virtqueue: which calls both sides make, and how far it has been played.

    add  kick  pop  push  get        the lecture's five pictures of one ring: a tape of five calls

The idea: a tape is a tuple of calls, and nothing else. To see it, it is played from the beginning
on a fresh queue (`ring_play`). So a step back is a shorter tape, and a descriptor edited by hand is
one more call on it.

The rule that keeps it simple: all here are functions from state to state. A new call takes the
place of whatever came after it on the tape.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from virtlab.show.ring_look import MODERN
from virtlab.virtio.doctor import Layout
from virtlab.virtio.features import Features
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings
from virtlab.virtio.packed_layouts import AVAIL, PACKED_DESC, USED, PackedRings

BASE, BYTES = 0x1000, 0x1000
"""The guest memory of a tape: one page."""

BUFFERS, TABLES = 0x1400, 0x1800
"""Where its buffers are, 64 bytes for each request; and its indirect tables."""

SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "read": ((16,), (32, 1)),
    "send": ((24,), ()),
    "receive": ((), (24,)),
}
"""What `add` can add: the bytes of the pieces that go out, and of those that come in."""

VERBS = ("add", "kick", "pop", "push", "get")
"""The five calls, in the order of the lecture's pictures. A tape may also have `edit`."""

MOST_CALLS = 60
"""The longest tape: every look at a frame plays it again."""


class Edit(NamedTuple):
    """One field of one descriptor, and the value that a hand puts there."""

    slot: int
    field: str
    value: int


class Call(NamedTuple):
    """One step of a tape.

    `which` is the shape for `add`, and for `push` the `oldest` or the `newest` of the chains that
    the device has. `edits` are for `edit`.
    """

    verb: str
    which: str = ""
    edits: tuple[Edit, ...] = ()


Tape = tuple[Call, ...]

ADD, SEND = Call("add", "read"), Call("add", "send")
KICK, POP, GET = Call("kick"), Call("pop"), Call("get")
PUSH, PUSH_NEWEST = Call("push", "oldest"), Call("push", "newest")

FIVE_CALLS: Tape = (ADD, KICK, POP, PUSH, GET)
"""One buffer on its way."""

STORY: Tape = (*FIVE_CALLS, SEND, ADD, KICK, POP, POP, PUSH_NEWEST, PUSH, GET, GET, ADD, KICK)
"""One buffer; then two, of which the second is done first; then one more."""


class Setting(NamedTuple):
    """The queue that a tape is played on: its layout, its size, and what was negotiated."""

    layout: Layout = "split"
    size: int = 8
    features: Features = MODERN

    @property
    def rings(self) -> SplitRings | PackedRings:
        """Where the queue lies, at the beginning of the page."""
        placed = SplitRings.placed if self.layout == "split" else PackedRings.placed
        return placed(BASE, self.size)

    @property
    def fields(self) -> dict[str, int]:
        """The fields of a descriptor, and the bytes of each."""
        layout = (DESC if self.layout == "split" else PACKED_DESC).fields
        assert layout is not None
        return {name: field[0].itemsize for name, field in layout.items()}


# -- states


class State(NamedTuple):
    """A tape, and the frame that is shown: 0 before the first call, `len(tape)` at the end."""

    tape: Tape = STORY
    at: int = 2


def do(state: State, call: Call) -> State:
    """Make `call` now, in the place of what came after. A full tape stays as it is."""
    if state.at >= MOST_CALLS:
        return state
    return State((*state.tape[: state.at], call), state.at + 1)


def undo(state: State) -> State:
    """Without the last call that is shown, and without what came after it."""
    at = max(state.at - 1, 0)
    return State(state.tape[:at], at)


def edit(setting: Setting, slot: int, field: str, value: int) -> Call:
    """The call that edits one descriptor by hand. `ValueError` for no such place or value."""
    fields = setting.fields
    if not 0 <= slot < setting.size:
        raise ValueError(f"a descriptor is 0 to {setting.size - 1}, not {slot}")
    if field not in fields:
        raise ValueError(f"a field is one of {', '.join(fields)}, not {field!r}")
    if not 0 <= value < 1 << 8 * fields[field]:
        raise ValueError(f"`{field}` has {fields[field]} bytes: `{value:#x}` does not fit")
    return Call("edit", "", (Edit(slot, field, value),))


def chapters(tape: Iterable[Call]) -> dict[str, int]:
    """For each of the five calls, the frame after it was made for the first time."""
    verbs = [call.verb for call in tape]
    return {verb: verbs.index(verb) + 1 for verb in VERBS if verb in verbs}


# -- mistakes


def mistakes(setting: Setting) -> dict[str, tuple[Edit, ...]]:
    """What a hand can do to a request in descriptors 0, 1 and 2 so that the device refuses it."""
    rings = setting.rings
    over = rings.used if isinstance(rings, SplitRings) else rings.desc
    packed = setting.layout == "packed"
    lap = AVAIL if packed else 0
    common = {
        "readable behind writable": (Edit(2, "flags", lap),),
        "a buffer of 0 bytes": (Edit(1, "len", 0),),
        "a buffer where there is no memory": (Edit(1, "addr", 0x10_0000),),
        "a writable buffer over the ring": (Edit(1, "addr", over),),
        "INDIRECT that nobody negotiated": (Edit(0, "flags", lap | INDIRECT),),
    }
    if packed:
        return {
            "a list that does not end": (Edit(2, "flags", lap | NEXT | WRITE),),
            "flags that say used": (Edit(0, "flags", AVAIL | USED | NEXT),),
            **common,
        }
    return {
        "a loop": (Edit(2, "flags", NEXT | WRITE), Edit(2, "next", 0)),
        "next outside of the table": (Edit(0, "next", setting.size + 1),),
        **common,
    }


def broken(edits: tuple[Edit, ...]) -> State:
    """A request that is exposed and then edited: the next `pop` meets it."""
    tape = (ADD, KICK, Call("edit", "", edits))
    return State(tape, len(tape))
