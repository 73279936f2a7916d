"""The service's side: one device, one socket, and a loop that waits for the next request.

    greeting --> map the shared memory, build the device --> reply 0: ready
    request  --> time goes on to the request's --> the access --> reply

The idea: this process knows the device and nothing else. It has the descriptors that it was given:
a socket, the bell, the mailbox, and perhaps the guest's memory and a disk's file. It opens no path
and no network, so a sandbox could close everything else to it.

The rules that keep it simple: one request at a time. The mailbox is written and the bell rung
before the reply goes out, so whoever has the reply finds the line as it is. A write to the disk is
in the file's own pages before it is answered: they are the kernel's, and outlive this process.

The end is the socket's end. Whatever is wrong with a message, the service hangs up: it is the VMM
that must go on.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from virtlab.backends import Disk, Terminal
from virtlab.clock import Clock
from virtlab.interrupts import IrqLine
from virtlab.memory import Dma, GuestMemory
from virtlab.vmm.service.messages import (
    DATA_BYTES,
    REQUEST,
    UNANSWERED,
    Kind,
    Malformed,
    Reply,
    Request,
    greeted,
    pack_reply,
    receive,
    unpack_request,
)
from virtlab.vmm.service.models import Model, build
from virtlab.vmm.service.shared import Bell, CountedDma, Mailbox, SharedMemory, disk_of
from virtlab.vmm.virtual_machine import ScatteredRam


class Server:
    """One device, built as the `greeting` says; `bell` and `mailbox` carry its interrupts."""

    def __init__(self, greeting: dict[str, Any], bell: Bell, mailbox: Mailbox) -> None:
        self.clock = Clock()
        self.bell = bell
        self.mailbox = mailbox
        self.rung = False
        line = IrqLine("service", self._changed)
        dma = CountedDma(_memory(greeting.get("memory")), mailbox.moved)
        self.model: Model = build(greeting["kind"], line, self.clock, dma, _disk(greeting))
        self._terminal = self.model.terminal or Terminal()

    def _changed(self, level: bool) -> None:
        """The device's line has a new level; the bell is rung once for a request."""
        self.mailbox.change()
        self.rung = True

    def answer(self, request: Request) -> Reply:
        """Do what `request` asks for. `Malformed` for a part, a line that the device has not."""
        self.clock.advance(max(0, request.time - self.clock.now))
        value, data = self._do(request)
        if self.rung:
            self.bell.ring()
            self.rung = False
        return Reply(request.sequence, value, self.clock.next_event(), data)

    def _do(self, request: Request) -> tuple[int, bytes]:
        model, offset = self.model, request.offset
        match request.kind:
            case Kind.READ if request.part < len(model.devices):
                return model.devices[request.part].read(offset, request.size), b""
            case Kind.WRITE | Kind.POST if request.part < len(model.devices):
                model.devices[request.part].write(offset, request.size, request.value)
            case Kind.TIME:
                pass
            case Kind.LINE if model.chip is not None and offset < 16:
                model.chip.line(offset).set(bool(request.value))
            case Kind.ACKNOWLEDGE if model.chip is not None:
                return model.chip.acknowledge(), b""
            case Kind.TYPE:
                self._terminal.type(request.data)
            case Kind.PRINTED:
                return 0, bytes(self._terminal.output[offset : offset + DATA_BYTES])
            case _:
                raise Malformed(f"{request} asks for what the device has not")
        return 0, b""


def _memory(table: dict[str, Any] | None) -> Dma:
    """The guest's RAM as the VMM describes it: which frame each page has, in which file."""
    if table is None:
        return GuestMemory([])
    host = SharedMemory(table["start"], table["size"], table["fd"])
    return ScatteredRam(host, table["frames"], [(start, size) for start, size in table["regions"]])


def _disk(greeting: dict[str, Any]) -> Disk | None:
    """The file that was passed, mapped."""
    if "disk" not in greeting:
        return None
    return disk_of(greeting["disk"]["fd"], greeting["disk"]["size"])


def serve(sock: socket.socket, bell: Bell, mailbox: Mailbox) -> None:
    """Greet, build, and answer until the VMM hangs up or sends what is no message."""
    with suppress(Malformed, ConnectionError):
        server = Server(greeted(sock), bell, mailbox)
        sock.sendall(pack_reply(Reply(0)))
        while data := receive(sock, REQUEST.itemsize):
            request = unpack_request(data)
            reply = server.answer(request)
            if request.kind not in UNANSWERED:
                sock.sendall(pack_reply(reply))
