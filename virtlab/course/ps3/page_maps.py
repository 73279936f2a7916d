"""The second half of task 5 of problem set 3: what `map_page` made, and a guest that runs on it.

The library's `Ept` walks the student's tables. After each page all those before are looked at
again, and the frames that were taken are counted.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer, Stopped
from virtlab.course.ps3.machines import Host, Memory, first
from virtlab.course.ps3.page_trees import (
    HUGE,
    LARGE,
    LEVEL,
    RW,
    RWX,
    SMALL,
    UC,
    WB,
    Tree,
    shift,
    text,
)
from virtlab.course.tasks import Difference, Run, shown
from virtlab.memory import PAGE
from virtlab.vmm.ept import MEMORY_TYPE, RIGHTS, Ept

LOOK_MAP = "tables down to the level of that page's size, with all rights (SDM 3C 29.3.2)"
LOOK_FRAMES = "a frame for each table that is missing, and for no other"
LOOK_DIRECT = "a mapped page is reached with no exit (SDM 3C 29.3)"


class _Mapper:
    """An empty tree that the student fills; and what is mapped in it so far."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.tree = Tree()
        self.pages: dict[int, tuple[int, int, int, int]] = {}
        self.tables: set[tuple[int, int]] = set()
        self.taken = 0

    def take_frame(self) -> int:
        """A frame for the student."""
        if not self.tree.frames.left:
            raise Stopped(f"map_page has taken {self.taken} frames, and wants more")
        self.taken += 1
        return self.tree.frames.take()

    def map(
        self, gpa: int, hpa: int, size: int, rights: int = RWX, kind: int = WB
    ) -> Difference | None:
        """One page; then every page so far is looked at, and the frames are counted."""
        numbers = f"{gpa:#x}, {hpa:#x}, {size:#x}, {rights}, {kind}"
        self.answer.given = f"map_page(memory, take_frame, {self.tree.ept.pointer:#x}, {numbers})"
        if self.pages:
            self.answer.given += f"; {len(self.pages)} pages are mapped"
        wanted = {(level, gpa >> shift(level)) for level in range(4, LEVEL[size], -1)}
        missing, before = len(wanted - self.tables), self.taken
        self.tables |= wanted
        self.pages[gpa] = hpa, size, rights, kind
        pointer = self.tree.ept.pointer
        self.answer.call(
            "map_page", self.tree.memory, self.take_frame, pointer, gpa, hpa, size, rights, kind
        )
        if found := first(self._look(one) for one in [gpa, *self.pages]):
            return found
        taken = self.taken - before
        self.answer.note_cost("frames", taken, missing)
        if taken != missing:
            return Difference(f"{missing} frames taken", f"{taken} taken", LOOK_FRAMES)
        return None

    def _look(self, gpa: int) -> Difference | None:
        """Walk to one page: where it is, its size, its rights and its type."""
        hpa, size, rights, kind = self.pages[gpa]
        said = f"{size:#x} bytes at {hpa:#x}, rights {rights}, type {kind}"
        walk = self.tree.ept.walk(gpa + size - 1)
        if walk.problem:
            return Difference(
                f"{gpa:#x} is mapped: {said}", f"{walk.problem}: {text(walk)}", LOOK_MAP
            )
        start, mine = walk.hpa - size + 1, self.tree.ept.rights(walk)
        its_kind = MEMORY_TYPE.get(walk.steps[-1].entry)
        if (start, walk.page_size, mine, its_kind) != (hpa, size, rights, kind):
            seen = f"{walk.page_size:#x} bytes at {shown(start)}, rights {mine}, type {its_kind}"
            return Difference(f"{gpa:#x} is {said}", f"{seen}: {text(walk)}", LOOK_MAP)
        if any(RIGHTS.get(step.entry) != RWX for step in walk.steps[:-1]):
            return Difference("tables with all rights", text(walk), LOOK_MAP)
        return None


def maps(*pages: tuple[int, ...]) -> Run:
    """A case that maps these pages, one after another: arguments of `_Mapper.map`."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        mapper = _Mapper(answer)
        return first(mapper.map(*page) for page in pages)

    return run


def any_map(answer: Answer, rng: Random) -> Difference | None:
    """Pages of every size, rights and type, anywhere."""
    for _ in range(3):
        mapper = _Mapper(answer)
        for _ in range(9):
            size = rng.choice((SMALL, SMALL, LARGE, HUGE))
            region = rng.randrange(3)  # sizes of their own, so that no page lies in another
            gpa = (LEVEL[size] * 3 + region << 39) + (rng.randrange(1 << 31) & -size)
            hpa, rights = rng.randrange(1 << 46) & -size, rng.choice((1, 3, 5, 7))
            kind = rng.choice((0, 1, 4, 5, 6))
            if gpa not in mapper.pages and (found := mapper.map(gpa, hpa, size, rights, kind)):
                return found
    return None


class _Registers:
    """A device of the host that counts."""

    def __init__(self) -> None:
        self.accesses = 0

    def read(self, offset: int, size: int) -> int:
        """How often somebody was here."""
        self.accesses += 1
        return self.accesses

    def write(self, offset: int, size: int, value: int) -> None:
        """A write."""
        self.accesses += 1


BAR, DEVICE = 0xC000_0000, 0xFEB0_0000


def direct(answer: Answer, rng: Random) -> Difference | None:
    """A device is given to a guest: its page is mapped, the page behind it is not."""
    host = Host()
    vm, device, neighbour = host.vm(), _Registers(), _Registers()
    host.memory.map(DEVICE, PAGE, device, "device", width=8)
    vm.memory.map(BAR, 2 * PAGE, neighbour, "emulated", width=8)
    tables = vm.tables
    assert isinstance(tables, Ept)
    answer.given = f"map_page(..., {BAR:#x}, {DEVICE:#x}, 0x1000, 3, 0) in a VM's tables, whose RAM"
    answer.given += f" is at 0; then its guest loads and stores at {BAR:#x}, 100 times each"
    arguments = Memory(host.ram), host.frames.take, tables.pointer, BAR, DEVICE, PAGE, RW, UC
    answer.call("map_page", *arguments)
    for at in range(100):
        vm.cpu.load(BAR + 8 * at)
        vm.cpu.store(BAR + 8 * at, at)
    if (exits := vm.vmm.exits.total()) or device.accesses != 200:
        said = f"{exits} exits, the device saw {device.accesses} accesses"
        return Difference("0 exits, and 200 accesses", said, LOOK_DIRECT)
    vm.cpu.load(BAR + PAGE)
    vm.cpu.store(0x2000, 7)
    if vm.vmm.exits.total() != 1 or vm.cpu.load(0x2000) != 7:
        seen = f"{vm.vmm.exits.total()} exits"
        return Difference("only the page behind it exits, and RAM stays", seen, LOOK_MAP)
    return None
