"""The two serial lines of a Linux: what it printed on its console, and the messages that it sent.

    console   text, for people                  Console: keeps it, finds a text in it
    report    TEXT 0x1e LINE, again and again   Reports: cuts it into messages

The rule that keeps it simple: what a guest prints has no end, so of each line the last MiB is kept
and no more.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from virtlab.hosts.linux_initrd import END

KEPT = 1 << 20
"""Bytes of a line that are kept."""

MESSAGES = 1024
"""Messages that wait to be taken: a guest of ours sends one for each command."""


WHERE = "\x1b[6n"
"""How a shell asks its terminal where the cursor is. Here is no terminal."""


def text_of(data: bytes | bytearray) -> str:
    """What a terminal shows: the line ends of a terminal are ours, what is no text is marked."""
    return data.decode("utf-8", "replace").replace("\r\n", "\n").replace(WHERE, "")


class Console:
    """What came over the console, and how much of it was already looked at."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._seen = 0
        self._new = bytearray()

    def add(self, data: bytes) -> None:
        """More came."""
        self._new = (self._new + data)[-KEPT:]
        self._data += data
        lost = max(0, len(self._data) - KEPT)
        del self._data[:lost]
        self._seen = max(0, self._seen - lost)

    @property
    def text(self) -> str:
        """All that is kept."""
        return text_of(self._data)

    def take(self) -> bytes:
        """What came since the last `take`."""
        new, self._new = bytes(self._new), bytearray()
        return new

    def find(self, wanted: bytes) -> bool:
        """Whether `wanted` is in what came since the last `find` that was true."""
        at = self._data.find(wanted, self._seen)
        if at < 0:
            return False
        self._seen = at + len(wanted)
        return True


class Report(NamedTuple):
    """One message: its `line`, as `ready` or `status 0`, and the `text` before it."""

    line: str
    text: str


class Reports:
    """The messages that came, until they are taken."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._whole: deque[Report] = deque(maxlen=MESSAGES)

    def add(self, data: bytes) -> None:
        """More came: perhaps whole messages, perhaps a part of one."""
        self._data += data
        while True:
            text, end, rest = self._data.partition(END.encode())
            line, newline, rest = rest.partition(b"\n")
            if not end or not newline:
                break
            self._whole.append(Report(text_of(line), text_of(text)))
            self._data = rest
        del self._data[:-KEPT]

    def take(self) -> Report | None:
        """The next message, or None."""
        return self._whole.popleft() if self._whole else None
