"""What a tape is made of: moments, and what each kind of them has.

    Moment(ns, kind, device, what)
                      `---------- bytes | Event | RingShot | ChainNote | Said

The idea: everything that happened is one kind of thing with a time. So a tape is a list, and who
plays it walks along.

The rule that keeps it simple: what a device was given is kept whole, and of what it gave back only
a checksum. Who makes the same requests again gets the same bytes, or the checksum says that not.

Source: virtio 1.3 5.2.6 (requests of a block device); the counts are those of `Statistics`.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.hosts.tape_shot import RingShot
from virtlab.virtio.vhost_user.statistics import Event, Statistics

CONSOLE, EVENT, RING, CHAIN, SAID = "console", "event", "ring", "chain", "said"
"""The kinds of a moment."""

NOTED = 4 << 20
"""Bytes of a request that is noted. Linux makes none above 1.25 MiB."""


class ChainNote(NamedTuple):
    """A request as the driver made it on ring `ring`, and how the device answered.

    `pieces` are the `(bytes, whether the device writes them)` of its buffers, in order. `data` is
    what the device could read, gathered. It wrote `written` bytes; the last writable byte is the
    `status`, and `answer` is the CRC-32 (zlib) of all that it could write, afterwards.
    """

    ring: int
    head: int
    pieces: tuple[tuple[int, bool], ...]
    data: bytes
    written: int
    status: int
    answer: int

    @property
    def writable(self) -> int:
        """Bytes that the device may write."""
        return sum(length for length, write in self.pieces if write)

    @property
    def whole(self) -> bool:
        """Whether `data` fills the pieces that are read, and all pieces are no more than `NOTED`.

        Who makes the request again needs memory for them.
        """
        total = sum(length for length, _ in self.pieces)
        return total <= NOTED and total - self.writable == len(self.data)


class Counts(NamedTuple):
    """What the back-end counted during a command: see `Statistics`."""

    requests: int = 0
    kicks: int = 0
    calls: int = 0
    quiet: int = 0
    batches: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, counts: Statistics) -> Counts:
        """What was counted so far."""
        return cls(*(getattr(counts, name) for name in cls._fields))

    def plus(self, other: Counts) -> Counts:
        """The sum, field by field."""
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def minus(self, other: Counts) -> Counts:
        """The difference, field by field."""
        return Counts(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


class Said(NamedTuple):
    """The guest was given `command` at `began` (ns); it printed `text`, and ended with `status`.

    `name` is what the command is called here, and `counts` what the back-end counted meanwhile.
    """

    name: str
    command: str
    status: int
    text: str
    began: int
    counts: Counts


What = bytes | Event | RingShot | ChainNote | Said
"""What a moment has: one type for each kind."""


class Moment(NamedTuple):
    """At `ns` nanoseconds. `kind` says what `what` is; `device` is whose ring it is, or empty."""

    ns: int
    kind: str
    device: str
    what: What
