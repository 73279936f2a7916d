"""Task 5 of problem set 7: a ring's life, from what is said of it to its end.

    size, base, addresses, enable        a kick starts it         GET_VRING_BASE stops it

The idea: as in `sessions`, each function is a conversation. Here it is about one ring: what it
needs to start, who may look at it, and where it goes on.

Source: vhost-user.rst, "Ring states", "Starting and stopping rings"; virtio 1.3 2.7.
"""

from __future__ import annotations

from virtlab.course.given.world import QUEUE_SIZE
from virtlab.course.ps3.machines import first
from virtlab.course.ps7.front import LOW, FrontEnd
from virtlab.course.ps7.front_chains import LOOK_CALL, LOOK_OFF, RINGS, ROOM
from virtlab.course.ps7.requests import ask_for, write
from virtlab.course.ps7.sessions import IN, SET_VRING_ADDR, SET_VRING_NUM, data, now, talk
from virtlab.course.tasks import Difference, Run
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.vhost_user.layouts import VRING_ADDR, VRING_STATE
from virtlab.virtio.vhost_user.messages import pack


def sizes(front: FrontEnd) -> Difference | None:
    """A ring has 1 to QUEUE_SIZE entries, a power of two."""
    sizes = (0, 3, 48, 2 * QUEUE_SIZE, 1 << 31, 255)
    found = front.start() or front.stop()
    found = found or first(
        front.say(SET_VRING_NUM, pack(VRING_STATE, 0, size), "refused") for size in sizes
    )
    # What was refused changed nothing: the ring goes on with the size that it has.
    found = found or front.enable() or front.ask([ask_for(IN, 3, 512)])
    return found or first(
        front.say(SET_VRING_NUM, pack(VRING_STATE, 0, size)) for size in (1, 2, 128, QUEUE_SIZE)
    )


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


def _off_again(front: FrontEnd) -> Difference | None:
    asked = ask_for(IN, 3, 512)
    chains = front.lay([asked])
    return (
        front.quiet("sleep", "the ring is not enabled any more", LOOK_OFF)
        or front.enable()
        or _goes_on(front.kick("sleep", "the ring is enabled again"))
        or front.answered(asked, chains[0], 1)
    )


def _goes_on(call: Difference | bool) -> Difference | None:
    """What is wrong with the kick after which the first chain, and no other, would be told of."""
    if isinstance(call, Difference):
        return call
    due = "call False: the driver wants to hear of chain 0, which came back before"
    return Difference(due, "call True", LOOK_CALL) if call else None


def full(front: FrontEnd) -> Difference | None:
    """A ring with as many chains as it has entries: a turn ends, and there is one more."""
    asked = [ask_for(IN, n, 512) for n in range(4)]
    return (
        front.start(size=4)
        or front.ask(asked, state="more")
        or now(front.kick("sleep", "nothing is left"))
        or front.ask(asked[:1])
    )


def not_all_said(front: FrontEnd) -> Difference | None:
    """Memory is there; of a ring only the size, or only the addresses."""
    found = front.hello() or front.table() or front.enable()
    return (
        found
        or front.say(SET_VRING_NUM, pack(VRING_STATE, 0, 8))
        or front.quiet("broken", "nobody has said where the ring lies")
        or front.stop(0)
    )


def no_size(front: FrontEnd) -> Difference | None:
    """The other half: where the ring lies, but not how long it is."""
    parts = [front.user(gpa) for gpa in (0x8000, 0x9000, 0xA000)]
    found = front.hello() or front.table() or front.enable()
    return (
        found
        or front.say(SET_VRING_ADDR, pack(VRING_ADDR, 0, 0, *parts, 0))
        or front.quiet("broken", "nobody has said how many entries the ring has")
        or front.stop(0)
    )


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


PARTS = ("descriptors", "used ring", "available ring")
NOWHERE = (
    *((gpa, n) for gpa in (0x50_0000, LOW - 0x20, ROOM - 0x20) for n in range(3)),
    *((LOW - 0x40, 1), (LOW - 0x80, 0), (ROOM - 0x80, 1)),
    *((ROOM - 0xF0, 0), (ROOM - 132, 1), (ROOM - 36, 2)),
)
"""Where a part of a ring of 16 has no room, and which part."""


def nowhere(front: FrontEnd) -> Difference | None:
    """Rings of which a part is not in memory; then some that end where memory does."""
    found = front.hello() or front.table()
    rings = SplitRings.placed(0x8000, 16)
    for gpa, n in NOWHERE:
        found = found or front.place(rings) or front.enable()
        parts = [front.user(each) for each in (rings.desc, rings.used, rings.avail)]
        parts[n] = front.user(gpa)
        found = found or front.say(SET_VRING_ADDR, pack(VRING_ADDR, 0, 0, *parts, 0))
        found = found or front.quiet("broken", f"the {PARTS[n]} would be at {gpa:#x}")
        found = found or front.stop(0)
    for desc, avail, used in ((0x400, 38, 0x100), (0x100, 0x200, 0x400), (0x400, 0x200, 136)):
        rings = SplitRings(16, ROOM - desc, ROOM - avail, ROOM - used)
        found = found or front.place(rings) or front.enable()
        found = found or front.ask([ask_for(IN, 1, 512)]) or front.stop()
    return found


def early(front: FrontEnd) -> Difference | None:
    """A kick before anything was said, and before the memory is there."""
    found = front.hello() or front.enable() or front.quiet("broken", "there is no ring yet")
    rings = SplitRings.placed(RINGS, 16)
    found = found or front.stop(0) or front.place(rings) or front.enable()
    found = found or front.quiet("broken", "there is no memory yet") or front.table()
    found = found or front.quiet("broken", "the memory came later; the ring was not stopped")
    found = found or front.stop(0) or front.place(rings) or front.enable()
    return found or front.ask([ask_for(IN, 1, 512)])
