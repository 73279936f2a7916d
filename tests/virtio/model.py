"""A model of a virtqueue that any layout must follow, and the steps that try it.

A buffer goes through five lists, in order: unexposed, waiting, flying, returned, and gone. Only the
step from flying to returned may change the order, and in order not even that. Whoever subclasses
`QueueMachine` builds the two sides over one memory and names the sizes and features to try.

A side *sleeps* when it asked to be told and, looking once more, saw nothing. From then on the other
side's next move must wake it. Nothing else is promised, and one call too many is allowed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from virtlab.guest.virtqueue import QueueFull
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature

MEMORY = 1 << 17
BUFFERS, PLACE = 0x10000, 512
"""Where the buffers lie, and bytes between them."""


class MemoryCpu:
    """The memory verbs of a Cpu, straight on `ram`."""

    def __init__(self, ram: GuestMemory) -> None:
        self.ram = ram

    def load(self, gpa: int, size: int = 4) -> int:
        return self.ram.load(gpa, size)

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        self.ram.store(gpa, size, value)

    def read(self, gpa: int, length: int) -> bytes:
        return self.ram.read(gpa, length)

    def write(self, gpa: int, data: bytes) -> None:
        self.ram.write(gpa, data)


@dataclass
class Pair:
    """Both sides of one queue. `bells` and `interrupts` grow as the sides call each other."""

    driver: Any
    device: Any
    ram: GuestMemory
    enable: Any
    entries: int = 0  # of an indirect table; 0: none are used
    bells: list[None] = field(default_factory=list)
    interrupts: list[None] = field(default_factory=list)


@dataclass
class Job:
    """One buffer: where it is, what the device shall read, and what it wrote."""

    token: int
    place: int
    out: list[tuple[int, int]]
    in_: list[tuple[int, int]]
    slots: int
    data: bytes
    chain: Any = None
    answer: bytes = b""

    @property
    def writable(self) -> int:
        return sum(length for _, length in self.in_)


lengths = st.lists(st.integers(1, 40), max_size=3)


class QueueMachine(RuleBasedStateMachine):
    """The steps. A subclass gives `build(size, features, start) -> Pair`, and the two lists."""

    sizes: ClassVar[tuple[int, ...]] = ()
    choices: ClassVar[tuple[frozenset[int], ...]] = ()
    steps = 0

    def build(self, size: int, features: frozenset[int], start: int) -> Pair:
        raise NotImplementedError

    def expect_bell(self, rang: bool, new: int) -> None:
        """A subclass may say exactly when the bell rings, after `new` buffers were exposed."""

    def expect_interrupt(self, rang: bool, new: int) -> None:
        """And when the interrupt comes, after `new` were given back."""

    @initialize(data=st.data(), start=st.sampled_from([0, 65533]))
    def begin(self, data, start):
        self.size = data.draw(st.sampled_from(self.sizes))
        self.features = data.draw(st.sampled_from(self.choices))
        self.start = start
        self.pair = self.build(self.size, self.features, start)
        self.driver, self.device, self.ram = self.pair.driver, self.pair.device, self.pair.ram
        self.tokens = 0
        self.forget()

    def forget(self) -> None:
        self.unexposed: deque[Job] = deque()
        self.waiting: deque[Job] = deque()
        self.flying: list[Job] = []
        self.returned: deque[Job] = deque()
        self.places = list(range(self.size))
        self.driver_sleeps = self.device_sleeps = False
        self.driver_asks = self.device_asks = True
        self.pushed = self.since = 0

    @property
    def outstanding(self) -> list[Job]:
        return [*self.returned, *self.flying, *self.waiting, *self.unexposed]

    # -- the driver's steps

    @rule(outs=lengths, ins=lengths)
    def add(self, outs, ins):
        count = len(outs) + len(ins)
        if not 1 <= count <= self.size:
            with pytest.raises(ValueError, match="a buffer has 1 to"):
                self.driver.add_buf([(BUFFERS, n) for n in outs], [(BUFFERS, n) for n in ins], 0)
            return
        slots = 1 if 1 < count <= self.pair.entries else count
        job = self.job(outs, ins, slots)
        if slots + sum(job.slots for job in self.outstanding) > self.size:
            with pytest.raises(QueueFull):
                self.driver.add_buf(job.out, job.in_, job.token)
            return
        self.places.remove(job.place)
        self.driver.add_buf(job.out, job.in_, job.token)
        self.unexposed.append(job)

    def job(self, outs, ins, slots):
        self.tokens += 1
        place = self.places[self.tokens % len(self.places)] if self.places else 0
        at, pieces = BUFFERS + place * PLACE, []
        for length in [*outs, *ins]:
            pieces.append((at, length))
            at += length + 3
        out, in_ = pieces[: len(outs)], pieces[len(outs) :]
        data = bytes((self.tokens + i) % 251 for i in range(sum(outs)))
        done = 0
        for gpa, length in out:
            if self.places:
                self.ram.write(gpa, data[done : done + length])
            done += length
        return Job(self.tokens, place, out, in_, slots, data)

    @rule()
    def kick(self):
        rings, new = len(self.pair.bells), len(self.unexposed)
        rang = self.driver.kick()
        assert len(self.pair.bells) == rings + rang
        if self.device_sleeps and new:
            assert rang, "the device sleeps, and nobody rang"
        self.expect_bell(rang, new)
        if rang:
            self.device_sleeps = False
        self.waiting += self.unexposed
        self.unexposed.clear()

    @rule()
    def get(self):
        used = self.driver.get_buf()
        if not self.returned:
            assert used is None
            self.driver_falls_asleep(self.driver_asks)
            return
        self.driver_sleeps = False
        job = self.returned.popleft()
        assert used == (job.token, len(job.answer))
        assert self.answer_in_memory(job) == job.answer
        self.places.append(job.place)

    def answer_in_memory(self, job):
        return b"".join(self.ram.read(*piece) for piece in job.in_)[: len(job.answer)]

    @rule()
    def disable_cb(self):
        self.driver.disable_cb()
        self.driver_sleeps = self.driver_asks = False

    @rule()
    def enable_cb(self):
        nothing = self.driver.enable_cb()
        assert nothing == (not self.returned)
        self.driver_asks = True
        self.driver_falls_asleep(nothing)

    def driver_falls_asleep(self, asleep):
        """From now on it must be woken: `since` counts what was given back after that."""
        self.driver_sleeps, self.since = asleep, 0

    # -- the device's steps

    @rule()
    def pop(self):
        chain = self.device.pop()
        if not self.waiting:
            assert chain is None
            self.device_sleeps = self.device_asks
            return
        self.device_sleeps = False
        job = self.waiting.popleft()
        expected = [(*piece, False) for piece in job.out] + [(*piece, True) for piece in job.in_]
        assert [tuple(buffer) for buffer in chain.buffers] == expected
        assert chain.slots == job.slots
        assert chain.read(self.ram) == job.data
        job.chain = chain
        self.flying.append(job)

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 63), part=st.integers(0, 130))
    def push(self, which, part):
        """One chain; in order the first few at once, all but the last written completely."""
        which %= len(self.flying)
        in_order = Feature.IN_ORDER in self.features
        done = self.flying[: which + 1] if in_order else [self.flying[which]]
        last = done[-1]
        for job in done:
            length = min(part, job.writable) if job is last else job.writable
            job.answer = bytes([job.token % 256]) * length
            assert job.chain.write(self.ram, job.answer) == len(job.answer)
            self.flying.remove(job)
        self.device.push(last.chain, len(last.answer), len(done))
        self.returned += done
        self.pushed += len(done)
        self.since += len(done)

    @rule()
    def notify(self):
        before, new = len(self.pair.interrupts), self.pushed
        told = self.device.notify()
        assert len(self.pair.interrupts) == before + told
        if self.driver_sleeps and self.since:
            assert told, "the driver sleeps, and no interrupt came"
        self.expect_interrupt(told, new)
        if told:
            self.driver_sleeps = False
        self.pushed = 0

    @rule()
    def disable_notify(self):
        self.device.disable_notify()
        self.device_sleeps = self.device_asks = False

    @rule()
    def enable_notify(self):
        nothing = self.device.enable_notify()
        assert nothing == (not self.waiting)
        self.device_sleeps, self.device_asks = nothing, True

    # -- turns: what a driver and a device do in one go, so that both fall asleep and are woken

    @rule(outs=lengths, ins=lengths)
    def driver_turn(self, outs, ins):
        """Get what there is, add one more, kick, and wait."""
        while self.returned:
            self.get()
        self.get()
        self.add(outs, ins)
        self.kick()

    @rule(part=st.integers(0, 130))
    def device_turn(self, part):
        """Take what there is and give it all back, tell the driver, and wait."""
        while self.waiting:
            self.pop()
        self.pop()
        while self.flying:
            self.push(0, part)
        self.notify()

    # -- both

    @rule(odds=st.integers(0, 9))
    def reset(self, odds):
        """Seldom: reset the queue, see that it is dead, set it up again."""
        if odds:
            return
        self.device.reset()
        assert self.device.pop() is None
        assert not self.device.notify()
        lost = self.driver.reset()
        assert sorted(lost) == sorted(job.token for job in self.outstanding)
        self.pair.enable()
        self.forget()

    @invariant()
    def sound(self):
        if hasattr(self, "pair"):
            type(self).steps += 1
            self.driver._check()
            self.device._check()

    def teardown(self):
        """In the end everything comes back, once, in the order of its return."""
        if not hasattr(self, "pair"):
            return
        self.kick()
        while self.waiting:
            self.pop()
        while self.flying:
            self.push(0, 130)
        while self.returned:
            self.get()
        assert self.driver.get_buf() is None
        self.sound()
