"""Task 1 of problem set 7: messages out of a stream, and what goes back.

The cases cut a stream at every place; then its sizes and versions lie. An answer depends on three
things: what the handler gave, whether one was wanted, and what kind of request it was.
"""

from __future__ import annotations

from virtlab.course.given.world import ANSWERED
from virtlab.course.ps7.stream_asks import (
    ASKED,
    EIGHT,
    QUIET,
    TABLE,
    any_reply,
    any_stream,
    byte_by_byte,
    header,
    packed,
    replies,
    splits,
)
from virtlab.course.tasks import Case, Task
from virtlab.virtio.vhost_user.layouts import MAX_PAYLOAD

STREAM = Task(
    "ps7.q1",
    "messages out of a stream",
    ("split_stream", "reply"),
    ("B04",),
    lines=26,
    minutes=30,
    difficulty=3,
    points=6,
    cases=(
        Case("one message", splits(packed(2, EIGHT))),
        Case("no payload", splits(packed(1), packed(3))),
        Case("nothing yet", splits(b"")),
        Case("two messages", splits(packed(3) + packed(2, EIGHT), packed(5, TABLE) * 2)),
        Case("half a header", splits(packed(1)[:1], packed(1)[:11], packed(3) + packed(1)[:5])),
        Case(
            "half a payload",
            splits(packed(2, EIGHT)[:12], packed(2, EIGHT)[:19], packed(3) + packed(5, TABLE)[:50]),
        ),
        Case("byte by byte", byte_by_byte),
        Case("flags are kept", splits(packed(2, EIGHT, 9), packed(2, EIGHT, 0xFFFF_FFF5))),
        Case("the longest payload", splits(packed(24, bytes(MAX_PAYLOAD)))),
        Case(
            "a size that lies",
            splits(
                header(24, 1, MAX_PAYLOAD + 1),
                header(24, 1, 0xFFFF_FFFF) + b"abc",
                packed(24, bytes(MAX_PAYLOAD + 1)),
            ),
        ),
        Case("another version", splits(*(packed(2, EIGHT, flags) for flags in (0, 2, 3, 0x14)))),
        Case(
            "before a bad one",
            splits(
                packed(3) + packed(2, EIGHT) + packed(1, b"", 2),
                packed(2, EIGHT) + header(5, 1, 1 << 20) + packed(3),
            ),
        ),
        Case("any stream", any_stream),
        Case(
            "an answer",
            replies(
                ((1, QUIET, b""), False, EIGHT),
                ((1, ASKED, b""), True, EIGHT),
                ((2, ASKED, EIGHT), True, EIGHT),
            ),
        ),
        Case("an empty answer", replies(((24, QUIET, TABLE), True, b""))),
        Case("done", replies(((3, QUIET, b""), True, None), ((2, QUIET, EIGHT), False, None))),
        Case("done, and asked", replies(((3, ASKED, b""), True, None))),
        Case("asked, and not agreed", replies(((2, ASKED, EIGHT), False, None))),
        Case(
            "refused, and asked",
            replies(((5, ASKED, TABLE), True, "refused"), ((2, 0xFFF9, EIGHT), True, "refused")),
        ),
        Case(
            "refused",
            replies(((5, QUIET, TABLE), True, "refused"), ((5, ASKED, TABLE), False, "refused")),
        ),
        Case(
            "no answer to what asks",
            replies(*(((request, ASKED, EIGHT), True, "refused") for request in sorted(ANSWERED))),
        ),
        Case(
            "a reply that nobody wants",
            replies(((2, 5, EIGHT), True, None), ((1, 0xD, b""), True, EIGHT)),
        ),
        Case("any reply", any_reply),
    ),
    hints=(
        "split_stream is a loop with two exits: too little is there, or the header cannot be "
        "true. Whatever was complete before is in the list already.",
        "The header alone decides whether the stream is of use: do not wait for a payload that "
        "is too long. In reply ask first whether it may be a request at all; then handle once, "
        "and let its three kinds of result be three branches.",
        'struct.unpack_from("<III", data) reads the three numbers. A result of handle is bytes, '
        "None or a word: isinstance(..., bytes) first, for b'' is false too. With `asked` = "
        "flag 8 and acked, what failed gives 1 only if asked and the request is not in "
        "ANSWERED.",
    ),
)
