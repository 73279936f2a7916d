"""Calls in both directions over one pair of pipes, one at a time.

    judge    call walk(memory, ..) ---->                     ... waits
             ... serves            <----  read(0x40, 16)     the answer runs, and waits
             b"..."                ---->                     goes on
             result                <----  returned [..]

    a frame    bytes of JSON, bytes behind it (two numbers of 4 bytes)   JSON   bytes
    the JSON   [kind, updates, dropped, ...]

The idea: whoever waits for a reply serves whatever comes before it. So calls nest as deep as they
do in one process, and no thread is needed.

The rule that keeps it simple: exactly one side runs. A byte behind a frame, or a frame that cannot
be read, is the end: `Broken`.

Lengths are bounded before anything is read, and what is read comes in pieces: a number in a frame
never decides how much memory is taken.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from typing import Any

from virtlab.course.grading.kinds import Broken
from virtlab.course.grading.mirror import Book
from virtlab.course.grading.values import Codec

MAX_JSON, MAX_RAW = 4 << 20, 16 << 20
"""Bytes of a frame's two parts, at most."""

PIECE, LONGER = 1 << 16, 1 << 18
"""Bytes that are moved at once: of a short frame, and where more than a piece has come already."""

_HEAD = struct.Struct("<II")
_encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False)
_scan: Any = vars(json.JSONDecoder())["scan_once"]


def _prepared() -> Callable[[Any], str]:
    """`encode` without what it makes anew for each call: a third of the time."""
    try:
        make = vars(json.encoder)["c_make_encoder"]
        quoted = json.encoder.encode_basestring_ascii
        pieces = make(None, _encoder.default, quoted, None, ":", ",", False, False, True)
        pieces([1], 0)
    except (KeyError, TypeError):
        return _encoder.encode
    return lambda data: "".join(pieces(data, 0))


_write_json = _prepared()


def _read_json(text: str) -> Any:
    """`json.loads`, without looking for blanks that are never there: half the time."""
    data, end = _scan(text, 0)
    if end != len(text):
        raise ValueError("more than one value")
    return data


class TooLarge(ValueError):
    """A value does not go into one frame. Nothing was sent."""


class Ended(Exception):
    """The other side is gone."""


class Channel:
    """One end: frames go out at the file descriptor `out` and come in at `into`."""

    def __init__(self, out: int, into: int, book: Book) -> None:
        self.out, self.into = out, into
        self.book = book
        self.codec = Codec(book)

    def send(self, kind: str, *values: Any, alone: bool = False) -> None:
        """One frame: its kind, plain JSON data or, wrapped in `Coded`, any value.

        `alone`: nobody will look at what both sides hold, so its changes can wait.
        """
        codec = self.codec
        if codec.blobs:
            codec.blobs = []
        updates, dropped = self.book.changes() if self.book.watched and not alone else ((), ())
        body = [value.coded(codec) if isinstance(value, Coded) else value for value in values]
        text = _write_json([kind, updates, dropped, *body]).encode("ascii")
        raw = b"".join(codec.blobs) if codec.blobs else b""
        if len(text) > MAX_JSON or len(raw) > MAX_RAW:
            raise TooLarge("it is too large to be looked at")
        head = _HEAD.pack(len(text), len(raw))
        if len(raw) < PIECE:
            self.write(head + text + raw)
        else:
            self.write(head + text)
            self.write(raw)

    def write(self, data: bytes) -> None:
        """All these bytes."""
        try:
            sent = os.write(self.out, data)
            while sent < len(data):
                sent += os.write(self.out, memoryview(data)[sent : sent + LONGER])
        except OSError as error:
            raise Ended(str(error)) from error

    def receive(self) -> list[Any]:
        """The next frame: its kind, and data to be decoded. Changes are taken over already."""
        text, self.codec.raw = self.read()
        self.codec.at = 0
        try:
            body: list[Any] = _read_json(text.decode("ascii"))
            kind, updates, dropped = body[:3]
            if type(kind) is not str or type(body) is not list:
                raise Broken("a frame of no kind")
            if updates or dropped:
                self.book.apply(updates, dropped)
            del body[1:3]
        except READING as error:
            raise Broken(f"{type(error).__name__}: {error}") from error
        return body

    def read(self) -> tuple[bytes, memoryview | bytes]:
        """The two parts of one frame."""
        data = self._more()
        if len(data) >= _HEAD.size and _HEAD.unpack_from(data) == (len(data) - _HEAD.size, 0):
            return data[_HEAD.size :], b""  # the most frequent one: all there, and no bytes behind
        while len(data) < _HEAD.size:
            data += self._more()
        length, raw = _HEAD.unpack_from(data)
        if length > MAX_JSON or raw > MAX_RAW:
            raise Broken("a frame that is too long")
        end = _HEAD.size + length + raw
        if len(data) < end:
            pieces, have = [data], len(data)
            while have < end:
                pieces.append(self._more(min(end - have, LONGER) if have > PIECE else PIECE))
                have += len(pieces[-1])
            data = b"".join(pieces)
        if len(data) > end:
            raise Broken("bytes behind a frame")
        text = data[_HEAD.size : _HEAD.size + length]
        return text, memoryview(data)[_HEAD.size + length :]

    def _more(self, length: int = PIECE) -> bytes:
        try:
            data = os.read(self.into, length)
        except OSError as error:
            raise Ended(str(error)) from error
        if not data:
            raise Ended("the pipe is closed")
        return data

    def values(self, data: list[Any]) -> list[Any]:
        """Values of a frame; `Broken` for data that says nothing."""
        if type(data) is list and INERT.issuperset(map(type, data)):
            return data
        try:
            return self.codec.decode_all(data)
        except READING as error:
            raise Broken(f"{type(error).__name__}: {error}") from error


INERT = frozenset({int, str, bool, float, type(None)})
"""What in a frame is a value as it stands."""


class Coded:
    """A value for `send`, to be encoded."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def coded(self, codec: Codec) -> Any:
        """As JSON data."""
        value = self.value
        encoder = codec.encoders.get(type(value))
        return encoder(value) if encoder else codec.encode(value)


class Several(Coded):
    """Several values, to be encoded one by one."""

    __slots__ = ()

    def coded(self, codec: Codec) -> Any:
        """As a list of JSON data."""
        return codec.encode_all(self.value)


READING = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError,
    MemoryError, BufferError, StopIteration,
)  # fmt: skip
"""What reading a frame raises if it is no frame of ours."""
