"""Task 2 of problem set 3: a device model in another process. Judges: the model, and the calls.

The service has a model that keeps every access in order. So a batch that is late, doubled or out of
order is seen as what the model saw; and a read gives a number that no other moment gives. Then the
calls count: `Twin` makes as few as the rules allow, and the student's proxy must make the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import TypeGuard

from virtlab.clock import COSTS
from virtlab.course.answers import Answer, Built
from virtlab.course.ps3.machines import first
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same, shown

LOOK_ORDER = "the model sees every access once, in the guest's order"
LOOK_CALLS = "quiet writes wait, and go in front of the next access that does not"
LOOK_ROOM = "as soon as `room` accesses have come together, they are sent"
LOOK_BATCH = "a list of tuples, a read only as the last"
LOOK_COST = "an exit is 2 world switches; a call of the service adds 2 more"

EXIT, SWITCH = round(COSTS["vm_exit"].ns), round(COSTS["process_switch"].ns)
LONGEST = 64
"""Accesses that a case shows."""

Access = tuple[str, int, int] | tuple[str, int, int, int]
Batch = list[Access]


class Service:
    """The other process. A read gives a number made of its register and of all that came before."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.wrong = ""

    @property
    def seen(self) -> Batch:
        """All accesses in the order in which the model got them."""
        return [access for batch in self.batches for access in batch]

    def call(self, batch: object) -> int:
        """Take a batch; the value of the read at its end, else 0."""
        if not _is_batch(batch):
            self.wrong = self.wrong or f"call({shown(batch)})"
            return 0
        self.batches.append(list(batch))
        verb, offset, *_ = batch[-1]
        return offset << 16 | len(self.seen) if verb == "read" else 0


def _is_batch(batch: object) -> TypeGuard[Batch]:
    """A list of accesses, not empty, of which only the last may be a read."""
    if type(batch) is not list or not batch:
        return False
    return all(_is_access(one) for one in batch) and all(one[0] == "write" for one in batch[:-1])


def _is_access(access: object) -> bool:
    """A tuple of a verb and its numbers."""
    if type(access) is not tuple or not access or access[0] not in ("read", "write"):
        return False
    numbers = access[1:]
    size = 2 if access[0] == "read" else 3
    return len(numbers) == size and all(type(number) is int for number in numbers)


class Twin:
    """What the calls must be."""

    def __init__(self, quiet: Iterable[int], room: int) -> None:
        self.quiet, self.room = set(quiet), room
        self.batches: list[Batch] = []
        self.waiting: Batch = []

    def access(self, *access: int | str) -> None:
        """One access of the guest."""
        self.waiting.append(access)  # type: ignore[arg-type]
        if access[0] == "read" or access[1] not in self.quiet or len(self.waiting) == self.room:
            self.flush()

    def flush(self) -> None:
        """The guest halts."""
        if self.waiting:
            self.batches.append(self.waiting)
        self.waiting = []


Step = tuple[str, int, int, int] | tuple[str, int, int] | tuple[str]


class _Pair:
    """A student's proxy and the twin, driven by the same guest."""

    def __init__(self, answer: Answer, quiet: set[int], room: int) -> None:
        self.answer = answer
        self.service, self.twin = Service(), Twin(quiet, room)
        told = f"{{{', '.join(f'{at:#x}' for at in sorted(quiet))}}}" if quiet else "set()"
        self.made = f"Proxy(service, quiet={told}, room={room})"
        answer.given = self.made
        self.said: list[str] = []
        self.proxy = Built(answer, "Proxy", answer.call("Proxy", self.service, set(quiet), room))

    def step(self, step: Step) -> Difference | None:
        """One access, or a flush; then the calls so far are held against each other."""
        verb, *numbers = step
        self.said.append(f"{verb}({', '.join(f'{number:#x}' for number in numbers)})")
        self.answer.given = f"{self.made}; {', '.join(self.said[-6:])}"
        if verb == "flush":
            self.twin.flush()
        else:
            self.twin.access(verb, *numbers)
        yours = self.proxy.call(verb, *numbers)
        found = self._calls()
        if found is None and verb == "read":
            expected = numbers[0] << 16 | sum(map(len, self.twin.batches))
            found = compare(expected, yours, "what the call returns is the read's value")
        return found

    def _calls(self) -> Difference | None:
        """The first call that differs."""
        right, mine = self.twin.batches, self.service.batches
        if self.service.wrong:
            return Difference("batches of accesses", self.service.wrong, LOOK_BATCH)
        if mine == right:
            return None
        everything = [one for batch in right for one in batch] + self.twin.waiting
        if self.service.seen != everything[: len(self.service.seen)]:
            return Difference(f"the model saw {_text(right)}", _text(mine), LOOK_ORDER)
        full = len(right[-1]) == self.twin.room if right else False
        look = LOOK_ROOM if full else LOOK_CALLS
        return Difference(_counted(right), _counted(mine), look)


def _counted(batches: list[Batch]) -> str:
    return f"{len(batches)} call{'s' * (len(batches) != 1)}: {_text(batches)}"


