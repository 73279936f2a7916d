"""The capstone's last step: an unmodified Linux on a student's back-end.

    thread that called      Server.turn: the student's code, and what is said of it
    another thread          Linux is given its works, one by one

The idea: the student's code runs in the thread that called, so that its errors and Ctrl-C end where
they should. Linux is driven by another thread, which only waits for commands.

The rule that keeps it simple: whatever would leave a learner in front of a silent cell is said as
soon as it is known: a ring that broke, a hang-up, a device that does nothing for a while.

Linux only. What is left out: a front-end that comes again after a hang-up.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

from virtlab.backends.disk import Disk
from virtlab.course.ps7.server import OwnBackEnd, Reply, Server, Split
from virtlab.hosts.linux import LinuxGuest
from virtlab.hosts.linux_devices import blk
from virtlab.hosts.linux_initrd import Image, linux_image
from virtlab.hosts.live_works import DISK, WORKS

SECONDS, QUIET = 300.0, 15.0
"""Seconds of the whole; seconds without a message or a kick after which that is said."""


class Served(NamedTuple):
    """How it went: the exit `status` of each work by name, and the `disk` afterwards."""

    status: dict[str, int]
    disk: Disk
    messages: int
    kicks: int
    calls: int

    @property
    def ok(self) -> bool:
        """Whether all of it was done, and well."""
        return list(self.status) == list(WORKS) and not any(self.status.values())

    def __repr__(self) -> str:
        ended = f"it ended with {self.status}" if self.status else "it ended before Linux was ready"
        done = "all of it went well" if self.ok else ended
        return f"{done}: {self.messages} messages, {self.kicks} kicks, {self.calls} calls"


def serve_linux(
    back_end: Callable[[Disk, bytes], OwnBackEnd],
    split_stream: Split,
    reply: Reply,
    say: Callable[[str], None] = print,
    image: Image | None = None,
) -> Served | None:
    """Boot Linux on a disk that is a student's back-end; it makes a file system and checks it.

    `say` is told what is done. None if QEMU or a kernel is missing: then it says which.
    """
    try:
        image = image or linux_image()
    except FileNotFoundError as missing:
        say(f"no Linux can be booted here: {missing}")
        return None
    disk = Disk(DISK)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        path = str(Path(folder) / "disk.sock")
        server = Server(path, lambda: back_end(disk, b"virtlab"), split_stream, reply)
        stack.callback(server.close)
        try:
            guest = stack.enter_context(LinuxGuest(blk(path), image=image))
        except FileNotFoundError as missing:
            say(f"no Linux can be booted here: {missing}")
            return None
        status = _watch(server, guest, say)
        return Served(status, disk, server.messages, server.kicks, server.calls)


def _watch(server: Server, guest: LinuxGuest, say: Callable[[str], None]) -> dict[str, int]:
    """Serve until Linux has done its works, and say what comes of them."""
    told: SimpleQueue[tuple[str, str, int]] = SimpleQueue()
    status: dict[str, int] = {}
    linux = threading.Thread(target=_work, args=(guest, told), daemon=True)
    say("Linux boots")
    linux.start()
    seen = _Seen(server, say)
    end = time.monotonic() + SECONDS
    while linux.is_alive() and time.monotonic() < end and not server.hung_up:
        server.turn()
        status |= _told(told, say)
        seen.look()
    status |= _told(told, say)
    seen.look()
    if server.hung_up:
        say(f"your code hung up on {server.hung_up}; QEMU has no disk now")
    return status


class _Seen:
    """What was said of a server, so that each thing is said once."""

    def __init__(self, server: Server, say: Callable[[str], None]) -> None:
        self.server, self.say = server, say
        self.words, self.waited = 0, False
        self.counts, self.since = (0, 0), time.monotonic()

    def look(self) -> None:
        """Say what is new; that nothing happens, only once."""
        server = self.server
        for word in server.words[self.words :]:
            self.say(f"the ring is broken: {word}; no request is served any more")
        self.words = len(server.words)
        counts, now = (server.messages, server.kicks), time.monotonic()
        if counts != self.counts:
            self.counts, self.since = counts, now
        elif not self.waited and now - self.since > QUIET:
            said = f"messages {counts[0]}, the last of them {server.last}; kicks {counts[1]}"
            self.say(f"nothing has come for {QUIET:g} s ({said}); you can stop this cell")
            self.waited = True


def _told(told: SimpleQueue[tuple[str, str, int]], say: Callable[[str], None]) -> dict[str, int]:
    """Say what has come from the other thread, and give how each work ended."""
    status: dict[str, int] = {}
    with contextlib.suppress(Empty):
        while True:
            name, text, ended = told.get_nowait()
            status[name] = ended
            say(text)
    return status


def _work(guest: LinuxGuest, told: SimpleQueue[tuple[str, str, int]]) -> None:
    """Give Linux its commands, in a thread of its own."""
    try:
        for name, command in WORKS.items():
            ran = guest.run(command)
            told.put((name, f"# {command}\n{ran.text}".rstrip(), ran.status))
        guest.power_off()
    except OSError as error:
        told.put(("Linux", str(error), 1))
