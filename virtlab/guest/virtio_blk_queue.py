"""Requests of a block device, from a list of wishes to a list of answers.

    waiting  -> slots and ring ->  in flight  -> used, in any order ->  answers, in the order asked

The idea: the device may finish in any order. So each request is remembered by its slot while it
flies. Whenever some are done, the next ones take their place: the device never waits for us.

The rule that keeps it simple: `run` returns when all are answered, and each wait in it is bounded.

Without `acknowledge` we look again and again. With it we ask for an interrupt, sleep, and call it
when we were woken, which lets the device interrupt again.

Source: virtio 1.3 5.2.6, 2.7.7.1 (a used buffer may come while we fall asleep, so look once more).
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


class RequestQueue:
    """Runs requests through `slots`. `acknowledge` ends an interrupt; None: we poll.

    `BlocksFailed` if the device does not answer. What breaks the rules of the ring is
    `DeviceBroken`.
    """

    def __init__(self, slots: RequestSlots, acknowledge: Callable[[], None] | None = None) -> None:
        self.slots = slots
        self.cpu = slots.cpu
        self.acknowledge = acknowledge
        slots.queue.disable_cb()

    def run(self, requests: Sequence[Request]) -> list[Answer]:
        """All of them, as many as possible in flight; the answers in the order of `requests`.

        `ValueError` if one has more data than a slot. After `BlocksFailed` nobody knows what the
        device still has: only a new beginning helps.
        """
        self.slots.check([request.size for request in requests])
        if self.slots.in_flight:
            raise BlocksFailed("requests of before are still in flight: start the driver anew")
        answers: dict[int, Answer] = {}
        flying: dict[int, int] = {}
        waiting = deque(range(len(requests)))
        while len(answers) < len(requests):
            batch = [waiting[at] for at in range(min(len(waiting), len(self.slots.free)))]
            for slot in self._begin([requests[number] for number in batch]):
                flying[slot] = waiting.popleft()
            found = self._await()
            numbers = [flying.pop(slot) for slot in found.slots.tolist()]
            answers |= self._end(found, numbers, [requests[number].length for number in numbers])
        return [answers[number] for number in range(len(requests))]

    def _begin(self, requests: Sequence[Request]) -> list[int]:
        """Give as many of them to the device as there is room for: their slots."""
        if not requests:
            return []
        table = np.array([(request.type, request.sector, request.size) for request in requests])
        slots = self.slots.submit(table[:, 0], table[:, 1], table[:, 2])
        self.slots.put(slots, [request.data for request in requests[: len(slots)]])
        self.slots.kick()
        return [int(slot) for slot in slots]

    def _end(
        self, found: Finished, numbers: Sequence[int], lengths: Sequence[int]
    ) -> dict[int, Answer]:
        """The answers by number; the slots are free again."""
        data = self.slots.get(found.slots, np.array(lengths, np.int64))
        self.slots.release(found.slots)
        columns = zip(found.status.tolist(), data, found.wrote.tolist(), strict=True)
        return dict(zip(numbers, (Answer(*column) for column in columns), strict=True))

    # -- waiting

    def _await(self) -> Finished:
        """The next requests that are done, one or more."""
        found = self.slots.finish()

        def seen() -> bool:
            nonlocal found
            found = self.slots.finish()
            return bool(len(found.slots))

        if not len(found.slots):
            if self.acknowledge:
                self._sleep(self.acknowledge)
            if not poll(self.cpu, seen):
                raise BlocksFailed("the device does not answer")
        return found

    def _sleep(self, acknowledge: Callable[[], None]) -> None:
        """Until an interrupt comes; not at all if something was used in the meantime."""
        if self.slots.queue.enable_cb():
            if self.cpu.wait(PATIENCE) is None:
                raise BlocksFailed("the device does not interrupt")
            acknowledge()
        self.slots.queue.disable_cb()
