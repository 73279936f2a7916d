"""Who writes a tape while a virtual machine runs: several threads tell, one list keeps.

    watch(back_end)   events of its rings, and a shot of the ring for some of them
    chain, console, said

The idea: a recording must not grow without an end, and not stop either. So the newest moments are
kept, and what was dropped is counted. Events come by the thousand and look alike, so a ring gets a
shot at each of the first events after `fresh`, then at one in `EVERY`.

The rule that keeps it simple: a moment is added under one lock, which also gives it its time. So
moments lie in the order of their times.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from virtlab.errors import DmaFault
from virtlab.hosts.tape import Tape
from virtlab.hosts.tape_moments import (
    CHAIN,
    CONSOLE,
    EVENT,
    RING,
    SAID,
    ChainNote,
    Moment,
    Said,
    What,
)
from virtlab.hosts.tape_shot import RingShot, shot_of
from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.statistics import Event

YOUNG, EVERY = 48, 16
"""Events after `fresh` that all get a shot, and how many later ones share one."""

MOMENTS, BYTES = 50_000, 64 << 20
"""Moments that are kept, and bytes of what they have."""

LOOKED_AT = ("kick", "pop", "push", "call", "quiet")
"""Events after which a ring may be looked at: not at its start, when it is not ours yet."""

AT_ONCE, SCREEN = 20_000_000, 4096
"""Nanoseconds in which what is printed belongs together, and bytes of it."""

EACH = 256
"""Bytes that a moment counts as, beside its data."""


class Recorder:
    """Keeps the last `moments`, of at most `size` bytes. `device` is what the disk is called.

    Without numbers they are `MOMENTS` and `BYTES`.
    """

    def __init__(
        self, device: str = "disk", moments: int | None = None, size: int | None = None
    ) -> None:
        self.device = device
        self.most, self.size = moments or MOMENTS, size or BYTES
        self.left_out: dict[str, int] = {"shots": 0, "moments": 0, "chains": 0}
        self._begin = time.monotonic_ns()
        self._lock = threading.Lock()
        self._kept: deque[Moment] = deque()
        self._bytes = 0
        self._since_fresh = 0

    @property
    def now(self) -> int:
        """Nanoseconds since the recording began."""
        return time.monotonic_ns() - self._begin

    def fresh(self) -> None:
        """Something new begins: it is worth shots."""
        self._since_fresh = 0

    # -- what happens

    def console(self, data: bytes) -> None:
        """The guest printed `data`. What comes at once is one moment."""
        with self._lock:
            last = self._kept[-1] if self._kept else None
            if last is not None and isinstance(last.what, bytes):
                together = last.what + data
                if self.now - last.ns < AT_ONCE and len(together) <= SCREEN:
                    self._kept[-1] = last._replace(what=together)
                    self._bytes += len(data)
                    return
        self._add(CONSOLE, "", data)

    def chain(self, chain: ChainNote) -> None:
        """A request was answered."""
        self._add(CHAIN, self.device, chain)

    def said(self, said: Said) -> None:
        """A command has ended."""
        self._add(SAID, "", said)

    def event(self, back_end: BackEnd, event: Event) -> None:
        """Something happened on a ring."""
        kept = event._replace(heads=tuple(event.heads), lengths=tuple(event.lengths))
        self._add(EVENT, self.device, kept)
        if event.kind in LOOKED_AT:
            number, self._since_fresh = self._since_fresh, self._since_fresh + 1
            shot = number < YOUNG or number % EVERY == 0
            if not shot:
                self.left_out["shots"] += 1
            elif found := look(back_end, event.ring):
                self._add(RING, self.device, found)

    def _add(self, kind: str, device: str, what: What) -> None:
        with self._lock:
            self._kept.append(Moment(self.now, kind, device, what))
            self._bytes += _weight(what)
            while len(self._kept) > self.most or self._bytes > self.size:
                self._bytes -= _weight(self._kept.popleft().what)
                self.left_out["moments"] += 1

    # -- what there is

    def tape(self, about: dict[str, Any] | None = None) -> Tape:
        """What is kept, so far."""
        with self._lock:
            moments = list(self._kept)
            return Tape({**(about or {}), "left_out": dict(self.left_out)}, moments)


def look(back_end: BackEnd, ring: int) -> RingShot | None:
    """A shot of a ring of `back_end`; None if it does not run."""
    vring = back_end.rings[ring]
    if vring.queue is None or vring.broken:
        return None
    regions = [(shape.guest, shape.size) for shape in back_end.memory.shapes]
    try:
        return shot_of(vring.queue, ring, regions)
    except DmaFault:
        return None


def _weight(what: What) -> int:
    """About how many bytes it takes."""
    match what:
        case bytes():
            return EACH + len(what)
        case ChainNote():
            return EACH + len(what.data)
        case RingShot():
            return EACH + sum(EACH + len(data) for _, data in what.pieces)
        case Said():
            return EACH + len(what.text)
    return EACH
