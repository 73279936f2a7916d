"""A port of a virtio console, seen from the host: a stream of bytes in each direction.

    guest:  transmitq  ----------------->  terminal.receive_many      dropped while it is closed
            receiveq   <--- incoming <---  terminal.type              kept until the guest takes it

The idea: a port is what a pipe is, with an end on each side. Each side may open and close its end,
and is told of the other's.

The rule that keeps it simple: what arrives while the guest gives no buffer is kept, up to
`MAX_WAITING` bytes. What does not fit is lost, as on a serial line, and counted.

Source: virtio 1.3 5.3.6, 5.3.6.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

MAX_WAITING = 1 << 16
"""Bytes that wait for the guest; so many at most are kept."""

MAX_NAME = 64
"""Bytes of a port's name, in UTF-8: what a driver's small buffer has room for."""


class Stream(Protocol):
    """What stands at the far end of a port: a `Terminal`, or what does the same."""

    listener: Callable[[bytes], None] | None

    def receive_many(self, data: bytes) -> None:
        """The guest sent `data`."""


class Port:
    """A port whose far end is `stream`.

    `name` is what its user in the guest looks for; `console` says that a console is there, of
    `size`, `(cols, rows)`, if one is given. `ValueError` for a name of more than `MAX_NAME` bytes.

    `guest_open` and `host_open` say whose end is open; `lost` counts bytes that found no room.
    """

    def __init__(
        self,
        stream: Stream,
        name: str = "",
        *,
        console: bool = False,
        size: tuple[int, int] | None = None,
    ) -> None:
        self.stream = stream
        self.name = name.encode("utf-8")
        if len(self.name) > MAX_NAME:
            raise ValueError(f"a port's name has at most {MAX_NAME} bytes, not {len(self.name)}")
        self.console = console
        self.size = size
        self.host_open = True
        self.incoming = bytearray()
        self.lost = 0
        self.news: Callable[[], None] = lambda: None
        self.reset()
        stream.listener = self.arrive

    def reset(self) -> None:
        """The driver begins anew: it knows no port, and has opened none.

        What waits stays: it belongs to the world outside.
        """
        self.added = False
        self.guest_open = False

    def arrive(self, data: bytes) -> None:
        """The far end sends `data` to the guest."""
        fits = data[: MAX_WAITING - len(self.incoming)]
        self.incoming += fits
        self.lost += len(data) - len(fits)
        self.news()

    def take(self, most: int) -> bytes:
        """The next of the bytes that wait, `most` of them at most."""
        taken = bytes(self.incoming[:most])
        del self.incoming[:most]
        return taken

    def send(self, data: bytes) -> None:
        """The guest sends `data`: to the far end, or nowhere while that is closed."""
        if self.host_open:
            self.stream.receive_many(data)
