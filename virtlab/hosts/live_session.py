"""A session with a disk and who uses it: what all three tiers of it have in common.

    work(name)    the next works up to this one are done; a work that is done is not done again
    tape, console, statistics, shot, disk, fsck

The idea: a notebook's cell may be run twice, or before the one above it. Each cell asks for the
work that it is about, and gets the same answer whatever ran before.

The rule that keeps it simple: whoever made the session ends it, by `close` or a `with`.
"""

from __future__ import annotations

import subprocess
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

from virtlab.backends.disk import Disk
from virtlab.hosts.linux_find import find_program
from virtlab.hosts.linux_lines import text_of
from virtlab.hosts.live_works import WORKS, Work
from virtlab.hosts.tape import Tape
from virtlab.hosts.tape_shot import RingShot
from virtlab.virtio.vhost_user.statistics import Statistics

CHECK = 60.0
"""Seconds in which a file system is checked."""


class Tier(NamedTuple):
    """How real a session is: `name` is "live", "qtest" or "recorded"; `why` says it in words."""

    name: str
    why: str


class Fsck(NamedTuple):
    """Whether the file system is `clean`, and the `words` of the program that looked at it."""

    clean: bool
    words: str


class Session(ABC):
    """`disk` and who uses it, in one `tier`, with a ring that is "split" or "packed"."""

    works = tuple(WORKS)
    """The names of the works, in the order in which they are done."""

    def __init__(self, tier: Tier, disk: Disk, ring: str) -> None:
        self.tier = tier
        self.disk = disk
        self.ring = ring
        self.done: dict[str, Work] = {}
        self._end: Callable[[], object] = _nothing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything that the session has started. What it has seen can still be asked for.

        Closing twice does nothing.
        """
        self._end()

    def _owns(self, made: ExitStack) -> None:
        """`made` is closed with the session: by `close`, with the object, or with Python."""
        self._end = weakref.finalize(self, made.pop_all().close)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.tier.name}, {len(self.done)} of {len(self.works)})"

    # -- works

    def work(self, name: str | None = None) -> Work:
        """Do the works up to `name`, or the next one; give the last. Done ones are remembered.

        `ValueError` for an unknown name. A work that fails has a `status` other than 0, and those
        behind it are tried all the same. Whatever interrupts one ends the session.
        """
        left = [each for each in self.works if each not in self.done]
        wanted = name if name is not None else left[0] if left else self.works[-1]
        if wanted not in self.works:
            raise ValueError(f"no work {name!r}; there are {', '.join(self.works)}")
        for each in left:
            if wanted in self.done:
                break
            try:
                self.done[each] = self._do(each)
            except BaseException:
                # Nobody knows what the other side has done of it.
                self.close()
                raise
        return self.done[wanted]

    @abstractmethod
    def _do(self, name: str) -> Work:
        """Do a work, which is the next one."""

    # -- what there is to see

    @property
    @abstractmethod
    def tape(self) -> Tape:
        """What has happened so far; of a long session the end."""

    @property
    def console(self) -> str:
        """What the console printed so far."""
        return text_of(self.tape.console)

    @property
    @abstractmethod
    def statistics(self) -> Statistics:
        """What the back-end counted so far."""

    @abstractmethod
    def shot(self, ring: int = 0) -> RingShot | None:
        """The ring as it is now; of a recording, as it was last seen. None if it does not run."""

    def press(self, keys: str | bytes) -> None:
        """Press keys at the console. `ValueError` unless a Linux is there to see them."""
        raise ValueError(f"nobody is at the console in the tier {self.tier.name!r}")

    def image(self) -> bytes:
        """A copy of all that is on the disk."""
        return self.disk.read(0, self.disk.sectors)

    def fsck(self) -> Fsck:
        """Check the disk with this machine's `e2fsck`; without one, what Linux's own has said."""
        try:
            return self._checked_here()
        except OSError:
            work = self.work("fsck")
            words = f"Linux's own e2fsck, exit status {work.status}:\n{work.text}"
            return Fsck(work.status == 0, words)

    def _checked_here(self) -> Fsck:
        program = find_program("e2fsck")
        with tempfile.TemporaryDirectory(prefix="virtlab-") as folder:
            image = Path(folder) / "disk.img"
            image.write_bytes(self.image())
            done = subprocess.run(
                [program, "-f", "-n", image],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=CHECK,
            )
        said = (done.stderr + done.stdout).replace(str(image), "disk.img")
        words = f"this machine's e2fsck, exit status {done.returncode}:\n{said}"
        return Fsck(done.returncode == 0, words)


def _nothing() -> None:
    """There is nothing to end."""
