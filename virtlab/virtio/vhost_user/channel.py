"""A socket on which whole messages go both ways, with the descriptors that belong to them.

    sendmsg   [ header | payload ]  + SCM_RIGHTS     one call
    recvmsg   [ header ]            + SCM_RIGHTS     then the payload: never a byte beyond it

The idea: a stream has no borders, so the header says how long a message is. Descriptors arrive with
the first byte that was sent beside them. Who reads no further than the end of a message never gets
those of the next.

The rule that keeps it simple: `receive` gives one whole message or nothing yet. Whatever ends a
message early, an error or a hang-up, closes the descriptors that had come with it.

Source: vhost-user.rst, "Header", "Communication"; unix(7), "Ancillary messages".
"""

from __future__ import annotations

import array
import socket
from collections.abc import Callable, Sequence

from virtlab.virtio.layouts import packer
from virtlab.virtio.vhost_user.layouts import (
    HEADER,
    MAX_PAYLOAD,
    MAX_REGIONS,
    REPLY,
    VERSION,
    VERSION_MASK,
)
from virtlab.virtio.vhost_user.messages import (
    Descriptors,
    Message,
    ProtocolError,
    check_request,
    request_name,
)

_header = packer(HEADER)
_INT = array.array("i").itemsize
_SPACE = socket.CMSG_SPACE(MAX_REGIONS * _INT)


class HungUp(ProtocolError):
    """The other end has closed the connection."""


class Channel:
    """Messages over `sock`, which it owns. `check` looks at each whole message that arrives.

    On a socket that does not block, `receive` gives None while a message is not complete. Not more
    than `limit` bytes of payload are taken.
    """

    def __init__(
        self,
        sock: socket.socket,
        check: Callable[[Message], None] = check_request,
        limit: int = MAX_PAYLOAD,
    ) -> None:
        self.sock = sock
        self.check = check
        self.limit = limit
        self._data = bytearray()
        self._fds = Descriptors()

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self.sock.fileno()

    def close(self) -> None:
        """Hang up, and close what belongs to half a message."""
        self._forget()
        self.sock.close()

    # -- sending

    def send(
        self, request: int, payload: bytes = b"", flags: int = 0, fds: Sequence[int] = ()
    ) -> None:
        """Send one message. `fds` stay the caller's.

        `ProtocolError` if the other end does not read, `HungUp` if it is gone.
        """
        data = _header.pack(request, flags | VERSION, len(payload)) + payload
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            sent = self.sock.sendmsg([data], beside, socket.MSG_NOSIGNAL)
            # A blocking socket may take a part; one that does not block must take all.
            if sent < len(data):
                self.sock.sendall(data[sent:])
        except (BlockingIOError, TimeoutError):
            name = request_name(request)
            raise ProtocolError(f"{name}: the other end does not read") from None
        except OSError as error:
            raise HungUp(f"{request_name(request)}: {error.strerror}") from None

    def reply(self, request: int, payload: bytes, fds: Sequence[int] = ()) -> None:
        """Answer a request."""
        self.send(request, payload, REPLY, fds)

    # -- receiving

    def receive(self) -> Message | None:
        """The next message, checked; None if it is not complete yet.

        `HungUp` where the connection ends, `ProtocolError` for what is no message: the stream is of
        no use any more then. Who gets a message closes it: it is a context manager.
        """
        try:
            while len(self._data) < self._wanted():
                if not self._more(self._wanted() - len(self._data)):
                    return None
            message = self._whole()
            self.check(message)
        except ProtocolError:
            self._forget()
            raise
        self._data, self._fds = bytearray(), Descriptors()
        return message

    def _wanted(self) -> int:
        """Bytes up to which may be read now: the header, then the message."""
        if len(self._data) < _header.size:
            return _header.size
        request, flags, size = _header.unpack_from(self._data)
        if flags & VERSION_MASK != VERSION:
            why = f"version {flags & VERSION_MASK}, not {VERSION}"
            raise ProtocolError(f"{request_name(request)}: {why}")
        if size > self.limit:
            why = f"a payload of {size} bytes, where {self.limit} are the most"
            raise ProtocolError(f"{request_name(request)}: {why}")
        return _header.size + int(size)

    def _more(self, count: int) -> bool:
        """Read up to `count` bytes; False if there are none yet."""
        try:
            data, beside, flags, _ = self.sock.recvmsg(count, _SPACE, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, TimeoutError):
            return False
        except OSError as error:
            raise HungUp(f"the connection broke: {error.strerror}") from None
        for level, kind, raw in beside:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._fds.add(array.array("i", raw[: len(raw) - len(raw) % _INT]))
        if flags & socket.MSG_CTRUNC or len(self._fds) > MAX_REGIONS:
            raise ProtocolError(f"a message with more than {MAX_REGIONS} descriptors")
        if not data:
            half = "in the middle of a message" if self._data else "between two messages"
            raise HungUp(f"the other end hung up, {half}")
        self._data += data
        return True

    def _whole(self) -> Message:
        request, flags, _ = _header.unpack_from(self._data)
        return Message(request, flags, bytes(self._data[_header.size :]), self._fds)

    def _forget(self) -> None:
        self._data = bytearray()
        self._fds.close()
