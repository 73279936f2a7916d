"""Task 5 of problem set 7, the capstone: a whole back-end, and the requests of a real Linux.

The cases go as a session does: features, memory, a ring, one request. Then come stops and starts,
and drivers that break rules. At last comes all that an unmodified Linux asked of its disk.
"""

from __future__ import annotations

from virtlab.course.ps3.machines import all_of
from virtlab.course.ps7.linux_requests import WORKS
from virtlab.course.ps7.requests import ask_for, write
from virtlab.course.ps7.rings import (
    early,
    full,
    no_size,
    not_all_said,
    not_enabled,
    nowhere,
    sizes,
    stopped,
)
from virtlab.course.ps7.sessions import (
    FLUSH,
    GET_ID,
    IN,
    another_driver,
    another_ring,
    bad_table,
    config,
    data,
    features,
    more_memory,
    never_offered,
    one,
    several,
    talk,
    unknown,
    wishes,
    without_event_idx,
)
from virtlab.course.ps7.trials import HEAD, STATUS, hostile, linux, spoilt
from virtlab.course.tasks import Case, Task
from virtlab.virtio.chain import Buffer

BACK_END = Task(
    "ps7.q5",
    "a disk for a real Linux",
    ("BackEnd",),
    ("B04", "B06", "B07", "S32", "S35"),
    lines=75,
    minutes=60,
    difficulty=5,
    points=11,
    cases=(
        Case("features", talk(features)),
        Case("what was never offered", talk(never_offered)),
        Case("the configuration", talk(config)),
        Case("requests of others", talk(unknown)),
        Case("the first request", one(ask_for(IN, 3, 512))),
        Case("write and read", one(write(5, data(1024)), ask_for(IN, 5, 1024), ask_for(FLUSH))),
        Case("the name", one(ask_for(GET_ID, 0, 20))),
        Case("several with one kick", talk(several)),
        Case("as the driver wishes", talk(wishes)),
        Case("without EVENT_IDX", talk(without_event_idx)),
        Case("rings that are not there", talk(another_ring)),
        Case("sizes", talk(sizes)),
        Case("not enabled", talk(not_enabled)),
        Case("as many as there are entries", talk(full)),
        Case("stopped, and started elsewhere", all_of(stopped(0), stopped(65_535))),
        Case("another driver", talk(another_driver)),
        Case("a ring that is nowhere", talk(nowhere)),
        Case("too early", talk(early)),
        Case("half of it said", all_of(talk(not_all_said), talk(no_size))),
        Case("a table that is refused", talk(bad_table)),
        Case("more memory", talk(more_memory)),
        Case(
            "a driver that breaks a rule",
            all_of(
                spoilt("a head that is none", head=99),
                spoilt("idx jumps", idx=40),
                spoilt("a buffer outside memory", HEAD, Buffer(0xB_0000, 512, True), STATUS),
                spoilt("no request", Buffer(0x12_0000, 8, False), STATUS),
            ),
        ),
        *(Case(f"Linux: {work}", linux(work)) for work in WORKS),
        Case("hostile requests", hostile),
    ),
    hints=(
        "Two halves. handle keeps what is said, in attributes, and looks into nothing. kicked "
        "makes a ring out of it when it is rung for, and from then on there is self.q. "
        "GET_VRING_BASE ends that ring.",
        "Start: gpa_of for each of the three parts, with 16 * size, 6 + 2 * size and 6 + 8 * "
        "size bytes; if one is nowhere, the state is 'broken'. Keep the word of a broken ring, "
        "and give it again until it is stopped. A new table goes into the Mapped that is there "
        "already.",
        "match request: ... with struct.unpack of the payload in each branch. EVENT_IDX is bit "
        "29 of what was accepted. serve is lambda buffers: answer(buffers, self.memory, "
        "self.disk, self.name). In SET_VRING_ADDR the used ring comes before the available one.",
    ),
)
