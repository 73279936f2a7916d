"""The other end: a client, which has a machine and wants a function of somebody else's in it.

    client = Client(sock)                        the two agree on a version
    client.map(0, 16 << 20, fd)                  the function may reach this memory
    client.read(RegionIndex.CONFIG, 0, 4)        who is it?
    client.listen_to(IrqIndex.MSIX, 0, [fd])     vector 0 shall be an event on fd

The idea: each command is a call that waits for its reply. While it waits, the server may ask for
bytes of memory that it has no file of; they are answered at once, from `dma`.

The rule that keeps it simple: a server is trusted no more than a guest is. Its replies are checked,
the bytes that it may ask for at once are bounded, and it is waited for `patience` seconds.

Source: vfio-user.rst, the section of each command. Errors: `Refused` is the server's errno,
`ConnectionError` is everything after which there is no server any more.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Sequence
from typing import NoReturn

from virtlab.errors import DmaFault
from virtlab.hosts.vfio_user import version
from virtlab.hosts.vfio_user.layouts import (
    ACTION_MASK,
    ACTION_TRIGGER,
    ACTION_UNMASK,
    DATA_EVENTFD,
    DATA_NONE,
    DEVICE_INFO,
    DMA_ACCESS,
    DMA_MAP,
    DMA_UNMAP,
    ERROR,
    IRQ_INFO,
    IRQ_SET,
    NO_REPLY,
    ONE_WRITE,
    READABLE,
    REGION_ACCESS,
    REGION_INFO,
    REPLY,
    TYPE_MASK,
    WRITABLE,
    WRITES,
    Command,
    IrqIndex,
)
from virtlab.hosts.vfio_user.messages import MAX_TRANSFER, Message, Refused, command_name, pack
from virtlab.hosts.vfio_user.wire import Wire
from virtlab.memory import Dma
from virtlab.virtio.layouts import DType
from virtlab.virtio.vhost_user.messages import ProtocolError

PATIENCE = 10.0
"""Seconds that a reply may take."""


class Client:
    """The client of the server on `sock`. `dma` is the memory that the function may ask for."""

    def __init__(
        self, sock: socket.socket, dma: Dma | None = None, patience: float = PATIENCE
    ) -> None:
        sock.settimeout(patience)
        self.wire = Wire(sock)
        self.dma = dma
        self._id = 0
        reply = self._call(Command.VERSION, version.proposal())
        try:
            self.limits = version.answered(reply)
        except ProtocolError as error:
            self._lost(error)

    def close(self) -> None:
        """Hang up."""
        self.wire.close()

    # -- commands

    def device_info(self) -> tuple[int, int, int]:
        """Its flags, and how many regions and kinds of interrupts there are."""
        size = DEVICE_INFO.itemsize
        _, flags, regions, irqs = self._ask(
            Command.DEVICE_GET_INFO, pack(DEVICE_INFO, size, 0, 0, 0), DEVICE_INFO
        )
        return flags, regions, irqs

    def region_info(self, index: int) -> tuple[int, int]:
        """Flags and bytes of region `index`."""
        payload = pack(REGION_INFO, REGION_INFO.itemsize, 0, index, 0, 0, 0)
        found = self._ask(Command.DEVICE_GET_REGION_INFO, payload, REGION_INFO)
        return found[1], found[4]

    def irq_info(self, index: int) -> tuple[int, int]:
        """Flags and number of the interrupts of kind `index`."""
        payload = pack(IRQ_INFO, IRQ_INFO.itemsize, 0, index, 0)
        _, flags, _, count = self._ask(Command.DEVICE_GET_IRQ_INFO, payload, IRQ_INFO)
        return flags, count

    def read(self, region: int, offset: int, count: int) -> bytes:
        """`count` bytes of a region, at `offset`."""
        payload = pack(REGION_ACCESS, offset, region, count)
        data = self._call(Command.REGION_READ, payload).behind(REGION_ACCESS)
        if len(data) != count:
            self._lost(ProtocolError(f"REGION_READ: {len(data)} bytes, {count} asked for"))
        return data

    def write(self, region: int, offset: int, data: bytes, posted: bool = False) -> None:
        """Write `data` to a region. Nobody waits for a `posted` write, or hears of its failure."""
        payload = pack(REGION_ACCESS, offset, region, len(data)) + data
        if posted:
            self._send(Command.REGION_WRITE, payload, NO_REPLY)
        else:
            self._call(Command.REGION_WRITE, payload)

    def write_many(self, writes: Sequence[tuple[int, int, bytes]]) -> int:
        """Several writes `(region, offset, up to 8 bytes)` in one message: how many were done."""
        payload = pack(WRITES, len(writes))
        for region, offset, data in writes:
            payload += pack(ONE_WRITE, offset, region, len(data), int.from_bytes(data, "little"))
        return self._ask(Command.REGION_WRITE_MULTI, payload, WRITES)[0]

    def map(
        self,
        address: int,
        size: int,
        fd: int | None = None,
        offset: int = 0,
        flags: int = READABLE | WRITABLE,
    ) -> None:
        """Let the function reach `size` bytes at the iova `address`: of `fd`, or by asking."""
        payload = pack(DMA_MAP, DMA_MAP.itemsize, flags, offset, address, size)
        self._call(Command.DMA_MAP, payload, [] if fd is None else [fd])

    def unmap(self, address: int, size: int, flags: int = 0) -> None:
        """Let it reach them no more."""
        payload = pack(DMA_UNMAP, DMA_UNMAP.itemsize, flags, address, size)
        self._call(Command.DMA_UNMAP, payload)

    def listen_to(self, index: int, start: int, fds: Sequence[int]) -> None:
        """Let the interrupts of a kind from `start` on be events on `fds`, which stay ours.

        The server says how many descriptors it takes at once.
        """
        most = max(1, self.limits.fds)
        for at in range(0, len(fds), most):
            some = fds[at : at + most]
            self._irqs(DATA_EVENTFD | ACTION_TRIGGER, index, start + at, len(some), some)

    def ignore(self, index: int) -> None:
        """Hear none of a kind any more."""
        self._irqs(DATA_NONE | ACTION_TRIGGER, index, 0, 0)

    def mask(self, index: int, number: int) -> None:
        """Hold one interrupt back."""
        self._irqs(DATA_NONE | ACTION_MASK, index, number, 1)

    def unmask(self, index: int = IrqIndex.INTX, number: int = 0) -> None:
        """Let it come: the guest has looked at the device."""
        self._irqs(DATA_NONE | ACTION_UNMASK, index, number, 1)

    def reset(self) -> None:
        """Reset the function."""
        self._call(Command.DEVICE_RESET)

    def _irqs(
        self, flags: int, index: int, start: int, count: int, fds: Sequence[int] = ()
    ) -> None:
        payload = pack(IRQ_SET, IRQ_SET.itemsize, flags, index, start, count)
        self._call(Command.DEVICE_SET_IRQS, payload, fds)

    # -- messages

    def _ask(self, command: Command, payload: bytes, layout: DType) -> tuple[int, ...]:
        """The numbers in the reply."""
        reply = self._call(command, payload)
        if len(reply.payload) != layout.itemsize:
            self._lost(ProtocolError(f"{reply.name}: a reply of {len(reply.payload)} bytes"))
        return reply.fields(layout)

    def _call(self, command: Command, payload: bytes = b"", fds: Sequence[int] = ()) -> Message:
        """Send a command and wait for its reply. `Refused` if the server says why not."""
        number = self._send(command, payload, fds=fds)
        while True:
            message = self._receive(command)
            if message.flags & TYPE_MASK != REPLY:
                self._serve(message)
                continue
            with message:
                if (message.id, message.command) != (number, command):
                    self._lost(ProtocolError(f"{message.name}: a reply to nothing"))
                if message.flags & ERROR:
                    code = message.error if message.error in errno.errorcode else errno.EIO
                    raise Refused(code, f"{message.name}: {message.failed}")
            return message

    def _send(
        self, command: Command, payload: bytes, flags: int = 0, fds: Sequence[int] = ()
    ) -> int:
        self._id = (self._id + 1) % (1 << 16)
        try:
            self.wire.send(self._id, command, payload, flags, fds)
        except ProtocolError as error:
            self._lost(error)
        return self._id

    def _receive(self, command: int) -> Message:
        try:
            message = self.wire.receive()
        except ProtocolError as error:
            self._lost(error)
        if message is None:
            self._lost(ProtocolError(f"{command_name(command)}: no reply in time"))
        return message

    def _lost(self, error: ProtocolError) -> NoReturn:
        self.close()
        raise ConnectionError(f"the server is gone: {error}")

    # -- what the server asks

    def listen(self) -> None:
        """Answer what the server has asked, if it has, while nobody waits for a reply."""
        while select.select([self.wire], [], [], 0)[0]:
            message = self._receive(Command.DMA_READ)
            if message.flags & TYPE_MASK == REPLY:
                self._lost(ProtocolError(f"{message.name}: a reply to nothing"))
            self._serve(message)

    def _serve(self, message: Message) -> None:
        with message:
            try:
                payload = self._dma(message)
            except Refused as error:
                self.wire.refuse(message, error.code)
            except DmaFault:
                self.wire.refuse(message, errno.EFAULT)
            else:
                self.wire.reply(message, payload)

    def _dma(self, message: Message) -> bytes:
        """Read or write memory for the function: the payload of the reply."""
        if message.command not in (Command.DMA_READ, Command.DMA_WRITE):
            raise Refused(errno.ENOTSUP, f"{message.name}: not a server's command")
        if len(message.payload) < DMA_ACCESS.itemsize:
            raise Refused(errno.EINVAL, f"{message.name}: {len(message.payload)} bytes")
        address, count = message.fields(DMA_ACCESS)
        if self.dma is None or count > MAX_TRANSFER:
            raise Refused(errno.E2BIG, f"{count} bytes at once")
        if message.command == Command.DMA_READ:
            return pack(DMA_ACCESS, address, count) + self.dma.read(address, count)
        data = message.behind(DMA_ACCESS)
        if len(data) != count:
            raise Refused(errno.EINVAL, f"{len(data)} bytes, said to be {count}")
        self.dma.write(address, data)
        return pack(DMA_ACCESS, address, count)
