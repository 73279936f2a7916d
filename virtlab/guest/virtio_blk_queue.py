"""Requests of a block device, from a list of wishes to a list of answers.

    waiting  -> slots and ring ->  in flight  -> used, in any order ->  answers, in the order asked

The idea: the device may finish in any order. So each request is remembered by its slot while it
flies. Whenever some are done, the next ones take their place: the device never waits for us.

A device may have several request queues (MQ). They are dealt to like players: request 0 goes to
the first, request 1 to the second. Nobody orders requests of different queues, nor of one (5.2.6).

The rule that keeps it simple: `run` returns when all are answered, and each wait in it is bounded.

Without `acknowledge` we look again and again. With it we ask for an interrupt, sleep, and call it
when we were woken, which lets the device interrupt again.

Source: virtio 1.3 5.2.2, 5.2.6, 2.7.7.1 (a used buffer may come while we fall asleep, so look once
more).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from virtlab.guest.calls import BlocksFailed
from virtlab.guest.virtio_blk_slots import FROM_DEVICE, Finished, RequestSlots
from virtlab.guest.virtio_transport import poll

PATIENCE = 1_000_000_000
"""Nanoseconds in which an interrupt is expected."""


class Request(NamedTuple):
    """What the device shall do. `data` is for it to read; it writes `length` bytes, or none."""

    type: int
    sector: int = 0
    data: bytes = b""
    length: int = 0

    @property
    def size(self) -> int:
        """Bytes of data, in the one direction or the other."""
        return self.length if self.type in FROM_DEVICE else len(self.data)


class Answer(NamedTuple):
    """What came of it: a `BlkStatus`, the data that came, and the bytes that the device `wrote`."""

    status: int
    data: bytes
    wrote: int


Wish = tuple[int, Request]
"""A request, and its number in the list."""


class RequestQueue:
    """One queue's part of a list: what waits for its `slots`, and what flies in them."""

    def __init__(self, slots: RequestSlots) -> None:
        self.slots = slots
        self._waiting: deque[Wish] = deque()
        self._flying: dict[int, Wish] = {}
        slots.queue.disable_cb()

    @property
    def busy(self) -> bool:
        """Whether the device has something of ours."""
        return bool(self.slots.in_flight)

    def ask(self, wishes: Sequence[Wish]) -> None:
        """These shall be done next, and nothing that waited before."""
        self._waiting = deque(wishes)
        self._flying.clear()

    def begin(self) -> None:
        """Give the device as many of those that wait as there is room for."""
        count = min(len(self._waiting), len(self.slots.free))
        if not count:
            return
        wanted = [self._waiting[at][1] for at in range(count)]
        table = np.array([(request.type, request.sector, request.size) for request in wanted])
        slots = self.slots.submit(table[:, 0], table[:, 1], table[:, 2])
        self.slots.put(slots, [request.data for request in wanted[: len(slots)]])
        self.slots.kick()
        for slot in slots.tolist():
            self._flying[slot] = self._waiting.popleft()

    def end(self) -> dict[int, Answer]:
        """What the device has answered, by number. Its slots are free again."""
        found = self.slots.finish()
        return self._answers(found) if len(found.slots) else {}

    def _answers(self, found: Finished) -> dict[int, Answer]:
        wishes = [self._flying.pop(slot) for slot in found.slots.tolist()]
        lengths = np.array([request.length for _, request in wishes], np.int64)
        data = self.slots.get(found.slots, lengths)
        self.slots.release(found.slots)
        columns = zip(found.status.tolist(), data, found.wrote.tolist(), strict=True)
        answers = (Answer(*column) for column in columns)
        return {number: answer for (number, _), answer in zip(wishes, answers, strict=True)}


class RequestQueues:
    """Runs requests through one queue or more. `acknowledge` ends an interrupt; None: we poll.

    `BlocksFailed` if the device does not answer. What breaks the rules of the ring is
    `DeviceBroken`. `ValueError` for no queue at all.
    """

    def __init__(
        self, slots: Sequence[RequestSlots], acknowledge: Callable[[], None] | None = None
    ) -> None:
        if not slots:
            raise ValueError("a block device has one request queue, or more")
        self.queues = [RequestQueue(each) for each in slots]
        self.cpu = slots[0].cpu
        self.acknowledge = acknowledge

    @property
    def slots(self) -> RequestSlots:
        """Those of the first queue, which is always there."""
        return self.queues[0].slots

    def run(self, requests: Sequence[Request]) -> list[Answer]:
        """All of them, as many as possible in flight; the answers in the order of `requests`.

        `ValueError` if one has more data than a slot. After `BlocksFailed` nobody knows what the
        device still has: only a new beginning helps.
        """
        self.slots.check([request.size for request in requests])
        if any(queue.busy for queue in self.queues):
            raise BlocksFailed("requests of before are still in flight: start the driver anew")
        wishes, count = list(enumerate(requests)), len(self.queues)
        for number, queue in enumerate(self.queues):
            queue.ask(wishes[number::count])
        answers: dict[int, Answer] = {}
        while len(answers) < len(requests):
            for queue in self.queues:
                queue.begin()
            answers |= self._await()
        return [answers[number] for number in range(len(requests))]

    # -- waiting

    def _look(self) -> dict[int, Answer]:
        found: dict[int, Answer] = {}
        for queue in self.queues:
            found |= queue.end()
        return found

    def _await(self) -> dict[int, Answer]:
        """The next answers, one or more."""
        found = self._look()

        def seen() -> bool:
            nonlocal found
            found = self._look()
            return bool(found)

        if not found:
            if self.acknowledge:
                self._sleep(self.acknowledge)
            if not poll(self.cpu, seen):
                raise BlocksFailed("the device does not answer")
        return found

    def _sleep(self, acknowledge: Callable[[], None]) -> None:
        """Until an interrupt comes; not at all if something was used in the meantime."""
        rings = [queue.slots.queue for queue in self.queues if queue.busy]
        if all(ring.enable_cb() for ring in rings):
            if self.cpu.wait(PATIENCE) is None:
                raise BlocksFailed("the device does not interrupt")
            acknowledge()
        for ring in rings:
            ring.disable_cb()
