"""A conversation in which both ends ask: the server's side of it, with no device behind it yet.

    the client asks     receive(): one command, carried out by `handle`, and answered
    the server asks     dma_read(), dma_write(): a command, and a wait for its reply
    both at once        commands that come during the wait are kept, in order

The idea: commands are carried out one after the other, in the order in which they came. A command
may make the function read memory that is not mapped. Then the server must ask while it is asked.

The rule that keeps it simple: it waits `patience` seconds at most for a command, however many
bytes that needs. A client that waits itself, for the reply to this very command, may not be able to
answer: to the function that is a `DmaFault`, as memory that is not there. What breaks the
connection is told after the command.

Source: vfio-user.rst, "Socket", "Command Concurrency", "VFIO_USER_DMA_READ", "VFIO_USER_DMA_WRITE".
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable

from virtlab.errors import DmaFault
from virtlab.hosts.vfio_user.layouts import DMA_ACCESS, REPLY, TYPE_MASK, Command
from virtlab.hosts.vfio_user.messages import MAX_TRANSFER, Message, Refused, pack
from virtlab.hosts.vfio_user.version import Limits
from virtlab.hosts.vfio_user.wire import Wire
from virtlab.virtio.vhost_user.messages import ProtocolError

PATIENCE = 1.0
"""Seconds that the function's DMA waits for a client."""

WAITING = 64
"""Commands that may come while the server waits for bytes."""

IDS = 1 << 16


class Conversation:
    """With the client on `sock`. `refused` is told of each refusal.

    `wake` is called when something is left to be received later, though nothing new may come: see
    `pending`. `limits` is what the client takes, once it has said so.
    """

    def __init__(
        self,
        sock: socket.socket,
        refused: Callable[[str], None],
        wake: Callable[[], None],
        patience: float = PATIENCE,
    ) -> None:
        sock.setblocking(False)
        self.wire = Wire(sock)
        self.limits: Limits | None = None
        self.refused = refused
        self.wake = wake
        self.patience = patience
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._waiting: deque[Message] = deque()
        self._broken: ProtocolError | None = None
        self._id = 0
        self._late: set[int] = set()
        self._deaf = False
        self._left = patience  # seconds that may still be waited

    def handle(self, message: Message) -> bytes:
        """Carry out a command: the payload of its reply. `Refused` if it cannot be."""
        raise NotImplementedError

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self.wire.fileno()

    @property
    def pending(self) -> bool:
        """Whether there is more to do, though nothing new may come."""
        return bool(self._waiting or self._broken)

    def close(self) -> None:
        """Hang up."""
        for message in self._waiting:
            message.fds.close()
        self._waiting.clear()
        self.wire.close()

    # -- the client asks

    def receive(self) -> bool:
        """Handle one message, if one has come: whether there was one.

        `ProtocolError` where the connection cannot go on, `HungUp` where it has ended.
        """
        self.rested()
        if self._waiting:
            message: Message | None = self._waiting.popleft()
        elif self._broken is not None:
            raise self._broken
        else:
            message = self.wire.receive()
        if message is None:
            return False
        with message:
            self._receive(message)
        return True

    def rested(self) -> None:
        """Something new begins, for which the client may be waited for again."""
        self._left = self.patience

    def _receive(self, message: Message) -> None:
        if message.flags & TYPE_MASK == REPLY:
            self._answered_late(message)
            return
        self._deaf = False
        try:
            payload = self.handle(message)
        except Refused as error:
            self.refused(f"{message.name}: {error}")
            if message.answered:
                self.wire.refuse(message, error.code)
            return
        if message.answered:
            self.wire.reply(message, payload)

    def _answered_late(self, message: Message) -> None:
        """A reply that nobody waits for any more."""
        if message.id not in self._late:
            raise ProtocolError(f"{message.name}: a reply to nothing")
        self._late.discard(message.id)

    # -- the server asks

    def dma_read(self, address: int, count: int) -> bytes:
        """`count` bytes at the iova `address`, from the client. See `memory.Ask`."""
        most = self._most(address, count)
        pieces = []
        for at in range(0, count, most):
            size = min(most, count - at)
            reply = self._ask(Command.DMA_READ, address + at, size)
            data = reply.payload[DMA_ACCESS.itemsize :]
            if len(data) != size:
                raise DmaFault(f"the client sent {len(data)} bytes", address + at, size)
            pieces.append(data)
        return b"".join(pieces)

    def dma_write(self, address: int, data: bytes) -> None:
        """Let the client put `data` there."""
        most = self._most(address, len(data))
        for at in range(0, len(data), most):
            piece = data[at : at + most]
            self._ask(Command.DMA_WRITE, address + at, len(piece), piece)

    def _most(self, address: int, count: int) -> int:
        """Bytes of one message. `DmaFault` if the client is not to be asked now."""
        if self.limits is None or self._deaf or self._broken:
            raise DmaFault("the client does not answer", address, count)
        return min(self.limits.transfer, MAX_TRANSFER)

    def _ask(self, command: Command, address: int, count: int, data: bytes = b"") -> Message:
        """Ask, and wait for the answer."""
        # One that answers each piece late is as bad as one that does not answer.
        if self._left < 0:
            self._deaf = True
            raise DmaFault("the client answers too slowly", address, count)
        began = time.monotonic()
        self._id = (self._id + 1) % IDS
        payload = pack(DMA_ACCESS, address, count) + data
        try:
            self.wire.send(self._id, command, payload)
            reply = self._reply(self._id, began + self._left)
        except ProtocolError as error:
            # It is said once the command that led here is done.
            self._broken = error
            self.wake()
            raise DmaFault("the connection to the client broke", address, count) from None
        finally:
            self._left -= time.monotonic() - began
        if reply is None:
            self._deaf = True
            self._late.add(self._id)
            raise DmaFault("the client does not answer", address, count)
        with reply:
            if reply.failed:
                raise DmaFault(f"the client refused: {reply.failed}", address, count)
        return reply

    def _reply(self, number: int, end: float) -> Message | None:
        """The reply to the command `number`; None if it does not come before `end`."""
        while True:
            message = self.wire.receive()
            if message is None:
                left = end - time.monotonic()
                if left <= 0:
                    return None
                self._poll.poll(1000 * left)
            elif message.flags & TYPE_MASK != REPLY:
                if len(self._waiting) == WAITING:
                    message.fds.close()
                    raise ProtocolError(f"{WAITING} commands while bytes are waited for")
                self._waiting.append(message)
                self.wake()
            elif message.id == number:
                return message
            else:
                with message:
                    self._answered_late(message)
