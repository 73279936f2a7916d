"""A lesson PC with memory to share and a VM on it; a service that runs in a thread, to be tried."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager

from virtlab import machine
from virtlab.vmm import placement
from virtlab.vmm.service.messages import (
    REPLY,
    Reply,
    Request,
    greet,
    pack_request,
    receive,
    unpack_reply,
)
from virtlab.vmm.service.server import serve
from virtlab.vmm.service.shared import Bell, Mailbox


def shared_vm():
    """`(board, guest)`: the lesson's PC and VM, the VM in memory that can be shared."""
    board = machine.lesson_pc()
    placement.share(board)
    return board, machine.lesson_vm(board)


def open_files():
    """How many descriptors this process has open."""
    return len(os.listdir("/dev/fd"))


class Client:
    """The VMM's end of a service, as bytes on a socket."""

    def __init__(self, sock, bell, mailbox):
        self.sock, self.bell, self.mailbox = sock, bell, mailbox
        self.sequence = 0

    def greet(self, **greeting):
        """Greet; the first reply says that the device is built."""
        greet(self.sock, greeting)
        return unpack_reply(receive(self.sock, REPLY.itemsize), 0)

    def send(self, kind, **fields):
        self.sequence += 1
        self.sock.sendall(pack_request(Request(kind, sequence=self.sequence, **fields)))

    def ask(self, kind, **fields) -> Reply:
        self.send(kind, **fields)
        return unpack_reply(receive(self.sock, REPLY.itemsize), self.sequence)

    def hung_up(self) -> bool:
        """Whether the service has closed its end."""
        return self.sock.recv(1) == b""


@contextmanager
def in_a_thread():
    """A service in a thread of this process, for its loop to be tried byte by byte."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    with Bell.new() as bell, ours:
        mailbox = Mailbox()

        def run():
            with theirs:
                serve(theirs, bell, mailbox)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield Client(ours, bell, mailbox)
        ours.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive()
