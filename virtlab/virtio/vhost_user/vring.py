"""One ring of a back-end: what the front-end has said about it, and the queue while it runs.

    SET_VRING_NUM, ADDR, BASE      numbers; nobody has looked at the memory yet
    SET_VRING_KICK, CALL, ERR      eventfds: doorbell, interrupt, failure
    a kick                         start: the queue is made, and must be a possible one
    SET_VRING_ENABLE               whether it is served
    GET_VRING_BASE                 stop: says where the next start goes on

The idea: `queue` is there from start to stop, and that is all there is to the ring's state. With
`enabled`, and not `broken`, it is served.

The rule that keeps it simple: the base of a ring is its used position. What was taken and not given
back is behind it, so it is served at the next start, from the ring or from the notes (INFLIGHT).

Source: vhost-user.rst, "Ring states", SET_VRING_*; libvhost-user for what the base of a packed ring
looks like: the available position in bits 15:0, the used one in bits 31:16.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from virtlab.memory import Bytes
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.packed_chain import flags_at
from virtlab.virtio.packed_layouts import PackedRings, from_word, to_word
from virtlab.virtio.vhost_user.inflight import Inflight, Taken
from virtlab.virtio.vhost_user.inflight_packed import PackedTracker
from virtlab.virtio.vhost_user.inflight_split import SplitTracker
from virtlab.virtio.vhost_user.layouts import VRING_LOG
from virtlab.virtio.vhost_user.ledger import Ledger
from virtlab.virtio.vhost_user.messages import ProtocolError
from virtlab.virtio.vhost_user.portions import Portions
from virtlab.virtio.vhost_user.served import Served, ServedPacked, ServedSplit
from virtlab.virtio.vhost_user.shared_memory import SharedMemory

ONE = (1).to_bytes(8, "little")
"""What an event is, written to a descriptor."""


NotesOf = tuple[Bytes, int]
"""A region of the inflight buffer, and how many states it has."""


def _waits(fd: int) -> bool:
    """Whether somebody can wait for `fd`; then reading and writing it does not block any more."""
    # Files and devices are always ready: nobody can wait for them.
    if stat.S_IFMT(os.fstat(fd).st_mode) not in (0, stat.S_IFIFO, stat.S_IFSOCK):
        return False
    try:
        # The front-end's end is the same, so that does not block either. All of them expect it.
        os.set_blocking(fd, False)
    except OSError:
        return False  # a place in a folder, and no more (O_PATH)
    return True


class EventFd:
    """An eventfd that came from the other end, or none. It does not make anybody wait.

    The other end could undo that, as both have the same eventfd: a front-end is trusted so far.
    """

    def __init__(self) -> None:
        self.fd: int | None = None

    def set(self, fd: int | None) -> None:
        """Have this one from now on, and own it. `ProtocolError` if it can be none."""
        self.close()
        self.fd = fd
        if fd is not None and not _waits(fd):
            self.close()
            raise ProtocolError("a descriptor that is no eventfd")

    def close(self) -> None:
        """Have none."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def signal(self) -> None:
        """Count one event more. A counter that is full says enough."""
        if self.fd is None:
            return
        try:
            os.write(self.fd, ONE)
        except OSError:
            return

    def drain(self) -> bool:
        """Whether there was an event; it is taken. One that is broken is closed."""
        if self.fd is None:
            return False
        try:
            data = os.read(self.fd, 4096)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
        return bool(data)


