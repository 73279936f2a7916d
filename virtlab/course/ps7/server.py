"""The capstone's last step, the socket: a student's back-end behind a real front-end.

    front-end   -- messages, descriptors -->   Server   split_stream, reply, BackEnd.handle
                -- kick eventfd ----------->            BackEnd.kicked
                <- call eventfd ------------

The idea: the student's code decides everything between two system calls. What is left is here: a
socket, files that are mapped, and descriptors that count events.

The rule that keeps it simple: nothing that the student's code gives is mended. A value of another
shape is a `TypeError` that names the function; a `reply` that hangs up is noted in `hung_up`.

Source: vhost-user.rst, "Communication"; unix(7), "Ancillary messages". Linux only.
"""

from __future__ import annotations

import array
import contextlib
import mmap
import os
import select
import socket
from collections.abc import Callable, Iterable
from typing import Protocol

from virtlab.course.given.world import REQUESTS, Bytes
from virtlab.course.ps7.stream_asks import Handled, Message
from virtlab.course.tasks import shown
from virtlab.virtio.vhost_user.layouts import MAX_REGIONS, Request

TURN = 100
"""Milliseconds of one wait."""

ONE = (1).to_bytes(8, "little")
_INT = array.array("i").itemsize

Split = Callable[[bytes], tuple[list[Message], bytes | None]]
Reply = Callable[[Message, bool, Callable[[int, bytes], Handled]], bytes | None]


class OwnBackEnd(Protocol):
    """A student's `BackEnd`."""

    acked: bool

    def handle(self, request: int, payload: bytes, files: list[Bytes]) -> Handled:
        """Do what a message asks for."""

    def kicked(self) -> tuple[bool, str]:
        """Serve the ring."""


class Server:
    """Serves whoever connects to the socket `path`, one at a time, with a back-end from `make`."""

    def __init__(
        self, path: str, make: Callable[[], OwnBackEnd], split: Split, reply: Reply
    ) -> None:
        self.make, self.split, self.reply = make, split, reply
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen()
        self.sock: socket.socket | None = None
        self.back_end = make()
        self.rest = b""
        self.events: dict[int, int] = {}  # descriptors, by the request that brought them
        self.again = False
        self.messages = self.kicks = self.calls = 0
        self.words: list[str] = []
        self.last = "none"  # the name of the message that came last
        self.hung_up = ""  # on what the student's code hung up

    def close(self) -> None:
        """Hang up, and listen no more."""
        self._hang_up()
        self.listener.close()

    def turn(self, milliseconds: int = TURN) -> None:
        """Wait for something, and do it."""
        poll = select.poll()
        sock, kick = self.sock, self.events.get(Request.SET_VRING_KICK)
        poll.register(sock or self.listener, select.POLLIN)
        if kick is not None:
            poll.register(kick, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(0 if self.again else milliseconds)]
        if kick is not None and kick in ready:
            os.read(kick, 8)
            self.kicks += 1
            self.again = True
        if self.again:
            self._kicked()
        if sock is None and self.listener.fileno() in ready:
            self.sock, _ = self.listener.accept()
            self.back_end = self.make()
        elif sock is not None and sock.fileno() in ready:
            self._receive(sock)

    def _kicked(self) -> None:
        found = self.back_end.kicked()
        _expect("kicked", "a tuple (call, state)", _pair(found) and type(found[1]) is str, found)
        call, state = found
        self.again = state == "more"
        if call and Request.SET_VRING_CALL in self.events:
            self.calls += 1
            os.write(self.events[Request.SET_VRING_CALL], ONE)
        if state not in ("sleep", "more") and state not in self.words:
            self.words.append(state)

    def _receive(self, sock: socket.socket) -> None:
        data, beside = b"", list[tuple[int, int, bytes]]()
        with contextlib.suppress(ConnectionError):
            data, beside, _, _ = sock.recvmsg(4096, socket.CMSG_SPACE(MAX_REGIONS * _INT))
        fds = array.array("i", b"".join(raw[: len(raw) // _INT * _INT] for _, _, raw in beside))
        found = self.split(self.rest + data)
        _expect("split_stream", "a tuple (messages, rest)", _pair(found), found)
        messages, rest = found
        if rest is None:
            self.hung_up = "a header: split_stream gives None as the rest"
        # A front-end sends each message at once, and no read goes on behind one with descriptors.
        for number, message in enumerate(messages):
            mine = list(fds) if number == len(messages) - 1 else []
            self.last = f"{REQUESTS.get(message[0], 'of no known name')} ({message[0]})"
            answer = self._answer(message, mine)
            if answer is None:
                self.hung_up = f"{self.last}: reply gives None"
                rest = None
                break
            self.messages += 1
            with contextlib.suppress(ConnectionError):
                sock.sendall(answer)
        if rest is None or not data:
            self._hang_up()
        else:
            self.rest = rest

    def _answer(self, message: Message, fds: list[int]) -> bytes | None:
        request = message[0]
        files: list[Bytes] = []
        if request in (Request.SET_VRING_KICK, Request.SET_VRING_CALL, Request.SET_VRING_ERR):
            self._keep(request, fds)
        else:
            files = [mmap.mmap(fd, os.fstat(fd).st_size) for fd in fds]
            for fd in fds:
                os.close(fd)
        back_end = self.back_end
        answer = self.reply(
            message, back_end.acked, lambda number, payload: back_end.handle(number, payload, files)
        )
        _expect("reply", "bytes, or None", answer is None or isinstance(answer, bytes), answer)
        if request == Request.SET_VRING_ENABLE and Request.SET_VRING_KICK in self.events:
            self.again = True  # a kick may have come before
        return answer

    def _keep(self, request: int, fds: Iterable[int]) -> None:
        old = self.events.pop(request, None)
        if old is not None:
            os.close(old)
        for fd in fds:
            self.events[request] = fd

    def _hang_up(self) -> None:
        for request in list(self.events):
            self._keep(request, [])
        if self.sock is not None:
            self.sock.close()
        self.sock, self.rest, self.again = None, b"", False


def _pair(found: object) -> bool:
    return isinstance(found, tuple) and len(found) == 2


def _expect(name: str, due: str, well: bool, found: object) -> None:
    """`TypeError` if a function of the student's gave something else."""
    if not well:
        raise TypeError(f"{name} gives {due}; yours gave {shown(found)}")
