"""A server and whoever speaks to it, in one thread: every message is a step of the test."""

from __future__ import annotations

import json
import os
import socket

from virtlab.hosts.vfio_user.layouts import COMMAND, DMA_MAP, REGION_ACCESS, VERSION, Command
from virtlab.hosts.vfio_user.messages import pack, unpack
from virtlab.hosts.vfio_user.server import Server
from virtlab.hosts.vfio_user.slot import Slot
from virtlab.hosts.vfio_user.wire import Wire
from virtlab.pci.capabilities import Msi, PowerManagement
from virtlab.pci.function import Function, Identity
from virtlab.pci.msix import MsixTable

CAPABILITIES = {"capabilities": {"max_msg_fds": 8, "max_data_xfer_size": 1 << 20}}


class Scratch:
    """Bytes that remember, and every access that came."""

    def __init__(self, size):
        self.data = bytearray(size)
        self.log = []

    def read(self, offset, size):
        self.log.append(("read", offset, size))
        return int.from_bytes(self.data[offset : offset + size], "little")

    def write(self, offset, size, value):
        self.log.append(("write", offset, size, value))
        self.data[offset : offset + size] = value.to_bytes(size, "little")


class Card(Function):
    """Two BARs of scratch bytes, one of MSI-X, a ROM, four messages, a pin, power states."""

    def __init__(self, vectors=3):
        super().__init__(Identity(0x1AF4, 0x10F0, 0xFF0000, 1), name="card", pin=1)
        self.scratch, self.rom = Scratch(0x1000), Scratch(0x800)
        self.memory_bar(0, self.scratch, 0x1000, width=8)
        self.port_bar(2, Scratch(0x40), 0x40)
        self.rom_bar(self.rom, 0x800)
        self.config.add(Msi(vectors=4, bits64=True, maskable=True), 0x40)
        self.table: MsixTable = self.msix_bar(1, vectors, 0x60)
        self.config.add(PowerManagement(), 0x70)
        self.resets = 0

    def reset(self):
        super().reset()
        self.resets += 1


class Bench:
    """`server` for `function`, and `wire`, the client's end. `agreed` begins with VERSION."""

    def __init__(self, function=None, agreed=True, said=CAPABILITIES, patience=0.05):
        ours, theirs = socket.socketpair()
        self.function = function if function is not None else Card()
        self.slot = self.function.bus.complex if self.function.bus else Slot(self.function)
        self.refused = []
        self.woken = []
        wake = lambda: self.woken.append(self.server.pending)  # noqa: E731
        self.server = Server(self.slot, ours, self.refused.append, wake, patience)
        theirs.settimeout(5)
        self.wire = Wire(theirs)
        self.id = 0
        self.fds = []
        if agreed:
            reply = self.ask(Command.VERSION, pack(VERSION, 0, 0) + text(said))
            assert not reply.failed

    def close(self):
        self.server.close()
        self.wire.close()
        for fd in self.fds:
            os.close(fd)

    def send(self, command, payload=b"", fds=(), flags=COMMAND):
        self.id = (self.id + 1) & 0xFFFF
        self.wire.send(self.id, command, payload, flags, fds)

    def ask(self, command, payload=b"", fds=()):
        """Send a command and let the server work: its reply."""
        self.send(command, payload, fds)
        assert self.server.receive()
        reply = self.wire.receive()
        assert (reply.id, reply.command) == (self.id, command)
        return reply

    def error(self, command, payload=b"", fds=()):
        """The errno of the reply, which is one. 0: it was carried out."""
        reply = self.ask(command, payload, fds)
        assert not (reply.error and reply.payload)
        return reply.error

    def event(self):
        """A new eventfd, closed with the bench."""
        self.fds.append(os.eventfd(0, os.EFD_NONBLOCK))
        return self.fds[-1]

    def file(self, size):
        """A new file of `size` zero bytes."""
        self.fds.append(os.memfd_create("ram", os.MFD_ALLOW_SEALING))
        os.ftruncate(self.fds[-1], size)
        return self.fds[-1]


def text(said):
    return json.dumps(said).encode() + b"\0"


def events(fd):
    """How many events were counted on `fd` since it was asked last."""
    try:
        return os.eventfd_read(fd)
    except BlockingIOError:
        return 0


# -- commands


def access(offset, region, count, data=b""):
    return pack(REGION_ACCESS, offset, region, count) + data


def read(bench, region, offset, count):
    """Bytes of a region."""
    reply = bench.ask(Command.REGION_READ, access(offset, region, count))
    assert unpack(REGION_ACCESS, reply.payload) == (offset, region, count)
    return reply.behind(REGION_ACCESS)


def write(bench, region, offset, data):
    """Write them."""
    reply = bench.ask(Command.REGION_WRITE, access(offset, region, len(data), data))
    assert reply.payload == access(offset, region, len(data))


def dma_map(address, size, offset=0, flags=3):
    return pack(DMA_MAP, DMA_MAP.itemsize, flags, offset, address, size)
