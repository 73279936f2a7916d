"""The front-end's end of the socket: a request goes out, and mostly something comes back.

    ask     GET_FEATURES   ->        <- the answer that belongs to it
    tell    SET_OWNER      ->           nothing comes back
    tell    SET_OWNER      ->        <- 0: it is done; or not 0: refused        with REPLY_ACK

The idea: a back-end that does not like a request can hang up, and then nobody knows why. With
REPLY_ACK it says so of each request. So `tell` asks for that as soon as it was agreed on.

The rule that keeps it simple: whatever goes wrong is a `ConnectionError` that names the request.
Each wait is bounded.

Source: vhost-user.rst, "Communication", REPLY_ACK.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from virtlab.virtio.vhost_user.channel import Channel
from virtlab.virtio.vhost_user.layouts import NEED_REPLY, Request
from virtlab.virtio.vhost_user.messages import Message, ProtocolError, check_reply

NAP = 0.005
"""Seconds between two tries to connect."""


class Refused(ConnectionError):
    """The back-end is there, understands the request, and will not do it."""


def connect(path: str, patience: float) -> socket.socket:
    """The socket of the back-end that listens at `path`, or will within `patience` seconds.

    `ConnectionError` if nobody does.
    """
    deadline = time.monotonic() + patience
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(max(NAP, patience))
        try:
            sock.connect(path)
        except OSError as error:
            sock.close()
            if time.monotonic() >= deadline:
                why = error.strerror or str(error)
                raise ConnectionError(f"no back-end listens at {path}: {why}") from None
            time.sleep(NAP)
        else:
            return sock


class Link:
    """Requests over `sock`, which it owns. The other end gets `patience` seconds for an answer."""

    def __init__(self, sock: socket.socket, patience: float) -> None:
        sock.settimeout(patience)
        self.patience = patience
        self.acknowledged = False  # REPLY_ACK was agreed on
        self._channel = Channel(sock, check_reply)

    def fileno(self) -> int:
        """The descriptor to wait on; there is something only when the other end hangs up."""
        return self._channel.fileno()

    @property
    def readable(self) -> bool:
        """Whether the other end has hung up, or says what nobody has asked."""
        return bool(select.select([self._channel], [], [], 0)[0])

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def ask(self, request: Request, payload: bytes = b"", fds: Sequence[int] = ()) -> Message:
        """Send a request and give its answer, which the caller closes. `fds` stay the caller's."""
        with _talking(request):
            self._channel.send(request, payload, 0, fds)
            return self._answer(request)

    def tell(self, request: Request, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
        """Send a request that has no answer of its own. `Refused` if the other end says so."""
        with _talking(request):
            self._channel.send(request, payload, NEED_REPLY if self.acknowledged else 0, fds)
            if not self.acknowledged:
                return
            with self._answer(request) as answer:
                status = answer.value
        if status:
            raise Refused(f"{request.name}: the back-end refuses it (status {status})")

    def _answer(self, request: Request) -> Message:
        answer = self._channel.receive()
        if answer is None:
            raise ProtocolError(f"no answer within {self.patience:g} s")
        if answer.request != request:
            with answer:
                raise ProtocolError(f"the answer is one to {answer.name}")
        return answer


@contextmanager
def _talking(request: Request) -> Iterator[None]:
    """Whatever breaks the conversation is a `ConnectionError` with the request's name."""
    try:
        yield
    except ProtocolError as error:
        why = error.why.removeprefix(f"{request.name}: ")
        raise ConnectionError(f"{request.name}: {why}") from None
