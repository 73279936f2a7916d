"""One message of vfio-user, and what each command must look like before anyone acts on it.

    command           payload                      descriptors
    DMA_MAP           DMA_MAP                      0 or 1
    DEVICE_SET_IRQS   IRQ_SET, a byte each         0 to 16
    REGION_WRITE      REGION_ACCESS, the bytes     none

The idea: `FORMS` is that table. A command is compared with its row in one place, so whoever carries
it out finds the payload complete and the descriptors counted.

The rule that keeps it simple: two things can be wrong. A command that cannot be carried out is
`Refused`, with an errno that goes back; the session goes on. Where the stream itself makes no sense
any more it is a `ProtocolError`, and the connection ends.

Source: vfio-user.rst, "Header", "Commands"; errno(3). No row: what is not offered here, migration.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from struct import Struct
from typing import NamedTuple, Self

from virtlab.hosts.vfio_user.layouts import (
    DEVICE_INFO,
    DMA_ACCESS,
    DMA_MAP,
    DMA_UNMAP,
    ERROR,
    HEADER,
    IO_FDS,
    IRQ_INFO,
    IRQ_SET,
    NO_REPLY,
    ONE_WRITE,
    REGION_ACCESS,
    REGION_INFO,
    VERSION,
    WRITES,
    Command,
)
from virtlab.pci.msix import MAX_VECTORS
from virtlab.virtio.layouts import DType, packer
from virtlab.virtio.vhost_user.messages import Descriptors

MAX_TRANSFER = 64 << 10
"""Bytes of one read or write that are taken: `max_data_xfer_size`."""

MAX_FDS = 8
"""Descriptors of one message that are taken: `max_msg_fds`."""

MAX_WRITES = 256
"""Writes of one REGION_WRITE_MULTI that are taken. QEMU sends 8 at most."""

MAX_JSON = 4096
"""Bytes of JSON that are taken."""


class Refused(Exception):
    """A command that cannot be carried out: `code` is an errno, `why` says it in words."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"{why} ({errno.errorcode[code]})")
        self.code = code
        self.why = why


class Message(NamedTuple):
    """A message: `command` is a number, which need not be a `Command`. A context manager."""

    id: int
    command: int
    flags: int
    error: int
    payload: bytes
    fds: Descriptors

    @property
    def name(self) -> str:
        """What its command is called."""
        return command_name(self.command)

    @property
    def answered(self) -> bool:
        """Whether a reply is wanted."""
        return not self.flags & NO_REPLY

    @property
    def failed(self) -> str:
        """Of a reply: why it is an error; else empty."""
        if not self.flags & ERROR:
            return ""
        return os.strerror(self.error) if self.error else "no reason given"

    def fields(self, layout: DType) -> tuple[int, ...]:
        """The numbers with which the payload begins, as `layout` has them."""
        return unpack(layout, self.payload)

    def behind(self, layout: DType) -> bytes:
        """What follows them."""
        return self.payload[layout.itemsize :]

    def __enter__(self) -> Self:
        """Its descriptors are closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what nobody took."""
        self.fds.close()


_structs: Mapping[DType, Struct] = {
    layout: packer(layout)
    for layout in (
        *(HEADER, VERSION, DMA_MAP, DMA_UNMAP, DMA_ACCESS, DEVICE_INFO, REGION_INFO),
        *(REGION_ACCESS, WRITES, ONE_WRITE, IO_FDS, IRQ_INFO, IRQ_SET),
    )
}


def pack(layout: DType, *numbers: int) -> bytes:
    """The bytes of a payload.

    >>> pack(REGION_ACCESS, 4, 7, 2).hex()
    '04000000000000000700000002000000'
    """
    return _structs[layout].pack(*numbers)


def unpack(layout: DType, raw: bytes | bytearray) -> tuple[int, ...]:
    """The numbers with which `raw` begins: not fewer bytes than `layout` has."""
    return _structs[layout].unpack_from(raw)


_names = {int(command): command.name for command in Command}


def command_name(command: int) -> str:
    """`DMA_MAP` for 2; `command 99` for what the protocol does not know."""
    return _names.get(command, f"command {command}")


class Form(NamedTuple):
    """What a command must look like: `payload`, up to `more` bytes behind it, `fds` descriptors."""

    payload: DType | None = None
    more: int = 0
    fds: range = range(1)


FORMS: Mapping[int, Form] = {
    Command.VERSION: Form(VERSION, MAX_JSON),
    Command.DMA_MAP: Form(DMA_MAP, fds=range(2)),
    Command.DMA_UNMAP: Form(DMA_UNMAP),
    Command.DEVICE_GET_INFO: Form(DEVICE_INFO),
    Command.DEVICE_GET_REGION_INFO: Form(REGION_INFO),
    Command.DEVICE_GET_REGION_IO_FDS: Form(IO_FDS),
    Command.DEVICE_GET_IRQ_INFO: Form(IRQ_INFO),
    Command.DEVICE_SET_IRQS: Form(IRQ_SET, MAX_VECTORS, range(MAX_FDS + 1)),
    Command.REGION_READ: Form(REGION_ACCESS),
    Command.REGION_WRITE: Form(REGION_ACCESS, MAX_TRANSFER),
    Command.DEVICE_RESET: Form(),
    Command.REGION_WRITE_MULTI: Form(WRITES, MAX_WRITES * ONE_WRITE.itemsize),
}
"""What a server carries out, or refuses for a reason of its own."""

LONGEST = HEADER.itemsize + DMA_ACCESS.itemsize + MAX_TRANSFER
"""Bytes of the longest message that is taken: no form, and no reply of a client, has more."""


def check_command(message: Message) -> None:
    """`Refused` unless `message` has the form of its command."""
    form = FORMS.get(message.command)
    if form is None:
        raise Refused(errno.ENOTSUP, f"{message.name}: not offered here")
    least = form.payload.itemsize if form.payload else 0
    if not least <= len(message.payload) <= least + form.more:
        words = f"{len(message.payload)} bytes, where {least} to {least + form.more} belong"
        raise Refused(errno.EINVAL, f"{message.name}: {words}")
    if len(message.fds) not in form.fds:
        raise Refused(errno.EINVAL, f"{message.name}: {len(message.fds)} descriptors")
