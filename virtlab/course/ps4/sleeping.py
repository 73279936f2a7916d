"""Task 6 of problem set 4, its second half: a driver that goes to sleep, and may never wake up.

    driver   enable_cb:  wish  .  look  .  True: sleep
    device          push ^  or ^  or ^     and after each of them the question whether to interrupt

The idea: the device is the library's `SplitQueue`, and it works between any two accesses of the
student's enable_cb, before the first and after the last. A driver may sleep if nothing waits, or if
an interrupt is under way. Whoever sleeps otherwise has lost a wake-up, and the case names the
moment.

Source: virtio 1.3 2.7.7, 2.7.14.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.given.rings import DriverSide
from virtlab.course.ps3.machines import first
from virtlab.course.ps4.driver_bench import stray
from virtlab.course.ps4.machines import BASE, Stepped, budgeted, empty_ram
from virtlab.course.tasks import Difference, Run, shown
from virtlab.virtio.chain import Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split import SplitQueue

LOOK_OFF = (
    "off: bit 0 of flags is 1, or used_event names the entry furthest away (virtio 1.3 2.7.7)"
)
LOOK_ON = "on: bit 0 of flags is 0, or used_event is the next entry (virtio 1.3 2.7.7)"
LOOK_WAITS = "True only if nothing waits: compare idx with last_used (virtio 1.3 2.7.14)"
LOOK_RACE = "first the wish, then the look: the device may work in between (virtio 1.3 2.7.14)"
LOOK_STRAY = "a driver writes flags and used_event of the available ring (virtio 1.3 2.7)"

MOMENTS = 6
"""Accesses of an enable_cb between which a device is let in."""

SMALL = 1 << 14
"""Bytes of memory: a case makes very many drivers."""


class Sleeper:
    """A driver with `size` buffers at a device that is the library's."""

    def __init__(self, answer: Answer, event_idx: bool, start: int = 0, size: int = 4) -> None:
        self.answer, self.event_idx = answer, event_idx
        self.rings = SplitRings.placed(BASE, size)
        self.ram = empty_ram(self.rings, SMALL)
        self.interrupts = 0
        self.device = SplitQueue(self.ram, self._interrupt)
        features = frozenset({Feature.RING_EVENT_IDX} if event_idx else ())
        self.device.enable(self.rings, features, base=start)
        self._ask_for(start)
        self.ram.store(self.rings.used_field("idx"), 2, start)
        for slot in range(size):
            self.ram.write(self.rings.desc_at(slot), bytes(8) + b"\x40" + bytes(7))
            self.ram.store(self.rings.avail_at(start + slot), 2, slot)
        self.ram.store(self.rings.avail_field("idx"), 2, start + size)
        self.taken: list[Chain] = []
        while chain := self.device.pop():
            self.taken.append(chain)
        self.stepped = Stepped(self.ram)
        self.cpu = budgeted(self.stepped)
        parts = self.rings.desc, self.rings.avail, self.rings.used
        self.q = DriverSide(*parts, size, event_idx, self.cpu)
        self.q.added = self.q.exposed = start + size
        self.q.last_used = start
        self.told = f"{'with' if event_idx else 'without'} EVENT_IDX, q.last_used {start}"

    def _ask_for(self, position: int) -> None:
        """What a driver leaves behind that has just asked for an interrupt."""
        if self.event_idx:
            self.ram.store(self.rings.avail_field("used_event"), 2, position)

    def _interrupt(self) -> None:
        self.interrupts += 1

    def uses(self, count: int) -> None:
        """The device gives back so many buffers, one by one, and interrupts if it is to."""
        for _ in range(min(count, len(self.taken))):
            self.device.push(self.taken.pop(0))
            self.device.notify()

    def gets(self, count: int) -> None:
        """The driver has taken so many of them."""
        self.q.last_used += count
        self.told += f"; {count} were taken: q.last_used {self.q.last_used}"

    @property
    def waiting(self) -> int:
        """Buffers that were used, and that the driver has not got."""
        return self.device.used - self.q.last_used

    def disable(self) -> Difference | None:
        """disable_cb; then whatever the device does, no interrupt comes."""
        self.answer.given = f"disable_cb(q) {self.told}"
        begin = len(self.cpu.accesses)
        self.answer.call("disable_cb", self.q)
        return self._writes(begin)

    def silent(self, count: int) -> Difference | None:
        """The device uses so many, and must not interrupt."""
        before = self.interrupts
        self.uses(count)
        self.answer.given += f"; the device uses {count}"
        came = self.interrupts - before
        return Difference("no interrupt", f"{came} interrupts", LOOK_OFF) if came else None

    def enable(self, when: int = -1, count: int = 0) -> Difference | None:
        """enable_cb, with the device at work before its access number `when`; and what follows."""
        moment = f"; before access {when} the device uses {count}" if when >= 0 else ""
        self.answer.given = f"enable_cb(q) {self.told}, {self.waiting} used buffers wait{moment}"
        before, begin, first_access = self.interrupts, len(self.cpu.accesses), self.stepped.count
        already = self.waiting

        def step(number: int) -> None:
            if number - first_access == when:
                self.uses(count)

        self.stepped.before = step
        yours = self.answer.call("enable_cb", self.q)
        self.stepped.before = lambda number: None
        done = self.stepped.count - first_access
        if when >= done:
            self.uses(count)
        if type(yours) is not bool:
            return Difference("True or False", shown(yours), LOOK_WAITS)
        if found := self._writes(begin):
            return found
        return self._sleeps(yours, already, before)

    def _sleeps(self, yours: bool, already: int, before: int) -> Difference | None:
        """Whether the driver may go to sleep, or not, as it says."""
        woken = self.interrupts > before
        if not yours:
            return None if self.waiting else Difference("True: nothing waits", "False", LOOK_WAITS)
        if self.waiting and not woken:
            said = f"True, and the driver sleeps: {self.waiting} wait, no interrupt came"
            right = "False" if already else "False, or an interrupt"
            return Difference(right, said, LOOK_WAITS if already else LOOK_RACE)
        if not woken and self.taken:
            self.uses(1)
            self.answer.given += "; then the device uses one more"
            if self.interrupts == before:
                return Difference("an interrupt", "no interrupt", LOOK_ON)
        return None

    def _writes(self, begin: int) -> Difference | None:
        """A store anywhere but in the driver's two wishes."""
        fields = self.rings.avail_field("flags"), self.rings.avail_field("used_event")
        found = stray(self.cpu.accesses[begin:], [(gpa, 2) for gpa in fields])
        return found._replace(look=LOOK_STRAY) if found else None


