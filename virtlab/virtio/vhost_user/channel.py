"""A socket on which whole messages go both ways, with the descriptors that belong to them.

    sendmsg   [ header | payload ]  + SCM_RIGHTS     one call
    recvmsg   [ header ]            + SCM_RIGHTS     then the payload: never a byte beyond it

The idea: how messages are cut out of a stream is `Stream`'s affair. Here is what vhost-user's
header says: how long its message is, and what may be wrong with it.

The rule that keeps it simple: a message is checked when it is whole, and before anybody sees it.

Source: vhost-user.rst, "Header", "Communication".
"""

from __future__ import annotations

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
from virtlab.virtio.vhost_user.stream import HungUp as HungUp
from virtlab.virtio.vhost_user.stream import Stream

_header = packer(HEADER)


class Channel(Stream[Message]):
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
        super().__init__(sock, MAX_REGIONS)
        self.check = check
        self.limit = limit

    # -- sending

    def send(
        self, request: int, payload: bytes = b"", flags: int = 0, fds: Sequence[int] = ()
    ) -> None:
        """Send one message. `fds` stay the caller's.

        `ProtocolError` if the other end does not read, `HungUp` if it is gone.
        """
        data = _header.pack(request, flags | VERSION, len(payload)) + payload
        self.transmit(data, fds, request_name(request))

    def reply(self, request: int, payload: bytes, fds: Sequence[int] = ()) -> None:
        """Answer a request."""
        self.send(request, payload, REPLY, fds)

    # -- receiving

    def wanted(self, data: bytearray) -> int:
        """Bytes up to which may be read now: the header, then the message."""
        if len(data) < _header.size:
            return _header.size
        request, flags, size = _header.unpack_from(data)
        if flags & VERSION_MASK != VERSION:
            why = f"version {flags & VERSION_MASK}, not {VERSION}"
            raise ProtocolError(f"{request_name(request)}: {why}")
        if size > self.limit:
            why = f"a payload of {size} bytes, where {self.limit} are the most"
            raise ProtocolError(f"{request_name(request)}: {why}")
        return _header.size + int(size)

    def whole(self, data: bytes, fds: Descriptors) -> Message:
        """The message, checked."""
        request, flags, _ = _header.unpack_from(data)
        message = Message(request, flags, data[_header.size :], fds)
        self.check(message)
        return message
