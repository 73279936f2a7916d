"""Task 2 of problem set 2: size a BAR. The judge is the function that was made with that BAR.

Besides the answer, the function counts afterwards: every register as it was before. And while a BAR
holds all ones, it must decode nothing: the case looks after each write, and the report names the
first one that broke the rule.

The cards' port BARs have their upper 16 bits wired to 0, as the clause allows for a PC.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps2.boards import BarKind, Board, Card, ConfigAccess
from virtlab.course.tasks import Case, Difference, Run, Task, compare
from virtlab.guest.pci import Place
from virtlab.pci.bars import Bar
from virtlab.pci.config import Header
from virtlab.wire import all_ones

LOOK_SIZE = "the lowest writable address bit is the size (PCI 3.0, 6.2.5.1)"
LOOK_KEEP = "everything as it was before: BARs, COMMAND, and STATUS too (PCI 3.0, 6.2.5.1, 6.2.3)"
LOOK_QUIET = "no decoding while a BAR holds all ones (PCI 3.0, 6.2.5.1, implementation note)"

DECODING = Header.COMMAND.IO_SPACE.mask | Header.COMMAND.MEMORY_SPACE.mask
MASTER_ABORT = Header.STATUS.RECEIVED_MASTER_ABORT.mask
BARS = tuple(f"BAR{index}" for index in range(6))
AT = Place(0, 4, 0)
MEMORY_AT, MEMORY_STEP, HIGH_AT, PORTS_AT = 0x4000_0000, 0x1000_0000, 0x8_0000_0000, 0x1000
"""Where firmware has put the BARs: 32 bits, one step apart; 64 bits; ports."""

Bars = dict[int, BarKind]

ALL_SORTS: Bars = {
    0: ("memory", 0x20000, 32, False),
    1: ("port", 0x40, 32, False),
    2: ("memory", 0x4000, 64, True),
    4: ("memory", 0x10, 32, False),
}
"""A card with all sorts; BAR3 is the upper half of BAR2, and BAR5 is none."""

FEW_PORTS: Bars = {3: ("port", 4, 32, False), 5: ("port", 8, 32, False)}


class _Sized:
    """A card on a board, with every BAR in its place; then the student sizes one of them."""

    def __init__(
        self, answer: Answer, bars: Bars, index: int, command: int = 0x0007, at: Place = AT
    ) -> None:
        self.at = at
        self.board, self.card = Board(), Card(7, bars)
        self.board.bus.plug(self.card, at.device, at.number)
        for bar in self.card.bars:
            self._place(bar)
        self.card.header.COMMAND = command
        self.card.header.STATUS |= MASTER_ABORT
        self.card.config.written()
        self.before = dict(self.card.header.values)
        self.expected = bars.get(index)
        self.wrong = ""
        self.board.pci.watch = self._watch
        answer.given = f"{self._describe()}\nsize_bar(pci, {tuple(at)}, {index})"
        self.yours = answer.call("size_bar", self.board.pci, tuple(at), index)

    def _place(self, bar: Bar) -> None:
        """Give a BAR the first address of its kind, and wire port BARs to 16 bits."""
        index = int(bar.register[3:])
        first = PORTS_AT + 0x100 * index if bar.space == "port" else MEMORY_AT + index * MEMORY_STEP
        address = HIGH_AT if bar.bits == 64 else first
        if bar.space == "port":
            self.card.header.narrow(**{bar.register: -bar.size & 0xFFFF})
        self.card.config.write(0x10 + 4 * index, 4, address & all_ones(4))
        if bar.upper:
            self.card.config.write(0x14 + 4 * index, 4, address >> 32)

    def _watch(self, access: ConfigAccess) -> None:
        """After each write: does the card decode while a BAR is not where it was?"""
        header = self.card.header
        moved = [name for name in BARS if header.values[name] != self.before[name]]
        if moved and header.COMMAND & DECODING and not self.wrong:
            said = self.board.pci.say(access)
            self.wrong = f"{said}: COMMAND is {header.COMMAND:#06x}, {moved[0]} is not as before"

    def _describe(self) -> str:
        words = [f"COMMAND {self.before['COMMAND']:#06x}, STATUS {self.before['STATUS']:#06x}"]
        words += [f"{name} {self.before[name]:#010x}" for name in BARS]
        return f"{self.at}: " + ", ".join(words)

    def check_size(self) -> Difference | None:
        """What it gave."""
        return compare(self.expected, self.yours, LOOK_SIZE)

    def check_kept(self) -> Difference | None:
        """Every register is as it was."""
        for name, was in self.before.items():
            now = self.card.header.values[name]
            if now != was:
                expected, yours = f"{name} {was:#x}, as before", f"{name} {now:#x}"
                return Difference(expected, yours, LOOK_KEEP, self.board.pci.last())
        return None

    def check_quiet(self) -> Difference | None:
        """Nothing was decoded while a BAR was not in its place."""
        if not self.wrong:
            return None
        expected = "COMMAND bits 1:0 are 0 while a BAR holds another value"
        return Difference(expected, "they are not", LOOK_QUIET, self.wrong)


def _size(bars: Bars, *indices: int) -> Run:
    return lambda answer, rng: _first(_Sized(answer, bars, index).check_size() for index in indices)


def _kept(answer: Answer, rng: Random) -> Difference | None:
    return _first(_Sized(answer, ALL_SORTS, index).check_kept() for index in (0, 1, 2, 4))


def _quiet(answer: Answer, rng: Random) -> Difference | None:
    return _first(_Sized(answer, ALL_SORTS, index).check_quiet() for index in (0, 1, 2))


def _first(found: Iterable[Difference | None]) -> Difference | None:
    return next((difference for difference in found if difference), None)


def _any_bars(rng: Random) -> Bars:
    """Perhaps a BAR at 0, 2 and 4, or ports at the index after it."""
    bars: Bars = {}
    for index in (0, 2, 4):
        ahead = rng.random() < 0.5
        kinds: tuple[Bars, ...] = (
            {index: ("memory", 1 << rng.randrange(4, 24), 32, ahead)},
            {index: ("memory", 1 << rng.randrange(4, 34), 64, ahead)},
            {index + 1: ("port", 1 << rng.randrange(2, 9), 32, False)},
            {},
        )
        bars |= rng.choice(kinds)
    return bars


def _any_card(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(8):
        bars = _any_bars(rng)
        upper = [index + 1 for index, bar in bars.items() if bar[2] == 64]
        index = rng.choice([index for index in range(6) if index not in upper])
        done = _Sized(answer, bars, index, command=rng.choice((0, 1, 2, 3, 7, 0x507)))
        if found := done.check_size() or done.check_kept() or done.check_quiet():
            return found
    return None


SIZE_BAR = Task(
    "ps2.q2",
    "size a BAR",
    ("size_bar",),
    ("S05",),
    lines=20,
    minutes=20,
    difficulty=3,
    points=4,
    cases=(
        Case("memory", _size({0: ("memory", 0x4000, 32, False)}, 0)),
        Case("the smallest and a large one", _size(ALL_SORTS, 0, 4)),
        Case("prefetchable memory", _size({1: ("memory", 0x10_0000, 32, True)}, 1)),
        Case("no BAR there", _size({1: ("memory", 0x1000, 32, False)}, 0, 5)),
        Case("ports", _size(ALL_SORTS, 1)),
        Case("four ports, eight ports", _size(FEW_PORTS, 3, 5)),
        Case("64 bits", _size(ALL_SORTS, 2)),
        Case("64 bits, not prefetchable", _size({4: ("memory", 0x1000, 64, False)}, 4)),
        Case("8 GiB", _size({2: ("memory", 8 << 30, 64, True)}, 2)),
        Case("everything as before", _kept),
        Case("no decoding meanwhile", _quiet),
        Case("any card", _any_card),
    ),
    hints=(
        "Write all ones to the BAR and read it back. The card keeps its type bits and the address "
        "bits that it can compare; the rest reads 0. Look at the binary number that comes back.",
        "Bit 0 tells ports from memory. Then mask the type bits off (two of them for ports, four "
        "for memory). The lowest bit that is set in x is x & -x. If no bit is left, there is no "
        "BAR; but a BAR of 64 bits has an upper half, so ask that of the whole number. Save "
        "COMMAND and the BAR before you change them.",
        "Work on one number: a second helper can write all ones to one register, read it, write "
        "the old value back. Call it for the lower half; if bits 2:1 are 2, call it for the upper "
        "half too and put that 32 bits up. COMMAND has 2 bytes: an access of 4 writes STATUS as "
        "well, where a written 1 clears.",
    ),
)
