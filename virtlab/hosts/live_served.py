"""A disk of ours for a virtual machine, served by a thread of this process.

    this thread                     the disk's thread                    QEMU
    call(f) -- waits for f() -->    Loop: BackEnd of NotedBlk  <-- a socket in a private folder

The idea: a ring is looked at where it is served, between two requests. So whoever wants to know
something asks the loop to find it out.

The rule that keeps it simple: everything that was made is ended by `close`, whatever happened. An
error in the thread is raised to the next who asks.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import TypeVar

from virtlab.backends.disk import Disk
from virtlab.hosts.live_blk import NotedBlk
from virtlab.hosts.live_record import Recorder, look
from virtlab.hosts.live_session import Session
from virtlab.hosts.tape_moments import Counts
from virtlab.hosts.tape_shot import RingShot
from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.loop import Loop
from virtlab.virtio.vhost_user.session import RING_FEATURES
from virtlab.virtio.vhost_user.statistics import Statistics

PATIENCE, TURN = 20.0, 0.2
"""Seconds in which the thread must answer, and between two looks whether it lives."""

LONGEST = 90
"""Bytes of a folder's path below which a socket's path fits into its address (unix(7): 108)."""

T = TypeVar("T")


class ServedDisk:
    """`disk`, with rings of `slots` entries, at the socket `path`. `recorder` hears of everything.

    `ring` are the features of rings that may be negotiated.
    """

    def __init__(
        self,
        disk: Disk,
        recorder: Recorder,
        slots: int,
        ring: Iterable[int] = RING_FEATURES,
    ) -> None:
        self.device = NotedBlk(disk, recorder.chain, slots)
        self.recorder = recorder
        self.failed: BaseException | None = None
        self._ring = frozenset(ring)
        self._back_end: BackEnd | None = None
        self._closed = False
        with contextlib.ExitStack() as made:
            self.folder = Path(made.enter_context(_folder()))
            self.path = self.folder / "disk.sock"
            listener = made.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind(str(self.path))
            listener.listen()
            self._loop = Loop()
            made.callback(self._loop.close)
            self._loop.listen(listener, self._make)
            self._thread = threading.Thread(target=self._run, name="virtlab disk", daemon=True)
            self._thread.start()
            made.callback(self._stop)
            self._made = made.pop_all()

    def close(self) -> None:
        """Hang up, end the thread, remove the socket. Closing twice does nothing."""
        self._made.close()
        self._closed = True

    # -- questions

    @property
    def statistics(self) -> Statistics:
        """What was counted since the virtual machine came; nothing before."""
        return self._back_end.statistics if self._back_end is not None else Statistics()

    def shot(self, ring: int = 0) -> RingShot | None:
        """The ring as it is now; None if it does not run."""
        back_end = self._back_end
        return None if back_end is None else self.call(partial(look, back_end, ring))

    def call(self, what: Callable[[], T]) -> T:
        """What `what` gives, or raises, called in the disk's thread.

        After `close` there is no such thread, and it is called here. `RuntimeError` if the thread
        has ended by itself, and `TimeoutError` if it does not answer.
        """
        if self._closed:
            return what()
        asked: Future[T] = Future()

        def do() -> None:
            try:
                asked.set_result(what())
            except Exception as error:
                asked.set_exception(error)

        self._loop.call(do)
        end = time.monotonic() + PATIENCE
        while not asked.done():
            if not self._thread.is_alive():
                raise RuntimeError("the thread of the disk has ended") from self.failed
            if time.monotonic() > end:
                raise TimeoutError("the thread of the disk does not answer")
            wait([asked], TURN)
        return asked.result()

    # -- the thread

    def _make(self, sock: socket.socket) -> BackEnd:
        back_end = BackEnd(self.device, sock, self._ring)
        back_end.watch = partial(self.recorder.event, back_end)
        for vring in back_end.rings:
            vring.ledger.watch = back_end.watch
        self._back_end = back_end
        return back_end

    def _run(self) -> None:
        try:
            self._loop.run()
        except BaseException as error:
            self.failed = error

    def _stop(self) -> None:
        self._loop.stop()
        self._thread.join(PATIENCE)


class ServedSession(Session):
    """A session whose disk is `_served`, which whoever derives from this has made."""

    _served: ServedDisk

    def _counts(self) -> Counts:
        """Between two requests: then nothing is counted by halves."""
        return self._served.call(lambda: Counts.of(self._served.statistics))

    @property
    def statistics(self) -> Statistics:
        """See `Session`."""
        return self._served.statistics

    def shot(self, ring: int = 0) -> RingShot | None:
        """See `Session`."""
        return self._served.shot(ring)

    def image(self) -> bytes:
        """See `Session`: between two requests."""
        return self._served.call(super().image)


def _folder() -> tempfile.TemporaryDirectory[str]:
    """A folder that only we may enter, whose path is short enough for a socket."""
    folder = tempfile.TemporaryDirectory(prefix="virtlab-")
    if len(folder.name.encode()) > LONGEST:
        folder.cleanup()
        folder = tempfile.TemporaryDirectory(prefix="virtlab-", dir="/tmp")
    return folder
