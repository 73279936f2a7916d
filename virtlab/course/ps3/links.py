"""Task 9 of problem set 3: a shared card, and a virtual link. Judges: the wire, and the interrupts.

The wire notes what comes out and the interrupts are counted. Twins of both devices say what must
be; the guests use one buffer again and again, so whoever keeps it in place of a copy is found out.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer, Built
from virtlab.course.ps3.link_twins import LOOK_INTERRUPT, CardTwin, LinkTwin, Pair, Step
from virtlab.course.ps3.machines import first
from virtlab.course.tasks import Case, Difference, Run, Task, same, shown


def _card(vms: int, room: int, *steps: Step) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        pair = Pair(answer, CardTwin(vms, room))
        return first(pair.step(step) for step in steps)

    return run


def _link(room: int, *steps: Step) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        pair = Pair(answer, LinkTwin(room))
        return first(pair.step(step) for step in steps)

    return run


def _s(vm: int, times: int = 1) -> list[Step]:
    return [("send", vm)] * times


def _go(times: int) -> list[Step]:
    return [("step",)] * times


def _counts(vms: int) -> list[Step]:
    return [("sent", vm) for vm in range(vms)]


def _r(end: int, times: int = 1) -> list[Step]:
    return [("receive", end)] * times


def _any_card(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(4):
        vms = rng.randrange(1, 6)
        pair = Pair(answer, CardTwin(vms, rng.choice((1, 2, 5))))
        for _ in range(80):
            vm, flooder = rng.randrange(vms), 0
            step: Step = rng.choice(
                (("send", vm), ("send", flooder), ("step",), ("step",), ("sent", vm))
            )
            if rng.random() < 0.03:
                step = ("reset", vm)
            if found := pair.step(step):
                return found
    return None


def _any_link(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(4):
        pair = Pair(answer, LinkTwin(rng.choice((1, 2, 5))))
        for _ in range(80):
            if found := pair.step((rng.choice(("send", "send", "receive")), rng.randrange(2))):
                return found
    return None


def _flood(answer: Answer, rng: Random) -> Difference | None:
    """VM 0 sends without pause; the others get their turns all the same."""
    pair = Pair(answer, CardTwin(3, 4))
    for _ in range(10):
        steps = [*_s(0, 30), *_s(1), *_s(2), *_go(3)]
        if found := first(pair.step(step) for step in steps):
            return found
    return None


def _at_once(answer: Answer, rng: Random) -> Difference | None:
    """The other VM takes its message inside the interrupt: it is there, and the next one is too."""
    got: list[object] = []
    answer.given = "VirtualLink(interrupt, room=1); in the interrupt the other end calls receive"
    link: Built

    def interrupt(end: int) -> None:
        got.append(link.call("receive", end))

    link = Built(answer, "VirtualLink", answer.call("VirtualLink", interrupt, 1))
    for message in (b"one", b"two"):
        answer.given += f", and send(0, {message!r}) is called"
        link.call("send", 0, message)
        if not same([message], got):
            return Difference(f"it gets {message!r}", shown(got), LOOK_INTERRUPT)
        got.clear()
    return None


def _two_links(answer: Answer, rng: Random) -> Difference | None:
    """What waits in one link, another knows nothing of."""
    one, other = Pair(answer, LinkTwin(2)), Pair(answer, LinkTwin(2))
    found = one.step(("send", 0)) or other.step(("receive", 1)) or other.step(("send", 0))
    return found or other.step(("receive", 1)) or one.step(("receive", 1))


LINKS = Task(
    "ps3.q9",
    "one card for all, and a cable that is none",
    ("SharedCard", "VirtualLink"),
    ("S24", "S25"),
    lines=30,
    minutes=30,
    difficulty=3,
    points=5,
    cases=(
        Case("one VM, one frame", _card(1, 4, *_s(0), *_go(1))),
        Case("in order", _card(1, 4, *_s(0, 3), *_go(3))),
        Case("nothing waits", _card(2, 4, *_go(1), *_s(1), *_go(2))),
        Case("the room is full", _card(2, 2, *_s(0, 3), *_s(1, 2), *_go(1), *_s(0, 2), *_go(5))),
        Case("by turns", _card(2, 4, *_s(0, 2), *_s(1, 2), *_go(4))),
        Case("who has nothing", _card(3, 4, *_s(0, 2), *_s(2), *_go(4))),
        Case("after the one last served", _card(3, 4, *_s(1), *_go(1), *_s(0), *_s(2), *_go(2))),
        Case(
            "round the end", _card(3, 4, *_s(2), *_go(1), *_s(0), *_s(1), *_go(2), *_s(1), *_go(1))
        ),
        Case("after a pause", _card(3, 4, *_s(0), *_go(3), *_s(0), *_s(1), *_go(2))),
        Case(
            "how many were sent",
            _card(3, 4, *_s(0, 2), *_s(2), *_go(2), *_counts(3), *_go(1), *_counts(3)),
        ),
        Case("lost ones do not count", _card(1, 1, *_s(0, 3), *_go(2), *_counts(1))),
        Case(
            "a reset",
            _card(2, 4, *_s(0, 2), *_go(1), ("reset", 0), *_counts(2), *_go(1), *_s(0), *_go(1)),
        ),
        Case(
            "a reset of another",
            _card(2, 3, *_s(0, 3), *_s(1), *_go(1), ("reset", 1), *_counts(2), *_go(3)),
        ),
        Case(
            "a reset keeps the turn",
            _card(3, 4, *_s(0, 2), *_s(1), *_go(1), ("reset", 0), *_s(0), *_go(2)),
        ),
        Case("a VM that floods", _flood),
        Case("any VMs", _any_card),
        Case("a message", _link(4, *_s(0), *_r(1))),
        Case("the other way", _link(4, *_s(1), *_r(0))),
        Case("not to oneself", _link(4, *_s(0), *_r(0), *_r(1, 2))),
        Case("messages in order", _link(4, *_s(0, 3), *_r(1, 4))),
        Case(
            "one interrupt for a burst", _link(4, *_s(0, 3), *_r(1, 2), *_s(0), *_r(1, 2), *_s(0))
        ),
        Case("no room at the other end", _link(2, *_s(0, 3), *_r(1), *_s(0, 2), *_r(1, 3))),
        Case(
            "both ways at once",
            _link(2, *_s(0, 2), *_s(1, 2), *_r(0), *_r(1), *_s(1), *_r(0, 3), *_r(1, 2)),
        ),
        Case("read in the interrupt", _at_once),
        Case("two links", _two_links),
        Case("any guests", _any_link),
    ),
    hints=(
        "Begin with what belongs to one VM: a list of frames and a count. Then a list of these. "
        "step for a single VM is easy; do the turns after that.",
        "For the turns keep the number whose turn is next, and try as many VMs as there are, from "
        "it on, round the end. In the link a message goes into the queue of the other end: of 0 "
        "and 1, the one that end is not.",
        "In step, the first VM with a frame is served and the turn goes to the one after it; if "
        "nobody has one, the turn stays. bytes(frame) makes a copy. The interrupt belongs behind "
        "the append, when the queue has exactly one message.",
    ),
)
