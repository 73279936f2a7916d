"""A bench for task 2 of problem set 5: a virtqueue, an entropy device that works by plan, a judge.

    kick  ->  the offer: which buffers, how long              the device takes them, perhaps answers
    wait  ->  the device gives some back; one interrupt       or nobody comes
    end   ->  the bytes, and that none of them is left behind

The idea: a `Plan` says all that a device may decide for itself: how much it writes, in which order
it answers, when, and how many buffers share an interrupt. The queue between is the library's, at
both ends.

The rule that keeps it simple: `due` is what the device has written so far, in the order in which it
gave buffers back. That is what the student must give, from one call to the next.

Source: virtio 1.3 5.4.6, 2.7.8.2, 2.7.13, 2.7.14.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import NamedTuple

from virtlab.course.answers import Answer, Stopped
from virtlab.course.ps4.driver_bench import stray
from virtlab.course.ps4.machines import BASE, Stepped, budgeted, compare_buffers, empty_ram
from virtlab.course.tasks import Difference, compare, same, shown
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.trace import Access
from virtlab.virtio.chain import Chain
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split import SplitQueue

BUFFERS = 0x4000
"""Where the driver's buffers begin."""
WAITS = 2_000
"""How often an answer may wait."""
VECTOR = 0x2B
"""What a wait gives when an interrupt came."""

LOOK_NONE = "0 bytes are wanted: there is nothing to offer, and nothing to wait for"
LOOK_OFFER = "the first buffers of the list, for the device to write; no byte more than is missing"
LOOK_ALL = "all buffers of a round are added first, as many as are needed and fit; then one kick"
LOOK_ROUND = "first all buffers of a round come back, then the next round begins"
LOOK_KICK = "what was added is seen by the device after a kick (virtio 1.3 2.7.13)"
LOOK_WRITTEN = "`written` says how many bytes are random, buffer by buffer (virtio 1.3 5.4.6.1)"
LOOK_MORE = "a round may bring less than is missing: then there is another one (virtio 1.3 5.4.6.2)"
LOOK_LEFT = "zeros over what was taken: nobody else shall find it"
LOOK_SILENT = "no interrupt came, and buffers are still out"
LOOK_EMPTY = "at least one byte in each buffer (virtio 1.3 5.4.6.2)"
LOOK_WAIT = "one interrupt may stand for several buffers, or for none: look, then halt"
LOOK_STRAY = "the driver writes to its buffers and, by the queue's calls, to the queue"

Written = Callable[[int, int], int]
"""How many bytes the device writes: into buffer number n of all, which has so many."""


def all_of_it(number: int, room: int) -> int:
    """It fills each buffer."""
    return room


class Plan(NamedTuple):
    """How the device behaves. `told` is that in words.

    With `at_once` it answers inside the kick; else it gives back `group` buffers in each wait, or
    all if that is 0, once `early` interrupts have come for nothing. It falls silent after `last`
    buffers.
    """

    written: Written = all_of_it
    at_once: bool = True
    group: int = 0
    early: int = 0
    backwards: bool = False
    last: int = 1 << 30
    told: str = "answers at once"


