"""A virtio-mmio device that watches its driver: task 1 of problem set 5.

    probe    MAGIC_VALUE  VERSION  DEVICE_ID                        nothing else before
    status   0 . 1 . 3     features     11 . read back              one step, one write
    queues   QUEUE_SEL  QUEUE_READY?  QUEUE_SIZE_MAX?  size, three addresses  QUEUE_READY 1
    status   15 . read

The idea: behind it is the library's `VirtioMmio`, which answers. Here each access is first held
against the step that the driver is in, and the first one out of order is kept in `wrong`.

The rule that keeps it simple: only the order is judged here. What was agreed on in the end is in
`card.core`, and a case looks there.

Source: virtio 1.3 3.1.1 (the steps), 2.1.1 (no bit is cleared), 2.4.2 (the end of a reset); for
MMIO 4.2.2.2, 4.2.3.1.1, 4.2.3.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from virtlab.course.tasks import Difference
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory
from virtlab.registers import Reg
from virtlab.virtio.device import Queue, VirtioDevice
from virtlab.virtio.features import Features
from virtlab.virtio.mmio import VirtioMmio
from virtlab.virtio.mmio_registers import ModernMmio
from virtlab.virtio.status import DeviceId, Status, names

RAM = 1 << 16
"""Bytes of memory that the device can reach."""

KNOWN = Status.ACKNOWLEDGE | Status.DRIVER
AGREED = KNOWN | Status.FEATURES_OK
STEPS = {0: Status.ACKNOWLEDGE, 1: Status.DRIVER, 3: Status.FEATURES_OK, 11: Status.DRIVER_OK}
"""The step that follows a status."""

R = ModernMmio
PROBE = (R.MAGIC_VALUE, R.VERSION, R.DEVICE_ID)
FEATURES = (R.DEVICE_FEATURES, R.DEVICE_FEATURES_SEL, R.DRIVER_FEATURES, R.DRIVER_FEATURES_SEL)
ADDRESSES = (R.QUEUE_DESC_LOW, R.QUEUE_DESC_HIGH, R.QUEUE_DRIVER_LOW, R.QUEUE_DRIVER_HIGH,
             R.QUEUE_DEVICE_LOW, R.QUEUE_DEVICE_HIGH)  # fmt: skip
LAID_OUT = {R.QUEUE_SIZE, R.QUEUE_DESC_LOW, R.QUEUE_DRIVER_LOW, R.QUEUE_DEVICE_LOW}
QUEUES = (R.QUEUE_SEL, R.QUEUE_READY, R.QUEUE_SIZE_MAX, R.QUEUE_SIZE, *ADDRESSES)
REGISTERS = {reg.offset: reg for reg in (*PROBE, R.STATUS, *FEATURES, *QUEUES)}

LOOK_PROBE = "MAGIC_VALUE and VERSION first, then DEVICE_ID, then the rest (virtio 1.3 4.2.3.1.1)"
LOOK_IGNORE = "what is no modern device is left alone (virtio 1.3 4.2.2.2)"
LOOK_RESET = "step 1 is a reset, and it is over when STATUS reads 0 (virtio 1.3 3.1.1, 2.4.2)"
LOOK_STEP = "steps 1, 2, 3, 5 and 8 are writes of STATUS, one for each bit (virtio 1.3 3.1.1)"
LOOK_CLEAR = "a driver never clears a bit of the status (virtio 1.3 2.1.1)"
LOOK_FEATURES = "step 4 is between DRIVER and FEATURES_OK (virtio 1.3 3.1.1)"
LOOK_BACK = "step 6: read STATUS back before anything else (virtio 1.3 3.1.1)"
LOOK_QUEUES = "step 7 is between FEATURES_OK and DRIVER_OK (virtio 1.3 3.1.1)"
LOOK_ASK = "select, see that QUEUE_READY is 0, ask QUEUE_SIZE_MAX, set up (virtio 1.3 4.2.3.2)"
LOOK_IN_USE = "a queue in use is not written to (virtio 1.3 4.2.2.2)"
LOOK_READY = "QUEUE_READY comes last: with it the device looks at the others (virtio 1.3 4.2.3.2)"
LOOK_OVER = "after FAILED the device is left alone (virtio 1.3 2.1.1)"
LOOK_OTHER = "the steps need no other register (virtio 1.3 3.1.1, 4.2.3)"
LOOK_WIDTH = "a register is accessed as 4 bytes at its offset (virtio 1.3 4.2.2.2)"


class Paper(VirtioDevice):
    """A device on paper: an id, features, what they `require` of each other, sizes of queues."""

    def __init__(
        self,
        device_id: int = DeviceId.NETWORK,
        features: Iterable[int] = (),
        requires: Mapping[int, Features] | None = None,
        queue_sizes: Iterable[int] = (8,),
    ) -> None:
        super().__init__(tuple(queue_sizes), features)
        self.device_id = device_id  # type: ignore[misc]  # one of any type
        self.requires = requires or {}  # type: ignore[misc]

    def handle(self, index: int, queue: Queue) -> None:
        """Nobody rings here."""


class Watched:
    """The device, as the bus has it. `slow` is how often STATUS is read until a reset is over.

    `magic` and `version` stand in for the right ones. `found` is whether the driver has seen all
    three registers that say who is there.
    """

    def __init__(
        self, paper: Paper, magic: int | None = None, version: int | None = None, slow: int = 0
    ) -> None:
        self.card = VirtioMmio(paper, GuestMemory(RAM), IrqLine("virtio", _nobody), ring=())
        for reg, value in ((R.MAGIC_VALUE, magic), (R.VERSION, version)):
            if value is not None:
                self.card.preset(**{reg.name: value})
        good = {R.MAGIC_VALUE: magic is None, R.VERSION: version is None}
        self.good = good | {R.DEVICE_ID: paper.device_id != 0}
        self.slow, self.busy, self.stale = slow, 0, 0
        self.seen: list[Reg] = []
        self.reset_done = self.unread = self.failed = self.started = False
        self.asked: set[Reg] = set()
        self.wrong: Difference | None = None

    def go_on(self) -> None:
        """What was agreed so far was agreed by another: the watch begins with step 7."""
        self._tell(AGREED)
        self.seen, self.reset_done = list(PROBE), True

    def leave_live(self) -> None:
        """As a driver left it that has gone."""
        self._tell(AGREED | Status.DRIVER_OK)

    def _tell(self, status: int) -> None:
        """A driver before ours has accepted VERSION_1, and came to `status`."""
        core = self.card.core
        core.accept_word(1, 1)
        core.write_status(status)

    @property
    def status(self) -> int:
        """The device's own word."""
        return self.card.core.status

    # -- the two verbs

    def read(self, offset: int, size: int) -> int:
        """The device's answer, once the access is judged."""
        reg = self._register(offset, size, False, 0)
        if reg is R.STATUS and self.busy:
            self.busy -= 1
            return self.stale
        if reg is R.STATUS:
            self.unread = False
        return self.card.read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """The same for a write."""
        reg = self._register(offset, size, True, value)
        if reg is R.STATUS and value == 0:
            self.busy, self.stale = self.slow, self.status or KNOWN
            self.reset_done = True
        if reg is R.STATUS and value:
            self.unread = bool(value & ~self.status & (Status.FEATURES_OK | Status.DRIVER_OK))
            self.failed = bool(value & Status.FAILED)
            self.started = bool(value & Status.DRIVER_OK)
        self.card.write(offset, size, value)

    # -- the order

    def _register(self, offset: int, size: int, write: bool, value: int) -> Reg | None:
        """The register, noted; the first access out of order is kept."""
        reg = REGISTERS.get(offset)
        what = _text(reg.name if reg else f"{offset:#x}", size, write, value)
        if self.wrong is None:
            self.wrong = self._judged(reg, size, write, value, what)
        if reg in PROBE and reg not in self.seen:
            self.seen.append(reg)
        if reg is R.QUEUE_SEL and write and value != self.card.QUEUE_SEL:
            self.asked.clear()
        elif reg is not None:
            self.asked.add(reg)
        return reg

    def _judged(
        self, reg: Reg | None, size: int, write: bool, value: int, what: str
    ) -> Difference | None:
        """What is wrong with this access now."""
        if size != 4 or reg is None:
            return Difference(
                "a register of the table", what, LOOK_OTHER if size == 4 else LOOK_WIDTH
            )
        if reg in PROBE:
            return self._probing(reg, write, what)
        if len(self.seen) < len(PROBE) or not all(self.good.values()):
            ignored = not all(self.good[one] for one in self.seen)
            right = "no other register" if ignored else f"a read of {self._next_probe()} first"
            return Difference(right, what, LOOK_IGNORE if ignored else LOOK_PROBE)
        if self.failed:
            return Difference("no access after FAILED", what, LOOK_OVER)
        if reg is R.STATUS:
            return self._stepping(value, what) if write else None
        if not self.reset_done or self.busy:
            return Difference("a reset, until STATUS reads 0", what, LOOK_RESET)
        if self.unread:
            return Difference("a read of STATUS", what, LOOK_BACK)
        return self._setting_up(reg, write, what)

    def _next_probe(self) -> str:
        return next(reg.name for reg in PROBE if reg not in self.seen)

    def _probing(self, reg: Reg, write: bool, what: str) -> Difference | None:
        early = reg is R.DEVICE_ID and len(self.seen) < 2
        if write or early:
            return Difference(f"a read of {self._next_probe()}", what, LOOK_PROBE)
        return None

    def _stepping(self, value: int, what: str) -> Difference | None:
        """A write of STATUS."""
        if not self.reset_done and value:
            return Difference("a reset first", what, LOOK_RESET)
        if value == 0:
            return Difference("one reset", what, LOOK_RESET) if self.reset_done else None
        if self.busy:
            return Difference("a read of STATUS that gives 0", what, LOOK_RESET)
        if self.unread:
            return Difference("a read of STATUS", what, LOOK_BACK)
        now = self.status & ~Status.DEVICE_NEEDS_RESET
        if now & ~value:
            kept = " | ".join(names(now))
            return Difference(f"{kept} and one more", what, LOOK_CLEAR)
        if value & Status.FAILED:
            return None
        step = STEPS.get(now)
        if step is None or value & ~Status.DEVICE_NEEDS_RESET != now | step:
            right = f"{step.name} and no other new bit" if step else "no further step"
            return Difference(right, what, LOOK_STEP)
        return None

    def _setting_up(self, reg: Reg, write: bool, what: str) -> Difference | None:
        """A feature, or a queue."""
        if reg in FEATURES:
            now = self.status == KNOWN
            return None if now else Difference(f"STATUS {KNOWN:#x} at step 4", what, LOOK_FEATURES)
        if self.status & ~Status.DEVICE_NEEDS_RESET != AGREED:
            return Difference(f"STATUS {AGREED:#x} at step 7", what, LOOK_QUEUES)
        if not write or reg is R.QUEUE_SEL:
            return None
        if not {R.QUEUE_READY, R.QUEUE_SIZE_MAX} <= self.asked:
            return Difference("QUEUE_READY and QUEUE_SIZE_MAX are read first", what, LOOK_ASK)
        if self.card.selected is not None and self.card.selected.ready:
            return Difference("no write: the queue is in use", what, LOOK_IN_USE)
        if reg is R.QUEUE_READY and not LAID_OUT <= self.asked:
            return Difference("the size and three addresses first", what, LOOK_READY)
        return None


def _text(name: str, size: int, write: bool, value: int) -> str:
    """An access as a report shows it."""
    wide = "" if size == 4 else f", {size} bytes"
    return f"{name} <- {value:#x}{wide}" if write else f"a read of {name}{wide}"


def _nobody(level: int) -> None:
    """Nobody listens to the wire."""
