"""Ethernet: a wire with two ends, a switch, and somebody who writes down what passes.

    link = Link()                       # a cable
    card = E1000(irq, dma, clock, wire=link.a)
    link.b.listener = print             # whoever is at the other end
    link.b.send(frame)

The rule that keeps it simple: a frame is `bytes`, destination address first, without the checksum
at its end. It arrives at once and in order, or it is dropped and counted. Only sending from inside
a listener waits its turn, in a queue that is bounded; so two ends that answer each other do not
call each other deeper and deeper.

A `Switch` learns behind which port an address is, and floods what it does not know (802.1D 7.8).
Left out: spanning tree, VLANs, pause frames, and the time that a frame takes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from virtlab.clock import SECOND, Clock
from virtlab.wire import u16, u32

MIN_FRAME, MAX_FRAME = 14, 16 << 10
"""Bytes of a frame: a header alone, and more than any jumbo frame."""

QUEUE = 256
"""Frames that wait on a wire."""

MAX_ADDRESSES = 1024
"""Addresses that a switch remembers; the one not seen for longest goes first."""

AGEING_TIME = 300 * SECOND
"""A switch forgets an address not seen for so long (802.1D, table 7-5)."""

MAX_CAPTURE = 16 << 20
"""Bytes of frames that a capture keeps; later ones are counted and not kept."""

BROADCAST = b"\xff" * 6


def is_group(address: bytes) -> bool:
    """Whether an address means many stations: bit 0 of its first byte (802.3 3.2.3)."""
    return bool(address[0] & 1)


class LinkEnd:
    """One end of a wire: `send` here, and the `listener` at the other end gets it.

    `listener(frame)` is who listens here; `link_listener(up)` hears when the wire is plugged in or
    pulled. `counts` has `sent`, `received`, and why others were `dropped ...`.
    """

    def __init__(self, link: Link, name: str) -> None:
        self.link = link
        self.name = name
        self.listener: Callable[[bytes], None] | None = None
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
        self._queue: deque[tuple[LinkEnd, bytes]] = deque()
        self._limit = queue
        self._busy = False

    @property
    def full(self) -> bool:
        """Whether no more frames can wait."""
        return len(self._queue) >= self._limit

    def set_up(self, up: bool) -> None:
        """Plug the cable in, or pull it; both ends hear of it. What waits in it is lost."""
        if up == self.up:
            return
        self.up = up
        self._queue.clear()
        for end in (self.a, self.b):
            if end.link_listener is not None:
                end.link_listener(up)

    def carry(self, end: LinkEnd, frame: bytes) -> None:
        """Take a frame in at `end`, and deliver all that waits, unless that is under way."""
        for watcher in self.watchers:
            watcher(end, frame)
        self._queue.append((self.b if end is self.a else self.a, frame))
        if self._busy:
            return
        self._busy = True
        try:
            while self._queue:
                target, waiting = self._queue.popleft()
                target.arrive(waiting)
        finally:
            self._busy = False


class Seen(NamedTuple):
    """Behind which port an address was seen, and when (virtual ns)."""

    port: int
    time: int


class Switch:
    """A learning switch. Plug a device into `ports[i]`, a `LinkEnd`.

    With a `clock` an address is forgotten after `ageing` ns. `counts` has `forwarded`, `flooded`
    and `filtered` (known to be behind the port that it came from).
    """

    def __init__(
        self,
        ports: int,
        clock: Clock | None = None,
        ageing: int = AGEING_TIME,
        addresses: int = MAX_ADDRESSES,
    ) -> None:
        if ports < 1 or addresses < 1:
            raise ValueError(f"a switch has ports and addresses, not {ports} and {addresses}")
        self.clock = clock
        self.ageing = ageing
        self.limit = addresses
        self.links = [Link(f"port{number}") for number in range(ports)]
        self.ports = [link.a for link in self.links]
        self.table: OrderedDict[bytes, Seen] = OrderedDict()
        self.counts: Counter[str] = Counter()
        for number, link in enumerate(self.links):
            link.b.listener = self._listener(number)
            link.b.link_listener = self._plugged(number)

    @property
    def now(self) -> int:
        """The time by which addresses age."""
        return self.clock.now if self.clock is not None else 0

    def _listener(self, number: int) -> Callable[[bytes], None]:
        return lambda frame: self.forward(number, frame)

    def _plugged(self, number: int) -> Callable[[bool], None]:
        return lambda up: None if up else self.forget(number)

    def forward(self, number: int, frame: bytes) -> None:
        """A frame came in at port `number`: learn where it is from, send it where it goes."""
        self.learn(frame[6:12], number)
        target = self.where(frame[:6])
        if target is None:
            self.counts["flooded"] += 1
            for other, link in enumerate(self.links):
                if other != number:
                    link.b.send(frame)
        elif target == number:
            self.counts["filtered"] += 1
        else:
            self.counts["forwarded"] += 1
            self.links[target].b.send(frame)

    def learn(self, source: bytes, number: int) -> None:
        """Remember that `source` is behind port `number`; a group address is nobody's source."""
        if is_group(source):
            return
        self.table[source] = Seen(number, self.now)
        self.table.move_to_end(source)
        if len(self.table) > self.limit:
            self.table.popitem(last=False)

    def where(self, address: bytes) -> int | None:
        """The port that `address` is behind; None for a group, and for one not known (any more)."""
        seen = self.table.get(address)
        if seen is None or is_group(address):
            return None
        if self.clock is not None and self.now - seen.time >= self.ageing:
            del self.table[address]
            return None
        return seen.port

    def forget(self, number: int) -> None:
        """Forget every address behind port `number`: its cable was pulled."""
        for address in [each for each, seen in self.table.items() if seen.port == number]:
            del self.table[address]


