"""An archive that Linux unpacks as its first file system: cpio, in the form called newc.

    110 bytes of header | path, a zero | 0..3 zeros | the file's bytes | 0..3 zeros
    the same for every entry, and last one with the path TRAILER!!!

A header is six characters, `070701`, and thirteen numbers of eight hexadecimal digits each.

The idea: the kernel unpacks one archive after the other, and a later file replaces an earlier one.
So what every boot needs is one archive, and what one boot needs is a second, put behind it.

The rule that keeps it simple: the same entries give the same bytes. Entries stand in the order of
their paths, so a folder comes before what is in it. All belong to root and have no date.

Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst. Left out: hard links,
device nodes (the kernel makes those), checksums (`070702`).
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

MAGIC = b"070701"
FIELDS = (
    "ino",
    "mode",
    "uid",
    "gid",
    "nlink",
    "mtime",
    "filesize",
    "devmajor",
    "devminor",
    "rdevmajor",
    "rdevminor",
    "namesize",
    "check",
)
"""The numbers of a header, in their order."""

DIGITS = 8
"""Hexadecimal digits of a number."""

HEADER = len(MAGIC) + DIGITS * len(FIELDS)
"""Bytes of a header: 110."""

ALIGNMENT = 4
"""Path and data each end on a multiple of this, counted from the archive's first byte."""

TRAILER = "TRAILER!!!"
"""The path of the entry that ends an archive."""

MOST = (1 << 4 * DIGITS) - 1
"""The most that a number can be, so also the most bytes of a file."""


class Entry(NamedTuple):
    """What the archive has under `path`: `mode` says what it is, `data` is what is in it."""

    path: str
    mode: int
    data: bytes = b""


def folder(path: str) -> Entry:
    """A folder. `archive` makes those above an entry by itself."""
    return Entry(path, stat.S_IFDIR | 0o755)


def file(path: str, data: bytes | str, program: bool = False) -> Entry:
    """A file that everybody may read, and, if it is a `program`, may run."""
    content = data.encode() if isinstance(data, str) else data
    return Entry(path, stat.S_IFREG | (0o755 if program else 0o644), content)


def link(path: str, target: str) -> Entry:
    """A symbolic link to `target`."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive of `entries`, with the folders above them.

    `ValueError` for a path that is not a plain relative one, that comes twice, or that leads
    through what is no folder.

    >>> archive([])[:6], len(archive([]))
    (b'070701', 124)
    """
    tree: dict[str, Entry] = {}
    for entry in entries:
        _check(entry)
        if entry.path in tree:
            raise ValueError(f"{entry.path!r} comes twice")
        tree[entry.path] = entry
    for path in list(tree):
        for above in PurePosixPath(path).parents[:-1]:
            if not stat.S_ISDIR(tree.setdefault(str(above), folder(str(above))).mode):
                raise ValueError(f"{path!r} lies in {str(above)!r}, which is no folder")
    records = [_record(number, tree[path]) for number, path in enumerate(sorted(tree), 1)]
    return b"".join([*records, _record(0, Entry(TRAILER, 0))])


def _check(entry: Entry) -> None:
    path = entry.path
    plain = path == str(PurePosixPath(path)) and not path.startswith("/")
    if not plain or path in (".", TRAILER) or ".." in path.split("/") or "\0" in path:
        raise ValueError(f"{path!r} is no path in an archive: a plain one such as 'bin/sh' is")
    if len(entry.data) > MOST:
        raise ValueError(f"{path!r} has {len(entry.data)} bytes: at most {MOST} fit")


def _record(number: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    values = dict.fromkeys(FIELDS, 0) | {
        "ino": number,
        "mode": entry.mode,
        "nlink": 1,
        "filesize": len(entry.data),
        "namesize": len(name),
    }
    numbers = b"".join(b"%0*X" % (DIGITS, values[field]) for field in FIELDS)
    return _padded(MAGIC + numbers + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)
