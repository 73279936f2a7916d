"""Task 1 of problem set 7: what is right about a stream and its answers, and how it is asked.

    bytes of a socket   [ message ][ message ][ mess      split_stream -> two messages, and the rest
    a message           its handler says how it went      reply -> bytes, nothing, or hang up

The idea: `right_messages` and `right_reply` are the two tables of the task. A test holds them
against the library's `Channel` and `Session`.

The rule that keeps it simple: nothing here opens a socket, so the task can be solved anywhere.

Source: vhost-user.rst, "Header", "Communication", REPLY_ACK.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.given.world import ANSWERED, REQUESTS
from virtlab.course.ps3.machines import first, whole
from virtlab.course.tasks import Difference, Run, returned, same, shown
from virtlab.virtio.layouts import packer
from virtlab.virtio.vhost_user.layouts import (
    HEADER,
    MAX_PAYLOAD,
    NEED_REPLY,
    REPLY,
    U64,
    VERSION,
    VERSION_MASK,
)

LOOK_HEADER = "request, flags, size of the payload: 4 bytes each, little-endian, then the payload"
LOOK_WAIT = "what is not complete yet stays in the rest, from its header on"
LOOK_LIE = "version and size are judged as soon as the header is there, before the payload comes"
LOOK_BEFORE = "messages before the bad one have arrived: they are given all the same"
LOOK_PAYLOAD = "a payload is an answer, and goes out even if it is empty"
LOOK_ASKED = "0 or 1 goes back only where NEED_REPLY is set and REPLY_ACK was agreed on"
LOOK_HANG = "what failed and nobody asked about ends the connection; so does a request that asks"
LOOK_FLAGS = "an answer has the request's number, version 1 and REPLY, and no other flag"
LOOK_REPLY = "a front-end does not answer: a request with REPLY is not looked into"
LOOK_ONCE = "handle(request, payload) does the work: once for each request"

Message = tuple[int, int, bytes]
Found = tuple[list[Message], bytes | None]
Handled = bytes | str | None

_header, _u64 = packer(HEADER), packer(U64)


def header(request: int, flags: int, size: int) -> bytes:
    """A header alone."""
    return _header.pack(request, flags, size)


def packed(request: int, payload: bytes = b"", flags: int = VERSION) -> bytes:
    """A message as it goes over the socket."""
    return _header.pack(request, flags, len(payload)) + payload


# -- what is right


def right_messages(data: bytes) -> Found:
    """The whole messages in `data`, and the rest; None in its place where the stream is broken."""
    messages: list[Message] = []
    while len(data) >= _header.size:
        request, flags, size = _header.unpack_from(data)
        if flags & VERSION_MASK != VERSION or size > MAX_PAYLOAD:
            return messages, None
        end = _header.size + size
        if len(data) < end:
            break
        messages.append((request, flags, data[_header.size : end]))
        data = data[end:]
    return messages, data


def right_reply(message: Message, acked: bool, handled: Handled) -> bytes | None:
    """What goes back when the handler has given `handled`; None to hang up."""
    request, flags, _ = message
    if flags & REPLY:
        return None
    if isinstance(handled, bytes):
        return packed(request, handled, VERSION | REPLY)
    asked = bool(flags & NEED_REPLY) and acked
    if handled is not None and (request in ANSWERED or not asked):
        return None
    return packed(request, _u64.pack(handled is not None), VERSION | REPLY) if asked else b""


# -- split_stream


def _split(answer: Answer, data: bytes, told: str = "") -> Difference | None:
    answer.given = f"split_stream(data), {len(data)} bytes{told}: {_hex(data)}"
    right = right_messages(data)
    yours = answer.call("split_stream", data)
    if same(right, yours):
        return None
    return Difference(_found(right), _found(yours), _look(right, yours, data))


def _look(right: Found, yours: object, data: bytes) -> str:
    if right[1] is None:
        said = type(yours) is tuple and len(yours) == 2 and yours[1] is None
        return LOOK_BEFORE if said else LOOK_LIE
    return LOOK_WAIT if right[1] else LOOK_HEADER


def _found(value: object) -> str:
    if type(value) is tuple and len(value) == 2 and type(value[0]) is list:
        texts = [_message(one) for one in value[0][:4]]
        more = f" and {len(value[0]) - 4} more" if len(value[0]) > 4 else ""
        rest = _hex(value[1]) if type(value[1]) is bytes else shown(value[1])
        return f"messages [{', '.join(texts)}]{more}, rest {rest}"
    return returned(value)


def _message(one: object) -> str:
    if type(one) is tuple and [type(item) for item in one] == [int, int, bytes]:
        return f"({one[0]}, {one[1]:#x}, {_hex(one[2])})"
    return shown(one)


def _hex(data: bytes) -> str:
    """Bytes as hexadecimal digits, cut where they get long."""
    text = data[:24].hex(" ", 4) or "none"
    return text + (f" ... ({len(data)} bytes)" if len(data) > 24 else "")


def splits(*streams: bytes) -> Run:
    """Each of these streams, as it is."""
    return lambda answer, rng: first(_split(answer, data) for data in streams)


def _fed(answer: Answer, stream: bytes, sizes: Iterable[int]) -> Difference | None:
    """The stream in pieces; the rest of each call is put before the next piece."""
    rest, at = b"", 0
    for size in sizes:
        piece = stream[at : at + size]
        at += size
        if found := _split(answer, rest + piece, f", {len(piece)} of them new"):
            return found
        rest = right_messages(rest + piece)[1] or b""
    return None


def byte_by_byte(answer: Answer, rng: Random) -> Difference | None:
    """Three messages, a byte at a time."""
    return _fed(answer, packed(2, bytes(range(8))) + packed(3) + packed(1), [1] * 44)


def any_stream(answer: Answer, rng: Random) -> Difference | None:
    """Streams of good messages in pieces; some end in what is none."""
    for _ in range(10):
        stream = b""
        for _ in range(rng.randrange(1, 5)):
            payload = rng.randbytes(rng.choice((0, 8, 8, 40, MAX_PAYLOAD)))
            stream += packed(rng.choice(list(REQUESTS)), payload, rng.choice((1, 5, 9, 0xFF01)))
        if rng.random() < 0.3:
            stream += rng.randbytes(30)
        sizes = [rng.choice((1, 5, 12, 20, 60, 300)) for _ in range(30)]
        if found := _fed(answer, stream, sizes):
            return found
    return None


# -- reply


def _reply(answer: Answer, message: Message, acked: bool, handled: Handled) -> Difference | None:
    calls: list[tuple[int, bytes]] = []

    def handle(request: object, payload: object) -> Handled:
        calls.append((whole(request), bytes(payload)))  # type: ignore[call-overload]  # as it is
        return handled

    request, flags, payload = message
    answer.given = (
        f"reply(({request}, {flags:#x}, {_hex(payload)}), {acked}, handle): {REQUESTS[request]}, "
        f"handle gives {_hex(handled) if isinstance(handled, bytes) else repr(handled)}"
    )
    right = right_reply(message, acked, handled)
    yours = answer.call("reply", message, acked, handle)
    wanted = [] if flags & REPLY else [(request, payload)]
    if calls != wanted:
        said = f"{len(calls)} calls: {', '.join(f'({a}, {_hex(b)})' for a, b in calls[:2])}"
        look = LOOK_REPLY if not wanted else LOOK_ONCE
        return Difference(f"{len(wanted)} calls of handle", said, look)
    if same(right, yours):
        return None
    sent = yours if type(yours) is bytes else b""
    return Difference(_sent(right), _sent(yours), _why(message, handled, right, sent))


def _why(message: Message, handled: Handled, right: bytes | None, yours: bytes) -> str:
    if message[1] & REPLY:
        return LOOK_REPLY
    if right and yours and right[8:] == yours[8:]:
        return LOOK_FLAGS
    if isinstance(handled, bytes):
        return LOOK_PAYLOAD
    return LOOK_ASKED if right is not None or handled is None else LOOK_HANG


def _sent(value: object) -> str:
    if value is None:
        return "None: hang up"
    if type(value) is bytes and not value:
        return "b'': nothing goes back"
    return _hex(value) if type(value) is bytes else returned(value)


ASKED, QUIET = VERSION | NEED_REPLY, VERSION
"""Flags of a request whose sender wants to hear how it went, and of one whose sender does not."""

EIGHT, TABLE = bytes(range(8)), bytes(range(1, 73))
"""Two payloads."""

Ask = tuple[Message, bool, Handled]


def replies(*asks: Ask) -> Run:
    """Each of these messages, with what its handler gives."""
    return lambda answer, rng: first(_reply(answer, *ask) for ask in asks)


def any_reply(answer: Answer, rng: Random) -> Difference | None:
    """Messages, handlers and agreements by chance."""
    for _ in range(50):
        request = rng.choice(list(REQUESTS))
        flags = VERSION | rng.choice((0, 0, NEED_REPLY, NEED_REPLY, REPLY, 0xF0, 0xF8))
        payload = rng.randbytes(rng.choice((0, 8, 40)))
        handled = rng.choice((None, None, "refused", b"", rng.randbytes(8)))
        found = _reply(answer, (request, flags, payload), rng.random() < 0.6, handled)
        if found:
            return found
    return None
