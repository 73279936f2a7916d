"""Ethernet: a wire with two ends.

    link = Link()                       # a cable
    card = E1000(irq, dma, clock, wire=link.a)
    link.b.listener = print             # whoever is at the other end
    link.b.send(frame)

The rule that keeps it simple: a frame is `bytes`, destination address first, without the checksum
at its end. It arrives at once and in order, or it is dropped and counted. Only sending from inside
a listener waits its turn, in a queue that is bounded; so two ends that answer each other do not
call each other deeper and deeper.

`send_many` carries a batch of frames as one: `Frames`. Who has a `many_listener` gets it as it is,
who has none gets its frames one by one.

Left out: pause frames, and the time that a frame takes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from virtlab.backends.frames import Frames

MIN_FRAME, MAX_FRAME = 14, 16 << 10
"""Bytes of a frame: a header alone, and more than any jumbo frame."""

QUEUE = 256
"""Frames that wait on a wire."""

BROADCAST = b"\xff" * 6


def is_group(address: bytes) -> bool:
    """Whether an address means many stations: bit 0 of its first byte (802.3 3.2.3)."""
    return bool(address[0] & 1)


class LinkEnd:
    """One end of a wire: `send` here, and the `listener` at the other end gets it.

    `listener(frame)` is who listens here, and `many_listener(frames)` who takes batches;
    `link_listener(up)` hears when the wire is plugged in or pulled. `counts` has `sent`,
    `received`, and why others were `dropped ...`.
    """

    def __init__(self, link: Link, name: str) -> None:
        self.link = link
        self.name = name
        self.listener: Callable[[bytes], None] | None = None
        self.many_listener: Callable[[Frames], None] | None = None
        self.link_listener: Callable[[bool], None] | None = None
        self.counts: Counter[str] = Counter()

    @property
    def up(self) -> bool:
        """Whether the wire is plugged in."""
        return self.link.up

    def send(self, frame: bytes) -> bool:
        """Put a frame on the wire. False if it was dropped at once; `counts` says why."""
        reason = self._objection(frame)
        self.counts[reason or "sent"] += 1
        if not reason:
            self.link.carry(self, bytes(frame))
        return not reason

    def send_many(self, frames: Frames) -> int:
        """Put many on the wire, in order: how many of them. What so many `send` would have done.

        On a busy wire that is as many as find room.
        """
        lengths = frames.lengths
        good = frames.take((lengths >= MIN_FRAME) & (lengths <= MAX_FRAME))
        room = len(good) if not self.link.busy else self.link.room
        sent = good.cut(0, room) if self.link.up else good.cut(0, 0)
        dropped = {"size": len(frames) - len(good), self._refusal: len(good) - len(sent)}
        for reason, count in dropped.items():
            if count:
                self.counts[f"dropped: {reason}"] += count
        if len(sent):
            self.counts["sent"] += len(sent)
            self.link.carry_many(self, sent)
        return len(sent)

    @property
    def _refusal(self) -> str:
        return "full" if self.link.up else "no link"

    def _objection(self, frame: bytes) -> str:
        if not MIN_FRAME <= len(frame) <= MAX_FRAME:
            return "dropped: size"
        if not self.link.up:
            return "dropped: no link"
        return "dropped: full" if self.link.full else ""

    def arrive(self, frame: bytes) -> None:
        """A frame comes out of the wire here."""
        if self.listener is None:
            self.counts["dropped: nobody"] += 1
        else:
            self.counts["received"] += 1
            self.listener(frame)

    def arrive_many(self, frames: Frames) -> None:
        """Many come out of the wire here."""
        if self.many_listener is None:
            for frame in frames:
                self.arrive(frame)
        else:
            self.counts["received"] += len(frames)
            self.many_listener(frames)

    def __repr__(self) -> str:
        return f"LinkEnd({self.name!r}, {'up' if self.up else 'down'})"


class Link:
    """A cable. `a` and `b` are its ends; `watchers(end, frame)` see each frame that is sent."""

    def __init__(self, name: str = "link", queue: int = QUEUE) -> None:
        self.name = name
        self.up = True
        self.a = LinkEnd(self, f"{name}.a")
        self.b = LinkEnd(self, f"{name}.b")
        self.watchers: list[Callable[[LinkEnd, bytes], None]] = []
        self.busy = False
        self._queue: deque[tuple[LinkEnd, bytes | Frames]] = deque()
        self._waiting = 0
        self._limit = queue

    @property
    def full(self) -> bool:
        """Whether no more frames can wait."""
        return self._waiting >= self._limit

    @property
    def room(self) -> int:
        """How many more frames can wait."""
        return max(0, self._limit - self._waiting)

    def set_up(self, up: bool) -> None:
        """Plug the cable in, or pull it; both ends hear of it. What waits in it is lost."""
        if up == self.up:
            return
        self.up = up
        self._queue.clear()
        self._waiting = 0
        for end in (self.a, self.b):
            if end.link_listener is not None:
                end.link_listener(up)

    def carry(self, end: LinkEnd, frame: bytes) -> None:
        """Take a frame in at `end`, and deliver all that waits, unless that is under way."""
        for watcher in self.watchers:
            watcher(end, frame)
        self._take(end, frame, 1)

    def carry_many(self, end: LinkEnd, frames: Frames) -> None:
        """Take many in at `end`, which found room for them."""
        if self.watchers:
            for frame in frames:
                for watcher in self.watchers:
                    watcher(end, frame)
        self._take(end, frames, len(frames))

    def _take(self, end: LinkEnd, item: bytes | Frames, count: int) -> None:
        self._queue.append((self.b if end is self.a else self.a, item))
        self._waiting += count
        if self.busy:
            return
        self.busy = True
        try:
            while self._queue:
                self._deliver(*self._queue.popleft())
        finally:
            self.busy = False

    def _deliver(self, target: LinkEnd, item: bytes | Frames) -> None:
        if isinstance(item, Frames):
            self._waiting -= len(item)
            target.arrive_many(item)
        else:
            self._waiting -= 1
            target.arrive(item)
