"""Task 5 of problem set 3: an extended page table. The judge is the library's `Ept`.

`lookup` walks trees that a case planted: sound ones, and ones with wrong bits on the way. The
verdict counts, and that no entry was read twice. What `map_page` made is walked by the library, and
then a guest runs on it: a device whose page is mapped costs no exit.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import first
from virtlab.course.ps3.page_maps import any_map, direct, maps
from virtlab.course.ps3.page_trees import HUGE, LARGE, LEVEL, RWX, SMALL, WB, Tree, shift, text
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same
from virtlab.vmm.exits import EptMisconfiguration, MemoryExit
from virtlab.vmm.tables import Walk

LOOK_WALK = "which bits of the gpa at which level, and which bits stay (SDM 3C 29.3.2)"
LOOK_PRESENT = "R, W and X all 0: not present, a violation (SDM 3C 29.3.3.2)"
LOOK_MISCONFIGURED = "a present entry that breaks a rule, whatever the access (SDM 3C 29.3.3.1)"
LOOK_RIGHTS = "R or W in every entry on the way, asked at the end (SDM 3C 29.3.3.2)"
LOOK_TWICE = "each entry is read once: it may change in between"


# -- lookup


def _lookup(answer: Answer, tree: Tree, gpa: int, write: bool) -> Difference | None:
    walk = tree.ept.walk(gpa)
    right = tree.ept.translate(gpa, 1, write)
    expected = _verdict(right)
    answer.given = f"lookup(memory, {tree.ept.pointer:#x}, {gpa:#x}, {write}); {text(walk)}"
    tree.memory.accesses.clear()
    yours = answer.call("lookup", tree.memory, tree.ept.pointer, gpa, write)
    if not same(expected, yours):
        return compare(expected, yours, _look(walk, right))
    loads = [access.address for access in tree.memory.accesses]
    answer.note_cost("loads", len(loads), len(walk.steps))
    twice = next((at for at in loads if loads.count(at) > 1), None)
    if twice is not None:
        said = f"entry at {twice:#x} read {loads.count(twice)} times"
        return Difference("each entry read once", said, LOOK_TWICE)
    if any(access.verb in ("write", "store") for access in tree.memory.accesses):
        return Difference("nothing is written", "a store", LOOK_WALK)
    return None


def _verdict(right: int | MemoryExit) -> tuple[str, int | None]:
    """What `lookup` must say where the processor says this."""
    if isinstance(right, int):
        return "mapped", right
    return "misconfiguration" if isinstance(right, EptMisconfiguration) else "violation", None


def _look(walk: Walk, right: int | MemoryExit) -> str:
    if isinstance(right, EptMisconfiguration):
        return f"{LOOK_MISCONFIGURED}; here: {right.why}"
    if isinstance(right, int):
        return LOOK_WALK
    return LOOK_PRESENT if walk.problem else LOOK_RIGHTS


Planted = tuple[int, int, int]
"""A gpa, a level, and the entry that stands there."""


def _looks(planted: list[Planted], *questions: tuple[int, bool]) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        tree = Tree()
        for one in planted:
            tree.plant(*one)
        return first(_lookup(answer, tree, *question) for question in questions)

    return run


def _wrong(level: int, *entries: int) -> Run:
    """Entries at a level, each wrong in its own way, or just not; a read and a write of each."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        tree, questions = Tree(), []
        for number, entry in enumerate(entries):
            gpa = number << shift(level)
            tree.plant(gpa, level, entry)
            questions += [(gpa | 0x123, False), (gpa | 0x123, True)]
        return first(_lookup(answer, tree, *question) for question in questions)

    return run


def _narrowed(answer: Answer, rng: Random) -> Difference | None:
    """An entry above allows less than the page's own."""
    for level, flip in ((4, 0b110), (3, 0b010), (2, 0b110), (2, 0b010)):
        tree = Tree()
        tree.plant(0x1000, 1, 0x5000 | WB << 3 | RWX)
        tree.spoil(0x1000, level, flip)
        if found := first(_lookup(answer, tree, 0x1000, write) for write in (False, True)):
            return found
    return None


def _broken_below(answer: Answer, rng: Random) -> Difference | None:
    """An entry above does not allow the write, and one below is broken: the walk gets there."""
    for level in (4, 3, 2):
        tree = Tree()
        tree.plant(0x1000, 1, 0x5000 | 2 << 3 | RWX)
        tree.spoil(0x1000, level, 0b010)
        if found := _lookup(answer, tree, 0x1000, True):
            return found
    return None


def _no_memory(answer: Answer, rng: Random) -> Difference | None:
    """A table that lies outside the host's memory: its entries read as all ones."""
    tree = Tree()
    tree.plant(0x1000, 2, 0x3F_0000_0000 | RWX)
    return first(_lookup(answer, tree, 0x1000, write) for write in (False, True))


SPOIL = (
    1,
    2,
    4,
    7,
    0x80,
    0x8,
    0x10,
    0x18,
    0x38,
    0x100,
    1 << 12,
    1 << 21,
    1 << 46,
    1 << 51,
    1 << 52,
)


