"""A flat file system: one sector of directory, and files in one piece each.

    sector   0            1 .........          ...                       of the volume
             [ directory ][ notes, 8 sectors ][ log, 128 sectors ][ free ]

      0           16        20        24        28        32
      +-----------+---------+---------+---------+---------+
      | name      | start   | sectors | length  |    0    |     one of 16 entries
      +-----------+---------+---------+---------+---------+

The idea: who writes byte 5000 of a file must end up with a sector of a disk. A file system is what
does that, and this is about the smallest one that does it honestly.

The rules that keep it simple: a file has room from the start, and never moves. It grows up to that
room. A write that is not whole sectors reads the first and the last one before it. The directory is
read once, when the volume is mounted, and written when a length changes.

Whoever mounts a volume did not make it. An entry that reaches beyond the volume is no file.

The layout is the course's own. Left out: folders, removal, times, owners.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from virtlab.backends.disk import SECTOR
from virtlab.wire import u32

ENTRY = np.dtype(
    [
        ("name", "S16"),  # ASCII, filled up with zeros; an entry without a name is free
        ("start", u32),  # first sector, counted from the volume's own
        ("sectors", u32),  # room
        ("length", u32),  # bytes in use
        ("reserved", u32),
    ]
)
"""One file, 32 bytes; written by whoever mounts the volume."""

ENTRIES = SECTOR // ENTRY.itemsize
"""Files that a volume can have."""

NAME_LENGTH = 16


class Blocks(Protocol):
    """Where sectors are: a `Disk`, or a guest's block driver."""

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector`."""

    def write(self, sector: int, data: bytes) -> None:
        """Put `data`, whole sectors, from `sector` on."""


class FlatFiles:
    """The volume in the `sectors` from `first` of `blocks`, mounted.

    A file is known by its index in the directory. What goes wrong in `blocks` passes through.
    """

    def __init__(self, blocks: Blocks, first: int, sectors: int) -> None:
        if first < 0 or sectors < 2:
            raise ValueError(f"a volume has 2 sectors or more, not {sectors} from {first}")
        self.blocks = blocks
        self.first = first
        self.sectors = sectors
        self.directory = np.frombuffer(blocks.read(first), ENTRY).copy()

    @classmethod
    def format(cls, blocks: Blocks, first: int, sectors: int) -> FlatFiles:
        """An empty volume."""
        blocks.write(first, bytes(SECTOR))
        return cls(blocks, first, sectors)

    # -- the directory

    def find(self, name: bytes) -> int | None:
        """The index of the file `name`, or None."""
        for index, entry in enumerate(self.directory):
            if name and entry["name"].item() == name and self._inside(index):
                return index
        return None

    def create(self, name: bytes, sectors: int, length: int = 0) -> int:
        """A new file with room for `sectors`; its first `length` bytes are what lay there.

        `ValueError` if the name is taken or too long, or nothing is free.
        """
        if not 0 < len(name) <= NAME_LENGTH or b"\0" in name or self.find(name) is not None:
            raise ValueError(f"a file has a new name of 1 to {NAME_LENGTH} bytes, not {name!r}")
        if not 0 < sectors or not 0 <= length <= sectors * SECTOR:
            raise ValueError(f"{length} bytes in {sectors} sectors are no file")
        used = [index for index in range(ENTRIES) if self._inside(index)]
        start = 1 + max((self._end(index) - 1 for index in used), default=0)
        if len(used) == ENTRIES or start + sectors > self.sectors:
            raise ValueError(f"there is no room for {sectors} sectors more")
        free = next(index for index in range(ENTRIES) if index not in used)
        self.directory[free] = (name, start, sectors, length, 0)
        self._write_directory()
        return free

    def length(self, index: int) -> int:
        """Bytes in the file."""
        entry = self.directory[index]
        return min(int(entry["length"]), self.room(index))

    def room(self, index: int) -> int:
        """Bytes that the file can have."""
        return int(self.directory[index]["sectors"]) * SECTOR

    def _inside(self, index: int) -> bool:
        """Whether an entry is a file: it has a name, and lies in the volume."""
        entry = self.directory[index]
        named = bool(entry["name"].item())
        return named and int(entry["start"]) >= 1 and self._end(index) <= self.sectors

    def _end(self, index: int) -> int:
        """The first sector after the file, counted from the volume's own."""
        entry = self.directory[index]
        return int(entry["start"]) + int(entry["sectors"])

    def _write_directory(self) -> None:
        self.blocks.write(self.first, self.directory.tobytes())

    # -- the bytes

    def sector(self, index: int, offset: int) -> int:
        """The sector of the disk that has the file's byte `offset`."""
        return self.first + int(self.directory[index]["start"]) + offset // SECTOR

    def read(self, index: int, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`: fewer where the file ends."""
        count = min(count, self.length(index) - offset)
        if count <= 0:
            return b""
        head = offset % SECTOR
        sectors = -(-(head + count) // SECTOR)
        return self.blocks.read(self.sector(index, offset), sectors)[head : head + count]

    def write(self, index: int, offset: int, data: bytes) -> int:
        """Put `data` at `offset`; how many bytes there was room for."""
        data = data[: max(0, self.room(index) - offset)]
        if not data:
            return 0
        end = offset + len(data)
        head, tail = offset % SECTOR, -end % SECTOR
        before = self.blocks.read(self.sector(index, offset))[:head] if head else b""
        after = self.blocks.read(self.sector(index, end))[-tail:] if tail else b""
        self.blocks.write(self.sector(index, offset), before + data + after)
        if end > self.length(index):
            self.directory[index]["length"] = end
            self._write_directory()
        return len(data)
