"""A recording of a virtual machine at work: what its console printed, and what its rings did.

    ns     kind      what
    -----  --------  ---------------------------------------------------------------
    0      console   bytes that the guest printed
    ...    event     `Event`: kick, pop, push, call, quiet, start, stop, error
    ...    ring      `RingShot`: the bytes of a ring, at the moment of the event before
    ...    chain     `ChainNote`: a request as the driver made it, and the answer to it
    ...    said      `Said`: a command that the guest was given, and how it ended

The idea: who has no virtual machine can still see one. A tape holds what the device saw, so a
picture can be drawn from it, and the same requests can be made again, of any block device.

The rule that keeps it simple: a tape is data. It is read whole, checked line by line, and says in
`about` which programs made it and what it leaves out.

The file has a JSON object a line (see `tape_lines`); the file of ``virtlab serve --trace X.jsonl``
is one too, with events alone. Times are nanoseconds since the recording began.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, cast

from virtlab.errors import FileError
from virtlab.hosts.tape_lines import ABOUT, line_of, moment_of, object_of
from virtlab.hosts.tape_moments import ChainNote, Counts, Moment, Said
from virtlab.hosts.tape_shot import RingShot, shot_of
from virtlab.virtio.vhost_user.statistics import Event

__all__ = ["ChainNote", "Counts", "Event", "Moment", "RingShot", "Said", "Tape", "shot_of"]

PACKED, MAGIC = ".gz", b"\x1f\x8b"
"""How the name of a compressed file ends, and how its bytes begin."""

LONGEST, MOST, ALL = 8 << 20, 1 << 20, 128 << 20
"""Bytes of a line that are read, and lines and bytes of a tape: a small file can unpack to much."""


@dataclass
class Tape:
    """What was recorded, in the order of time. `about` says of what, by which programs."""

    about: dict[str, Any] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """The tape in a file. `FileError` names the line, and the byte where that begins.

        In a compressed file it is the byte of what comes out. `OSError` if there is no such file.
        """
        tape = cls()
        # Closed with the file at once, also where a line is refused.
        with closing(_lines(path)) as lines:
            for byte, number, line in lines:
                try:
                    found = object_of(line)
                    if found.get("kind") == ABOUT:
                        tape.about = {key: value for key, value in found.items() if key != "kind"}
                        continue
                    tape.moments.append(moment_of(found))
                except ValueError as error:
                    raise FileError(path, byte, str(error), number) from None
        tape.moments.sort(key=lambda moment: moment.ns)
        return tape

    def write(self, path: str | PathLike[str]) -> None:
        """Put it into a file: the same tape always gives the same bytes."""
        lines = [line_of({"kind": ABOUT, **self.about}), *map(line_of, self.moments)]
        text = "".join(f"{line}\n" for line in lines).encode()
        if fspath(path).endswith(PACKED):
            text = gzip.compress(text, 9, mtime=0)
        Path(path).write_bytes(text)

    # -- looking into it

    def of(self, kind: str) -> list[Moment]:
        """The moments of one kind."""
        return [moment for moment in self.moments if moment.kind == kind]

    @property
    def console(self) -> bytes:
        """All that the guest printed."""
        return b"".join(moment.what for moment in self.moments if isinstance(moment.what, bytes))

    @property
    def events(self) -> list[Event]:
        """What the rings did."""
        return [moment.what for moment in self.moments if isinstance(moment.what, Event)]

    @property
    def chains(self) -> list[ChainNote]:
        """The requests, in the order in which they were answered."""
        return [moment.what for moment in self.moments if isinstance(moment.what, ChainNote)]

    @property
    def said(self) -> list[Said]:
        """The commands, in the order in which they were given."""
        return [moment.what for moment in self.moments if isinstance(moment.what, Said)]

    def parts(self) -> Iterator[tuple[Said, list[Moment]]]:
        """Each command, with the moments since the one before; itself is the last of them."""
        part: list[Moment] = []
        for moment in self.moments:
            part.append(moment)
            if isinstance(moment.what, Said):
                yield moment.what, part
                part = []

    def __repr__(self) -> str:
        return f"Tape({len(self.moments)} moments, {len(self.said)} commands)"


class Line(NamedTuple):
    """A line of a file: the byte where it begins, its number from 1, and what is in it."""

    byte: int
    number: int
    text: bytes


def _lines(path: str | PathLike[str]) -> Generator[Line, None, None]:
    """The lines of a file that are not empty, unpacked if it is compressed."""
    byte = number = 0
    with _opened(path) as stream:
        try:
            while text := stream.readline(LONGEST + 1):
                number += 1
                if len(text) > LONGEST or number > MOST or byte + len(text) > ALL:
                    why = f"a tape has at most {MOST} lines, of {LONGEST} bytes, and {ALL} bytes"
                    raise FileError(path, byte, why, number)
                if text.strip():
                    yield Line(byte, number, text)
                byte += len(text)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileError(path, byte, f"the compression is broken: {error}") from None


def _opened(path: str | PathLike[str]) -> IO[bytes]:
    """The file, to be read."""
    with open(path, "rb") as file:
        packed = file.read(2) == MAGIC
    return cast(IO[bytes], gzip.open(path)) if packed else open(path, "rb")
