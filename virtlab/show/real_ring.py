"""The ring as Linux drives it: shot after shot of a recording, or as it is now, again and again.

    First  Back  Play  Step  Last  Reset     Go to   Speed   Jump to: mkfs, mount, ...     Follow

The idea: a frame is a shot of the ring and what was counted until then. A recording has a shot for
many events of it. A living session is asked for one at every tick.

The rule that keeps it simple: rates are differences of counts. What stands below a frame is the
second before it, and all of it so far.

Source: `RingShot`, `Statistics`.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, NamedTuple

from virtlab.hosts.tape import Tape
from virtlab.hosts.tape_moments import Counts, Moment, Said
from virtlab.hosts.tape_shot import RingShot
from virtlab.show.real_chain import Look
from virtlab.show.real_console import LIVE
from virtlab.show.real_follow import Follower
from virtlab.show.real_look import look
from virtlab.show.real_ring_picture import in_words, ring_picture
from virtlab.show.svg import Picture, picture
from virtlab.virtio.vhost_user.statistics import Event

SECOND = 1_000_000_000
MOST = 2000
"""Frames that are kept of a living ring."""


class Frame(NamedTuple):
    """A shot at `ns`, the event that it was taken at (empty: none), and the counts until then."""

    ns: int
    shot: RingShot
    event: str
    counts: Counts


def frames(moments: Iterable[Moment], ring: int = 0) -> tuple[list[Frame], dict[str, int]]:
    """The shots of a ring in a tape, and in which frame each command begins."""
    found: list[Frame] = []
    begin: dict[str, int] = {}
    counts, event, after = Counts(), "", 0
    for moment in moments:
        what = moment.what
        if isinstance(what, Event) and what.ring == ring:
            counts, event = counted(counts, what), str(what)
        elif isinstance(what, RingShot) and what.ring == ring:
            found.append(Frame(moment.ns, what, event, counts))
        elif isinstance(what, Said) and len(found) > after:
            begin[what.name], after = after, len(found)
    return found, begin


def counted(counts: Counts, event: Event) -> Counts:
    """The counts after one event more."""
    many = len(event.heads)
    match event.kind:
        case "kick":
            return counts._replace(kicks=counts.kicks + 1)
        case "call":
            return counts._replace(calls=counts.calls + 1)
        case "quiet":
            return counts._replace(quiet=counts.quiet + 1)
        case "pop":
            return counts._replace(
                requests=counts.requests + many,
                batches=counts.batches + 1,
                bytes=counts.bytes + sum(event.lengths),
            )
    return counts


def second_before(found: list[Frame], index: int) -> Counts:
    """What was counted in the second before frame `index`."""
    frame = found[index]
    first = bisect_left(found, frame.ns - SECOND, hi=index, key=lambda each: each.ns)
    start = found[first - 1].counts if first else Counts()
    return frame.counts.minus(start)


def busiest(found: list[Frame]) -> int:
    """The first frame with the most chains on their way. `ValueError` if there is no frame."""
    on_their_way = [frame.shot.added - frame.shot.used for frame in found]
    return on_their_way.index(max(on_their_way))


def frame_picture(found: list[Frame], index: int, title: str = "Linux's ring") -> Picture:
    """Frame `index`, and what is not as in the frame before."""
    if not found:
        words = "No ring runs: the driver has not started the device, or has stopped it."
        return picture(title, 90, [], f"{title}\n{words}", f"{title}. {words}")
    frame = found[index]
    now, before = look(frame.shot), look(found[max(0, index - 1)].shot)
    same = before if before.size == now.size and before.packed is now.packed else now
    event = f", at `{frame.event}`".replace("`", "") if frame.event else ""
    rates = (("the second before", second_before(found, index)), ("so far", frame.counts))
    return ring_picture(now, f"{title}, after {frame.ns / SECOND:.3f} s{event}", same, rates)


def frame_words(found: list[Frame], index: int) -> str:
    """Frame `index` in a sentence."""
    if not found:
        return "No ring runs."
    now: Look = look(found[index].shot)
    event = f" The last event: `{found[index].event}`." if found[index].event else ""
    return f"Frame {index + 1} of {len(found)}. {in_words(now)}.{event}"


class RealRing(Follower):
    """Ring `ring` of `real`, a session of `virtlab.hosts.live`, or of a `Tape`."""

    def __init__(
        self, real: Any, ring: int = 0, title: str = "Linux's ring", start: int | None = None
    ) -> None:
        self.real, self.ring = real, ring
        tape = real if isinstance(real, Tape) else real.tape
        self.live = not isinstance(real, Tape) and real.tier.name == LIVE
        self.frames, begin = frames(tape.moments, ring)
        self._began = time.monotonic_ns() - (self.frames[-1].ns if self.frames else 0)
        last = max(0, len(self.frames) - 1)
        super().__init__(
            max(1, len(self.frames)),
            lambda index: frame_picture(self.frames, index, title),
            lambda index: frame_words(self.frames, index),
            title,
            begin,
            last if start is None else min(start, last),
            self._grown if self.live else None,
        )

    def __repr__(self) -> str:
        return f"RealRing: ring {self.ring} as Linux drives it"

    def _grown(self) -> int:
        """One shot more of a living ring. A session that is over has no more."""
        try:
            shot = self.real.shot(self.ring)
        except (RuntimeError, OSError):
            shot = None
        if shot is not None:
            counts = Counts.of(self.real.statistics)
            self.frames.append(Frame(time.monotonic_ns() - self._began, shot, "", counts))
            del self.frames[:-MOST]
        return len(self.frames)
