"""Task 3 of problem set 7: a ring and a driver that works while the device does.

    guest.offer(3)          chains are exposed, and the driver rings where the device wants it
    guest.when = {4: 2}     before access number 4 of the device it adds two more

The idea: the driver is not a record but a party. It looks at the threshold when it exposes a chain,
and rings or not. Whether a wake-up was lost is then a fact: something waits, and nobody rang.

The rule that keeps it simple: `serve` answers with a number of its own for each chain, so order and
length of the used elements say what was done.

Source: virtio 1.3 2.7.7, 2.7.10, 2.7.13.4.
"""

from __future__ import annotations

from virtlab.course.answers import Stopped
from virtlab.course.given.rings import Written
from virtlab.course.given.world import Ring
from virtlab.course.ps3.machines import Memory
from virtlab.course.ps4.avail_ring import buffers_of
from virtlab.course.ps4.machines import BASE, empty_ram
from virtlab.course.tasks import same
from virtlab.memory import GuestMemory
from virtlab.virtio.layouts import SplitRings, need_event

NO_REQUEST = "broken"
"""What `serve` gives for a chain that is no request."""

SMALL = 1 << 14
"""Bytes of memory: a check makes very many rings."""


class Live(Memory):
    """Memory with a guest: `guest.step` is called before each access."""

    guest: Guest

    def _note(self, verb: str, address: int, length: int) -> None:
        super()._note(verb, address, length)
        self.guest.step()
        event = self.guest.rings.used_field("avail_event")
        if verb in ("store", "write") and address < event + 2 and event < address + length:
            self.guest.wished()


class Guest:
    """A queue of `size`, of which the device has taken `start` chains, and its driver.

    Of those, `in_flight` were not given back. `bad` are heads that walk refuses, with the word;
    `broken` those that are no request. `when` has how many chains the guest adds before access
    number n; `endless`: whenever there is room.
    """

    def __init__(
        self, size: int = 8, start: int = 0, event_idx: bool = True, in_flight: int = 0
    ) -> None:
        self.size, self.start, self.event_idx = size, start, event_idx
        self.rings = SplitRings.placed(BASE, size)
        self.ram: GuestMemory = empty_ram(self.rings, SMALL)
        self.memory = Live(self.ram)
        self.memory.guest = self
        self.bad: dict[int, str] = {}
        self.broken: set[int] = set()
        self.when: dict[int, int] = {}
        self.endless = False
        self.heads: list[int] = []  # of all chains that were exposed
        self.done = self.kicks = self.count = 0
        self.served: list[int] = []
        self.wishes = 0  # thresholds that were written
        self.early = 0  # chains that nobody had taken when a threshold was written
        pushed = start - in_flight
        parts = self.rings.desc, self.rings.avail, self.rings.used
        self.q = Ring(*parts, size, event_idx, self.memory, self._walk, start, pushed, in_flight)
        self._set(self.rings.avail_field("idx"), start)
        self._set(self.rings.used_field("idx"), pushed)
        self._set(self.rings.used_field("avail_event"), start - 1)  # an old one, long passed

    # -- the driver

    @property
    def added(self) -> int:
        """Entries of the available ring that were exposed."""
        return self.start + len(self.heads)

    @property
    def waiting(self) -> int:
        """Chains that were exposed and not given to `serve`."""
        return len(self.heads) - self.done - len(self.served)

    def listens(self, flags: int = 0, used_event: int = 0) -> None:
        """What the driver wants to hear of."""
        self._set(self.rings.avail_field("flags"), flags)
        self._set(self.rings.avail_field("used_event"), used_event)

    def offer(self, *heads: int) -> None:
        """Expose these chains one by one, and ring where the device wants it."""
        for head in heads:
            self._set(self.rings.avail_at(self.added), head)
            self.heads.append(head)
            self._set(self.rings.avail_field("idx"), self.added)
            event = self.ram.load(self.rings.used_field("avail_event"), 2)
            new = self.added & 0xFFFF
            rings = not self.event_idx or need_event(event, new, (new - 1) & 0xFFFF)
            self.kicks += rings

    def step(self) -> None:
        """The guest's processor works, before the access that comes."""
        for _ in range(self.when.get(self.count, 0)):
            if self.added - self.q.pushed < self.size:
                self.offer((self.added * 3 + 1) % self.size)
        if self.endless and self.added - self.q.pushed < self.size - 1:
            self.offer(self.added % self.size)
            if len(self.heads) > 12 * self.size:
                raise Stopped(f"it was stopped: {len(self.served)} chains were served in one turn")
        self.count += 1

    def wished(self) -> None:
        """The device writes its threshold."""
        self.wishes += 1
        self.early = self.early or self.added - self.q.last_avail

    def _walk(self, head: int) -> list[Written] | str:
        return self.bad.get(head) or buffers_of(head)

    def serve(self, buffers: object) -> int | str:
        """What `turn` is given to serve a chain with."""
        head = next((head for head in range(self.size) if same(buffers_of(head), buffers)), None)
        if head is None:
            raise ValueError("serve(buffers) gets the buffers of a chain, as pop has given them")
        self.served.append(head)
        return NO_REQUEST if head in self.broken else 100 + head

    def _set(self, gpa: int, value: int) -> None:
        self.ram.store(gpa, 2, value)

    def load(self, field: str) -> int:
        """A field of the available ring."""
        return self.ram.load(self.rings.avail_field(field), 2)
