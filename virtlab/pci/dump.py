"""Dumps of configuration space: the text of `lspci -xxxx`, read and written.

    00:03.0 PCI bridge: Red Hat, Inc. QEMU PCIe Root port
    00: 36 1b 0c 00 07 00 10 00 00 00 04 06 00 00 01 00
    10: ...

The idea: such a file is how the configuration of a real machine travels. `load_dump` reads the
reader's own, and `format_dump` writes ours so that `lspci -F` reads it.

The rule that keeps it simple: a line is a title, a row of 16 bytes, or not ours to read. So the
lines of `lspci -vvv` between the rows do no harm. Rows of a function must follow each other without
a gap, and must add up to a size that `lspci` prints. Whatever else goes wrong with a row shows as a
gap or as a wrong size.

Source: pciutils, the formats that `lspci` prints and that its option -F accepts.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from importlib import resources
from os import PathLike, fspath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, NoReturn

from virtlab.errors import FileError
from virtlab.pci.bus import DEVICES
from virtlab.pci.tlp import SOURCE_ID

if TYPE_CHECKING:
    from virtlab.pci.function import Function

MAX_TEXT = 32 << 20
"""Bytes of text, unpacked: 2,000 functions with all their 4096 bytes."""

ROW = 16
"""Bytes on a line."""

SIZES = (64, 128, 256, 4096)
"""Bytes of a function that `lspci` prints: -x, -x of a CardBus bridge, -xxx, -xxxx."""

MAX_TITLE = 200
"""Letters of a title that are kept."""

HOW = "make one with: sudo lspci -xxxx"

_HEX = rb"[0-9a-fA-F]"
_TITLE = re.compile(rb"(?:(%b{4,8}):)?(%b{2}):(%b{2})\.([0-7])(?:[ \t](.*))?" % (_HEX, _HEX, _HEX))
_ROW = re.compile(rb"(%b{2,8}):(?:[ \t](.*))?" % _HEX)
_BYTES = re.compile(rb"%b{2}(?: %b{2}){%d}" % (_HEX, _HEX, ROW - 1))
_LINE = re.compile(rb"^(?:\xef\xbb\xbf)?(%b{2,8}:.*)" % _HEX, re.MULTILINE)
_GZIP = b"\x1f\x8b"


class DumpedFunction(NamedTuple):
    """One function: where it is, its first bytes (64, 128, 256 or 4096), what its title says.

    `domains` says that the machine has more than one domain.
    """

    domain: int
    bus: int
    device: int
    function: int
    data: bytes
    title: str = ""
    domains: bool = False

    @property
    def bdf(self) -> str:
        """Where it is, as `lspci` writes it: with the domain only where there are several."""
        domain = f"{self.domain:04x}:" if self.domain or self.domains else ""
        return f"{domain}{self.bus:02x}:{self.device:02x}.{self.function}"


EXAMPLES = ("q35",)
"""The dumps that come with the library; `data/README.md` says where they come from."""


# -- reading


def example(name: str = EXAMPLES[0]) -> list[DumpedFunction]:
    """The functions of the dump `name`, one of `EXAMPLES`."""
    if name not in EXAMPLES:
        raise ValueError(f"no dump {name!r}; there are {', '.join(EXAMPLES)}")
    packed = resources.files("virtlab") / "data" / "pci" / f"{name}.txt.gz"
    with resources.as_file(packed) as path:
        return load_dump(path)


def load_dump(path: str | PathLike[str]) -> list[DumpedFunction]:
    """The functions of a file, in the order of their places. It may be compressed with gzip.

    `FileError` where it is malformed, `OSError` where it cannot be read.
    """
    with open(path, "rb") as file:
        return parse_dump(unpack(file, fspath(path)), fspath(path))


def unpack(file: BinaryIO, path: str) -> bytes:
    """All of `file`, unpacked where it is gzip. `FileError` where there is more than `MAX_TEXT`."""
    text = file.read(MAX_TEXT + 1)
    if text.startswith(_GZIP):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(text)) as packed:
                text = packed.read(MAX_TEXT + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileError(path, 0, f"the compressed file is damaged: {error}") from error
    if len(text) > MAX_TEXT:
        raise FileError(path, MAX_TEXT, f"a dump has at most {MAX_TEXT >> 20} MiB of text")
    return text


def parse_dump(text: bytes, path: str = "dump") -> list[DumpedFunction]:
    """The functions in `text`, sorted; `path` is what a `FileError` calls it.

    A function without bytes is left out: what a user may not read, `lspci` prints as a title only.
    """
    reader = _Reader(path)
    for reader.line, reader.byte, line in _lines(text):
        if title := _TITLE.fullmatch(line):
            reader.title(title)
        elif row := _ROW.fullmatch(line):
            reader.row(int(row[1], 16), (row[2] or b"").strip())
    reader.finish()
    if not reader.functions:
        reader.line, reader.byte = 1, 0
        reader.fail("titles without bytes" if reader.seen else "no PCI function in it", HOW)
    domains = any(function.domain for function in reader.functions)
    return sorted(function._replace(domains=domains) for function in reader.functions)


def _lines(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Each line that may be a title or a row: its number, the byte where it begins, its words."""
    number, at = 1, 0
    for match in _LINE.finditer(text):
        number += text.count(b"\n", at, match.start())
        at = match.start()
        yield number, match.start(1), match[1].rstrip()


