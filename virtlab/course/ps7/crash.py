"""Task 4 of problem set 7: stop, start, and the notes that outlive a back-end that is killed.

The cases go from a ring that is stopped in good order to one whose back-end is killed at each store
of each call. Notes are believed as little as a ring: other versions, and lists of nobody.
"""

from __future__ import annotations

from virtlab.course.ps3.machines import all_of
from virtlab.course.ps7.life import LOOK_BROKEN, LOOK_FRESH, LOOK_OTHER, Life
from virtlab.course.ps7.lives import (
    any_life,
    any_notes,
    begins,
    follow,
    goes_on,
    killed,
    killed_at_start,
    put,
    starts,
    stops,
    works,
)
from virtlab.course.tasks import Case, Task

CRASH = Task(
    "ps7.q4",
    "stop, crash, start again",
    ("stop", "start", "taken", "give_back"),
    ("B04", "S37"),
    lines=40,
    minutes=45,
    difficulty=5,
    points=8,
    cases=(
        Case("stopped", stops((0, 0), (5, 5), (300, 300))),
        Case("stopped long after", stops((65_536, 65_536), (0x3_0007, 0x3_0007))),
        Case("stopped, with chains in flight", stops((7, 5), (65_537, 65_535))),
        Case("no notes", all_of(starts(0, False), starts(5, False, 5), starts(65_535, False, 7))),
        Case("notes of nobody", lambda answer, rng: Life(answer, start=5).begin(5, LOOK_FRESH)),
        Case("nothing in flight", all_of(begins(5), begins(0), begins(65_535))),
        Case("one in flight", all_of(begins(5, [(3, 9)]), begins(0, [(0, 0)]))),
        Case("the oldest first", begins(5, [(1, 40), (3, 9), (6, 41), (7, 1 << 40)])),
        Case(
            "given back, not crossed out",
            all_of(begins(5, [(3, 9)], [3]), begins(5, [(3, 9), (1, 4), (6, 12)], [1])),
        ),
        Case(
            "a list of them",
            all_of(
                begins(5, [(3, 9), (1, 4), (6, 12)], [6, 1]),
                begins(8, [(n, 20 - n) for n in range(8)], [5, 0, 7]),
                begins(8, [(n, n) for n in range(8)], [7, 6, 5, 4, 3, 2, 1, 0]),
                begins(5, [(3, 9), (1, 4)], [3], prepare=follow(3, 0xFFFF)),
                begins(5, [(300, 9), (310, 8), (44, 7)], [300, 310], size=512),
            ),
        ),
        Case(
            "past 65535",
            all_of(begins(1, [(3, 9), (1, 4), (6, 12)], [6, 1]), begins(0, [(2, 1)], [2])),
        ),
        Case("the base of nobody", all_of(begins(5, [(3, 9)], base=0), begins(5, base=77))),
        Case(
            "notes on another ring",
            all_of(
                begins(0, [(3, 9), (4, 2), (7, 1)], look=LOOK_OTHER, prepare=put("used_idx", 5)),
                begins(500, [(3, 9)], look=LOOK_OTHER, prepare=put("used_idx", 491)),
                begins(0, [(3, 9)], version=0, look=LOOK_FRESH),
                begins(0, version=0, size=512, look=LOOK_FRESH, prepare=put("desc_num", 0)),
            ),
        ),
        Case(
            "notes that cannot be",
            all_of(
                begins(5, [(3, 9)], version=2, look=LOOK_BROKEN),
                begins(5, [(3, 9)], version=0x101, look=LOOK_BROKEN),
                begins(5, [(3, 9)], [3], look=LOOK_BROKEN, prepare=put("last_batch_head", 8)),
                begins(
                    5,
                    [(3, 9)],
                    [3, 1],
                    look=LOOK_BROKEN,
                    prepare=follow(1, 0xFFFF),
                ),
            ),
        ),
        Case("any notes", any_notes),
        Case("a note", all_of(works(3), works(3, 0, 6))),
        Case("the clock goes on", goes_on),
        Case(
            "given back",
            all_of(
                works(3, -4),
                works(3, 0, -1, 6, -4, -7),
                works(5, 2, -6, -3, 2, -3),
                works(300, 3, 310, -301, -311, -4, size=512),
            ),
        ),
        Case("given back long after", all_of(*(works(3, 5, -4, -6, start=n) for n in (7, 65_535)))),
        Case(
            "killed while it notes",
            all_of(killed([], 3), killed([1, 5], 3), killed([3, 1, -4, 5], 3, 65_535)),
        ),
        Case(
            "killed while it gives back",
            all_of(
                killed([3], -4),
                killed([3, 1, 5], -2),
                killed([3, 1, -2, 5], -4, 65_535),
                killed([3, 1, -4, 3], -2),
            ),
        ),
        Case(
            "killed while it starts",
            all_of(
                killed_at_start([(3, 9), (1, 4), (6, 12)], [6, 1]),
                killed_at_start([(3, 9), (4, 2)], [], put("used_idx", 77)),
            ),
        ),
        Case("any life", any_life),
    ),
    hints=(
        "Draw the stores of give_back on a line, and ask at each gap: is the chain in the used "
        "ring, is it marked as in flight, how far are the two indices apart? Whoever starts "
        "sees these three, and nothing else.",
        "start trusts the used ring. With notes, the base that it was given says nothing, as "
        "the one before could not tell. The difference of the two indices, in 16 bits, is how "
        "many heads of the list are in the used ring already. Judge first, mend afterwards.",
        "A state is at 16 + 16 * head: inflight 1 byte at 0, next 2 at 6, counter 8 at 8. In "
        "the header version is at 8, desc_num 10, last_batch_head 12, used_idx 14. "
        "sorted(heads, key=...) puts the oldest first; the clock goes on behind the largest "
        "counter.",
    ),
)
