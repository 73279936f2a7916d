"""What the VMM and the device's service say to each other: records of a fixed layout.

    request   kind part size length  sequence   offset   value   time   data[32]     64 bytes
    reply     sequence  length  pad             value    due            data[32]     56 bytes

The idea: each access of the guest is one request. It carries the VMM's virtual time, so that the
service's clock follows; the reply says when the service's next timer is due. So two processes
share one virtual time, and every run is the same run.

The rules that keep it simple: every record has its whole length. A reply repeats the request's
sequence number. `POST` is the only kind without a reply. The one thing of another
shape is the greeting, JSON behind its length, which says what to build: plain data, nothing that
could run.

The arrangement is that of QEMU's multi-process devices and of vhost-user: a socket for requests,
descriptors for memory and for bells. Theirs are other records.
"""

from __future__ import annotations

import json
import socket
import struct
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from virtlab.wire import u8, u16, u32, u64

# fmt: off
REQUEST = np.dtype([
    ("kind", u8),           # a `Kind`
    ("part", u8),           # which of the device's ranges, by its number
    ("size", u16),          # bytes of the access
    ("sequence", u32),      # counts requests, from 1
    ("offset", u64),        # from the start of the part; for LINE, the line's number
    ("value", u64),         # what is written; for LINE, the level
    ("time", u64),          # the VMM's virtual time, ns
    ("data", u8, (32,)),    # for TYPE, the characters; how many, `size` says
])
REPLY = np.dtype([
    ("sequence", u32),      # of the request
    ("length", u32),        # bytes of `data` that count
    ("value", u64),         # what was read
    ("due", u64),           # when the service's next timer is due, ns; `NEVER`: none is set
    ("data", u8, (32,)),    # for PRINTED, the characters
])
# fmt: on

DATA_BYTES = 32
NEVER = (1 << 64) - 1

MAX_GREETING = 1 << 20
"""Bytes that a greeting may have."""


class Kind(IntEnum):
    """What a request asks for."""

    READ = 1
    WRITE = 2
    POST = 3
    TIME = 4
    LINE = 5
    ACKNOWLEDGE = 6
    TYPE = 7
    PRINTED = 8


UNANSWERED = frozenset({Kind.POST})
"""Kinds that get no reply."""


class Malformed(Exception):
    """The other side sent what is no message."""


class Request(NamedTuple):
    """A request, decoded. Field by field as `REQUEST` has it."""

    kind: Kind
    part: int = 0
    size: int = 0
    sequence: int = 0
    offset: int = 0
    value: int = 0
    time: int = 0
    data: bytes = b""


class Reply(NamedTuple):
    """A reply, decoded. `due` is None where no timer is set."""

    sequence: int
    value: int = 0
    due: int | None = None
    data: bytes = b""


def pack_request(request: Request) -> bytes:
    """The bytes of a request. `data` must fit, and its length goes into `size`."""
    _, part, size, sequence, offset, value, time, data = request
    row = (request.kind, part, size or len(data), sequence, offset, value, time, _padded(data))
    return np.array(row, REQUEST).tobytes()


def unpack_request(data: bytes) -> Request:
    """A request from its bytes. `Malformed` for a kind that there is not."""
    kind, part, size, sequence, offset, value, time, rest = _row(data, REQUEST)
    try:
        known = Kind(kind)
    except ValueError:
        raise Malformed(f"a request of kind {kind}") from None
    counted = rest.tobytes()[:size] if known is Kind.TYPE else b""
    return Request(known, part, size, sequence, offset, value, time, counted)


def pack_reply(reply: Reply) -> bytes:
    """The bytes of a reply."""
    due = NEVER if reply.due is None else reply.due
    row = (reply.sequence, len(reply.data), reply.value, due, _padded(reply.data))
    return np.array(row, REPLY).tobytes()


def unpack_reply(data: bytes, sequence: int) -> Reply:
    """A reply from its bytes. `Malformed` unless it answers request `sequence`."""
    number, length, value, due, rest = _row(data, REPLY)
    if number != sequence or length > DATA_BYTES:
        raise Malformed(f"a reply to request {number}, {length} bytes, for request {sequence}")
    return Reply(number, value, None if due == NEVER else due, rest.tobytes()[:length])


def _padded(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(data.ljust(DATA_BYTES, b"\0")[:DATA_BYTES], np.uint8)


def _row(data: bytes, layout: np.dtype[Any]) -> tuple[Any, ...]:
    """The fields of one record, as Python numbers and one array."""
    if len(data) != layout.itemsize:
        raise Malformed(f"{len(data)} bytes where a record has {layout.itemsize}")
    record = np.frombuffer(data, layout)[0]
    return (*(record[name].item() for name in layout.names[:-1]), record["data"])  # type: ignore[index]


# -- over a socket


def receive(sock: socket.socket, length: int) -> bytes:
    """`length` bytes; fewer only where the other side has hung up. `TimeoutError` by the socket."""
    parts: list[bytes] = []
    while length and (part := sock.recv(length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def greet(sock: socket.socket, greeting: dict[str, Any]) -> None:
    """Send the greeting."""
    text = json.dumps(greeting).encode()
    sock.sendall(struct.pack("<I", len(text)) + text)


def greeted(sock: socket.socket) -> dict[str, Any]:
    """Receive the greeting. `Malformed` if it is none."""
    head = receive(sock, 4)
    length = struct.unpack("<I", head)[0] if len(head) == 4 else 0
    if not 0 < length <= MAX_GREETING:
        raise Malformed(f"a greeting of {length} bytes")
    try:
        found = json.loads(receive(sock, length))
    except ValueError:
        raise Malformed("a greeting that is no JSON") from None
    if not isinstance(found, dict):
        raise Malformed("a greeting that is no object")
    return found
