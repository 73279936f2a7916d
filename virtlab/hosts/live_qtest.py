"""The tier "qtest": a QEMU without a Linux. Our own driver makes the requests that Linux made.

    tape --> our driver --> QEMU's vhost-user-blk-pci <-- vhost-user --> `ServedDisk`: our VirtioBlk

The idea: the driver's side of the ring is not recorded here, it is at work. Registers, doorbells,
events and shared memory are real; only who decided on the requests is on a tape.

The rule that keeps it simple: a request has the pieces that it had, and comes with those that came
by the same ring of the bell. What comes back must be what came back then (`Differs`).

Source: virtio 1.3 3.1.1, 5.2.5, 5.2.6. Left out: what the tape has of other rings than ring 0.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from virtlab.backends.disk import Disk
from virtlab.guest.pci import PortAccess
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES
from virtlab.guest.virtio_device import VirtioDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtqueue import Piece
from virtlab.hosts.live_blk import Answer, check
from virtlab.hosts.live_record import Recorder
from virtlab.hosts.live_served import ServedDisk, ServedSession
from virtlab.hosts.live_session import Tier
from virtlab.hosts.live_tape import Parts, recorded
from virtlab.hosts.live_works import Work
from virtlab.hosts.remote import QtestMachine
from virtlab.hosts.tape import Tape
from virtlab.hosts.tape_moments import ChainNote, Counts, Moment
from virtlab.virtio.features import Feature
from virtlab.virtio.pci_layouts import VENDOR
from virtlab.virtio.vhost_user.statistics import Event

PATIENCE, NAP = 10.0, 50e-6
"""Seconds in which a request must be answered, and between two looks."""

RAM = 64
"""MiB of the machine's RAM."""

ROOM = (0x10_0000, 1 << 20)
"""Where the ring and its tables lie."""

BUFFERS = (0x20_0000, 32 << 20)
"""Where the requests lie."""

RING = frozenset({Feature.VERSION_1, Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX})
"""What Linux's driver uses of a ring; for a packed one also RING_PACKED."""


class TapeDriver:
    """A driver of a block device that makes the requests of a tape."""

    def __init__(self, machine: QtestMachine, packed: bool) -> None:
        self.cpu = machine
        (function,) = (each for each in enumerate_pci(machine) if each.vendor == VENDOR)
        transport = ModernPci(machine, PortAccess(machine), function)
        self.virtio = VirtioDriver(machine, transport, Room(*ROOM))
        self.virtio.begin()
        self.virtio.negotiate(RING | BLK_FEATURES | ({Feature.RING_PACKED} if packed else set()))
        self.queue = self.virtio.add_queue(0, None, transport.queue_max(0))
        self.virtio.ready()

    def make(self, notes: Sequence[ChainNote]) -> None:
        """Make these requests, as many at once as the ring takes. `Differs`; `TimeoutError`."""
        for first in range(0, len(notes), self.queue.size):
            self._make(notes[first : first + self.queue.size])

    def _make(self, notes: Sequence[ChainNote]) -> None:
        room, waiting = Room(*BUFFERS), dict[int, list[Piece]]()
        for number, note in enumerate(notes):
            out, in_ = _placed(room, note)
            self._fill(out, note.data)
            for gpa, length in in_:
                self.cpu.write(gpa, bytes(length))
            self.queue.add_buf(out, in_, number)
            waiting[number] = in_
        self.queue.kick()

        def done() -> bool:
            while (used := self.queue.get_buf()) is not None:
                data = b"".join(self.cpu.read(*piece) for piece in waiting.pop(used.token))
                check(notes[used.token], Answer(data, used.written))
            return not waiting

        end = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"{len(waiting)} requests were not answered")
            time.sleep(NAP)

    def _fill(self, pieces: Sequence[Piece], data: bytes) -> None:
        for gpa, length in pieces:
            self.cpu.write(gpa, data[:length])
            data = data[length:]


def _placed(room: Room, note: ChainNote) -> tuple[list[Piece], list[Piece]]:
    """Memory for the pieces of a request: those to read, and those to write."""
    pieces = [((room.take(length), length), write) for length, write in note.pieces]
    return [piece for piece, write in pieces if not write], [p for p, write in pieces if write]


class QtestSession(ServedSession):
    """A QEMU on a disk of ours, and `tape`, or the library's recording, for what Linux would do.

    `FileNotFoundError` where there is no QEMU.
    """

    def __init__(self, tier: Tier, ring: str = "split", tape: Tape | None = None) -> None:
        self._parts = Parts(tape or recorded(ring))
        super().__init__(tier, Disk(self._parts.disk), ring)
        self._recorder = Recorder()
        slots, packed = self._parts.slots, ring == "packed"
        with contextlib.ExitStack() as made:
            self._served = ServedDisk(self.disk, self._recorder, slots)
            made.callback(self._served.close)
            device = "vhost-user-blk-pci,chardev=disk,num-queues=1"
            device += f",disable-legacy=on,queue-size={slots},packed={'on' if packed else 'off'}"
            words = ["-chardev", f"socket,id=disk,path={self._served.path}", "-device", device]
            machine = QtestMachine("q35", words, shared=True, ram_mib=RAM)
            self._driver = TapeDriver(made.enter_context(machine), packed)
            self._owns(made)

    def _do(self, name: str) -> Work:
        said, moments = self._parts.take(name)
        self._recorder.fresh()
        began, since = self._recorder.now, self._counts() if self.done else Counts()
        for notes in _groups(moments):
            self._driver.make(notes)
        self._recorder.console(b"".join(m.what for m in moments if isinstance(m.what, bytes)))
        counts = self._counts().minus(since)
        self._recorder.said(said._replace(began=began, counts=counts))
        return Work.of(said, counts)

    # -- what there is to see

    @property
    def tape(self) -> Tape:
        """See `Session`: the rings are those of now, and the console's text is of the tape."""
        about = {**self._parts.about, "how": "our driver, after the tape of a Linux"}
        return self._recorder.tape(about)


def _groups(moments: Sequence[Moment]) -> Iterator[list[ChainNote]]:
    """The requests, in groups that came by one ring of the bell."""
    group: list[ChainNote] = []
    for moment in moments:
        if isinstance(moment.what, Event) and moment.what.kind == "kick" and group:
            yield group
            group = []
        elif isinstance(moment.what, ChainNote):
            group.append(moment.what)
    if group:
        yield group
