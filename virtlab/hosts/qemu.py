"""QEMU as a process: found, started with sockets to talk through, and always ended.

Each conversation gets a socket pair, made before QEMU starts and handed to it open. So there
is no path to choose, no connection to wait for, and when QEMU ends every receive ends at once.

The rule that keeps it simple: the process belongs to one object, and ends with it, whichever
way that ends: `close`, a `with` that is left, garbage collection, the end of Python, or, where
the kernel can be asked for it, the violent end of Python.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterable, Sequence
from typing import Protocol

from virtlab.guest.programs import HALT, RESET_VECTOR

QEMU = "qemu-system-x86_64"
ROM_SIZE = 64 << 10

COMMON = ("-nodefaults", "-display", "none")
"""What every QEMU of ours is started with."""

LAST = 2
"""Lines of its last words: QEMU may say what is wrong, and then where to look."""

GRACE = 2.0
"""Seconds that QEMU gets to end by itself."""


def find_qemu() -> str | None:
    """Where QEMU is on this machine, or None."""
    return shutil.which(QEMU)


class _Closable(Protocol):
    def close(self) -> None: ...


class Qemu:
    """A running QEMU whose processor only halts; not `halted`, it starts QEMU's own firmware.

    `program` is its path; `arguments` are added to those that every such QEMU needs. `accel` is
    what runs its code. `sockets` has our end of a stream for each of `names`, which is also the
    name of QEMU's chardev.
    """

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        names: Iterable[str],
        *,
        halted: bool = True,
        accel: str = "tcg",
    ) -> None:
        pairs = {name: socket.socketpair() for name in names}
        self.sockets = {name: ours for name, (ours, _) in pairs.items()}
        theirs = {name: end for name, (_, end) in pairs.items()}
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this object
        rom = tempfile.NamedTemporaryFile(suffix=".rom")  # noqa: SIM115
        rom.write(bytes(RESET_VECTOR) + HALT.ljust(ROM_SIZE - RESET_VECTOR, b"\0"))
        rom.flush()
        open_things: list[_Closable] = [*self.sockets.values(), self._stderr, rom]
        common = ["-accel", accel, *COMMON, *(["-bios", rom.name] if halted else [])]
        try:
            self.process = subprocess.Popen(
                [*_die_with_us(), program, *common, *_chardevs(theirs), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=[end.fileno() for end in theirs.values()],
                start_new_session=True,  # Ctrl-C, or a notebook's stop button, is not for QEMU
            )
        except OSError:
            _close(open_things)
            raise
        finally:
            _close(theirs.values())
        self.end = weakref.finalize(self, _end, self.process, open_things)

    def last_words(self) -> str:
        """How it ended: exit status and last lines on stderr. Waits a moment for the end."""
        try:
            status = f"exit status {self.process.wait(GRACE)}"
        except subprocess.TimeoutExpired:
            status = "still running"
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return ": ".join([status, *lines[-LAST:]])


def _chardevs(ends: dict[str, socket.socket]) -> list[str]:
    options: list[str] = []
    for name, end in ends.items():
        options += ["-chardev", f"socket,id={name},fd={end.fileno()}"]
    return options


def _die_with_us() -> list[str]:
    """The words before a command that let the kernel end it when Python is killed.

    The kernel ties that to the thread that starts the command, so only the main one may ask
    (prctl(2), PR_SET_PDEATHSIG).
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return []
    return [setpriv, "--pdeathsig", "KILL"]


def _end(process: subprocess.Popen[bytes], open_things: Iterable[_Closable]) -> None:
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _close(open_things)


def _close(things: Iterable[_Closable]) -> None:
    for thing in things:
        thing.close()
