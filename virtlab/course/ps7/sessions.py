"""Task 5 of problem set 7: conversations of a front-end, and what is asked in them.

    hello, table, place, enable, ask        what QEMU says when a driver starts
    stop, place, enable, ask                what it says when the ring lies elsewhere

The idea: each function here is a conversation, step by step. It ends with the first step of which
something else came than is due.

Source: vhost-user.rst, "Ring states", "Starting and stopping rings", "Front-end message types".
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.course.ps3.machines import first
from virtlab.course.ps7.front import LOW, USER, FrontEnd
from virtlab.course.ps7.front_chains import (
    EVENT_IDX,
    LOOK_OFF,
    LOOK_WISH,
    MIB,
    RINGS,
    ROOM,
)
from virtlab.course.ps7.requests import Asked, ask_for, write
from virtlab.course.ps7.world import FEATURES, PROTOCOL, QUEUE_SIZE
from virtlab.course.tasks import Difference, Run
from virtlab.virtio.blk_layouts import BlkType
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.vhost_user.layouts import CONFIG, U64, VRING_ADDR, VRING_STATE, Request
from virtlab.virtio.vhost_user.messages import pack

IN, OUT, FLUSH, GET_ID = BlkType.IN, BlkType.OUT, BlkType.FLUSH, BlkType.GET_ID
SET_VRING_NUM, SET_VRING_ADDR = Request.SET_VRING_NUM, Request.SET_VRING_ADDR

Steps = Callable[[FrontEnd], Difference | None]


def talk(steps: Steps) -> Run:
    """A conversation with a front-end that has said nothing yet."""
    return lambda answer, rng: steps(FrontEnd(answer))


def features(front: FrontEnd) -> Difference | None:
    """What comes first."""
    return front.hello() or front.acked()


def never_offered(front: FrontEnd) -> Difference | None:
    """Bits that nobody offered change nothing."""
    say = front.say
    return (
        front.hello()
        or say(Request.SET_FEATURES, pack(U64, FEATURES | 1 << 34), "refused")
        or say(Request.SET_FEATURES, pack(U64, 1 << 63), "refused")
        or say(Request.SET_PROTOCOL_FEATURES, pack(U64, PROTOCOL | 1), "refused")
        or say(Request.SET_FEATURES, pack(U64, 1 << 32))
        or front.acked()
    )


def config(front: FrontEnd) -> Difference | None:
    """Pieces of the configuration, and what lies behind it."""

    def part(offset: int, size: int) -> Difference | None:
        head = pack(CONFIG, offset, size, 0)
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


def sizes(front: FrontEnd) -> Difference | None:
    """A ring has 1 to QUEUE_SIZE entries, a power of two."""
    sizes = (0, 3, 48, 2 * QUEUE_SIZE, 1 << 31, 255)
    found = front.start() or front.stop()
    found = found or first(
        front.say(SET_VRING_NUM, pack(VRING_STATE, 0, size), "refused") for size in sizes
    )
    return found or first(
        front.say(SET_VRING_NUM, pack(VRING_STATE, 0, size)) for size in (1, 2, 128, QUEUE_SIZE)
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
    found = front.start(FEATURES & ~EVENT_IDX) or front.ask(asked) or front.ask(asked)
    if not found and front.wish():
        return Difference("no threshold is written", "one is", LOOK_WISH)
    return found


def not_enabled(front: FrontEnd) -> Difference | None:
    """Kicked before it is enabled, and after it is not any more."""
    rings = SplitRings.placed(RINGS, 16)
    found = front.hello() or front.table() or front.place(rings)
    if found:
        return found
    front.lay([ask_for(IN, 3, 512)])
    return (
        front.quiet("sleep", "the ring is not enabled", LOOK_OFF)
        or front.enable()
        or now(front.kick("sleep", "the ring is enabled"))
        or front.enable(0)
        or _off_again(front)
    )


def now(call: Difference | bool) -> Difference | None:
    """What is wrong with a kick, whatever the call."""
    return call if isinstance(call, Difference) else None


def _off_again(front: FrontEnd) -> Difference | None:
    front.lay([ask_for(IN, 3, 512)])
    return front.quiet("sleep", "the ring is not enabled any more", LOOK_OFF)


def stopped(base: int) -> Run:
    """Stopped, told where it stands, and started again elsewhere."""

    def steps(front: FrontEnd) -> Difference | None:
        asked = [write(3, data(512)), ask_for(IN, 3, 512)]
        found = front.start(size=8, base=base) or front.ask(asked) or front.stop()
        found = (
            found
            or front.place(SplitRings.placed(0x4000, 4), front.base & 0xFFFF)
            or front.enable()
        )
        return found or front.ask(asked[1:]) or front.stop() or front.disks()

    return talk(steps)


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


PARTS = ("descriptors", "used ring", "available ring")
NOWHERE = (
    *((gpa, n) for gpa in (0x50_0000, LOW - 0x20, ROOM - 0x20) for n in range(3)),
    *((LOW - 0x40, 1), (LOW - 0x80, 0), (ROOM - 0x80, 1)),
)
"""Where a part of a ring of 16 has no room, and which part."""


def nowhere(front: FrontEnd) -> Difference | None:
    """Rings of which a part is not in memory; then one that ends where memory does."""
    found = front.hello() or front.table()
    rings = SplitRings.placed(0x8000, 16)
    for gpa, n in NOWHERE:
        found = found or front.place(rings) or front.enable()
        parts = [front.user(each) for each in (rings.desc, rings.used, rings.avail)]
        parts[n] = front.user(gpa)
        found = found or front.say(SET_VRING_ADDR, pack(VRING_ADDR, 0, 0, *parts, 0))
        found = found or front.quiet("broken", f"the {PARTS[n]} would be at {gpa:#x}")
        found = found or front.stop(0)
    rings = SplitRings(16, ROOM - 0x400, avail=ROOM - 38, used=ROOM - 0x100)
    found = found or front.place(rings) or front.enable()
    return found or front.ask([ask_for(IN, 1, 512)])


def early(front: FrontEnd) -> Difference | None:
    """A kick before anything was said, and before the memory is there."""
    found = front.hello() or front.enable() or front.quiet("broken", "there is no ring yet")
    rings = SplitRings.placed(RINGS, 16)
    found = found or front.stop(0) or front.place(rings) or front.enable()
    found = found or front.quiet("broken", "there is no memory yet") or front.table()
    found = found or front.quiet("broken", "the memory came later; the ring was not stopped")
    found = found or front.stop(0) or front.place(rings) or front.enable()
    return found or front.ask([ask_for(IN, 1, 512)])


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