PCAP_HEADER = np.dtype(
    [
        ("magic", u32),  # 0xa1b23c4d: times in nanoseconds
        ("major", u16),
        ("minor", u16),
        ("zone", u32),
        ("accuracy", u32),
        ("snapshot", u32),  # bytes kept of a frame, at most
        ("network", u32),  # 1: Ethernet
    ]
)
"""The start of a capture file (draft-ietf-opsawg-pcap, 4)."""

PCAP_RECORD = np.dtype(
    [
        ("seconds", u32),
        ("nanoseconds", u32),
        ("kept", u32),  # bytes in the file
        ("length", u32),  # bytes of the frame
    ]
)
"""What stands before each frame in it (draft-ietf-opsawg-pcap, 5)."""

PCAP_MAGIC, ETHERNET = 0xA1B23C4D, 1


class Captured(NamedTuple):
    """A frame on a wire: virtual `time` (ns), the end that sent it, the bytes."""

    time: int
    sender: str
    frame: bytes


class Capture:
    """Frames as they pass: `Capture(clock).watch(link)`. `frames` has them in order."""

    def __init__(self, clock: Clock | None = None, limit: int = MAX_CAPTURE) -> None:
        self.clock = clock
        self.limit = limit
        self.frames: list[Captured] = []
        self.dropped = 0
        self._bytes = 0

    def watch(self, link: Link) -> Capture:
        """Watch a cable; several may be watched by one capture."""
        link.watchers.append(self._see)
        return self

    def _see(self, end: LinkEnd, frame: bytes) -> None:
        if self._bytes + len(frame) > self.limit:
            self.dropped += 1
            return
        self._bytes += len(frame)
        now = self.clock.now if self.clock is not None else 0
        self.frames.append(Captured(now, end.name, frame))

    def pcap(self) -> bytes:
        """The frames as a capture file, for Wireshark or tcpdump."""
        header = np.array([(PCAP_MAGIC, 2, 4, 0, 0, MAX_FRAME, ETHERNET)], PCAP_HEADER)
        parts = [header.tobytes()]
        for time, _, frame in self.frames:
            seconds, rest = divmod(time, SECOND)
            record = np.array([(seconds, rest, len(frame), len(frame))], PCAP_RECORD)
            parts += [record.tobytes(), frame]
        return b"".join(parts)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the capture file."""
        Path(path).write_bytes(self.pcap())
