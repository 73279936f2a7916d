"""The service as a process: started, spoken to, and certain to end.

    start --> greeting --> ready          bounded: START seconds
    request --> reply                     bounded: ANSWER seconds
    end: hang up, wait a moment, kill, wait

The idea: every way in which a process can disappoint is one exception, `ServiceDied`: it hung up,
it did not answer in time, it answered what is no reply. Whoever gets it ends the process.

The rules that keep it simple: the socket has no name, so nobody else can connect, and nothing is
left behind. The child gets the descriptors that it needs and no others. It never outlives us: when
our end of the socket closes, for whatever reason, its loop ends.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from virtlab.vmm.service.messages import (
    REPLY,
    UNANSWERED,
    Malformed,
    Reply,
    Request,
    greet,
    pack_request,
    receive,
    unpack_reply,
)

START, ANSWER, GRACE = 60.0, 10.0, 2.0
"""Seconds of real time: to get ready, to answer, to end by itself."""

ROOT = Path(__file__).resolve().parents[3]
"""The folder in which `virtlab` lies."""


class ServiceDied(Exception):
    """The service is of no more use, and why."""


def why_not() -> str:
    """Why no service can be started on this machine; empty if one can.

    A browser's Python has no processes; Windows lacks sockets that a child inherits.
    """
    if os.name != "posix" or sys.platform in ("emscripten", "wasi"):
        return f"no process with shared descriptors can be started on {sys.platform}"
    return ""


class ServiceProcess:
    """A process that serves the device of `greeting`.

    `bell` and `mailbox` are the descriptors that it writes; `fds` are the others that it gets.
    `OSError` if it cannot be started, or is not ready in time.
    """

    def __init__(
        self, greeting: dict[str, Any], bell: int, mailbox: int, fds: Iterable[int]
    ) -> None:
        if reason := why_not():
            raise OSError(reason)
        self.sock, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "virtlab.vmm.service"]
                + [str(fd) for fd in (theirs.fileno(), bell, mailbox)],
                pass_fds={theirs.fileno(), bell, mailbox, *fds},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": _path()},
                start_new_session=True,
            )
        self._end = weakref.finalize(self, _end, self._process, self.sock)
        self._sequence = 0
        self._get_ready(greeting)

    def _get_ready(self, greeting: dict[str, Any]) -> None:
        """Say what to build, and hear that it is built."""
        self.sock.settimeout(START)
        try:
            greet(self.sock, greeting)
            unpack_reply(receive(self.sock, REPLY.itemsize), 0)
        except (OSError, Malformed) as error:
            self.end()
            raise OSError(f"the device's service did not start: {error}") from None
        self.sock.settimeout(ANSWER)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is there. One that has ended is reaped by this."""
        return self._process.poll() is None

    def ask(self, request: Request) -> Reply:
        """Send `request`, under a new sequence number; its reply. `ServiceDied` if none comes.

        For a request that has no reply, one with nothing in it, as soon as it is sent.
        """
        self._sequence = self._sequence + 1 & 0xFFFF_FFFF
        try:
            self.sock.sendall(pack_request(request._replace(sequence=self._sequence)))
            if request.kind in UNANSWERED:
                return Reply(self._sequence)
            data = receive(self.sock, REPLY.itemsize)
        except TimeoutError:
            raise ServiceDied(f"no answer in {self.sock.gettimeout():g} s") from None
        except OSError:
            data = b""
        if not data:
            raise ServiceDied("the service hung up")
        try:
            return unpack_reply(data, self._sequence)
        except Malformed as error:
            raise ServiceDied(f"the service sent no reply: {error}") from None

    def kill(self) -> None:
        """End it as an accident would: kill -9. Nobody is told."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Hang up, and see it gone. Ending twice does nothing."""
        self._end()


def _path() -> str:
    """Where the child finds this library, whatever folder it starts in."""
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def _end(process: subprocess.Popen[bytes], sock: socket.socket) -> None:
    sock.close()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
