"""Two back-ends at one socket, one after the other: the first is killed with chains in its hands.

    thread      Loop with a `Mortal` disk  -- Killed -->  Loop with a `VirtioBlk`
    file        the notes                  ----------->   the same notes

The idea: the second back-end is told everything again, as by QEMU. Only the notes tell it what the
first one had.

The rule that keeps it simple: the death is an exception that nobody catches until the thread ends.
Nothing is written on the way, as after `kill -9`. Then descriptors are closed, as a kernel does.

Linux only. Source: vhost-user.rst, "Inflight I/O tracking".
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from virtlab.backends.disk import Disk
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.guest.virtio_blk_queue import Request
from virtlab.hosts.vhost_user import VhostUserDevice
from virtlab.hosts.vhost_user_ram import FileRam, RamCpu
from virtlab.show.real_crash import Crash, Note
from virtlab.virtio.blk import Agreed, VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR, BlkFeature, BlkType
from virtlab.virtio.device import Queue
from virtlab.virtio.features import Feature
from virtlab.virtio.status import DeviceId
from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.inflight import SPLIT_REGION, SPLIT_STATE, states_of
from virtlab.virtio.vhost_user.loop import Loop

RAM = 8 << 20
ROOM = (0x10_0000, 4 << 20)
DISK = 1 << 20
SIZE = 16
"""Entries of the ring."""

SPLIT = frozenset({Feature.VERSION_1, Feature.RING_INDIRECT_DESC, BlkFeature.FLUSH})
"""What the driver understands: its ring is a split one."""

PATIENCE = 20.0
"""Seconds in which a thread must end."""


class Killed(Exception):
    """The end of a back-end. Nobody catches it before its thread does."""


class Mortal(VirtioBlk):
    """A disk that takes what waits, answers the first `answers` of it, and dies."""

    def __init__(self, disk: Disk, answers: int) -> None:
        super().__init__(disk, queue_size=SIZE)
        self.answers = answers
        self.answered: list[int] = []

    def handle(self, index: int, queue: Queue) -> None:
        """See `VirtioBlk`, up to the end."""
        taken = list(iter(queue.pop, None))
        for chain in taken[: self.answers]:
            queue.push(chain, self.answer(chain, Agreed(queue.dma, queue.features)))
            self.answered.append(chain.head)
        if taken:
            raise Killed


def live_twice(requests: int, answers: int) -> Crash:
    """Let a driver make `requests` writes; the first back-end dies after `answers`."""
    disk = Disk(DISK)
    mortal = Mortal(disk, answers)
    with _served(disk, mortal) as served:
        cpu = RamCpu(FileRam(RAM))
        with VhostUserDevice(served.path, cpu, DeviceId.BLOCK, reconnects=True) as device:
            driver = BlkDriver(
                cpu, device, Room(*ROOM), understood=SPLIT, size=SIZE, slots=requests
            )
            driver.start()
            done = driver.run([Request(BlkType.OUT, n, _data(n)) for n in range(requests)])
            lost = device.lost
    kept = all(disk.read(n, 1) == _data(n) for n in range(requests))
    statuses = tuple(answer.status for answer in done)
    return Crash(tuple(mortal.answered), served.notes, served.again, statuses, kept, lost)


def _data(number: int) -> bytes:
    """What the driver writes to sector `number`."""
    return f"request {number}".encode().ljust(SECTOR, b".")


class _Lives:
    """Two back-ends at the socket `path`, one after the other, in a thread."""

    def __init__(self, path: str, disk: Disk, mortal: Mortal) -> None:
        self.path = path
        self.notes: tuple[Note, ...] = ()
        self.again = 0
        self._session: BackEnd | None = None
        self._disk = disk
        self._loop = self._listen(mortal)
        self.thread = threading.Thread(target=self._run, name="virtlab back-ends", daemon=True)

    def _listen(self, device: VirtioBlk) -> Loop:
        """A loop that serves `device` to whoever comes."""
        Path(self.path).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen()
        loop = Loop()
        loop.listen(listener, lambda sock: self._make(device, sock))
        return loop

    def _make(self, device: VirtioBlk, sock: socket.socket) -> BackEnd:
        self._session = BackEnd(device, sock)
        return self._session

    def _run(self) -> None:
        try:
            self._loop.run()
        except Killed:
            self.notes = _notes(self._session)
            self._loop.close()
            self._loop = self._listen(VirtioBlk(self._disk, queue_size=SIZE))
            self._loop.run()
        if self._session is not None:
            self.again = self._session.statistics.again
        self._loop.close()

    def stop(self) -> None:
        """End, whichever of the two is at work."""
        self._loop.stop()
        self.thread.join(PATIENCE)


@contextlib.contextmanager
def _served(disk: Disk, mortal: Mortal) -> Iterator[_Lives]:
    with tempfile.TemporaryDirectory(prefix="virtlab-") as folder:
        lives = _Lives(str(Path(folder) / "disk.sock"), disk, mortal)
        lives.thread.start()
        try:
            yield lives
        finally:
            lives.stop()


def _notes(back_end: BackEnd | None) -> tuple[Note, ...]:
    """What stands in the notes on ring 0, in the order of taking."""
    if back_end is None or back_end.inflight is None:
        return ()
    count = back_end.inflight.queue_size
    states = states_of(back_end.inflight.regions[0], SPLIT_REGION, SPLIT_STATE, count)
    held = [
        Note(head, int(states["counter"][head]))
        for head in range(count)
        if states["inflight"][head]
    ]
    return tuple(sorted(held, key=lambda note: note.counter))