def _text(batches: list[Batch]) -> str:
    """Batches as a report shows them: `[w 0x10, r 0x4]`; of many the last."""
    texts = [
        "[" + ", ".join(f"{verb[0]} {offset:#x}" for verb, offset, *_ in batch[:10]) + "]"
        for batch in batches[-4:]
    ]
    return " ".join(texts) or "none"


def _runs(quiet: set[int], room: int, *steps: Step) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        pair = _Pair(answer, quiet, room)
        return first(pair.step(step) for step in steps)

    return run


def _w(offset: int, value: int = 1, size: int = 4) -> Step:
    return "write", offset, size, value


def _r(offset: int, size: int = 4) -> Step:
    return "read", offset, size


FLUSH: Step = ("flush",)
QUIET = {0x10, 0x14}


def _two(answer: Answer, rng: Random) -> Difference | None:
    """What waits for one device, another one knows nothing of."""
    one = _Pair(answer, QUIET, 8)
    other = _Pair(answer, QUIET, 8)
    found = first(one.step(step) for step in (_w(0x10), _w(0x14)))
    return found or other.step(_r(4)) or one.step(_w(0x10)) or other.step(FLUSH)


def _any_guest(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(4):
        quiet = set(rng.sample(range(0, 0x20, 4), 3))
        pair = _Pair(answer, quiet, rng.choice((1, 2, 3, 8)))
        for _ in range(LONGEST):
            offset, size = 4 * rng.randrange(8), rng.choice((1, 2, 4))
            write = _w(offset, rng.getrandbits(8 * size), size)
            step = rng.choice((write, write, write, write, _r(offset, size), FLUSH))
            if found := pair.step(step):
                return found
    return None


def _costs(*asked: tuple[int, int]) -> Run:
    return lambda answer, rng: first(_cost(answer, *one) for one in asked)


def _cost(answer: Answer, exits: int, calls: int) -> Difference | None:
    answer.given = f"cost(exits={exits}, calls={calls})"
    expected = 2 * (exits + calls), EXIT * exits + 2 * SWITCH * calls
    yours = answer.call("cost", exits, calls)
    if same(expected, yours):
        return None
    mine = str(yours)[:80] if type(yours) is tuple else shown(yours)
    if mine == str(expected):
        mine += ", not all whole numbers"
    return Difference(str(expected), mine, LOOK_COST)


def _any_cost(answer: Answer, rng: Random) -> Difference | None:
    return first(_cost(answer, rng.randrange(10_000), rng.randrange(10_000)) for _ in range(20))


PROXY = Task(
    "ps3.q2",
    "a model in another process",
    ("Proxy", "cost"),
    ("S12", "S13"),
    lines=12,
    minutes=20,
    difficulty=2,
    points=4,
    cases=(
        Case("a read", _runs(set(), 8, _r(4), _r(8, 2))),
        Case("a write", _runs(set(), 8, _w(4, 0x1234), _w(8, 1, 1))),
        Case("writes and reads", _runs(set(), 8, _w(4), _r(4), _w(4, 2), _r(4))),
        Case("a quiet write waits", _runs(QUIET, 8, _w(0x10), _w(0x14, 7, 2))),
        Case("a read behind it", _runs(QUIET, 8, _w(0x10), _w(0x14), _r(4), _r(4))),
        Case("a write behind it", _runs(QUIET, 8, _w(0x10), _w(0x10, 2), _w(4), _w(0x10), _w(4))),
        Case("a quiet register is read", _runs(QUIET, 8, _w(0x10, 5), _r(0x10), _r(0x14))),
        Case("flush", _runs(QUIET, 8, _w(0x10), FLUSH, _w(0x14), _w(0x10), FLUSH, _r(4))),
        Case("nothing to flush", _runs(QUIET, 8, FLUSH, _w(4), FLUSH, _w(0x10), FLUSH, FLUSH)),
        Case("the room is full", _runs(QUIET, 3, *[_w(0x10, n) for n in range(7)])),
        Case("full, by a read", _runs(QUIET, 3, _w(0x10), _w(0x14), _r(0), _w(0x10), FLUSH)),
        Case("room for one", _runs(QUIET, 1, _w(0x10), _w(0x14), _r(4), FLUSH)),
        Case("two devices", _two),
        Case("any guest", _any_guest),
        Case("the cost of exits", _costs((1, 0), (1000, 0))),
        Case("the cost of calls", _costs((3, 1), (3, 3), (0, 0))),
        Case("any cost", _any_cost),
    ),
    hints=(
        "Begin without quiet registers: each access is a call with one tuple in a list. Then let "
        "quiet writes go into a list of your own.",
        "One method can do all the sending: whatever waits becomes the batch, and a new empty list "
        "takes its place. read and write both add their access to the list first; then the only "
        "question is whether to send now.",
        "A read always sends, and returns what the call returned. A write sends if its offset is "
        "not quiet, or if the list has reached room. flush sends only if there is something. In "
        "cost, a call is two switches of 3800 ns each.",
    ),
)
