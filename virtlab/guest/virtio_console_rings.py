"""A port of a console, as its guest has it: buffers that wait to be filled, and some that send.

    ReceiveRing   [ buf 0 ][ buf 1 ][ buf 2 ] ...     each goes back as soon as it was read
    SendRing      [ data .......... ]                 free again when the device has used it

The idea: for a stream the driver keeps all its buffers with the device, so that there is always
room for what comes. What it sends it sends in pieces, and waits until they are taken: then it can
use the same memory again.

The rule that keeps it simple: a buffer's token is its number, and its number is its place.

Source: virtio 1.3 5.3.6 and its footnote: a console is important and slow, so the driver polls.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from virtlab.cpu import Cpu
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk_slots import runs
from virtlab.guest.virtio_device import Queue
from virtlab.guest.virtio_transport import VirtioFailed, poll
from virtlab.virtio.console_layouts import ConsoleEvent

Say = Callable[[int, ConsoleEvent, int], None]
"""Sends a message about a port: its number, the event, a value."""


class Buffers:
    """Up to `count` buffers of `chunk` bytes for `queue`, side by side in `room`."""

    def __init__(self, cpu: Cpu, queue: Queue, room: Room, count: int, chunk: int) -> None:
        self.cpu = cpu
        self.queue = queue
        self.count = min(count, queue.size)
        self.chunk = chunk
        self.gpa = room.take(self.count * chunk)
        queue.disable_cb()


class ReceiveRing(Buffers):
    """Buffers that the device fills."""

    filled = False

    def fill(self) -> None:
        """Give all of them to the device; nothing if it has them already."""
        if not self.filled:
            self._give(np.arange(self.count))
            self.filled = True

    def _give(self, slots: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        self.queue.add_bufs(self.gpa + slots * self.chunk, self.chunk, slots, write=True)
        self.queue.kick()

    def take(self) -> list[bytes]:
        """What has come, buffer by buffer. They go back to the device at once."""
        tokens, written = self.queue.get_bufs()
        slots = np.array(tokens, np.int64)
        found: list[bytes] = []
        for begin, end in runs(slots):
            at = self.gpa + int(slots[begin]) * self.chunk
            raw = self.cpu.read(at, (end - begin - 1) * self.chunk + int(written[end - 1]))
            for number, length in enumerate(written[begin:end].tolist()):
                found.append(raw[number * self.chunk : number * self.chunk + length])
        if tokens:
            self._give(slots)
        return found


class SendRing(Buffers):
    """Buffers that the device reads."""

    def send(self, data: bytes) -> None:
        """Return when the device has used all of it. `VirtioFailed` if it does not."""
        step = self.count * self.chunk
        for at in range(0, len(data), step):
            self._send(data[at : at + step])

    def _send(self, data: bytes) -> None:
        self.cpu.write(self.gpa, data)
        places = np.arange(0, len(data), self.chunk)
        self.queue.add_bufs(self.gpa + places, np.minimum(self.chunk, len(data) - places))
        self.queue.kick()
        left = len(places)

        def taken() -> bool:
            nonlocal left
            left -= len(self.queue.get_bufs()[0])
            return left <= 0

        if not poll(self.cpu, taken):
            raise VirtioFailed("the console does not take what is sent")


class GuestPort:
    """A port of the device: `name` as it says, `console` and `size` if it is one.

    `is_open` is our end, `host_open` the far one.
    """

    def __init__(self, number: int, rings: tuple[ReceiveRing, SendRing], say: Say) -> None:
        self._receive, self._send = rings
        self._say = say
        self.number = number
        self.name = ""
        self.console = False
        self.size: tuple[int, int] | None = None
        self.is_open = self.host_open = False

    def read(self) -> bytes:
        """What has come since the last time."""
        found: list[bytes] = []
        # As much as the buffers hold twice over: what never ends shall not keep us here.
        for _ in range(2 * self._receive.count):
            pieces = self._receive.take()
            if not pieces:
                break
            found += pieces
        return b"".join(found)

    def write(self, data: bytes) -> None:
        """Send `data`; return when the device has taken it."""
        self._send.send(data)

    def open(self) -> None:
        """Our end is open: bytes may come."""
        self._tell(True)

    def close(self) -> None:
        """Our end is closed."""
        self._tell(False)

    def _tell(self, is_open: bool) -> None:
        self.is_open = is_open
        self._say(self.number, ConsoleEvent.PORT_OPEN, int(is_open))
