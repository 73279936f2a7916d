"""A handshake, overheard: each message that QEMU sends to our back-end, and each answer.

    QEMU  -- socket -->  Heard  -- the same message -->  BackEnd
                           `--> Sent(ns, asks, request, flags, payload, what the descriptors are)

The idea: the back-end handles one message after the other in one place, and answers in another. So
who stands at both hears everything. Descriptors are looked at, not kept: a file has a size, and
everything else is known by its kind.

The rule that keeps it simple: a recording is a file of JSON, a message a line.

`python -m virtlab.show.real_heard FILE` boots a Linux and writes such a file: it needs QEMU and a
kernel, on Linux. `handshake` gives the one that comes with the library, on any system.

Source: vhost-user.rst, "Message Specification".
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from virtlab.backends.disk import Disk
from virtlab.show.real_messages import Sent
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.vhost_user.layouts import REPLY
from virtlab.virtio.vhost_user.messages import Message

if TYPE_CHECKING:
    from virtlab.virtio.vhost_user.back_end import BackEnd

FILE = ("data", "linux", "handshake.jsonl.gz")
"""Where in the package the recording is."""

SLOTS, DISK = 8, 16 << 20
"""Entries of the ring, and bytes of the disk, of a recording: those of the lesson's session."""


def handshake() -> list[Sent]:
    """What QEMU 7.2 and our back-end said to each other when a Linux 6.1 booted and powered off."""
    raw = resources.files("virtlab").joinpath(*FILE).read_bytes()
    return [_sent(json.loads(line)) for line in gzip.decompress(raw).decode().splitlines()]


def _sent(fields: dict[str, Any]) -> Sent:
    fds = tuple((str(kind), int(size)) for kind, size in fields["fds"])
    payload = bytes.fromhex(fields["payload"])
    return Sent(fields["ns"], fields["asks"], fields["request"], fields["flags"], payload, fds)


def written(session: Iterable[Sent]) -> bytes:
    """A recording as the bytes of its file."""
    lines = [json.dumps(one._asdict() | {"payload": one.payload.hex()}) for one in session]
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), 9, mtime=0)


def kinds_of(fds: Iterable[int]) -> tuple[tuple[str, int], ...]:
    """What each descriptor is: a `file` of so many bytes, a `socket`, or an `event`."""
    found = []
    for fd in fds:
        info = os.fstat(fd)
        if stat.S_ISREG(info.st_mode):
            found.append(("file", info.st_size))
        else:
            found.append(("socket" if stat.S_ISSOCK(info.st_mode) else "event", 0))
    return tuple(found)


class Ear:
    """Hears what a back-end is told, and what it answers, in `session`."""

    def __init__(self) -> None:
        self.session: list[Sent] = []
        self._begin = time.monotonic_ns()

    def listen(self, back_end: BackEnd) -> None:
        """Hear this back-end from now on."""
        handle, channel = back_end._handle, back_end.channel
        reply = channel.reply

        def heard(message: Message) -> None:
            request, flags, payload, fds = message
            self._note(True, request, flags, payload, kinds_of(fds.lent))
            handle(message)

        def answered(request: int, payload: bytes, fds: Sequence[int] = ()) -> None:
            self._note(False, request, REPLY, bytes(payload), kinds_of(fds))
            reply(request, payload, fds)

        back_end._handle = heard  # type: ignore[method-assign]
        channel.reply = answered  # type: ignore[method-assign]

    def _note(
        self, asks: bool, request: int, flags: int, payload: bytes, fds: tuple[tuple[str, int], ...]
    ) -> None:
        ns = time.monotonic_ns() - self._begin
        self.session.append(Sent(ns, asks, request, flags, payload, fds))


def linux(path: str) -> None:
    """Boot a Linux on the disk at the socket `path`, let it read a little, and power it off."""
    from virtlab.hosts.linux import LinuxGuest
    from virtlab.hosts.linux_devices import blk

    with LinuxGuest(blk(path, options=f",queue-size={SLOTS}")) as guest:
        guest.run("dd if=/dev/vda of=/dev/null bs=4k count=4")
        guest.power_off()


def record(path: str, boot: Callable[[str], None] = linux) -> int:
    """Write what `boot` and a disk of ours say to each other: how many messages that is."""
    from virtlab.virtio.vhost_user.back_end import BackEnd
    from virtlab.virtio.vhost_user.loop import Loop

    ear, loop = Ear(), Loop()

    def make(sock: socket.socket) -> BackEnd:
        back_end = BackEnd(VirtioBlk(Disk(DISK), queue_size=SLOTS), sock)
        ear.listen(back_end)
        return back_end

    with tempfile.TemporaryDirectory(prefix="virtlab-") as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder}/disk.sock")
        listener.listen()
        loop.listen(listener, make)
        thread = threading.Thread(target=loop.run, daemon=True)
        thread.start()
        try:
            boot(f"{folder}/disk.sock")
        finally:
            loop.stop()
            thread.join()
            loop.close()
    Path(path).write_bytes(written(ear.session))
    return len(ear.session)


if __name__ == "__main__":
    print(record(sys.argv[1]), "messages")
