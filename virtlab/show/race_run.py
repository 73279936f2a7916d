"""Three races for a wake-up, run move by move by the driver and the device of the library.

    interrupt    the driver looks, asks for an interrupt, looks again | the device gives back, asks
    careless     the same, but the driver does not look again         | whether it shall interrupt
    kick         the device looks, asks for a bell, looks again       | the driver exposes a buffer

The idea: each side has a store buffer, and four moves are possible at any time. A side makes its
next access, or the oldest store leaves a side's buffer. In which order they happen nobody knows
before. So all orders can be tried: `orders` counts how they end.

The rule that keeps it simple: a race is decided by two words. Does the one side sleep, and did the
other call?

Source: virtio 1.3 2.7.13.4.1 (kick), 2.7.14 (interrupt).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any, NamedTuple, cast

from virtlab.cpu import Cpu
from virtlab.guest.store_buffer import Store, StoreBuffer
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import PAGE, GuestMemory
from virtlab.show.race_sides import FENCE, LOAD, Access, Finished, Program
from virtlab.virtio.chain import Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split import SplitQueue

DRIVER, DEVICE = "driver", "device"
SIDES = (DRIVER, DEVICE)
RINGS = SplitRings.placed(0x100, 2)
OUT, IN = (0x800, 16), (0x900, 16)

WOKEN, AWAKE, LOST = "woken", "awake", "both asleep"
"""How a race ends: the sleeper is called; it never slept; it sleeps, and nobody will call."""


class Race(NamedTuple):
    """Who may fall asleep, who calls, and what both run."""

    sleeper: str
    caller: str
    driver: Callable[[SplitDriver], bool]
    device: Callable[[SplitQueue, Chain | None], bool]


def _wait_for_used(driver: SplitDriver) -> bool:
    return driver.get_buf() is None and driver.enable_cb()


def _wait_carelessly(driver: SplitDriver) -> bool:
    if driver.get_buf() is not None:
        return False
    driver.enable_cb()
    return True


def _give_back(device: SplitQueue, chain: Chain | None) -> bool:
    assert chain is not None
    device.push(chain, 1)
    return device.notify()


def _wait_for_available(device: SplitQueue, _: Chain | None) -> bool:
    return not device.available() and device.enable_notify()


RACES = {
    "interrupt": Race(DRIVER, DEVICE, _wait_for_used, _give_back),
    "careless": Race(DRIVER, DEVICE, _wait_carelessly, _give_back),
    "kick": Race(DEVICE, DRIVER, SplitDriver.kick, _wait_for_available),
}
"""Each call gives a bool: of the sleeper, whether it sleeps; of the caller, whether it called."""


class Page:
    """The memory of a race: a page that begins as `image`."""

    def __init__(self, image: bytes) -> None:
        self.bytes = bytearray(image)

    def read(self, gpa: int, length: int) -> bytes:
        """A copy of `length` bytes."""
        return bytes(self.bytes[gpa : gpa + length])

    def write(self, gpa: int, data: bytes) -> None:
        """Put `data` there."""
        self.bytes[gpa : gpa + len(data)] = data


class Bench:
    """A race at its start, or after some moves: two programs, two store buffers, one memory.

    `events` is EVENT_IDX; `fences` are the sides whose barriers count. `ValueError` for a race or
    a side that there is not.
    """

    def __init__(self, race: str, events: bool = False, fences: Collection[str] = ()) -> None:
        if race not in RACES or not set(fences) <= set(SIDES):
            raise ValueError(f"there are {[*RACES]} and {SIDES}, but no {race!r}, {fences!r}")
        self.race = RACES[race]
        image, self.programs = _prepared(race, events, frozenset(fences))
        self.memory = Page(image)
        self.buffers = {side: StoreBuffer(self.memory) for side in SIDES}
        self.answers: dict[str, tuple[bytes, ...]] = dict.fromkeys(SIDES, ())

    def next(self, side: str) -> Access | Finished:
        """What `side` does next, or what its call gave."""
        return _after(self.programs[SIDES.index(side)], self.answers[side])

    def step(self, side: str) -> tuple[Access, bytes] | None:
        """`side` makes its next access: that, and the bytes it saw. None if it has finished."""
        access = self.next(side)
        if isinstance(access, Finished):
            return None
        answer = self._do(access, self.buffers[side])
        self.answers[side] += (answer,)
        return access, answer

    def _do(self, access: Access, buffer: StoreBuffer) -> bytes:
        if access.kind == LOAD:
            return buffer.read(access.gpa, access.length)
        if access.kind == FENCE:
            buffer.drain()
        else:
            buffer.write(access.gpa, access.data)
        return b""

    def leave(self, side: str) -> Store | None:
        """The oldest store of `side` reaches memory: which one. None if none waits."""
        return self.buffers[side].drain_one()

    def verdict(self) -> str | None:
        """How it ended; None while a side still runs."""
        ends = [self.next(side) for side in (self.race.sleeper, self.race.caller)]
        asleep, called = (end.result if isinstance(end, Finished) else None for end in ends)
        if asleep is None or called is None:
            return None
        return (WOKEN if called else LOST) if asleep else AWAKE

    def twin(self) -> Bench:
        """Another bench in the same state."""
        return copy.deepcopy(self, {id(self.programs): self.programs})

    def word(self, gpa: int) -> int:
        """The 16 bits in memory at `gpa`, as both sides could see them."""
        return int.from_bytes(self.memory.read(gpa, 2), "little")


Programs = tuple[Program, Program]


@lru_cache
def _prepared(race: str, events: bool, fences: frozenset[str]) -> tuple[bytes, Programs]:
    """Memory and programs of a race: one buffer is on its way, and whoever waits asked for silence.

    In `kick` the buffer is added and not exposed; else the device has taken it.
    """
    features = frozenset({Feature.RING_EVENT_IDX} if events else ())
    ram = GuestMemory(PAGE)
    cpu = StoreBuffer(ram)
    driver = SplitDriver(cast(Cpu, cpu), RINGS, features, barrier=cpu.drain)
    device = SplitQueue(ram)
    device.enable(RINGS, features)
    driver.add_buf([OUT], [IN], "the buffer")
    cpu.drain()
    chain = None
    if race == "kick":
        device.disable_notify()
    else:
        driver.kick()
        driver.disable_cb()
        cpu.drain()
        chain = device.pop()
    driver_runs, device_runs = RACES[race].driver, RACES[race].device
    return ram.read(0, PAGE), (
        Program(driver, cpu, driver_runs, DRIVER in fences),
        Program(device, ram, lambda queue: device_runs(queue, chain), DEVICE in fences),
    )


@lru_cache(4096)
def _after(program: Program, answers: tuple[bytes, ...]) -> Access | Finished:
    return program.after(answers)


# -- all orders


def orders(race: str, events: bool = False, fences: Collection[str] = ()) -> Counter[str]:
    """How many orders of the moves there are, by how they end.

    Two orders are different if their moves are. What can follow a state is found out once: what
    the sides have seen and what still waits says it all, for each word has one writer.
    """
    return _orders_from(Bench(race, events, fences), {})


def _orders_from(bench: Bench, known: dict[Any, Counter[str]]) -> Counter[str]:
    waiting = tuple(tuple(bench.buffers[side].waiting) for side in SIDES)
    state = (*bench.answers.values(), waiting)
    if state not in known:
        total = known[state] = Counter[str]()
        for move in (Bench.step, Bench.leave):
            for side in SIDES:
                after = bench.twin()
                if move(after, side) is not None:
                    total.update(_orders_from(after, known))
        if not total:
            total[cast(str, bench.verdict())] = 1
    return known[state]
