"""A recorded handshake, said once more to a real back-end: what it then has, and what it refuses.

    Sent(ADD_MEM_REG, a file of 512 MiB)  -> socket, with a new file of that size ->  `BackEnd`
                                                                       places: gpa 0x0 at 0x0

The idea: a recording has messages and no descriptors. A file of the same size, an eventfd and a
socket do as well: the back-end cannot tell. So a picture of its memory is not made up, and one
message that is changed meets the checks that a hostile front-end would.

The rule that keeps it simple: each message is sent, and the back-end looks once. What it refuses
ends the replay there.

A back-end runs on Linux only. Elsewhere an outcome is one that was recorded, and says so.

Source: vhost-user.rst, "Communication", REPLY_ACK.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, NamedTuple

from virtlab.backends.disk import Disk
from virtlab.show.real_messages import R, Sent
from virtlab.show.real_outcomes import able, outcome, session_key, spread
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DType
from virtlab.virtio.vhost_user.layouts import (
    NEED_REPLY,
    SINGLE_REGION,
    U64,
    VRING_ADDR,
    VRING_STATE,
)
from virtlab.virtio.vhost_user.messages import ProtocolError, check_reply, pack
from virtlab.virtio.vhost_user.statistics import Event

if TYPE_CHECKING:
    from virtlab.virtio.vhost_user.back_end import BackEnd
    from virtlab.virtio.vhost_user.channel import Channel

DISK = 16 << 20
"""Bytes of the disk that the back-end has."""

SLOTS = 8
"""Entries of its ring, at most: those of the recorded session."""

LARGEST = 64 << 30
"""Bytes of a file that is made for a replay, at most. It is sparse: it takes no room."""


class Place(NamedTuple):
    """A region of guest memory that is mapped: its bytes begin at `at` of the back-end's array."""

    guest: int
    size: int
    at: int


class Replay(NamedTuple):
    """What became of a session: after each message the places, and what was refused, if anything.

    `refused` is the index of the message, and `why` are the back-end's own words. `over` says that
    the connection ended with it. `recorded` says that no back-end was asked now.
    """

    places: tuple[tuple[Place, ...], ...]
    refused: int | None = None
    why: str = ""
    over: bool = False
    recorded: bool = False


def replay(session: Sequence[Sent]) -> Replay:
    """Say all of it to a new back-end, up to what it refuses.

    Where no back-end can run it is what one said of this session once. `OSError` if nobody asked.
    """
    return _replay(session) if able() else _kept(outcome(session_key(session)))


def _kept(fields: dict[str, Any]) -> Replay:
    """An outcome as it was kept."""
    places = [tuple(Place(*each) for each in regions) for regions in spread(fields["places"])]
    return Replay(**fields | {"places": tuple(places)})


def _replay(session: Sequence[Sent]) -> Replay:
    """See `replay`: to a back-end of now."""
    from virtlab.virtio.vhost_user.back_end import BackEnd
    from virtlab.virtio.vhost_user.channel import Channel

    notes: list[str] = []
    places: list[tuple[Place, ...]] = []

    def watch(event: Event) -> None:
        if event.kind in ("refused", "error"):
            notes.append(event.note)

    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with (
        closing(Channel(ours, check_reply)) as channel,
        closing(BackEnd(VirtioBlk(Disk(DISK), queue_size=SLOTS), theirs, watch=watch)) as back_end,
    ):
        for index, one in enumerate(session):
            try:
                if one.asks:
                    _ask(channel, back_end, one)
            except ProtocolError as error:
                return Replay((*places, _places(back_end)), index, error.why, True)
            places.append(_places(back_end))
            if notes:
                return Replay(tuple(places), index, notes[0])
    return Replay(tuple(places))


def _places(back_end: BackEnd) -> tuple[Place, ...]:
    return tuple(Place(*region) for region in back_end.memory.regions)


def _ask(channel: Channel, back_end: BackEnd, one: Sent) -> None:
    """Send a message with descriptors like those it had, and let the back-end handle it."""
    with ExitStack() as open_things:
        fds = [_make(kind, size, open_things) for kind, size in one.fds]
        channel.send(one.request, one.payload, one.flags & NEED_REPLY, fds)
        back_end.receive()
        answer = channel.receive()
        if answer is not None:
            answer.fds.close()


def _make(kind: str, size: int, open_things: ExitStack) -> int:
    """A descriptor of this kind, closed at the end."""
    if kind == "socket":
        pair = socket.socketpair()
        for end in pair:
            open_things.enter_context(end)
        return pair[0].fileno()
    from virtlab.virtio.vhost_user.mapping import sealed_file

    fd = sealed_file("virtlab-replay", min(size, LARGEST)) if kind == "file" else os.eventfd(0)
    open_things.callback(os.close, fd)
    return fd


# -- one message changed

Change = Callable[[Sent], Sent]


def _payload(change: Callable[[list[int]], list[int]], layout: DType) -> Change:
    """The same message with other numbers."""

    def changed(one: Sent) -> Sent:
        numbers = change(list(one.message.fields(layout)))
        return one._replace(payload=pack(layout, *numbers))

    return changed


def _larger(region: list[int]) -> list[int]:
    return [*region[:2], 2 * region[2], *region[3:]]


def _unoffered(word: list[int]) -> list[int]:
    return [word[0] | 1 << Feature.RING_RESET]


def _outside(ring: list[int]) -> list[int]:
    return [*ring[:2], ring[2] + (1 << 40), *ring[3:]]


MISTAKES: Mapping[str, tuple[int, Change]] = {
    "a region beyond its file": (R.ADD_MEM_REG, _payload(_larger, SINGLE_REGION)),
    "memory with no descriptor": (R.ADD_MEM_REG, lambda one: one._replace(fds=())),
    "a socket in place of a file": (
        R.ADD_MEM_REG,
        lambda one: one._replace(fds=(("socket", 0),)),
    ),
    "a feature that was never offered": (R.SET_FEATURES, _payload(_unoffered, U64)),
    "a ring larger than the device's": (
        R.SET_VRING_NUM,
        _payload(lambda ring: [ring[0], 2 * ring[1]], VRING_STATE),
    ),
    "a ring outside of memory": (R.SET_VRING_ADDR, _payload(_outside, VRING_ADDR)),
    "half a payload": (
        R.SET_VRING_NUM,
        lambda one: one._replace(payload=one.payload[:4]),
    ),
}
"""By name: which request is changed, and how. Each is one that a front-end may really send."""


def possible(session: Sequence[Sent], mistake: str) -> bool:
    """Whether `session` has a message to make this mistake of."""
    return any(one.asks and one.request == MISTAKES[mistake][0] for one in session)


def spoilt(session: Sequence[Sent], mistake: str) -> list[Sent]:
    """The session with one message changed. `ValueError` where it has no such message."""
    request, change = MISTAKES[mistake]
    for index, one in enumerate(session):
        if one.asks and one.request == request:
            return [*session[:index], change(one), *session[index + 1 :]]
    raise ValueError(f"this session has no message to make {mistake!r} of")
