"""What happened, in order: events, counters, and recorded accesses of real machines.

The idea: counting is always on and costs next to nothing; keeping each event is switched
on by whoever wants to look. A lesson's table, a picture and a test all read one `Trace`.

    with trace.recording() as events:
        cpu.out(0x3F8, 0x41)
    print(events[0])        # out  port 0x3f8/1  0x41  uart

`load_accesses` reads what a *real* machine did: a text file, one access a line, fields
separated by tabs: sequence number, `r` or `w`, region, address, size, value.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from virtlab.clock import Clock
from virtlab.errors import FileError
from virtlab.wire import all_ones

MAX_TRACE_BYTES = 64 << 20
"""A recorded trace larger than this (bytes, unpacked) is refused."""


class Event(NamedTuple):
    """One thing that happened.

    `seq` counts from 0 in its trace; `time` is virtual ns; `kind` is the verb (`in`, `out`,
    `load`, `store`, `unclaimed`, `exit`, `irq`, ...); `who` did it or answered; `space` is
    `port`, `memory` or empty; `size` is in bytes; `note` says in words what numbers cannot.
    """

    seq: int
    time: int
    kind: str
    who: str = ""
    space: str = ""
    address: int = 0
    size: int = 0
    value: int = 0
    note: str = ""

    def __str__(self) -> str:
        where = f"{self.space} {self.address:#x}/{self.size}  {self.value:#x}" if self.space else ""
        return "  ".join(part for part in (self.kind, where, self.who, self.note) if part)


class Trace:
    """Counters that always count, and events that are kept while `on` is true.

    `limit` bounds the events kept; the oldest go first, and `dropped` counts them, so that
    a guest that never stops cannot fill the host.
    """

    def __init__(self, clock: Clock | None = None, limit: int = 100_000) -> None:
        self.clock = clock
        self.on = False
        self.counts: Counter[str] = Counter()
        self.events: deque[Event] = deque(maxlen=limit)
        self._kept = 0

    @property
    def dropped(self) -> int:
        """How many events were forgotten because more than `limit` were kept."""
        return self._kept - len(self.events)

    def emit(
        self,
        kind: str,
        who: str = "",
        space: str = "",
        address: int = 0,
        size: int = 0,
        value: int = 0,
        note: str = "",
    ) -> None:
        """Count one event of `kind`, and keep it if the trace is on."""
        self.counts[kind] += 1
        if self.on:
            now = self.clock.now if self.clock else 0
            event = Event(self._kept, now, kind, who, space, address, size, value, note)
            self.events.append(event)
            self._kept += 1

    def clear(self) -> None:
        """Forget all events and set every counter to zero."""
        self.counts.clear()
        self.events.clear()
        self._kept = 0

    @contextmanager
    def recording(self) -> Iterator[list[Event]]:
        """Keep events inside the `with`; the list it gives holds exactly those, at its end."""
        was, start = self.on, self._kept
        kept: list[Event] = []
        self.on = True
        try:
            yield kept
        finally:
            self.on = was
            kept.extend(event for event in self.events if event.seq >= start)


class Access(NamedTuple):
    """One access of a recorded machine: `value` is what was written or what was answered."""

    seq: int
    write: bool
    region: str
    address: int
    size: int
    value: int

    def __str__(self) -> str:
        arrow = "<-" if self.write else "->"
        return (
            f"{'out' if self.write else 'in'} {self.address:#x}/{self.size} {arrow} {self.value:#x}"
        )


def load_accesses(path: str | PathLike[str]) -> list[Access]:
    """Read a recorded trace, plain or gzip.

    Raises `FileError`, naming the line and its first byte, where a line is not an access.
    """
    accesses, start = [], 0
    for number, line in enumerate(_unpacked(path).split(b"\n"), 1):
        if line.strip():
            try:
                accesses.append(_parse_access(line.decode("ascii")))
            except ValueError as error:
                raise FileError(path, start, str(error), number) from None
        start += len(line) + 1
    return accesses


def _unpacked(path: str | PathLike[str]) -> bytes:
    raw = Path(path).read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        with gzip.open(path) as file:
            data = file.read(MAX_TRACE_BYTES + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise FileError(path, len(raw), f"not a whole gzip file: {error}") from None
    if len(data) > MAX_TRACE_BYTES:
        raise FileError(path, MAX_TRACE_BYTES, f"longer than {MAX_TRACE_BYTES} bytes unpacked")
    return data


def _parse_access(line: str) -> Access:
    fields = line.rstrip("\r").split("\t")
    if len(fields) != 6:
        raise ValueError(f"an access has 6 fields separated by tabs, this line has {len(fields)}")
    seq, verb, region, address, size, value = fields
    if verb not in ("r", "w"):
        raise ValueError(f"the second field is r or w, not {verb!r}")
    number = int(size, 0)
    if number not in (1, 2, 4, 8):
        raise ValueError(f"the size is 1, 2, 4 or 8 bytes, not {number}")
    gpa, data = int(address, 0), int(value, 0)
    if gpa < 0 or data < 0:
        raise ValueError("an address and a value are not negative")
    return Access(int(seq), verb == "w", region, gpa, number, data & all_ones(number))
