"""A UNIX socket as a stream of whole messages, with the descriptors that travel beside them.

    [ header | payload ][ header | payload ]...     bytes have no borders: a header says how many
        +---- descriptors (SCM_RIGHTS)              they arrive with the first byte of a message

The idea: descriptors arrive with the first byte that was sent beside them. Who reads no further
than the end of a message never gets those of the next. So the header is read first, and then what
it promises.

The rule that keeps it simple: `receive` gives one whole message or nothing yet. Whatever ends a
message early, an error or a hang-up, closes the descriptors that had come with it.

What a header looks like is a protocol's own affair: `vhost_user.channel`, `hosts.vfio_user.wire`.
Source: unix(7), "Ancillary messages".
"""

from __future__ import annotations

import array
import socket
from collections.abc import Sequence
from typing import Generic, TypeVar

from virtlab.virtio.vhost_user.messages import Descriptors, ProtocolError

_INT = array.array("i").itemsize

M = TypeVar("M")


class HungUp(ProtocolError):
    """The other end has closed the connection."""


class Stream(Generic[M]):
    """Messages of type `M` over `sock`, which it owns, with up to `most_fds` descriptors each.

    On a socket that does not block, `receive` gives None while a message is not complete.
    """

    def __init__(self, sock: socket.socket, most_fds: int) -> None:
        self.sock = sock
        self._most_fds = most_fds
        self._space = socket.CMSG_SPACE(most_fds * _INT)
        self._data = bytearray()
        self._fds = Descriptors()

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self.sock.fileno()

    def close(self) -> None:
        """Hang up, and close what belongs to half a message."""
        self._forget()
        self.sock.close()

    # -- what a protocol says

    def wanted(self, data: bytearray) -> int:
        """Up to which byte a message that begins with `data` may be read now."""
        raise NotImplementedError

    def whole(self, data: bytes, fds: Descriptors) -> M:
        """The message of these bytes, checked. `ProtocolError` if it is none."""
        raise NotImplementedError

    # -- sending

    def transmit(self, data: bytes, fds: Sequence[int], name: str) -> None:
        """Send `data` whole. `fds` stay the caller's; `name` is for who reads an error.

        `ProtocolError` if the other end does not read, `HungUp` if it is gone.
        """
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            sent = self.sock.sendmsg([data], beside, socket.MSG_NOSIGNAL)
            # A blocking socket may take a part; one that does not block must take all.
            if sent < len(data):
                self.sock.sendall(data[sent:])
        except (BlockingIOError, TimeoutError):
            raise ProtocolError(f"{name}: the other end does not read") from None
        except OSError as error:
            raise HungUp(f"{name}: {error.strerror}") from None

    # -- receiving

    def receive(self) -> M | None:
        """The next message, checked; None if it is not complete yet.

        `HungUp` where the connection ends, `ProtocolError` for what is no message: the stream is of
        no use any more then. Who gets a message closes it: it is a context manager.
        """
        try:
            while len(self._data) < (wanted := self.wanted(self._data)):
                if not self._more(wanted - len(self._data)):
                    return None
            message = self.whole(bytes(self._data), self._fds)
        except ProtocolError:
            self._forget()
            raise
        self._data, self._fds = bytearray(), Descriptors()
        return message

    def _more(self, count: int) -> bool:
        """Read up to `count` bytes; False if there are none yet."""
        try:
            data, beside, flags, _ = self.sock.recvmsg(count, self._space, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, TimeoutError):
            return False
        except OSError as error:
            raise HungUp(f"the connection broke: {error.strerror}") from None
        for level, kind, raw in beside:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._fds.add(array.array("i", raw[: len(raw) - len(raw) % _INT]))
        if flags & socket.MSG_CTRUNC or len(self._fds) > self._most_fds:
            raise ProtocolError(f"a message with more than {self._most_fds} descriptors")
        if not data:
            half = "in the middle of a message" if self._data else "between two messages"
            raise HungUp(f"the other end hung up, {half}")
        self._data += data
        return True

    def _forget(self) -> None:
        self._data = bytearray()
        self._fds.close()
