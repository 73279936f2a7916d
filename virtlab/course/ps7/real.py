"""The capstone's last step: an unmodified Linux on a student's back-end.

    QEMU   -- messages, descriptors -->   Server   split_stream, reply, BackEnd.handle
           -- kick eventfd ----------->            BackEnd.kicked
           <- call eventfd ------------

The idea: the student's code decides everything between two system calls. What is left is here: a
socket, files that are mapped, and descriptors that count events.

The rule that keeps it simple: the student's code runs in the thread that called, so that its errors
and Ctrl-C end where they should. Linux is driven by another thread, which only waits for commands.

Source: vhost-user.rst, "Communication"; unix(7), "Ancillary messages". Linux only.
"""

from __future__ import annotations

import array
import contextlib
import mmap
import os
import select
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol

from virtlab.backends.disk import Disk
from virtlab.course.ps7.stream_asks import Handled, Message
from virtlab.course.ps7.world import Bytes
from virtlab.hosts.linux import LinuxGuest
from virtlab.hosts.linux_devices import blk
from virtlab.hosts.linux_initrd import Image, linux_image
from virtlab.hosts.live_works import DISK, WORKS
from virtlab.virtio.vhost_user.layouts import MAX_REGIONS, Request

SECONDS, TURN = 300.0, 100
"""Seconds of the whole; milliseconds of one wait."""

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
        call, state = self.back_end.kicked()
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
        messages, rest = self.split(self.rest + data)
        # A front-end sends each message at once, and no read goes on behind one with descriptors.
        for number, message in enumerate(messages):
            mine = list(fds) if number == len(messages) - 1 else []
            answer = self._answer(message, mine)
            if answer is None:
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


# -- Linux


class Served(NamedTuple):
    """How it went: the exit `status` of each work by name, and the `disk` afterwards."""

    status: dict[str, int]
    disk: Disk
    messages: int
    kicks: int
    calls: int

    @property
    def ok(self) -> bool:
        """Whether all of it was done, and well."""
        return list(self.status) == list(WORKS) and not any(self.status.values())

    def __repr__(self) -> str:
        done = "all of it went well" if self.ok else f"it ended with {self.status}"
        return f"{done}: {self.messages} messages, {self.kicks} kicks, {self.calls} calls"


def serve_linux(
    back_end: Callable[[Disk, bytes], OwnBackEnd],
    split_stream: Split,
    reply: Reply,
    say: Callable[[str], None] = print,
    image: Image | None = None,
) -> Served | None:
    """Boot Linux on a disk that is a student's back-end; it makes a file system and checks it.

    `say` is told what is done. None if QEMU or a kernel is missing: then it says which.
    """
    try:
        image = image or linux_image()
    except FileNotFoundError as missing:
        say(f"no Linux can be booted here: {missing}")
        return None
    disk = Disk(DISK)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        path = str(Path(folder) / "disk.sock")
        server = Server(path, lambda: back_end(disk, b"virtlab"), split_stream, reply)
        stack.callback(server.close)
        try:
            guest = stack.enter_context(LinuxGuest(blk(path), image=image))
        except FileNotFoundError as missing:
            say(f"no Linux can be booted here: {missing}")
            return None
        status = _watch(server, guest, say)
        return Served(status, disk, server.messages, server.kicks, server.calls)


def _watch(server: Server, guest: LinuxGuest, say: Callable[[str], None]) -> dict[str, int]:
    """Serve until Linux has done its works, and say what comes of them."""
    told: SimpleQueue[tuple[str, str, int]] = SimpleQueue()
    status: dict[str, int] = {}
    linux = threading.Thread(target=_work, args=(guest, told), daemon=True)
    say("Linux boots")
    linux.start()
    end = time.monotonic() + SECONDS
    while linux.is_alive() and time.monotonic() < end:
        server.turn()
        status |= _told(told, say)
    status |= _told(told, say)
    for word in server.words:
        say(f"the ring was broken: {word}")
    return status


def _told(told: SimpleQueue[tuple[str, str, int]], say: Callable[[str], None]) -> dict[str, int]:
    """Say what has come from the other thread, and give how each work ended."""
    status: dict[str, int] = {}
    with contextlib.suppress(Empty):
        while True:
            name, text, ended = told.get_nowait()
            status[name] = ended
            say(text)
    return status


def _work(guest: LinuxGuest, told: SimpleQueue[tuple[str, str, int]]) -> None:
    """Give Linux its commands, in a thread of its own."""
    try:
        for name, command in WORKS.items():
            ran = guest.run(command)
            told.put((name, f"# {command}\n{ran.text}".rstrip(), ran.status))
        guest.power_off()
    except OSError as error:
        told.put(("Linux", str(error), 1))
