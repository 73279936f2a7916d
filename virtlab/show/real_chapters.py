"""The parts of a recorded session: where each begins, and which driver took what.

    come to terms     GET_FEATURES          start the ring    SET_VRING_NUM
    what the disk is  GET_CONFIG            place the ring    SET_VRING_ADDR
    share memory      ADD_MEM_REG           stop the ring     GET_VRING_BASE

The idea: a machine has two drivers, one after the other. The firmware's reads what to start, and
Linux's does all the rest. Between them the ring is stopped and the device reset.

The rule that keeps it simple: a part begins with one request, and that is how it is found.

Source: vhost-user.rst, "Ring states"; QEMU for the order.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.show.real_messages import R, Sent
from virtlab.virtio.vhost_user.layouts import U64

CHAPTERS = (
    ("come to terms", R.GET_FEATURES),
    ("what the disk is", R.GET_CONFIG),
    ("share memory", R.ADD_MEM_REG),
    ("share memory", R.SET_MEM_TABLE),
    ("start the ring", R.SET_VRING_NUM),
    ("place the ring", R.SET_VRING_ADDR),
    ("stop the ring", R.GET_VRING_BASE),
)
"""Parts of a handshake, and the request with which each first begins."""


def chapters(session: Sequence[Sent]) -> dict[str, int]:
    """Where each part first begins: the index of its message. A part that never comes has none."""
    found: dict[str, int] = {}
    for name, request in CHAPTERS:
        at = next((n for n, one in enumerate(session) if one.request == request), None)
        if at is not None:
            found.setdefault(name, at)
    return found


def second_driver(session: Sequence[Sent]) -> int:
    """Where the driver after the firmware's begins: the first SET_FEATURES after a stop, or 0."""
    stopped = [n for n, one in enumerate(session) if one.request == R.GET_VRING_BASE]
    after = range(stopped[0], len(session)) if stopped else range(0)
    return next((n for n in after if session[n].request == R.SET_FEATURES), 0)


def drivers(session: Sequence[Sent]) -> list[int]:
    """What each driver took, as feature words: the last SET_FEATURES before its ring started."""
    taken, last = [], 0
    for one in session:
        if one.asks and one.request == R.SET_FEATURES:
            last = one.message.fields(U64)[0]
        elif one.asks and one.request == R.SET_VRING_KICK:
            taken.append(last)
    return taken
