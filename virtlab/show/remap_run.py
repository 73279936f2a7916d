"""One transfer into a VM's memory, on a fresh board with two VMs: what happens, look by look.

VM A has the board's cards, and its unchanged drivers ask for a transfer. The steps are looks at the
same run: before it, when the VMM has told the card, when the VMM has moved pages, and when the card
has written.

The idea: `experiment` is a pure function from a `Choice` to the steps. Nothing is computed beside
the run: the card's pieces are those of its trace, and the owners are asked of the VMs.

The rule that keeps it simple: the VMM moves pages by the clock, in the middle of the request. So no
driver knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from virtlab import machine
from virtlab.guest.ata import AtaDriver, AtaError
from virtlab.guest.edu import EduDriver
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.memory import PAGE
from virtlab.show.remap_scene import Scene, explain, survey, touched
from virtlab.trace import Event
from virtlab.vmm.dma_remap import Untranslated
from virtlab.vmm.frames import Frames
from virtlab.vmm.mediated_edu import MediatedEdu
from virtlab.vmm.mediated_ide import MediatedIde
from virtlab.vmm.pinning import Mover, Pins

Card = Literal["edu", "IDE"]

EDU, IDE = (0x1234, 0x11E8), (0x8086, 0x7010)
POOL, POOL_FRAMES = 0x10_0000, 512
TABLES, HOLE = 0xC0_0000, 0xA_0000
PRD_TABLE, B_PAGE, SECTOR_7 = 0x9000, 0x7000, 7
SOON = 20_000
"""Virtual ns after which the VMM moves pages: the request is made, and the card has not written."""


@dataclass(frozen=True, slots=True)
class Choice:
    """`length` bytes to guest-physical `gpa` of VM A, by `card`; whether the VMM `remaps`; and
    whether it moves A's page, and one of B's, meanwhile.
    """

    gpa: int = 0x118F00
    length: int = 512
    card: Card = "edu"
    remaps: bool = True
    moves: Literal["no", "pins", "yes"] = "no"


class Step(NamedTuple):
    """One look: the scene, and what has just happened."""

    scene: Scene
    words: str


class Snapshot(NamedTuple):
    """Where a VM's pages lay, by gpa."""

    frames: dict[int, int]


class Outcome(NamedTuple):
    """What the transfer gave: its events, its exits, and what the driver said if it gave up."""

    events: list[Event]
    exits: int
    complaint: str


class _Bench:
    """The board, VM A with its cards, and VM B."""

    def __init__(self, picked: Choice) -> None:
        self.board = machine.lesson_pc(timed=True)
        self.board.frames = Frames(self.board.ram, POOL, POOL_FRAMES)
        self.a, self.b = machine.lesson_vm(self.board), machine.lesson_vm(self.board)
        self.rams = {"A": self.a.vm.ram, "B": self.b.vm.ram}
        enumerate_pci(self.board.cpu)
        self.pins = None if picked.moves == "yes" else Pins()
        cards, mine = self.board.cards, self.a.cards
        naive = None if picked.remaps else Untranslated()
        MediatedEdu(self.a.vm, mine.edu, cards.edu, self.pins, naive)
        MediatedIde(self.a.vm, mine.ide, cards.ide, TABLES, HOLE, self.pins, naive)
        self.found = enumerate_pci(self.a.cpu)
        self.pics = Pics(self.a.cpu)
        self.pics.remap()

    def driver(self, picked: Choice) -> Callable[[], None]:
        """The transfer, by the card's own driver, asleep until it is done."""
        if picked.card == "edu":
            slot = find(self.found, *EDU)
            assert slot.line is not None
            self.pics.unmask(slot.line)
            self.board.cards.edu.edu.buffer[:] = b"edu!" * 1024
            edu = EduDriver(self.a.cpu, slot.bar(0))
            return lambda: edu.from_device(picked.gpa, picked.length, interrupt=True)
        bus_master = find(self.found, *IDE).bar(4)
        disk = AtaDriver(self.a.cpu, bus_master=bus_master, table=PRD_TABLE)
        disk.listen(self.pics)
        return lambda: disk.read_dma(SECTOR_7, [(picked.gpa, picked.length)])

    def move_soon(self, picked: Choice) -> list[int | None]:
        """Move A's page and one of B's a little later; then the list has where A's went."""
        moved: list[int | None] = []

        def move() -> None:
            mover = Mover(self.board.frames, self.pins)
            if picked.gpa & -PAGE in self.a.vm.ram.frames:
                moved.append(mover.move(self.a.vm, picked.gpa))
                mover.move(self.b.vm, B_PAGE)

        if picked.moves != "no":
            self.board.clock.after(SOON, move)
        return moved

    def run(self, act: Callable[[], None]) -> Outcome:
        """Let the driver do it."""
        exits, complaint = self.a.exits, ""
        with self.board.trace.recording() as events:
            try:
                act()
            except (AtaError, TimeoutError) as error:
                complaint = f" The driver says: {error}."
        return Outcome(events, self.a.exits - exits, complaint)


@lru_cache(32)
def experiment(picked: Choice) -> tuple[Step, ...]:
    """What happens, look by look."""
    bench = _Bench(picked)
    act = bench.driver(picked)
    before = {name: Snapshot(dict(ram.frames)) for name, ram in bench.rams.items()}
    moved = bench.move_soon(picked)
    outcome = bench.run(act)
    given = touched(outcome.events, picked.card)
    gpas = range(picked.gpa & -PAGE, picked.gpa + picked.length, PAGE)
    steps = [
        Step(survey(before, gpas), f"VM A asks: {picked.length} bytes to {picked.gpa:#x}."),
        Step(survey(before, gpas, given, landed=False), _told(picked, outcome.events)),
    ]
    if moved:
        steps.append(Step(survey(bench.rams, gpas, given, landed=False), _moved(moved[0])))
    end = survey(bench.rams, gpas, given)
    steps.append(Step(end, f"{explain(end)} Exits: {outcome.exits}.{outcome.complaint}"))
    return tuple(steps)


def _told(picked: Choice, events: Sequence[Event]) -> str:
    """What the VMM did when it intercepted the request."""
    fault = next((event for event in events if event.kind == "fault"), None)
    if fault is not None:
        return f"The VMM refuses: {fault.note}."
    verb = "translated" if picked.remaps else "passed on"
    return f"The VMM has {verb} what A wrote, and started the card."


def _moved(frame: int | None) -> str:
    if frame is None:
        return "The VMM leaves A's page alone: it is pinned."
    return "A's page leaves its frame, and a page of B moves in."
