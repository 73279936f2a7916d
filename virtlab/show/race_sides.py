"""One side of a race: a library's own call, stopped before each of its accesses to memory.

    answers so far            what the call does next
    ()                        load  used.idx
    (0)                       store avail.flags = 0
    (0, -)                    the barrier between a store and a load
    (0, -, -)                 load  used.idx
    (0, -, -, 1)              nothing more: the call has given False

The idea: a call is a function of what its loads gave. So it is run again from its start, each time
with one answer more, and stopped where the answers end. Nothing is scripted and no thread is
needed: the real `SplitDriver` and `SplitQueue` run, and anybody may move in between.

The rule that keeps it simple: a side never touches memory itself. It asks, and somebody else does
it, through a store buffer.

A barrier is a stop only where a PC needs an instruction for it: between a store and a load.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from virtlab.virtio.ordering import Order, no_barrier

LOAD, STORE, FENCE = "load", "store", "barrier"

STORE_TO_LOAD = frozenset(
    {
        Order.AVAIL_IDX_THEN_EVENT,
        Order.USED_EVENT_THEN_IDX,
        Order.USED_IDX_THEN_EVENT,
        Order.AVAIL_EVENT_THEN_IDX,
    }
)
"""The points at which a PC needs a barrier."""


class Access(NamedTuple):
    """What a side does next: `length` bytes at `gpa` are read, or `data` is stored, or it waits."""

    kind: str
    gpa: int = 0
    length: int = 0
    data: bytes = b""


class Finished(NamedTuple):
    """What a side's call gave in the end."""

    result: Any


class _NotYet(Exception):
    """There is no answer for this access yet."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self.access = access


class Replay:
    """Memory that answers from a list: the verbs of a Cpu and of a Dma, as far as a race goes."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self._answers = iter(answers)

    def read(self, gpa: int, length: int) -> bytes:
        """The next answer."""
        return self._next(Access(LOAD, gpa, length))

    def write(self, gpa: int, data: bytes) -> None:
        """It was stored, or it will be now."""
        self._next(Access(STORE, gpa, len(data), bytes(data)))

    def load(self, gpa: int, size: int = 4) -> int:
        """The next answer, as a number."""
        return int.from_bytes(self.read(gpa, size), "little")

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """The same for a store."""
        self.write(gpa, value.to_bytes(size, "little"))

    def barrier(self, point: str) -> None:
        """A stop, where a PC needs an instruction."""
        if point in STORE_TO_LOAD:
            self._next(Access(FENCE))

    def _next(self, access: Access) -> bytes:
        for answer in self._answers:
            return answer
        raise _NotYet(access)


class Program(NamedTuple):
    """A `call` of `side`, which reaches memory through `memory`: a driver's `cpu`, a queue's `dma`.

    With `fenced` its barriers count; without they are left out.
    """

    side: Any
    memory: Any
    call: Callable[[Any], Any]
    fenced: bool = True

    def after(self, answers: Sequence[bytes]) -> Access | Finished:
        """What it does once it has had `answers`. The side itself is left as it was."""
        replay = Replay(answers)
        twin = copy.deepcopy(self.side, {id(self.memory): replay})
        twin.barrier = replay.barrier if self.fenced else no_barrier
        try:
            return Finished(self.call(twin))
        except _NotYet as stop:
            return stop.access
