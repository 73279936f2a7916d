"""A port of a served switch, for the peer at a socket: there, gone, and perhaps back.

    connected           frames go both ways
    it hangs up         its cable is pulled, one line says why
    it listens again    the cable is plugged in again, one line says so

The idea: a gateway may be started anew while virtual machines run. Their own cables stay in.

The rule that keeps it simple: at the start a peer must be there, since a wrong path is a mistake.
Later nobody waits for it: each second one try to connect, and no try takes any time.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from virtlab.backends.switch import Switch
from virtlab.course.cli import CommandError
from virtlab.course.serve_peer import StreamPeer
from virtlab.course.serve_socket import connected
from virtlab.virtio.vhost_user.loop import Loop

AGAIN = 1.0
"""Seconds between two tries to reach a peer that has gone."""


class Plug:
    """Port `port` of `switch`, for whoever listens at `path`. `say` hears how it goes.

    `CommandError` if nobody listens there now.
    """

    def __init__(
        self, path: str, switch: Switch, port: int, loop: Loop, say: Callable[[str], None]
    ) -> None:
        self.path = path
        self.loop = loop
        self.say = say
        self._link, self._end = switch.links[port], switch.ports[port]
        self.peer = self._have(connected(path))

    def _have(self, sock: socket.socket) -> StreamPeer:
        peer = StreamPeer(sock, self._end, self._gone)
        self.loop.also(peer.fileno(), peer.ready)
        return peer

    def _gone(self, why: str) -> None:
        self.say(f"{self.path}: the peer has gone: {why}")
        self.loop.no_more(self.peer.fileno())
        self._link.set_up(False)
        self.loop.after(AGAIN, self._try)

    def _try(self) -> None:
        self.peer.close()
        try:
            sock = connected(self.path)
        except CommandError:
            self.loop.after(AGAIN, self._try)
            return
        self.peer = self._have(sock)
        self._link.set_up(True)
        self.say(f"{self.path}: the peer is back")

    def close(self) -> None:
        """Hang up."""
        self.peer.close()