def _any_tree(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(8):
        tree = Tree()
        gpas = []
        for _ in range(4):
            size = rng.choice((SMALL, SMALL, LARGE, HUGE))
            gpa = rng.randrange(1 << 47) & -size
            frame = rng.randrange(1 << 46) & -size
            large = 0x80 if size > SMALL else 0
            entry = frame | large | rng.choice((0, 1, 4, 5, 6)) << 3 | rng.choice((1, 3, 5, 7))
            tree.plant(gpa, LEVEL[size], entry)
            gpas.append(gpa + rng.randrange(size))
        for _ in range(rng.randrange(5)):
            tree.spoil(rng.choice(gpas), rng.randrange(1, 5), rng.choice(SPOIL))
        asked = [*gpas, gpas[0] ^ 1 << rng.randrange(60)]
        if found := first(_lookup(answer, tree, gpa, rng.random() < 0.5) for gpa in asked):
            return found
    return None


GPA = 0x12_3456_7000
PAGES: list[Planted] = [
    (0x0, 1, 0x7000 | WB << 3 | RWX),
    (0x5000, 1, 0x9000 | WB << 3 | RWX),
    (0x20_0000, 2, 0x40_0000 | 0x80 | WB << 3 | RWX),
    (0x4000_0000, 3, 0x8000_0000 | 0x80 | WB << 3 | RWX),
    (GPA, 1, 0x3A_BCDE_F000 | WB << 3 | RWX),
    (0xC060_3000, 1, 0xB000 | WB << 3 | RWX),
    (0x3000, 1, 0x7000 | 2 << 3),
]

EPT = Task(
    "ps3.q5",
    "an extended page table",
    ("lookup", "map_page"),
    ("S19", "S26"),
    lines=35,
    minutes=40,
    difficulty=4,
    points=7,
    cases=(
        Case("the first page", _looks(PAGES, (0x0, False), (0x123, True))),
        Case(
            "another page",
            _looks(PAGES, (0x5FFF, False), (0xC060_3000, True), (GPA | 0xABC, False)),
        ),
        Case(
            "a page of 2 MiB",
            _looks(PAGES, (0x21_2345, False), (0x3F_FFFF, True)),
            costs=True,
        ),
        Case("a page of 1 GiB", _looks(PAGES, (0x4000_0000, False), (0x7FED_CBA9, True))),
        Case("not present", _looks(PAGES, (0x1000, False), (1 << 46, True), (0x3000, False))),
        Case("more than 48 bits", _looks(PAGES, (1 << 48, False), (5 << 50 | 0x123, True))),
        Case("a page to read only", _wrong(1, 0x7000 | WB << 3 | 1, 0x7000 | WB << 3 | 5)),
        Case("rights of all entries", _narrowed),
        Case("written but not read", _wrong(1, 0x7032, 0x7036, 0x7033)),
        Case("executed only", _wrong(1, 0x7034, 0x7037)),
        Case("memory types", _wrong(1, *[0x7007 | kind << 3 for kind in range(8)])),
        Case("bit 7 at level 1", _wrong(1, 0x70B7, 0x7137)),
        Case("reserved bits of a table", _wrong(2, *[0x5007 | 1 << bit for bit in range(3, 7)])),
        Case("reserved bits at level 3", _wrong(3, *[0x5007 | 1 << bit for bit in (3, 6, 8)])),
        Case("bit 7 at level 4", _wrong(4, 0x2087, 0x00B7)),
        Case("low bits of a large page", _wrong(2, 0x40_00B7 | 1 << 12, 0x40_00B7 | 1 << 20)),
        Case("low bits of a huge page", _wrong(3, 0x8000_00B7 | 1 << 12, 0x8000_00B7 | 1 << 29)),
        Case("bits past the width", _wrong(1, *[0x7037 | 1 << bit for bit in (46, 51, 52, 63)])),
        Case("not allowed, and broken below", _broken_below),
        Case("no memory there", _no_memory),
        Case("any tree", _any_tree),
        Case("map one page", maps((0x1000, 0x5000, SMALL))),
        Case("two pages of one table", maps((0x1000, 0x5000, SMALL), (0x2000, 0x9000, SMALL))),
        Case(
            "pages far apart",
            maps((0, 0x5000, SMALL), (GPA, 0x9000, SMALL), (1 << 39, 0, SMALL)),
            costs=True,
        ),
        Case(
            "rights and types", maps((0x1000, 0x5000, SMALL, 1, 0), (0x2000, 0x9000, SMALL, 3, 4))
        ),
        Case("map 2 MiB", maps((0x20_0000, 0x60_0000, LARGE), (0x40_0000, 0, LARGE, 3, 0))),
        Case("map 1 GiB", maps((HUGE, 3 * HUGE, HUGE), (0, 0x5000, SMALL), (5 * HUGE, 0, HUGE))),
        Case("any pages", any_map),
        Case("a device for a guest", direct),
    ),
    hints=(
        "Do the walk for pages of 4 KiB first, all entries sound. At which shift do the nine bits "
        "of each level begin? Then let it end early where bit 7 says so.",
        "One loop over the levels 4 to 1 does it. In each turn load the entry once, ask rule 1, "
        "ask rule 2, take its rights into account, and either stop at a page or go on with the "
        "next table. map_page goes the same way, but makes a table where none is.",
        "An entry of level n covers 2 to the power 3 + 9n bytes: that is the page's size, its "
        "mask, and where map_page stops. Collect rights with &. For rule 2, a page and a table "
        "have different reserved bits, so say first which of them the entry is: level 1 always, "
        "level 4 never, between them by bit 7.",
    ),
)
