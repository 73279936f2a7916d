"""A function behind a socket: the server of one client's connection.

    server = Server(slot, sock)
    server.receive()              a message has come: carry it out, answer it
    server.close()                the client is gone; the function stays as it is

The idea: each command is a method, and `handlers` says which. Before it is called the message has
the right form; after it the reply goes out, or an errno where the method was `Refused`.

The rule that keeps it simple: nothing is kept here but who speaks and which memory is theirs. The
rest is the slot's, and outlives the client.

Source: vfio-user.rst, "Client Disconnection" and the section of each command.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from virtlab.hosts.vfio_user import version
from virtlab.hosts.vfio_user.conversation import PATIENCE, Conversation
from virtlab.hosts.vfio_user.layouts import (
    DEVICE_INFO,
    DMA_MAP,
    DMA_UNMAP,
    IRQ_INFO,
    IRQ_SET,
    IRQS,
    IS_PCI,
    ONE_WRITE,
    READABLE,
    REGION_ACCESS,
    REGION_INFO,
    REGIONS,
    RESETS,
    UNMAP_ALL,
    WRITABLE,
    WRITES,
    Command,
    RegionIndex,
)
from virtlab.hosts.vfio_user.memory import ClientMemory, Window
from virtlab.hosts.vfio_user.messages import (
    Message,
    Refused,
    check_command,
    pack,
    unpack,
)
from virtlab.hosts.vfio_user.slot import NOTHING, Slot
from virtlab.virtio.vhost_user.messages import ProtocolError

Handler = Callable[[Message], bytes]


class Server(Conversation):
    """The function in `slot`, for the client on `sock`.

    The other arguments are those of `Conversation`.
    """

    def __init__(
        self,
        slot: Slot,
        sock: socket.socket,
        refused: Callable[[str], None] = lambda why: None,
        wake: Callable[[], None] = lambda: None,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__(sock, refused, wake, patience)
        self.slot = slot
        self.memory = ClientMemory(self)
        slot.reach = self.memory
        self.handlers: dict[int, Handler] = {
            Command.VERSION: self._version,
            Command.DMA_MAP: self._dma_map,
            Command.DMA_UNMAP: self._dma_unmap,
            Command.DEVICE_GET_INFO: self._device_info,
            Command.DEVICE_GET_REGION_INFO: self._region_info,
            Command.DEVICE_GET_REGION_IO_FDS: self._region_io_fds,
            Command.DEVICE_GET_IRQ_INFO: self._irq_info,
            Command.DEVICE_SET_IRQS: self._set_irqs,
            Command.REGION_READ: self._region_read,
            Command.REGION_WRITE: self._region_write,
            Command.DEVICE_RESET: self._reset,
            Command.REGION_WRITE_MULTI: self._write_multi,
        }

    def close(self) -> None:
        """Hang up. The client's memory and eventfds are given back; the device keeps its state."""
        super().close()
        self.slot.interrupts.close()
        self.slot.reach = NOTHING
        self.memory.close()

    def handle(self, message: Message) -> bytes:
        """Carry out a command: the payload of its reply. `Refused` if it cannot be."""
        if self.limits is None and message.command != Command.VERSION:
            raise ProtocolError(f"{message.name} before VERSION")
        check_command(message)
        return self.handlers[message.command](message)

    # -- commands

    def _version(self, message: Message) -> bytes:
        if self.limits is not None:
            raise Refused(errno.EINVAL, "a second VERSION")
        self.limits, payload = version.answer(message)
        return payload

    def _dma_map(self, message: Message) -> bytes:
        _, flags, offset, address, size = message.fields(DMA_MAP)
        window = Window(address, size, bool(flags & READABLE), bool(flags & WRITABLE))
        fd = next(iter(message.fds.lent), None)
        self.memory.map(window, fd, offset)
        return b""

    def _dma_unmap(self, message: Message) -> bytes:
        _, flags, address, size = message.fields(DMA_UNMAP)
        if flags & ~UNMAP_ALL:
            raise Refused(errno.EINVAL, f"the flags {flags:#x}")
        if flags:
            self.memory.unmap_all()
        else:
            self.memory.unmap(address, size)
        return message.payload

    def _device_info(self, message: Message) -> bytes:
        return pack(DEVICE_INFO, DEVICE_INFO.itemsize, RESETS | IS_PCI, REGIONS, IRQS)

    def _region_info(self, message: Message) -> bytes:
        index = message.fields(REGION_INFO)[2]
        flags, size = self.slot.regions.info(index)
        return pack(REGION_INFO, REGION_INFO.itemsize, flags, index, 0, size, 0)

    def _region_io_fds(self, message: Message) -> bytes:
        raise Refused(errno.ENOTSUP, "no part of a region has a descriptor")

    def _irq_info(self, message: Message) -> bytes:
        index = message.fields(IRQ_INFO)[2]
        flags, count = self.slot.interrupts.info(index)
        return pack(IRQ_INFO, IRQ_INFO.itemsize, flags, index, count)

    def _set_irqs(self, message: Message) -> bytes:
        _, flags, index, start, count = message.fields(IRQ_SET)
        data = message.behind(IRQ_SET)
        self.slot.interrupts.set(flags, index, start, count, data, message.fds)
        return b""

    def _region_read(self, message: Message) -> bytes:
        offset, index, count = message.fields(REGION_ACCESS)
        data = self.slot.regions.read(index, offset, count)
        return pack(REGION_ACCESS, offset, index, count) + data

    def _region_write(self, message: Message) -> bytes:
        offset, index, count = message.fields(REGION_ACCESS)
        data = message.behind(REGION_ACCESS)
        if len(data) != count:
            raise Refused(errno.EINVAL, f"{len(data)} bytes, said to be {count}")
        self._write(index, offset, data)
        return pack(REGION_ACCESS, offset, index, count)

    def _write_multi(self, message: Message) -> bytes:
        (count,) = message.fields(WRITES)
        raw = message.behind(WRITES)
        if len(raw) != count * ONE_WRITE.itemsize:
            raise Refused(errno.EINVAL, f"{count} writes in {len(raw)} bytes")
        for at in range(0, len(raw), ONE_WRITE.itemsize):
            offset, index, size, value = unpack(ONE_WRITE, raw[at : at + ONE_WRITE.itemsize])
            if size > 8:
                raise Refused(errno.EINVAL, f"one write of {size} bytes")
            self._write(index, offset, value.to_bytes(8, "little")[:size])
        return pack(WRITES, count)

    def _write(self, index: int, offset: int, data: bytes) -> None:
        self.slot.regions.write(index, offset, data)
        if index == RegionIndex.CONFIG:
            self.slot.interrupts.settle()

    def _reset(self, message: Message) -> bytes:
        self.slot.reset()
        return b""
