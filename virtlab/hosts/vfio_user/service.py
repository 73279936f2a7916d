"""A function at a socket: it waits for a client, serves it, and waits for the next one.

    clock = RealClock()
    service = Service(loop, listener, Slot(EduFunction(clock)), clock)
    loop.run()                      the loop of vhost-user: devices of both kinds may be in it

The idea: a turn is what has come from the client, then what a driver added to its queues meanwhile.
The device's time is now at the beginning of each turn, and its clock has a descriptor of its own.

The rule that keeps it simple: one client at a time. Who comes meanwhile waits to be accepted.

Source: vfio-user.rst, "Client Disconnection".
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from virtlab.hosts.vfio_user.real_clock import RealClock
from virtlab.hosts.vfio_user.server import Server
from virtlab.hosts.vfio_user.slot import Slot
from virtlab.virtio.vhost_user.loop import Loop
from virtlab.virtio.vhost_user.messages import ProtocolError

MESSAGES = 64
"""Messages that are handled in one turn."""


class Service:
    """The function in `slot`, for whoever connects to `listener`, in `loop`.

    `clock` is the function's; one more if it has none. `ended` is told how each session was over,
    by `HungUp` or an error; `refused` of each refusal. Listener and clock are the service's now.
    """

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        slot: Slot,
        clock: RealClock | None = None,
        ended: Callable[[ProtocolError], None] = lambda error: None,
        refused: Callable[[str], None] = lambda why: None,
    ) -> None:
        listener.setblocking(False)
        self.loop, self.listener, self.slot = loop, listener, slot
        self.clock = clock if clock is not None else RealClock()
        self.server: Server | None = None
        self.sessions = 0
        self._ended, self._refused = ended, refused
        self._due = False  # whether one turn more was asked for
        loop.also(self.clock.fd, self._ring)
        self._await()

    def close(self) -> None:
        """Serve nobody any more: before the loop is closed, or after it."""
        self._forget(self.clock.fd)
        if self.server is not None:
            self._forget(self.server.fileno())
            self.server.close()
            self.server = None
        else:
            self._forget(self.listener.fileno())
        self.clock.close()
        self.listener.close()

    def _forget(self, fd: int) -> None:
        """Do not wait for `fd` any more. A loop that is closed waits for nothing."""
        with contextlib.suppress(KeyError):
            self.loop.no_more(fd)

    # -- what wakes it

    def _await(self) -> None:
        """Wait for a client, unless nobody is served any more."""
        if self.listener.fileno() >= 0:
            self.loop.also(self.listener.fileno(), self._accept)

    def _accept(self) -> None:
        """Somebody wants to connect."""
        sock = self.loop.accept(self.listener, self._await)
        if sock is None:
            return
        try:
            self.server = server = Server(self.slot, sock, self._refused, self._again)
        except OSError:
            sock.close()  # the machine has no room for one more
            return
        self.sessions += 1
        self.loop.no_more(self.listener.fileno())
        self.loop.also(server.fileno(), lambda: self._ready(server))

    def _ring(self) -> None:
        """The device goes on by itself."""
        if self.server is not None:
            self.server.rested()
        self.clock.ring()

    def _ready(self, server: Server) -> None:
        """One turn."""
        if server is not self.server:
            return  # it was asked for by one who is gone
        self.clock.ring()
        try:
            for _ in range(MESSAGES):
                if not server.receive():
                    break
        except ProtocolError as error:
            self._hang_up(server)
            self._ended(error)
            return
        if self.slot.attend() or server.pending:
            self._again()

    def _again(self) -> None:
        """One turn more, as soon as this one is over: one, however often it is asked for."""
        if not self._due:
            self._due = True
            self.clock.after(0, self._one_more)

    def _one_more(self) -> None:
        self._due = False
        if self.server is not None:
            self._ready(self.server)

    def _hang_up(self, server: Server) -> None:
        self.loop.no_more(server.fileno())
        self.server = None
        server.close()
        self._await()
