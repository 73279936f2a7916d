"""Let an attack meet a device, ours or the naive one, and say what each side has seen of it.

    attack("loop", "checked")     DEVICE_NEEDS_RESET, the clause, nothing lost
    attack("loop", "naive")       stuck
    both(my_attack)               a function of a `Hand`, at the naive device and at ours

The idea: both devices stand in the same process, over the same bytes. Afterwards the whole process
is compared with itself: what was overwritten, and whose secret the guest can read now.

The rule that keeps it simple: an `Outcome` is facts. The words for them are in `attack_words`.

Ours is `VirtioBlk` behind a real `Transport`, with the registers left out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, cast

from virtlab.backends.disk import Disk
from virtlab.memory import Dma
from virtlab.show.attack_hand import RINGS, Hand, Note, Watched
from virtlab.show.attack_list import ATTACKS, Attack
from virtlab.show.attack_memory import DISK, Crash, Process, Span, Stuck, damaged, leaked
from virtlab.show.attack_naive import NaiveBlk
from virtlab.trace import Trace
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.features import Feature, to_bits
from virtlab.virtio.status import Interrupt, Status
from virtlab.virtio.transport import Transport

CHECKED, NAIVE = "checked", "naive"
DEVICES = (CHECKED, NAIVE)

STEPS = Status.ACKNOWLEDGE | Status.DRIVER
AGREED = frozenset({Feature.VERSION_1, Feature.RING_INDIRECT_DESC})


class Outcome(NamedTuple):
    """What came of an attack on a `device`. `before` and `after` are the whole process."""

    attack: Attack
    device: str
    notes: tuple[Note, ...]  # what the attacker did
    before: bytes
    after: bytes
    events: tuple[tuple[str, str], ...]  # the trace: kind, and why
    status: int  # the device's
    statuses: tuple[int, ...]  # of each request
    used: int  # chains that came back
    interrupts: tuple[Interrupt, ...]
    dead: str  # why the process died, or ""
    stuck: str  # in what it never ends, or ""
    leaked: tuple[Span, ...]
    damaged: tuple[Span, ...]
    strayed: tuple[tuple[str, Span, int], ...]  # verb, where, bytes

    @property
    def needs_reset(self) -> bool:
        """Whether the device says so."""
        return bool(self.status & Status.DEVICE_NEEDS_RESET)

    @property
    def safe(self) -> bool:
        """Whether nobody but the guest was harmed."""
        return not (self.dead or self.stuck or self.leaked or self.damaged or self.strayed)


class Checked:
    """The library's block device in `process`, live, with the queue of a `Hand`."""

    def __init__(self, process: Process, hand: Hand, watched: bool = False) -> None:
        self.trace = Trace()
        self.interrupts: list[Interrupt] = []
        dma: Dma = Watched(hand.ram, hand.seen) if watched else hand.ram
        contents = process.bytes.data[DISK.start : DISK.end]
        blk = VirtioBlk(Disk(cast(bytearray, contents)), queue_size=RINGS.size)
        self.core = Transport(
            blk, dma, lambda cause, index: self.interrupts.append(cause), trace=self.trace
        )
        self.core.write_status(STEPS)
        for word in (0, 1):
            self.core.accept_word(word, to_bits(AGREED) >> 32 * word & 0xFFFF_FFFF)
        self.core.write_status(STEPS | Status.FEATURES_OK)
        self.core.resize(0, RINGS.size)
        for part, (gpa, _) in zip(("desc", "driver", "device"), RINGS.parts, strict=True):
            self.core.set_address(0, part, gpa)
        self.core.enable(0)
        self.core.write_status(STEPS | Status.FEATURES_OK | Status.DRIVER_OK)

    def ring(self, queue: int) -> None:
        """A doorbell."""
        self.core.notify(queue)

    def reset(self) -> None:
        """0 into the status."""
        self.core.write_status(0)

    def status(self) -> int:
        """The device status."""
        return self.core.status

    def config(self, offset: int, size: int) -> int:
        """A read of the configuration."""
        return self.core.read_config(offset, size)


class Naive:
    """The naive device in `process`, with the queue of a `Hand`. Nothing is written down there."""

    def __init__(self, process: Process, hand: Hand, looks_first: bool = False) -> None:
        self.blk = NaiveBlk(process, RINGS, looks_first, hand.seen)
        self._status = STEPS | Status.FEATURES_OK | Status.DRIVER_OK
        self.interrupts: list[Interrupt] = []

    def ring(self, queue: int) -> None:
        """A doorbell."""
        self.blk.notify(queue)
        self.interrupts.append(Interrupt.QUEUE)

    def reset(self) -> None:
        """0 into the status, and it is one at once."""
        self.blk.reset()
        self._status = 0

    def status(self) -> int:
        """The device status."""
        return self._status

    def config(self, offset: int, size: int) -> int:
        """A read of the configuration."""
        return self.blk.config(offset, size)


@lru_cache(maxsize=64)
def attack(name: str, device: str) -> Outcome:
    """Carry out `name` of `ATTACKS` at one of `DEVICES`. `ValueError` if there is none such."""
    if name not in ATTACKS:
        raise ValueError(f"no attack is called {name!r}")
    return meet(ATTACKS[name], device)


def both(make: Callable[[Hand], None], title: str = "an attack of your own") -> list[Outcome]:
    """An attack of your own, at the naive device and at ours. It must not use `strike`."""
    return [meet(Attack(title, make), device) for device in (NAIVE, CHECKED)]


def meet(chosen: Attack, device: str) -> Outcome:
    """Carry `chosen` out in a fresh process. `ValueError` for what is none of `DEVICES`."""
    process = Process()
    hand = Hand(process)
    if device == CHECKED:
        checked = Checked(process, hand, watched=chosen.strikes)
        hand.side = checked
        return _carry_out(chosen, device, hand, checked.trace, checked.interrupts)
    if device != NAIVE:
        raise ValueError(f"no device is called {device!r}")
    naive = Naive(process, hand, chosen.looks_first)
    hand.side = naive
    return _carry_out(chosen, device, hand, Trace(), naive.interrupts)


def _carry_out(
    chosen: Attack, device: str, hand: Hand, trace: Trace, interrupts: list[Interrupt]
) -> Outcome:
    process = hand.process
    before = process.bytes.tobytes()
    dead = stuck = ""
    with trace.recording() as events:
        try:
            chosen.make(hand)
        except Crash as crash:
            dead = str(crash)
        except Stuck as endless:
            stuck = str(endless)
    after = process.bytes.tobytes()
    return Outcome(
        chosen,
        device,
        tuple(hand.notes),
        before,
        after,
        tuple((event.kind, event.note) for event in events),
        hand.side.status(),
        hand.statuses(),
        hand.used_idx(),
        tuple(interrupts),
        dead,
        stuck,
        leaked(after),
        damaged(before, after),
        tuple((verb, span, count) for (verb, span), count in process.touched.items()),
    )
