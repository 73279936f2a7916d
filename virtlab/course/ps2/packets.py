"""Task 5 of problem set 2: who answers whom. The judge made the packets.

A trace is a list of packets as they cross one link. Small ones come first, one for each way to
mistake an answer; then a trace of a real board of ours, cut by the library's own rules; then long
ones made at random. `Traffic` knows the answer, because it made the packets.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps2.traffic import Packet, Traffic, board_traffic, random_traffic
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same, shown

LOOK_CLASS = "only memory writes and messages are posted requests (PCI Express 3.0, 2.1.1)"
LOOK_ID = "requester and tag together are the transaction's name (PCI Express 3.0, 2.2.6.2)"
LOOK_LAST = "the last one: Cpl, or Byte Count equal to its own length (PCI Express 3.0, 2.2.9)"
LOOK_NOBODY = "an unexpected completion belongs to no request (PCI Express 3.0, 2.3.2)"

SHOWN = 12
"""Packets that a report shows."""


def _match(answer: Answer, traffic: Traffic, look: str) -> Difference | None:
    lines = [f"{number} {packet}" for number, packet in enumerate(traffic.packets)]
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    answer.given = "; ".join(lines[:SHOWN]) + more
    yours = answer.call("transactions", list(traffic.packets))
    if type(yours) is not list:
        return compare(traffic.expected, yours, look)
    for number, right in enumerate(traffic.expected):
        mine = yours[number] if number < len(yours) else "the list ends here"
        if not same(right, mine):
            said = f"entry {number}: {shown(right)}"
            return Difference(said, shown(mine), look, _of_that_name(traffic, right[0]))
    if len(yours) > len(traffic.expected):
        extra = shown(yours[len(traffic.expected)])
        return Difference(f"{len(traffic.expected)} requests", f"one more: {extra}", look)
    return None


def _of_that_name(traffic: Traffic, number: int) -> str:
    """The packets from `number` on that carry its requester and tag."""
    name = traffic.packets[number][1:3]
    later = enumerate(traffic.packets[number:], number)
    return "; ".join([f"{i} {packet}" for i, packet in later if packet[1:3] == name][:SHOWN])


def _sees(build: Callable[[Traffic], object], look: str) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        traffic = Traffic()
        build(traffic)
        return _match(answer, traffic, look)

    return run


# -- small traces


def _writes(t: Traffic) -> None:
    t.ask("MWr", length=128)
    t.ask("MWr", length=64)


def _read(t: Traffic) -> None:
    t.answer(t.ask("MRd", tag=5), "CplD", 4)


def _config(t: Traffic) -> None:
    """A write that is answered, because it is not to memory."""
    t.answer(t.ask("CfgRd0", 0, 1), "CplD", 4)
    t.answer(t.ask("CfgWr1", 0, 2), "Cpl")
    t.answer(t.ask("IOWr", 0, 3), "Cpl")
    t.answer(t.ask("IORd", 0, 4, 1), "CplD", 1)


def _messages(t: Traffic) -> None:
    t.ask("Msg", length=0)
    t.ask("MsgD", length=4)


def _order(t: Traffic) -> None:
    first, second, third = (t.ask("MRd", tag=tag) for tag in (1, 2, 3))
    t.answer(third, "CplD", 4).answer(first, "CplD", 4).answer(second, "CplD", 4)


def _many(t: Traffic) -> None:
    """Two reads of several completions each, one between the other's."""
    first, second = t.ask("MRd", tag=1, length=256), t.ask("MRd", tag=2, length=128)
    t.answer(first, "CplD", 64, 256).answer(second, "CplD", 64, 128).answer(first, "CplD", 128, 192)
    t.answer(second, "CplD", 64, 64).answer(first, "CplD", 64, 64)


def _two_requesters(t: Traffic) -> None:
    one, other = t.ask("MRd", 0x0100, 7), t.ask("MRd", 0x0200, 7)
    t.answer(other, "CplD", 4).answer(one, "CplD", 4)


def _again(t: Traffic) -> None:
    for _ in range(2):
        t.answer(t.ask("MRd", tag=9), "CplD", 4)


def _posted_tag(t: Traffic) -> None:
    """A posted write may carry any tag, also one that a read has in use (2.2.6.2)."""
    read = t.ask("MRd", tag=4)
    t.ask("MWr", tag=4)
    t.answer(read, "CplD", 4)


def _fails(t: Traffic) -> None:
    """A Cpl ends a read with an error, at once or half-way; what comes later is nobody's."""
    first = t.ask("MRd", tag=3, length=128)
    t.answer(first, "CplD", 64, 128).answer(first, "Cpl")
    t.stray(t.packets[first[0]], "CplD", 64)
    t.answer(t.ask("MRd", tag=3), "Cpl")


def _silence(t: Traffic) -> None:
    t.ask("MRd", tag=1)
    t.answer(t.ask("MRd", tag=2), "CplD", 4)


def _nobody(t: Traffic) -> None:
    """Completions for a request that was never made, and for one that is complete already."""
    t.stray(Packet("MRd", 0x0300, 1), "CplD", 4)
    read = t.ask("MRd", tag=1)
    t.answer(read, "CplD", 4)
    t.stray(t.packets[read[0]], "CplD", 4)
    t.ask("MWr", tag=2)
    t.stray(t.packets[-1], "Cpl")


# -- a board, and traces at random


def _board(answer: Answer, rng: Random) -> Difference | None:
    return _match(answer, board_traffic(), LOOK_LAST)


def _any_traffic(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(6):
        if found := _match(answer, random_traffic(rng), LOOK_LAST):
            return found
    return None


MATCH = Task(
    "ps2.q5",
    "who answers whom",
    ("transactions",),
    ("S04", "S07"),
    lines=12,
    minutes=15,
    difficulty=2,
    points=4,
    cases=(
        Case("memory writes", _sees(_writes, LOOK_CLASS)),
        Case("a read and its completion", _sees(_read, LOOK_ID)),
        Case("configuration and ports", _sees(_config, LOOK_CLASS)),
        Case("messages", _sees(_messages, LOOK_CLASS)),
        Case("another order", _sees(_order, LOOK_ID)),
        Case("several completions", _sees(_many, LOOK_LAST)),
        Case("one tag, two requesters", _sees(_two_requesters, LOOK_ID)),
        Case("a tag used again", _sees(_again, LOOK_LAST)),
        Case("the tag of a posted write", _sees(_posted_tag, LOOK_CLASS)),
        Case("completions for nobody", _sees(_nobody, LOOK_NOBODY)),
        Case("reads that fail", _sees(_fails, LOOK_LAST)),
        Case("a read without answer", _sees(_silence, LOOK_ID)),
        Case("a link of a board", _board),
        Case("any traffic", _any_traffic),
    ),
    hints=(
        "Every packet is one of three: a posted request, a request that waits for an answer, or an "
        "answer. The kind alone says which.",
        "Remember the requests that wait, by (requester, tag). An answer finds its request there. "
        "When is a request complete, so that its tag may be used again?",
        "A dict from (requester, tag) to the list of completions. A non-posted request puts its "
        "empty list in; a completion appends to it; the last completion takes the list out of the "
        "dict. A completion whose name is not in the dict belongs to nobody.",
    ),
)