class _Reader:
    """What has been read so far; `line` and `byte` are where."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.line, self.byte = 1, 0
        self.functions: list[DumpedFunction] = []
        self.seen: dict[tuple[int, int, int, int], int] = {}
        self.current: DumpedFunction | None = None
        self.data = bytearray()

    def fail(self, *why: str) -> NoReturn:
        raise FileError(self.path, self.byte, "; ".join(why), self.line)

    def title(self, match: re.Match[bytes]) -> None:
        self.finish()
        domain, bus, device, function = (int(part or b"0", 16) for part in match.groups()[:4])
        place = domain, bus, device, function
        words = (match[5] or b"").decode("utf-8", "replace").strip()[:MAX_TITLE]
        title = "".join(
            letter if letter.isascii() and letter.isprintable() else "?" for letter in words
        )
        self.current = DumpedFunction(*place, b"", title)
        if device >= DEVICES:
            self.fail(f"device {device:#x}: a bus has {DEVICES} devices")
        if place in self.seen:
            self.fail(f"{self.current.bdf} is here again; it was on line {self.seen[place]} first")
        self.seen[place] = self.line

    def row(self, offset: int, words: bytes) -> None:
        right = _BYTES.fullmatch(words)
        if self.current is None:
            if right:
                self.fail("bytes before the title of a function")
            return
        if offset != len(self.data):
            self.fail(f"{self.current.bdf}: offset {offset:#x} where {len(self.data):#x} is due")
        if offset >= SIZES[-1]:
            self.fail(f"{self.current.bdf}: a function has at most {SIZES[-1]} bytes")
        if not right:
            self.fail(f"{self.current.bdf}: a row is {ROW} bytes of two hexadecimal digits each")
        self.data += bytes.fromhex(words.decode("ascii"))

    def finish(self) -> None:
        """The function that was open has all its rows."""
        if self.current is None or not self.data:
            return
        if len(self.data) not in SIZES:
            sizes = ", ".join(map(str, SIZES))
            self.fail(f"{self.current.bdf} ends after {len(self.data)} bytes; it may have {sizes}")
        self.functions.append(self.current._replace(data=bytes(self.data)))
        self.current, self.data = None, bytearray()


# -- writing


def dumped(function: Function) -> DumpedFunction:
    """A function of ours, as a dump has it: all that its configuration space says now."""
    fields = SOURCE_ID.decode(function.source_id)
    place = fields["BUS"], fields["DEVICE"], fields["FUNCTION"]
    return DumpedFunction(0, *place, function.config.dump(), function.name)


def format_dump(functions: Iterable[DumpedFunction]) -> str:
    """The text that `lspci -F` and `parse_dump` read."""
    return "\n".join(_block(function) for function in functions)


def _block(function: DumpedFunction) -> str:
    rows = [
        f"{at:02x}: {function.data[at : at + ROW].hex(' ')}"
        for at in range(0, len(function.data), ROW)
    ]
    title = " ".join(function.title.split()) or "PCI function"
    return "\n".join([f"{function.bdf} {title}", *rows, ""])
