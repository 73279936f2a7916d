"""Both ends of a queue, in a virtual machine: each bell is an exit, each interrupt wakes the guest.

    guest: SplitDriver                     VMM: SplitQueue
      add_buf, kick --- store to DOORBELL: an exit --->  pop
      get_buf       <--- IRQ 6 of the virtual 8259A ---  push, notify

The idea: there is no device here, only a queue, and a page that is a doorbell. So every exit is a
notification or its price: a bell is one, an interrupt is two (HLT, and the end of interrupt).

`measure` lets both sides work in batches and counts. The other side is not there at once: it needs
the time of `late` requests to wake up and say that it is awake.

The rule that keeps it simple: nobody decides here whether to notify. Driver and queue do.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.clock import COSTS
from virtlab.guest.pic import Pics
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.machine import PcVm, lesson_vm
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split import SplitQueue

DOORBELL, IRQ = 0xFE20_0000, 6
"""Where the doorbell is (gpa), and the interrupt: the host has nothing at either."""

RING, BUFFERS, SIZE = 0x2_0000, 0x4_0000, 128
LARGEST = SIZE // 2
"""Requests of a batch, at most: each takes two descriptors."""

OUT, IN = 16, 1
"""Bytes that a request has for the device, and bytes that it wants back."""

WAYS = ("nothing", "flags", "thresholds")
"""What suppresses notifications."""

LATE = 4
"""Requests that pass before the other side is awake."""


class Doorbell:
    """A page that exits; whatever is stored there means: look at the queue."""

    def __init__(self) -> None:
        self.count = 0

    def read(self, offset: int, size: int) -> int:
        """There is nothing to read."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """It was rung."""
        self.count += 1


class Ends:
    """The driver in `guest`, and the device's end in the VMM. `bells` and `interrupts` count."""

    def __init__(self, guest: PcVm | None = None, features: Features = frozenset()) -> None:
        self.guest = guest or lesson_vm()
        self.rings = SplitRings.placed(RING, SIZE)
        self.bell = Doorbell()
        self.guest.vm.memory.map(DOORBELL, 4, self.bell, "doorbell", width=4)
        self.pics = Pics(self.guest.cpu)
        self.pics.remap()
        self.pics.unmask(IRQ)
        self.driver = SplitDriver(self.guest.cpu, self.rings, features, self._ring)
        self.device = SplitQueue(self.guest.vm.ram, self._interrupt)
        self.device.enable(self.rings, features)
        self.interrupts = 0
        self._base = self.guest.exits

    @property
    def bells(self) -> int:
        """How often the driver rang."""
        return self.bell.count

    @property
    def exits(self) -> int:
        """Exits of the guest since this was made."""
        return self.guest.exits - self._base

    def _ring(self) -> None:
        self.guest.cpu.store(DOORBELL, 0, 4)

    def _interrupt(self) -> None:
        """The device calls: the guest, which has halted, wakes up and ends the interrupt."""
        self.interrupts += 1
        self.guest.vm.clock.after(1, self._line_rises)
        irq = self.pics.next_irq()
        assert irq == IRQ
        self.pics.eoi(IRQ)

    def _line_rises(self) -> None:
        self.guest.vm.trace.emit("irq", value=IRQ, note=f"IRQ {IRQ}: look at it")
        self.guest.pic.line(IRQ).pulse()

    def add(self, token: object = None) -> bool:
        """One request, and `kick`: whether that rang."""
        gpa = BUFFERS + self.driver.added % SIZE * (OUT + IN)
        self.driver.add_buf([(gpa, OUT)], [(gpa + OUT, IN)], token)
        return self.driver.kick()

    def serve(self) -> bool:
        """One request is taken, done and given back: whether that interrupted."""
        chain = self.device.pop()
        assert chain is not None
        chain.write(self.guest.vm.ram, b"\0")
        self.device.push(chain, IN)
        return self.device.notify()

    def batch(self, count: int, quiet: bool, late: int) -> None:
        """`count` requests, there and back. `quiet`: whoever is awake asks for silence."""
        for number in range(1, count + 1):
            self.add(number)
            if quiet and number == late:
                self.device.disable_notify()
        for number in range(1, count + 1):
            self.serve()
            if quiet and number == late:
                self.driver.disable_cb()
        while self.driver.get_buf() is not None:
            pass
        if quiet:
            assert self.device.enable_notify()
            assert self.driver.enable_cb()


class Count(NamedTuple):
    """What `requests` requests took."""

    requests: int
    bells: int
    interrupts: int
    exits: int

    @property
    def each(self) -> float:
        """Exits a request."""
        return self.exits / self.requests

    @property
    def ns_each(self) -> float:
        """What the exits of a request cost on hardware, by `clock.COSTS` (ns)."""
        return self.each * COSTS["vm_exit"].ns


def measure(way: str, batch: int, batches: int = 3, late: int = LATE) -> Count:
    """Run `batches` batches of `batch` requests (1 to 64) in a new VM, and count.

    `ValueError` for a way that is none of `WAYS`, or no such batch.
    """
    if way not in WAYS or not 1 <= batch <= LARGEST or batches < 1 or late < 1:
        raise ValueError(f"no {batches} batches of {batch} {way!r}, {late} late")
    ends = Ends(features=frozenset({Feature.RING_EVENT_IDX} if way == "thresholds" else ()))
    for _ in range(batches):
        ends.batch(batch, way != "nothing", late)
    return Count(batch * batches, ends.bells, ends.interrupts, ends.exits)


def formula(way: str, batch: int, late: int = LATE) -> float:
    """Notifications of each kind a request. An exit is one bell, or half of an interrupt.

    >>> [formula(way, 16) for way in WAYS]
    [1.0, 0.25, 0.0625]
    """
    rung = {"nothing": batch, "flags": min(batch, late), "thresholds": 1}[way]
    return rung / batch
