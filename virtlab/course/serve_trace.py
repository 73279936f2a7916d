"""What ``virtlab serve --trace`` writes: each event of each ring, a line.

    0.001234567 disk.sock kick ring 0
    0.001251002 disk.sock pop ring 0 3:4113 6:529            head:bytes of each chain
    0.001403377 disk.sock push ring 0 3:4097 6:1             head:bytes written
    0.001410905 disk.sock call ring 0

In a file that ends in ``.jsonl`` a line is an object: ``ns``, ``device``, ``kind``, ``ring``,
``heads``, ``lengths``, ``note``. That is a recording of events alone, which `Tape.read` takes.

The idea: the rings lie in shared memory, so nobody sees what goes over them. The back-end does.

The rule that keeps it simple: a trace is never worth a request. Where it cannot be written any more
it ends, one line says so, and the device goes on.

Times are seconds (``ns``: nanoseconds) since the trace began. Source: `Event`.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from io import FileIO

from virtlab.course.serve_socket import reason
from virtlab.hosts.tape import Moment
from virtlab.hosts.tape_lines import line_of
from virtlab.virtio.vhost_user.statistics import Event, Watch

SECOND = 1_000_000_000
"""Nanoseconds."""


class Trace:
    """Events go to `file`, as JSON or as text. `say` is told, once, why no more do."""

    def __init__(self, file: FileIO, as_json: bool, say: Callable[[str], None]) -> None:
        self._file: FileIO | None = file
        self._form = as_object if as_json else as_text
        self._say = say
        self._begin = time.monotonic_ns()

    def watch(self, device: str) -> Watch:
        """What writes down the events of the device of that name."""
        return lambda event: self._write(device, event)

    def _write(self, device: str, event: Event) -> None:
        if self._file is None:
            return
        line = self._form(time.monotonic_ns() - self._begin, device, event)
        rest = f"{line}\n".encode()
        try:
            while rest:
                # A pipe that does not block, and is full: it gives None.
                if not (written := self._file.write(rest)):
                    raise BlockingIOError(errno.EAGAIN, "nobody reads it")
                rest = rest[written:]
        except OSError as error:
            self._file = None
            self._say(f"the trace ends here: {reason(error)}")


def as_text(ns: int, device: str, event: Event) -> str:
    """A line for a reader.

    >>> as_text(1_234_567, "disk.sock", Event("pop", 0, [3], [4113]))
    '0.001234567 disk.sock pop ring 0 3:4113'
    """
    return f"{ns // SECOND}.{ns % SECOND:09d} {device} {event}"


def as_object(ns: int, device: str, event: Event) -> str:
    """A line for a program.

    >>> as_object(5, "disk.sock", Event("kick", 0))
    '{"ns": 5, "device": "disk.sock", "kind": "kick", "ring": 0, "heads": [], "lengths": [], \
"note": ""}'
    """
    return line_of(Moment(ns, "event", device, event))
