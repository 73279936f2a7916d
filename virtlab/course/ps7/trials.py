"""Task 5 of problem set 7: drivers that break rules, hostile requests, and a real Linux.

    spoilt      a chain that is none: the ring is left alone until it is stopped
    hostile     requests that ask for what cannot be, between good ones
    linux       all that an unmodified Linux asked of its disk

The idea: the back-end that serves a guest can trust none. What a guest does wrong with a request is
said in its status; what it does wrong with the ring ends the ring, and no other.

Source: virtio 1.3 2.7, 5.2.6.2.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps7.front import FrontEnd
from virtlab.course.ps7.front_chains import BUFFERS, LOOK_BROKEN, RINGS
from virtlab.course.ps7.linux_requests import disk_before, requests
from virtlab.course.ps7.requests import ask_for, write
from virtlab.course.ps7.sessions import GET_ID, IN, now, talk
from virtlab.course.tasks import Difference, Run
from virtlab.virtio.chain import Buffer
from virtlab.virtio.layouts import SplitRings


def spoilt(why: str, *buffers: Buffer, idx: int | None = None, head: int | None = None) -> Run:
    """A chain that breaks a rule: the ring is left alone until it is stopped."""

    def steps(front: FrontEnd) -> Difference | None:
        good = ask_for(IN, 3, 512)
        found = front.start() or front.ask([good])
        if found:
            return found
        front.spoil(buffers, idx, head)
        return (
            now(front.kick("*", why, LOOK_BROKEN))
            or front.quiet(front.word, "the ring is broken")
            or front.place(front.rings, front.base)
            or front.enable()
            or front.quiet(front.word, "the ring is broken, and was not stopped")
            or front.stop()
            or front.place(SplitRings.placed(RINGS, 16))
            or front.enable()
            or front.ask([good])
        )

    return talk(steps)


HEAD, STATUS = Buffer(BUFFERS, 16, False), Buffer(BUFFERS + 0x800, 1, True)
"""Buffers of a request that is one."""


def linux(work: str) -> Run:
    """What Linux asked for, as many requests with a kick as chance will have it."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        front = FrontEnd(answer, lambda: disk_before(work))
        found = front.start(size=128, base=rng.choice((0, 65_500)))
        left = list(requests(work))
        while left and not found:
            count = rng.randrange(1, 7)
            found = front.ask(left[:count])
            del left[:count]
        return found or front.disks() or front.stop()

    return run


def hostile(answer: Answer, rng: Random) -> Difference | None:
    """Requests that ask for what cannot be, between good ones."""
    front = FrontEnd(answer)
    found = front.start(size=64)
    for _ in range(8):
        sectors = front.disk.sectors
        at = rng.choice((0, sectors - 1, sectors, 1 << 55, rng.getrandbits(64)))
        asked = [
            ask_for(IN, at, rng.choice((512, 1024, 511, 1))),
            write(at, rng.randbytes(rng.choice((512, 1024, 513)))),
            ask_for(rng.choice((2, 3, 11, 13, 99, 0xFFFF_FFFF)), at),
            write(rng.randrange(sectors), rng.randbytes(512)),
            ask_for(GET_ID, at, rng.choice((5, 20, 64))),
            ask_for(IN, rng.randrange(sectors), 512),
        ]
        rng.shuffle(asked)
        found = found or front.ask(asked[: rng.randrange(1, 7)])
    return found or front.disks()
