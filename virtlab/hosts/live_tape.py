"""The tier "recorded": a session from a tape, with no QEMU, no Linux, no socket and no thread.

    tape  --> the next command's moments --> each request once more --> our VirtioBlk --> disk

The idea: the recording holds each request that Linux made. Our device does them all again, so the
disk is filled byte by byte as it was then, and the answers are those that Linux got.

The rule that keeps it simple: an answer that differs from the one on the tape is an error
(`Differs`), never a footnote.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

from virtlab.backends.disk import Disk
from virtlab.hosts.live_blk import again
from virtlab.hosts.live_session import Session, Tier
from virtlab.hosts.live_works import Work
from virtlab.hosts.tape import Tape
from virtlab.hosts.tape_moments import ChainNote, Counts, Moment, Said
from virtlab.hosts.tape_shot import RingShot
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.layouts import MAX_SIZE
from virtlab.virtio.vhost_user.statistics import Statistics

RECORDINGS = {"split": "disk.jsonl.gz", "packed": "packed.jsonl.gz"}
"""The recordings that come with the library, by the layout of the ring."""


def checked(ring: str) -> str:
    """`ring`, if there is a layout of that name; else `ValueError`."""
    if ring not in RECORDINGS:
        raise ValueError(f"a ring is {' or '.join(RECORDINGS)}, not {ring!r}")
    return ring


def recorded(ring: str = "split") -> Tape:
    """The recording that comes with the library. `data/README.md` says where it comes from.

    `ValueError` for a layout that is none.
    """
    file = resources.files("virtlab") / "data" / "linux" / RECORDINGS[checked(ring)]
    with resources.as_file(file) as path:
        return Tape.read(path)


LARGEST = 1 << 30
"""Bytes of the largest disk that is made because a tape says so."""


class Parts:
    """The parts of a tape, one for each command, taken one by one; `begun` are their moments."""

    def __init__(self, tape: Tape) -> None:
        self.about = tape.about
        self.begun: list[Moment] = []
        self._parts: Iterator[tuple[Said, list[Moment]]] = tape.parts()

    def take(self, name: str) -> tuple[Said, list[Moment]]:
        """The next part. `ValueError` unless it is that of the command `name`."""
        said, moments = next(self._parts, (None, []))
        if said is None or said.name != name:
            there = "ends" if said is None else f"goes on with {said.name!r}"
            raise ValueError(f"the tape has no {name!r} here: it {there}")
        self.begun += moments
        return said, moments

    def number(self, name: str, most: int) -> int:
        """A number from what the tape says of itself. `ValueError` unless it is 1 to `most`."""
        value = self.about.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
            raise ValueError(f"the tape does not say its {name!r}, from 1 to {most}")
        return value

    @property
    def disk(self) -> int:
        """Bytes of the disk."""
        return self.number("disk", LARGEST)

    @property
    def slots(self) -> int:
        """Entries of its ring."""
        return self.number("slots", MAX_SIZE)


class RecordedSession(Session):
    """What `tape` has, or the recording of the library with that `ring`."""

    def __init__(self, tier: Tier, ring: str = "split", tape: Tape | None = None) -> None:
        self._parts = Parts(tape or recorded(ring))
        super().__init__(tier, Disk(self._parts.disk), ring)
        self._device = VirtioBlk(self.disk, queue_size=self._parts.slots)
        self._total = Counts()

    def _do(self, name: str) -> Work:
        said, moments = self._parts.take(name)
        for moment in moments:
            if isinstance(moment.what, ChainNote):
                again(self._device, moment.what)
        self._total = self._total.plus(said.counts)
        return Work.of(said)

    # -- what there is to see

    @property
    def tape(self) -> Tape:
        """See `Session`: as far as it was played."""
        return Tape(self._parts.about, list(self._parts.begun))

    @property
    def statistics(self) -> Statistics:
        """See `Session`: as they were counted then."""
        return Statistics(**self._total._asdict())

    def shot(self, ring: int = 0) -> RingShot | None:
        """See `Session`."""
        for moment in reversed(self._parts.begun):
            if isinstance(moment.what, RingShot) and moment.what.ring == ring:
                return moment.what
        return None