STARTS = (0, 65535, 0x2_FFFE)


def disabled(event_idx: bool) -> Run:
    """Callbacks are off from anywhere on, for few buffers and for many."""

    def one(answer: Answer, start: int, count: int) -> Difference | None:
        driver = Sleeper(answer, event_idx, start)
        return driver.disable() or driver.silent(count)

    return lambda answer, rng: first(
        one(answer, start, count) for start in STARTS for count in (1, 2, 4)
    )


def enabled(event_idx: bool) -> Run:
    """They are on again; with something waiting or not, in the middle of the ring too."""

    def one(answer: Answer, start: int, waiting: int, taken: int) -> Difference | None:
        driver = Sleeper(answer, event_idx, start)
        found = driver.disable() or driver.silent(waiting)
        driver.gets(taken)
        return found or driver.enable()

    return lambda answer, rng: first(
        one(answer, start, waiting, taken)
        for start in STARTS
        for waiting, taken in ((0, 0), (1, 0), (3, 3), (3, 2))
    )


def interleaved(event_idx: bool) -> Run:
    """The device works at every moment of an enable_cb."""

    def one(answer: Answer, start: int, when: int, count: int) -> Difference | None:
        driver = Sleeper(answer, event_idx, start)
        return driver.disable() or driver.enable(when, count)

    return lambda answer, rng: first(
        one(answer, start, when, count)
        for start in STARTS
        for when in range(MOMENTS)
        for count in (1, 3)
    )


def any_sleep(answer: Answer, rng: Random) -> Difference | None:
    """Many naps of one driver."""
    for _ in range(9):
        size = 1 << rng.randrange(2, 5)
        driver = Sleeper(
            answer, rng.random() < 0.6, rng.choice((0, 65530, rng.getrandbits(18))), size
        )
        for _ in range(3):
            found = driver.disable() or driver.silent(rng.randrange(3))
            driver.gets(rng.choice((0, driver.waiting, driver.waiting)))
            if found := found or driver.enable(rng.randrange(-1, 5), rng.randrange(1, 3)):
                return found
    return None
