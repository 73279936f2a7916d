"""Task 2 of problem set 6: map and unmap, while devices are at work. The judge is the unit itself.

After each step of an answer two devices try the addresses around it, through the library's unit and
its caches. Then the tables are listed. So an entry that is half written, a table with old contents
and a page that is freed too early are found at the step where they happen.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import all_of, first
from virtlab.course.ps6.domain_bench import Bench
from virtlab.course.tasks import Case, Difference, Run, Task
from virtlab.memory import PAGE

Step = tuple[int, int, int] | tuple[int, int, int, int] | tuple[int, int]
"""A map, with its rights if it has not both; or an unmap, which has no gpa."""


def _does(*steps: Step, levels: int = 3, caching_mode: bool = False) -> Run:
    """Maps and unmaps in order."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        bench = Bench(answer, rng, levels, caching_mode)
        return first(_step(bench, step) for step in steps)

    return run


def _step(bench: Bench, step: Step) -> Difference | None:
    return bench.unmap(*step) if len(step) == 2 else bench.map(*step)


def _any(caching_mode: bool) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        for _ in range(2):
            levels = rng.choice((3, 4, 5))
            bench = Bench(answer, rng, levels, caching_mode)
            bases = [rng.getrandbits(9 * levels - 6) << 18 for _ in range(2)]
            if found := first(_step(bench, _any_step(rng, bases)) for _ in range(5)):
                return found
        return None

    return run


def _any_step(rng: Random, bases: list[int]) -> Step:
    """Around two addresses, so that steps meet each other; often over a table's end."""
    iova = max(rng.choice(bases) + PAGE * rng.randrange(-6, 7), 0)
    length = PAGE * rng.randrange(1, 6)
    if rng.random() < 0.45:
        return iova, length
    return iova, rng.randrange(1, 1 << 30) * PAGE % 0xFE00_0000, length, rng.choice((1, 2, 3, 3))


BORDER = 0x20_0000
MAPPING = Task(
    "ps6.q2",
    "map and unmap while devices are at work",
    ("map_pages", "unmap_pages"),
    ("S43",),
    lines=35,
    minutes=35,
    difficulty=4,
    points=6,
    cases=(
        Case("map one page", _does((0x5000, 0x9000, PAGE))),
        Case("two pages of one table", _does((0x5000, 0x9000, PAGE), (0x7000, 0x4000, PAGE))),
        Case("a high page", _does((0x5000, 0x12_3456_7000, PAGE), (0x7000, 0x3FF_FFFF_F000, PAGE))),
        Case("several pages", _does((0x1_0000, 0x30_0000, 5 * PAGE))),
        Case("over a table's end", _does((BORDER - 2 * PAGE, 0x30_0000, 4 * PAGE))),
        Case(
            "far apart",
            _does((0, 0x9000, PAGE), (0x12_3456_7000, 0x4000, PAGE), (0x4000_0000, 0x6000, PAGE)),
        ),
        Case(
            "four and five levels",
            all_of(
                _does((0xFEDC_BA98_7000, 0x9000, 2 * PAGE), levels=4),
                _does((0x1FE_DCBA_9876_5000, 0x9000, 2 * PAGE), levels=5),
            ),
        ),
        Case(
            "rights",
            _does((0x5000, 0x9000, PAGE, 1), (0x6000, 0x4000, PAGE, 2), (0x8000, 0x6000, PAGE)),
        ),
        Case(
            "mapped already",
            _does(
                (0x5000, 0x9000, PAGE, 1),
                (0x5000, 0x4000, PAGE),
                (0x3000, 0x4000, 4 * PAGE),
                (0x4000, 0x6000, 3 * PAGE),
                (0x4000, 0x6000, 2 * PAGE),
            ),
        ),
        Case(
            "beyond the tables",
            _does(
                ((1 << 39) - 2 * PAGE, 0x9000, 3 * PAGE),
                ((1 << 39) - PAGE, 0x9000, PAGE),
                (1 << 39, 0x9000, PAGE),
                (1 << 48, 0x9000, PAGE),
            ),
        ),
        Case("unmap one page", _does((0x5000, 0x9000, PAGE), (0x5000, PAGE))),
        Case("a high page goes", _does((0x5000, 0x12_3456_7000, PAGE), (0x5000, PAGE))),
        Case("and map it again", _does((0x5000, 0x9000, PAGE), (0x5000, PAGE), (0x5000, 0, PAGE))),
        Case("several pages go", _does((0x1_0000, 0x30_0000, 7 * PAGE), (0x1_1000, 5 * PAGE))),
        Case(
            "those in between stay",
            _does((0x1_0000, 0x30_0000, 3 * PAGE), (0x1_1000, PAGE), (0x1_0000, PAGE)),
        ),
        Case(
            "unmap over a table's end",
            _does((BORDER - 2 * PAGE, 0x30_0000, 4 * PAGE), (BORDER - 2 * PAGE, 4 * PAGE)),
        ),
        Case(
            "what is not mapped",
            _does((0x5000, 0x9000, PAGE), (0x1000, 8 * PAGE), (0x5000, PAGE), (1 << 32, PAGE)),
            costs=True,
        ),
        Case(
            "what lies beyond the tables",
            _does(
                (0x5000, 0x9000, PAGE),
                ((1 << 39) + 0x5000, PAGE),
                ((1 << 39) - PAGE, 0x4000, PAGE),
                ((1 << 39) - PAGE, 7 * PAGE),
            ),
        ),
        Case(
            "pages with one right go",
            _does((0x5000, 0x9000, PAGE, 2), (0x6000, 0x4000, PAGE, 1), (0x5000, 2 * PAGE)),
        ),
        Case(
            "caching mode",
            _does(
                (0x5000, 0x9000, 3 * PAGE),
                (0x6000, PAGE),
                (0x6000, 0x4000, PAGE),
                caching_mode=True,
            ),
        ),
        Case("any steps", _any(False)),
        Case("any steps in caching mode", _any(True)),
    ),
    hints=(
        "Write a function that gives where the last entry of an iova stands. With one more "
        "argument it makes the tables that are missing; without, it gives None where one is. "
        "Both tasks need it.",
        "When is a table complete? When its 4096 bytes are written. When is a page gone for a "
        "device? Not with its entry: the unit may have read that before. When may somebody else "
        "get the page? After that.",
        "map_pages looks at the whole range before it stores anything. unmap_pages has three "
        "parts: the entries of the range become 0, then one call of invalidate for the whole "
        "range, then the pages are freed. So it must remember which pages they were.",
    ),
)
"""The task."""