class Waiting(Stepped):
    """A Cpu whose wait is the device's turn."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.ram)
        self.bench = bench

    def wait(self, timeout: int = 1_000_000_000) -> int | None:
        """What the device does meanwhile; None if it does not interrupt."""
        return self.bench.wait()


class Bench:
    """A student's front-end with `count` buffers of `size` bytes, and a device by `plan`."""

    def __init__(
        self, answer: Answer, rng: Random, count: int, size: int, plan: Plan, entries: int = 16
    ) -> None:
        self.answer, self.rng, self.plan = answer, rng, plan
        rings = SplitRings.placed(BASE, entries)
        self.ram = empty_ram(rings)
        self.cpu = budgeted(Waiting(self))
        self.device = SplitQueue(self.ram, self._interrupt)
        self.device.enable(rings)
        self.queue = SplitDriver(self.cpu, rings, ring_bell=self.rung)
        self.size = size
        self.buffers = [BUFFERS + at * (size + 24) for at in range(count)]
        self.spans = [(gpa, size) for gpa in self.buffers]
        self.allowed = [*rings.parts, *self.spans]
        self.out: list[Chain] = []
        self.served = self.pushed = self.kicks = self.waits = self.rounds = 0
        self.early = plan.early
        self.pending = False
        self.due = b""
        self.missing = 0
        self.empty = False
        self.wrong: Difference | None = None

    # -- the device

    def _interrupt(self) -> None:
        self.pending = True

    def rung(self) -> None:
        """The bell: look at the offer, take it, and answer if that is the plan."""
        self.kicks += 1
        self.rounds += self.missing > 0
        offer: list[Chain] = []
        while chain := self.device.pop():
            offer.append(chain)
        self.wrong = self.wrong or self._offer(offer)
        self.out += offer
        self.early = self.plan.early
        if self.plan.at_once:
            self.serve(len(self.out))

    def serve(self, count: int) -> None:
        """Give back so many buffers, and interrupt once."""
        for _ in range(min(count, len(self.out), self.plan.last - self.served)):
            chain = self.out.pop(-1 if self.plan.backwards else 0)
            length = min(self.plan.written(self.served, chain.writable), chain.writable)
            data = bytes(self.rng.choices(range(1, 256), k=length))
            chain.write(self.ram, data)
            self.device.push(chain, length)
            self.empty |= not length
            self.due += b"" if self.empty else data
            self.missing -= length
            self.served += 1
        self.device.notify()

    def wait(self) -> int | None:
        """The guest halts: an interrupt that waits, or what the device does now."""
        self.waits += 1
        if self.queue.last_used != self.device.used:
            said = "cpu.wait(), and a buffer is back"
            self.wrong = self.wrong or Difference("get_buf() first", said, LOOK_WAIT)
        if self.waits > WAITS:
            raise Stopped(f"it was stopped after {WAITS:,} waits")
        if not self.pending and self.out and self.served < self.plan.last:
            if self.early:
                self.early -= 1
                return VECTOR
            self.serve(self.plan.group or len(self.out))
        came, self.pending = self.pending, False
        return VECTOR if came else None

    # -- the judge

    def _offer(self, offer: list[Chain]) -> Difference | None:
        """What a round must offer, and that the last one is over."""
        if self.out or self.queue.last_used != self.device.used:
            said = f"a kick with {len(self.out) or 'some'} of the last round still out"
            return Difference("all are back before the next kick", said, LOOK_ROUND)
        room = min(len(self.buffers), self.queue.size)
        right, missing = [], self.missing
        for gpa in self.buffers[:room]:
            if missing > 0:
                right.append((gpa, min(self.size, missing), True))
                missing -= self.size
        yours = [tuple(buffer) for chain in offer for buffer in chain.buffers]
        if len(offer) != len(yours):
            said = f"{len(offer)} with {len(yours)} pieces"
            return Difference("each buffer is one piece", said, LOOK_OFFER)
        few = len(yours) < len(right) and yours == right[: len(yours)]
        return compare_buffers(right, yours, LOOK_ALL if few else LOOK_OFFER)

    def read(self, n: int, tidy: bool = True) -> Difference | None:
        """One call of the student's read. `tidy`: whether nothing may be left behind."""
        parts = f"{len(self.buffers)} buffers of {self.size}"
        told = f"read(cpu, queue, {parts}, {self.size}, {n}); the device {self.plan.told}"
        self.answer.given = told + (
            f"; {self.queue.size} descriptors" if self.queue.size < 16 else ""
        )
        self.due, self.missing, kicks, self.rounds = b"", n, self.kicks, 0
        begin, waits = len(self.cpu.accesses), self.waits
        arguments = self.cpu, self.queue, list(self.buffers), self.size, n
        served = self.served
        yours = self.answer.call("read", *arguments)
        self._note(self.cpu.accesses[begin:], self.served - served, self.kicks - kicks)
        found = self.wrong or self._idle(n, kicks, waits) or self._answer(yours, n, kicks)
        return (
            found
            or self._strays(begin)
            or (self._left() if tidy and type(yours) is bytes else None)
        )

    def _note(self, accesses: Iterable[Access], served: int, kicks: int) -> None:
        """What it cost: the least is one read and one write of each buffer that came back."""
        spans = [range(gpa, gpa + size) for gpa, size in self.spans]
        mine = sum(any(one.address in span for span in spans) for one in accesses)
        self.answer.note_cost("accesses to buffers", mine, 2 * served)
        self.answer.note_cost("kicks", kicks, self.rounds)

    def _idle(self, n: int, kicks: int, waits: int) -> Difference | None:
        if n == 0 and (self.kicks, self.waits) != (kicks, waits):
            return Difference("no kick and no wait", "the device was asked", LOOK_NONE)
        return None

    def _answer(self, yours: object, n: int, kicks: int) -> Difference | None:
        """The bytes, or the word."""
        right: object = self.due
        look = LOOK_WRITTEN
        if self.empty:
            right, look = "empty", LOOK_EMPTY
        elif self.served >= self.plan.last and self.missing > 0:
            right, look = "silent", LOOK_SILENT
        elif n and self.kicks == kicks:
            return Difference("a kick", "the device was not told", LOOK_KICK)
        if type(yours) is bytes and type(right) is bytes and self.missing > 0:
            said = f"{len(yours)}, and the device was asked for no more"
            return Difference(f"{n} bytes", said, LOOK_MORE)
        if same("silent", yours) and right != "silent":
            return Difference(_shown(right), "'silent'", LOOK_WAIT)
        if type(yours) is bytes and type(right) is bytes and yours != right:
            return Difference(_shown(right), _shown(yours), look)
        if type(yours) is bytes and type(right) is str:
            return Difference(shown(right), _shown(yours), look)
        return compare(right, yours, look)

    def _strays(self, begin: int) -> Difference | None:
        found = stray(self.cpu.accesses[begin:], self.allowed)
        return found._replace(look=LOOK_STRAY) if found else None

    def _left(self) -> Difference | None:
        """Whether any of the bytes that were given out can still be found."""
        for gpa, size in self.spans:
            kept = self.ram.read(gpa, size)
            if not any(kept):  # what the device writes is never 0
                continue
            for at in range(len(self.due) - 3):
                if self.due[at : at + 4] in kept:
                    said = f"{shown(self.due[at : at + 4])} is still in the buffer at {gpa:#x}"
                    return Difference("zeros where bytes were taken", said, LOOK_LEFT)
        return None


def _shown(value: object) -> str:
    return (
        f"{len(value)} bytes: {value[:12].hex(' ')} ..." if type(value) is bytes else shown(value)
    )
