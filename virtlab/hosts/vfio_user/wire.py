"""A socket on which vfio-user's messages go both ways.

    client --> command  id 7, REGION_READ  --> server
    client <-- reply    id 7, REGION_READ  <-- server
    client <-- command  id 1, DMA_READ     <-- server       each end counts its own ids

The idea: both ends send commands and both reply, on one socket. What comes in is a message; whether
it is a command or a reply is in its flags, and who receives it sorts them.

The rule that keeps it simple: a header that cannot be believed ends the connection, since nobody
knows where the next message begins. Everything else can be answered.

Source: vfio-user.rst, "Header".
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from virtlab.hosts.vfio_user.layouts import COMMAND, ERROR, HEADER, REPLY, TYPE_MASK
from virtlab.hosts.vfio_user.messages import (
    LONGEST,
    MAX_FDS,
    Message,
    command_name,
    pack,
    unpack,
)
from virtlab.virtio.vhost_user.messages import Descriptors, ProtocolError
from virtlab.virtio.vhost_user.stream import Stream


class Wire(Stream[Message]):
    """Messages over `sock`, which it owns; none longer than `longest` bytes is taken."""

    def __init__(self, sock: socket.socket, longest: int = LONGEST) -> None:
        super().__init__(sock, MAX_FDS)
        self.longest = longest

    def wanted(self, data: bytearray) -> int:
        """The header, then the message."""
        if len(data) < HEADER.itemsize:
            return HEADER.itemsize
        _, command, size, flags, _ = unpack(HEADER, data)
        if flags & TYPE_MASK not in (COMMAND, REPLY):
            raise ProtocolError(f"{command_name(command)}: neither a command nor a reply")
        if not HEADER.itemsize <= size <= self.longest:
            raise ProtocolError(f"{command_name(command)}: a message of {size} bytes")
        return size

    def whole(self, data: bytes, fds: Descriptors) -> Message:
        """The message."""
        number, command, _, flags, error = unpack(HEADER, data)
        return Message(number, command, flags, error, data[HEADER.itemsize :], fds)

    def send(
        self,
        number: int,
        command: int,
        payload: bytes = b"",
        flags: int = COMMAND,
        fds: Sequence[int] = (),
    ) -> None:
        """Send a command with the id `number`. `fds` stay the caller's."""
        self._send(number, command, flags, 0, payload, fds)

    def reply(self, message: Message, payload: bytes = b"") -> None:
        """Answer a command."""
        self._send(message.id, message.command, REPLY, 0, payload)

    def refuse(self, message: Message, code: int) -> None:
        """Answer it with an errno. An error reply is a header and nothing else."""
        self._send(message.id, message.command, REPLY | ERROR, code, b"")

    def _send(
        self,
        number: int,
        command: int,
        flags: int,
        error: int,
        payload: bytes,
        fds: Sequence[int] = (),
    ) -> None:
        size = HEADER.itemsize + len(payload)
        data = pack(HEADER, number, command, size, flags, error) + payload
        self.transmit(data, fds, command_name(command))
