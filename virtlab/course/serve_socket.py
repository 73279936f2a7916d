"""The socket of ``virtlab serve``: where a virtual machine finds a device.

    nothing there               made, for its owner alone (mode 600)
    a socket, nobody listens    left over from a process that was killed: replaced
    a socket, somebody listens  left alone: one line
    any other file              left alone: one line

The idea: who can connect can read and write the whole disk. So the file is never there with another
mode, not even for a moment.

The rule that keeps it simple: what was made here is removed here, if it is still the same file.

Source: unix(7), "Pathname sockets".
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator

from virtlab.course.cli import CommandError

OTHERS = 0o177
"""The bits of a mode that a socket is made without: all but read and write for its owner."""


@contextlib.contextmanager
def listening(path: str) -> Iterator[socket.socket]:
    """A socket that listens at `path`, which is removed afterwards. `CommandError` if it cannot."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(listener, path)
        made = os.stat(path)
        try:
            listener.listen()
            yield listener
        finally:
            with contextlib.suppress(OSError):
                if os.path.samestat(made, os.stat(path)):
                    os.unlink(path)
    finally:
        listener.close()


def connected(path: str) -> socket.socket:
    """A socket that is connected to whoever listens at `path`, at once.

    `CommandError` if nobody does, or if there is no room for one more who waits.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise CommandError(f"{path}: no peer listens there: {reason(error)}") from None
    return sock


def reason(error: OSError) -> str:
    """What went wrong, in words."""
    return error.strerror or str(error)


def _bind(listener: socket.socket, path: str) -> None:
    """Give the socket its name; a stale one is removed first."""
    before = os.umask(OTHERS)
    try:
        try:
            listener.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _check_stale(path)
            os.unlink(path)
            listener.bind(path)
    except OSError as error:
        raise CommandError(f"{path}: {reason(error)}") from None
    finally:
        os.umask(before)


def _check_stale(path: str) -> None:
    """`CommandError` unless the file is a socket at which nobody listens any more."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise CommandError(f"{path}: there is a file that is no socket: name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return
        except BlockingIOError:
            pass  # so many wait that there is no room for one more
    raise CommandError(f"{path}: somebody listens there already: end that, or name another path")
