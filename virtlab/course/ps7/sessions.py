"""Task 5 of problem set 7: conversations of a front-end, and what is asked in them.

    hello, table, place, enable, ask        what QEMU says when a driver starts
    stop, place, enable, ask                what it says when the ring lies elsewhere

The idea: each function here is a conversation, step by step. It ends with the first step of which
something else came than is due.

Source: vhost-user.rst, "Ring states", "Starting and stopping rings", "Front-end message types".
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.course.given.world import FEATURES, PROTOCOL
from virtlab.course.ps3.machines import first
from virtlab.course.ps7.front import USER, FrontEnd
from virtlab.course.ps7.front_chains import (
    EVENT_IDX,
    LOOK_WISH,
    MIB,
    ROOM,
)
from virtlab.course.ps7.requests import Asked, ask_for, write
from virtlab.course.tasks import Difference, Run
from virtlab.virtio.blk_layouts import BlkType
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.vhost_user.layouts import (
    CONFIG,
    U64,
    VRING_ADDR,
    VRING_STATE,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.messages import pack

IN, OUT, FLUSH, GET_ID = BlkType.IN, BlkType.OUT, BlkType.FLUSH, BlkType.GET_ID
REPLY_ACK = 1 << ProtocolFeature.REPLY_ACK
SET_VRING_NUM, SET_VRING_ADDR = Request.SET_VRING_NUM, Request.SET_VRING_ADDR

Steps = Callable[[FrontEnd], Difference | None]


def talk(steps: Steps) -> Run:
    """A conversation with a front-end that has said nothing yet."""
    return lambda answer, rng: steps(FrontEnd(answer))


def features(front: FrontEnd) -> Difference | None:
    """What comes first, and what it agrees on."""
    return (
        front.acked(False)
        or front.hello()
        or front.acked()
        or front.say(Request.SET_PROTOCOL_FEATURES, pack(U64, PROTOCOL & ~REPLY_ACK))
        or front.acked(False)
    )


def never_offered(front: FrontEnd) -> Difference | None:
    """Bits that nobody offered change nothing."""
    say = front.say
    return (
        say(Request.SET_PROTOCOL_FEATURES, pack(U64, PROTOCOL | 1 << 40), "refused")
        or front.acked(False)
        or front.hello()
        or say(Request.SET_FEATURES, pack(U64, FEATURES | 1 << 34), "refused")
        or say(Request.SET_FEATURES, pack(U64, 1 << 63), "refused")
        or say(Request.SET_PROTOCOL_FEATURES, pack(U64, PROTOCOL | 1), "refused")
        or say(Request.SET_FEATURES, pack(U64, 1 << 32))
        or front.acked()
    )


def config(front: FrontEnd) -> Difference | None:
    """Pieces of the configuration, and what lies behind it."""

    def part(offset: int, size: int) -> Difference | None:
        head = pack(CONFIG, offset, size, 1)
        data = front.config[offset : offset + size].ljust(size, b"\0")
        return front.say(Request.GET_CONFIG, head + bytes(size), head + data)

    return (
        front.hello()
        or part(0, 60)
        or part(0, 8)
        or part(12, 4)
        or part(60, 40)
        or part(0, 256)
        or part(200, 16)
        or front.say(Request.GET_CONFIG, pack(CONFIG, 0, 257, 0) + bytes(257), "refused")
    )


def unknown(front: FrontEnd) -> Difference | None:
    """Requests of extensions that were not offered."""
    others = (Request.SET_VRING_ENDIAN, Request.GET_INFLIGHT_FD, Request.IOTLB_MSG)
    return front.hello() or first(front.say(each, bytes(8), "refused") for each in others)


def another_ring(front: FrontEnd) -> Difference | None:
    """The device has one ring: 0."""
    one = pack(VRING_STATE, 1, 8)
    states = (
        *(Request.SET_VRING_NUM, Request.SET_VRING_BASE, Request.GET_VRING_BASE),
        Request.SET_VRING_ENABLE,
    )
    address = pack(VRING_ADDR, 1, 0, USER, USER, USER, 0)
    return (
        front.start()
        or first(front.say(each, one, "refused") for each in states)
        or front.say(SET_VRING_ADDR, address, "refused")
        or front.ask([ask_for(IN, 0, 512)])
    )


def one(*asked: Asked) -> Run:
    """One request after another, each with a kick of its own."""
    return talk(lambda front: front.start() or first(front.ask([one]) for one in asked))


def several(front: FrontEnd) -> Difference | None:
    """A handful with one kick, twice."""
    asked = [write(3, data(512)), ask_for(IN, 2, 1024), ask_for(FLUSH), ask_for(GET_ID, 0, 20)]
    return front.start() or front.ask(asked) or front.ask(asked[::-1]) or front.disks()


def data(count: int) -> bytes:
    """Bytes of which each can be told from its neighbours."""
    return bytes((7 * n + n // 251) % 256 for n in range(count))


def wishes(front: FrontEnd) -> Difference | None:
    """The driver says of which chain it wants to hear."""
    asked = [ask_for(IN, n, 512) for n in range(3)]
    found = front.start()
    for event in (0, 2, 3, -1, 500):
        found = found or front.ask(asked, front.base + event)
    return found


def without_event_idx(front: FrontEnd) -> Difference | None:
    """The driver has not accepted it: it is called each time."""
    asked = [ask_for(IN, n, 512) for n in range(3)]
    found = front.start(FEATURES & ~EVENT_IDX)
    # What is refused is not kept.
    found = found or front.say(Request.SET_FEATURES, pack(U64, FEATURES | 1 << 34), "refused")
    found = found or front.ask(asked) or front.ask(asked)
    if not found and front.wish():
        return Difference("no threshold is written", "one is", LOOK_WISH)
    return found


def now(call: Difference | bool) -> Difference | None:
    """What is wrong with a kick, whatever the call."""
    return call if isinstance(call, Difference) else None


def another_driver(front: FrontEnd) -> Difference | None:
    """The firmware reads the disk, then the system comes and begins anew."""
    return (
        front.start(FEATURES & ~EVENT_IDX, 4)
        or front.ask([ask_for(IN, 0, 512)])
        or front.stop()
        or front.stop()
        or front.agree(FEATURES)
        or front.table()
        or front.place(SplitRings.placed(0x1F_0000, 128))
        or front.enable()
        or front.ask([ask_for(IN, n, 512) for n in range(20)])
        or front.ask([ask_for(GET_ID, 0, 20)])
    )


def bad_table(front: FrontEnd) -> Difference | None:
    """A table that is refused changes nothing."""
    rows = [front.rows[0], (0x10_0000, ROOM, USER + MIB, MIB)]
    asked = [ask_for(IN, 3, 512)]
    return (
        front.start()
        or front.ask(asked)
        or front.table("refused", rows)
        or front.ask(asked)
        or front.table("refused", [])
        or front.ask(asked)
    )


def more_memory(front: FrontEnd) -> Difference | None:
    """A region comes while the ring runs, and the next chain lies in it."""
    asked = [ask_for(IN, 3, 512)]
    if found := front.start() or front.ask(asked):
        return found
    front.plug(0x80_0000, 0x1_0000)
    return front.table() or front.plugged(asked[0]) or front.ask(asked)
