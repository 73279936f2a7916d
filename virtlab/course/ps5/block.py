"""Task 5 of problem set 5: a block back-end. The judge is the library's block device.

First the framing: `spans` finds bytes of a request wherever the driver has cut it. Then `answer`
does what a request asks for. Some guests write no request at all, name sectors that are not there,
or change the head when it has been read.

The interface is that of a real back-end. `buffers` may be `chain.buffers` of any of the library's
queues, `memory` its `dma`, and `disk` any of its disks.
"""

from __future__ import annotations

from virtlab.course.ps3.machines import all_of
from virtlab.course.ps5.block_request import Request
from virtlab.course.ps5.block_runs import (
    DATA,
    FLUSH,
    GET_ID,
    IN,
    OUT,
    any_request,
    any_spans,
    asks,
    hostile,
    over_the_head,
    repeats,
    spans_of,
)
from virtlab.course.tasks import Case, Task
from virtlab.virtio.blk_layouts import SECTOR

BLOCK = Task(
    "ps5.q5",
    "serve a disk",
    ("spans", "answer"),
    ("S31", "S32", "S35", "B07"),
    lines=40,
    minutes=45,
    difficulty=4,
    points=7,
    cases=(
        Case("a span", spans_of([16, 512, 1], (0, 16))),
        Case("from the middle", spans_of([16, 512, 1], (3, 4), (15, 1))),
        Case("over two buffers", spans_of([16, 40, 512, 1], (0, 56), (8, 20), (16, 3), (15, 2))),
        Case("what is writable", spans_of([16, 40, 512, 1], (0, 513), (500, 13), write=True)),
        Case("over many buffers", spans_of([1] * 20, (0, 16), (3, 9), (17, 1))),
        Case("more than there is", spans_of([16, 40, 512, 1], (50, 100), (0, 1 << 40))),
        Case("no bytes", spans_of([16, 40, 512, 1], (3, 0), (56, 1), (99, 1), (0, 0))),
        Case("any spans", any_spans),
        Case("read a sector", asks(Request(IN, 3, room=SECTOR))),
        Case("write a sector", asks(Request(OUT, 5, DATA[:SECTOR]))),
        Case(
            "read what was written",
            asks(Request(OUT, 9, DATA[:1024]), Request(IN, 8, room=4 * SECTOR)),
        ),
        Case("flush", asks(Request(OUT, 1, DATA[:SECTOR]), Request(FLUSH))),
        Case("the name", asks(Request(GET_ID, room=20))),
        Case(
            "no such request",
            asks(*(Request(kind) for kind in (2, 3, 5, 11, 13, 0x101, 0x8000_0001, 0xFFFF_FFFF))),
        ),
        Case("reserved", asks(Request(IN, 3, room=SECTOR, reserved=0xFFFF_FFFF))),
        Case(
            "the head in pieces",
            all_of(
                asks(Request(IN, 3, room=SECTOR, cut_out=(4, 8))),
                asks(Request(OUT, 4, DATA[:SECTOR], cut_out=(2, 9, 16))),
            ),
        ),
        Case(
            "head and data together",
            asks(
                Request(OUT, 2, DATA[:SECTOR], cut_out=()),
                Request(OUT, 3, DATA[:SECTOR], cut_out=(11,)),
                Request(OUT, 7, DATA[:1024], cut_out=(8, 600)),
            ),
        ),
        Case(
            "data and status together",
            asks(Request(IN, 2, room=SECTOR, cut_in=()), Request(IN, 7, room=1024, cut_in=(600,))),
        ),
        Case(
            "a buffer for each byte",
            asks(
                Request(OUT, 1, DATA[:SECTOR], cut_out=range(1, 528)),
                Request(IN, 1, room=SECTOR, cut_in=range(1, 513)),
            ),
        ),
        Case(
            "to the end of the disk",
            asks(
                Request(IN, 15, room=SECTOR),
                Request(OUT, 12, DATA),
                Request(IN, 12, room=4 * SECTOR),
            ),
        ),
        Case(
            "beyond the end",
            all_of(
                asks(Request(IN, 16, room=SECTOR), Request(IN, 13, room=4 * SECTOR)),
                asks(Request(OUT, 16, DATA[:SECTOR]), Request(OUT, 14, DATA)),
                asks(*(Request(IN, 1 << n, room=SECTOR) for n in (32, 55, 63))),
            ),
        ),
        Case(
            "no whole sectors",
            all_of(
                asks(*(Request(IN, 3, room=n) for n in (1, 511, 513, 1000))),
                asks(*(Request(OUT, 3, DATA[:n]) for n in (1, 511, 513, 1000))),
            ),
        ),
        Case("no data", asks(*(Request(kind, at) for kind in (IN, OUT) for at in (3, 16, 17)))),
        Case(
            "a name and its room",
            all_of(
                asks(*(Request(GET_ID, room=n) for n in (0, 5, 19, 21, 64))),
                asks(Request(GET_ID, room=20), Request(GET_ID, room=20, cut_in=(6, 7)), name=b""),
                asks(Request(GET_ID, room=20), name=b"exactly twenty bytes"),
            ),
        ),
        Case(
            "room that is not used",
            asks(
                Request(FLUSH, room=8),
                Request(77, room=SECTOR),
                Request(OUT, 3, DATA[:SECTOR], room=SECTOR),
                Request(IN, 3, DATA[:7], room=SECTOR),
            ),
        ),
        Case(
            "a disk to read only",
            asks(
                Request(OUT, 3, DATA[:SECTOR]),
                Request(IN, 3, room=SECTOR),
                Request(FLUSH),
                read_only=True,
            ),
        ),
        Case(
            "a medium that fails",
            all_of(
                asks(Request(IN, 3, room=SECTOR), fails=("read",)),
                asks(Request(OUT, 3, DATA[:SECTOR]), fails=("write",)),
                asks(Request(OUT, 3, DATA[:SECTOR]), Request(FLUSH), fails=("flush",)),
            ),
        ),
        Case(
            "no whole head",
            asks(*(Request(OUT, bytes_out=n, cut_out=(7,)) for n in (15, 8, 0))),
        ),
        Case(
            "no status",
            asks(
                Request(OUT, 3, DATA[:SECTOR], bytes_in=0),
                Request(IN, bytes_in=0),
                Request(FLUSH, bytes_in=0, bytes_out=4),
            ),
        ),
        Case("the same page again and again", all_of(repeats(IN), repeats(OUT))),
        Case(
            "a guest that changes its mind",
            all_of(
                asks(Request(IN, 3, room=SECTOR), strike=True),
                asks(Request(OUT, 15, DATA[:SECTOR], cut_out=(8,)), strike=True),
                asks(Request(GET_ID, room=20), Request(FLUSH), strike=True),
                over_the_head,
            ),
        ),
        Case("any request", any_request),
        Case("hostile requests", hostile),
    ),
    hints=(
        "Begin with spans: go through the buffers, pass over those of the other kind, and keep two "
        "numbers, how far it is still to `start` and how many bytes are still missing. Then a read "
        "gathers from spans, and a write scatters over spans.",
        "In answer come first the two sums, of readable and of writable bytes. Every length that "
        "you need follows from them, and all that can be refused is refused before a byte is "
        "moved. Status and bytes written are two variables, set in each branch.",
        "In spans a buffer of that kind gives min(its length - skip, missing) bytes, from its byte "
        "`skip` on. If that is 0 or less it gives none, and skip shrinks by its length; behind the "
        "first one that gives some, skip is 0. In answer: let kind and sector come out of one read "
        "of the head, put the branches into one try with except OSError, and write the status "
        "behind it. The status counts as written only if all the room before it is filled.",
    ),
)