class Vring:
    """Ring `ledger.ring`, of at most `max_size` entries, in `memory`."""

    def __init__(self, max_size: int, memory: SharedMemory, ledger: Ledger) -> None:
        self.index = ledger.ring
        self.max_size = max_size
        self.memory = memory
        self.ledger = ledger
        self.kick, self.call, self.err = EventFd(), EventFd(), EventFd()
        self.queue: Served | None = None
        self.answers = False  # whether who fills this ring waits for answers
        self.on_call: Callable[[], None] = self.call.signal
        self.forget()

    def forget(self) -> None:
        """As at first: nothing was said. It is stopped before."""
        for event in (self.kick, self.call, self.err):
            event.close()
        self.size = self.max_size
        self.base = 0
        self.addresses: tuple[int, int, int] | None = None  # descriptor, available, used: user
        self.enabled = self.kicked = self.polled = self.broken = False

    @property
    def sound(self) -> bool:
        """Whether the driver has done nothing wrong since it started."""
        return not self.broken

    @property
    def served(self) -> bool:
        """Whether the device may look into it."""
        return self.queue is not None and self.enabled and not self.broken

    # -- what the front-end says

    def resize(self, size: int) -> None:
        """SET_VRING_NUM. `ProtocolError` for a size that cannot be, or while it runs."""
        self._stopped("the size")
        if not 0 < size <= self.max_size:
            raise ProtocolError(f"a ring of {size}, where {self.max_size} is the largest")
        self.size = size

    def place(self, addresses: tuple[int, int, int], flags: int, log: int) -> None:
        """SET_VRING_ADDR: user addresses. While it runs, only the log may be another one."""
        if addresses != self.addresses:
            self._stopped("the addresses")
        self.addresses = addresses
        # The larger of both layouts' used parts; what is too much marks a page too many.
        used = range(log, log + 16 * self.size) if flags & VRING_LOG else range(0)
        self.ledger.log_ring = used

    def rebase(self, base: int) -> None:
        """SET_VRING_BASE: where it goes on."""
        self._stopped("the base")
        self.base = base

    def _stopped(self, what: str) -> None:
        if self.queue is not None:
            raise ProtocolError(f"{what} of ring {self.index}, which runs")

    # -- start and stop

    def start(self, features: Features, inflight: Inflight | None) -> None:
        """Make the queue. `ProtocolError` or `GuestError` if there can be none."""
        self.ledger.tracker = None
        packed = Feature.RING_PACKED in features
        start = self._start_packed if packed else self._start_split
        self.queue = start(features, self._notes(inflight, packed) if inflight else None)
        self.queue.portions = Portions() if self.answers else None
        self.broken = False

    def _notes(self, inflight: Inflight, packed: bool) -> NotesOf:
        """Where the notes on this ring are, and of how many chains."""
        if inflight.packed != packed or self.index >= len(inflight.regions):
            why = f"ring {self.index}, and notes on {len(inflight.regions)} rings"
            raise ProtocolError(f"{why}, {'packed' if inflight.packed else 'split'} ones")
        return inflight.regions[self.index], inflight.queue_size

    def _start_split(self, features: Features, notes: NotesOf | None) -> Served:
        tracker = SplitTracker(*notes, self.size) if notes else None
        queue = ServedSplit(self.memory, self._call, self.ledger)
        rings = SplitRings(self.size, *self._parts(packed=False))
        queue.enable(rings, features)
        used = self.memory.load(rings.used_field("idx"), 2)
        # What was taken and not used is not lost: the used ring says from where on.
        lost = (self.base - used) & 0xFFFF
        base = used if tracker is not None or lost <= self.size else self.base & 0xFFFF
        queue.enable(rings, features, base)
        if tracker is not None:
            queue.resume(tracker.recover(used))
            self.ledger.tracker = tracker
        return queue

    def _start_packed(self, features: Features, notes: NotesOf | None) -> Served:
        tracker = PackedTracker(*notes, self.size) if notes else None
        queue = ServedPacked(self.memory, self._call, self.ledger)
        rings = PackedRings(self.size, *self._parts(packed=True))
        # The used position; where only one is given, both are the same.
        word = self.base >> 16 or self.base & 0xFFFF
        base, left = from_word(word, self.size), list[Taken]()
        if base is None:
            raise ProtocolError(f"ring {self.index} goes on at {word:#x}, beyond {self.size}")
        queue.enable(rings, features, base)
        if tracker is not None:
            base, left = tracker.recover(base, lambda at: flags_at(self.memory, rings, at))
            queue.enable(rings, features, base)
            queue.resume(left)
            self.ledger.tracker = tracker
        return queue

    def _parts(self, packed: bool) -> tuple[int, int, int]:
        """The gpas of the three parts, in the order of `SplitRings` and `PackedRings`."""
        assert self.addresses is not None
        kind = PackedRings if packed else SplitRings
        lengths = [length for _, length in kind(self.size, 0, 0, 0).parts]
        found = [
            self.memory.gpa_of(user, length)
            for user, length in zip(self.addresses, lengths, strict=True)
        ]
        return found[0], found[1], found[2]

    def moved(self) -> bool:
        """Whether the running queue does not lie where it did, in the memory there is now."""
        if self.queue is None:
            return False
        packed = isinstance(self.queue, ServedPacked)
        try:
            return self._parts(packed) != self.queue.rings[1:]
        except ProtocolError:
            return True

    def stop(self) -> int:
        """The queue ends; gives the base at which the next one goes on."""
        queue, self.queue = self.queue, None
        self.kicked = False
        self.ledger.tracker = None
        if isinstance(queue, ServedPacked):
            word = to_word(queue.used, queue.size)
            self.base = word | word << 16
        elif queue is not None:
            self.base = queue.used & 0xFFFF
        if queue is not None:
            # What it has learned of the memory would keep that alive.
            queue.reset()
        return self.base

    def _call(self) -> None:
        self.on_call()
