"""Who writes down what passes on a wire, and a file of it that other programs read.

    capture = Capture(clock).watch(link)
    capture.frames[0].frame             # the bytes of the first one
    capture.save("lesson.pcap")         # for Wireshark or tcpdump

The rule that keeps it simple: a capture is bounded. What no longer fits is counted, not kept.

Source: draft-ietf-opsawg-pcap 4, 5.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from virtlab.backends.network import MAX_FRAME, Link, LinkEnd
from virtlab.clock import SECOND, Clock
from virtlab.wire import u16, u32

MAX_CAPTURE = 16 << 20
"""Bytes of frames that a capture keeps; later ones are counted and not kept."""

PCAP_HEADER = np.dtype(
    [
        ("magic", u32),  # 0xa1b23c4d: times in nanoseconds
        ("major", u16),
        ("minor", u16),
        ("zone", u32),
        ("accuracy", u32),
        ("snapshot", u32),  # bytes kept of a frame, at most
        ("network", u32),  # 1: Ethernet
    ]
)
"""The start of a capture file (draft-ietf-opsawg-pcap, 4)."""

PCAP_RECORD = np.dtype(
    [
        ("seconds", u32),
        ("nanoseconds", u32),
        ("kept", u32),  # bytes in the file
        ("length", u32),  # bytes of the frame
    ]
)
"""What stands before each frame in it (draft-ietf-opsawg-pcap, 5)."""

PCAP_MAGIC, ETHERNET = 0xA1B23C4D, 1


class Captured(NamedTuple):
    """A frame on a wire: virtual `time` (ns), the end that sent it, the bytes."""

    time: int
    sender: str
    frame: bytes


class Capture:
    """Frames as they pass: `Capture(clock).watch(link)`. `frames` has them in order."""

    def __init__(self, clock: Clock | None = None, limit: int = MAX_CAPTURE) -> None:
        self.clock = clock
        self.limit = limit
        self.frames: list[Captured] = []
        self.dropped = 0
        self._bytes = 0

    def watch(self, link: Link) -> Capture:
        """Watch a cable; several may be watched by one capture."""
        link.watchers.append(self._see)
        return self

    def _see(self, end: LinkEnd, frame: bytes) -> None:
        if self._bytes + len(frame) > self.limit:
            self.dropped += 1
            return
        self._bytes += len(frame)
        now = self.clock.now if self.clock is not None else 0
        self.frames.append(Captured(now, end.name, frame))

    def pcap(self) -> bytes:
        """The frames as a capture file, for Wireshark or tcpdump."""
        header = np.array([(PCAP_MAGIC, 2, 4, 0, 0, MAX_FRAME, ETHERNET)], PCAP_HEADER)
        parts = [header.tobytes()]
        for time, _, frame in self.frames:
            seconds, rest = divmod(time, SECOND)
            record = np.array([(seconds, rest, len(frame), len(frame))], PCAP_RECORD)
            parts += [record.tobytes(), frame]
        return b"".join(parts)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the capture file."""
        Path(path).write_bytes(self.pcap())
