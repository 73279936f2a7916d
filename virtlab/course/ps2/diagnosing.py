"""Task 4 of problem set 2: find the fault. The judge knows it, because the judge has planted it.

Each case is a board on which enumeration went well; then one register on the path to a card was
changed, or none was. The student's function reads the registers of the path and says where the
access ends and why. It may not write: the machine that it looks at is running.

That a planted fault really stops its access, and that the rest lets it pass, is what the library's
routing says (`Faulty.arrives`); a test holds every fault to that.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps2.boards import Topology
from virtlab.course.ps2.faults import KINDS, SIZE, Access, Faulty, Kind, Verdict, Word, window_of
from virtlab.course.tasks import Case, Difference, Run, Task, compare
from virtlab.pci.bridge import Bridge

LOOKS = {
    "config": "secondary <= bus of the card <= subordinate (PCI bridge 1.2, 3.2.5.3, 3.2.5.4)",
    "memory": "COMMAND bit 1, then both memory windows (PCI bridge 1.2, 3.2.5.8 to 3.2.5.10)",
    "port": "COMMAND bit 0, then the I/O window (PCI bridge 1.2, 3.2.5.6, 3.2.5.7)",
    "dma": "COMMAND bit 2; up goes what is outside the windows (PCI bridge 1.2, 3.2.4.3, 4.2)",
}
LOOK_READS = "COMMAND, STATUS, windows: all can be read without a write (PCI bridge 1.2, 3.2)"


def _diagnose(
    answer: Answer, board: Faulty, access: Access, expected: Verdict | None, note: str = ""
) -> Difference | None:
    """Ask for one access, and see that nothing was written meanwhile."""
    path = [(place.bus, place.device, place.number) for place in board.places]
    words = ", ".join(map(str, board.places))
    answer.given = f"path {words}; access {access}{note}\n{_registers(board, access.kind)}"
    yours = answer.call("diagnose", board.board.pci, list(path), tuple(access))
    pci = board.board.pci
    if pci.writes:
        said = pci.say(pci.writes[0])
        return Difference("reads alone", f"{len(pci.writes)} writes", LOOK_READS, said)
    return compare(expected, yours, LOOKS[access.kind])


def _registers(board: Faulty, kind: Kind) -> str:
    """What the functions on the path hold that matters for this kind of access."""
    lines = []
    for place, function in zip(board.places, board.path, strict=True):
        words = f"{place} COMMAND {function.header.COMMAND:#06x}"
        if kind == "config" and isinstance(function, Bridge):
            words += f", secondary {function.secondary}"
            words += f", subordinate {function.header.SUBORDINATE_BUS}"
        elif isinstance(function, Bridge):
            space = "port" if kind == "port" else "memory"
            spans = [f"{w.base:#x} to {w.limit:#x}" for w in function.windows if w.space == space]
            words += f", windows {' and '.join(spans)}"
        lines.append(words)
    return "\n".join(lines)


# -- fixed boards


def _healthy(*kinds: Kind) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        for kind in kinds:
            board = Faulty.chain()
            if found := _diagnose(answer, board, board.access(kind, rng), None):
                return found
        return None

    return run


def _planted(kind: Kind, at: int, word: Word, *ways: str, index: int = 0) -> Run:
    """The same fault at `path[at]`, in several ways."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        for how in ways or ("",):
            board = Faulty.chain()
            access = board.access(kind, rng, index)
            if found := _diagnose(answer, board, access, board.plant(access, at, word, how)):
                return found
        return None

    return run


def _edges(kind: Kind, index: int) -> Run:
    """A BAR at either end of the inner bridge's window: its first bytes and its last."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        board = Faulty.chain()
        window = window_of(board.bridges[-1], board.access(kind, rng, index))
        _, length = board.bar(index)
        for start in (window.base, window.limit + 1 - length):
            board.move(index, start)
            for address in (start, start + length - SIZE):
                if found := _diagnose(answer, board, Access(kind, address), None):
                    return found
        return None

    return run


def _half(answer: Answer, rng: Random) -> Difference | None:
    """A window that ends in the middle of a BAR: what is below the end still arrives."""
    board = Faulty.chain()
    start, length = board.bar(0)
    low, high = Access("memory", start + 8), Access("memory", start + length // 2 + 8)
    verdict = board.plant(high, 1, "window")
    return _diagnose(answer, board, low, None) or _diagnose(answer, board, high, verdict)


def _unneeded(answer: Answer, rng: Random) -> Difference | None:
    for kind in KINDS:
        board = Faulty.chain()
        access = board.access(kind, rng)
        board.distract(access, rng, likely=1.0)
        if found := _diagnose(answer, board, access, None):
            return found
    return None


def _two(answer: Answer, rng: Random) -> Difference | None:
    """Two faults: the one nearer to bus 0 counts."""
    for near in (0, 1):
        board = Faulty.chain()
        access = board.access("memory", rng)
        board.plant(access, near + 1, "command")
        first = board.plant(access, near, "window", "begins late")
        if found := _diagnose(answer, board, access, first, ", two faults"):
            return found
    return None


def _any_board(topology: Topology) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        for kind in (*KINDS, "memory", "dma"):
            board = Faulty.any(rng, topology)
            access = board.access(kind, rng, rng.choice((0, 2)))
            board.distract(access, rng)
            at, word = rng.choice(board.possible(access))
            how = rng.choice(("", "secondary" if kind == "config" else "begins late"))
            verdict = board.plant(access, at, word, how) if rng.random() < 0.8 else None
            if found := _diagnose(answer, board, access, verdict):
                return found
        return None

    return run


DIAGNOSE = Task(
    "ps2.q4",
    "find the fault",
    ("diagnose",),
    ("S05", "S06", "S07"),
    lines=30,
    minutes=35,
    difficulty=4,
    points=6,
    cases=(
        Case("nothing is wrong", _healthy(*KINDS)),
        Case("a card that does not decode", _planted("memory", 2, "command")),
        Case("a bridge that does not decode", _planted("memory", 1, "command")),
        Case("ports have a bit of their own", _planted("port", 1, "command")),
        Case("a window that ends too early", _planted("memory", 1, "window")),
        Case("a window that begins too late", _planted("memory", 0, "window", "begins late")),
        Case("a closed window", _planted("memory", 1, "window", "closed")),
        Case("the ends of a window", _edges("memory", 0)),
        Case("half of a BAR", _half),
        Case("the prefetchable window", _edges("memory", 2)),
        Case("above 4 GiB", _planted("memory", 1, "window", "", "begins late", index=2)),
        Case("the ends of the I/O window", _edges("port", 1)),
        Case("ports that do not get through", _planted("port", 0, "window", "", "begins late")),
        Case("a card that may not master the bus", _planted("dma", 2, "command")),
        Case("a bridge that passes nothing up", _planted("dma", 0, "command")),
        Case("main memory in a window", _planted("dma", 1, "window")),
        Case("a subordinate number too low", _planted("config", 0, "bus numbers", "")),
        Case("a wrong secondary number", _planted("config", 1, "bus numbers", "secondary")),
        Case("what an access does not need", _unneeded),
        Case("two faults", _two),
        Case("any board of bridges", _any_board("conventional")),
        Case("any board of links", _any_board("express")),
    ),
    hints=(
        "Each kind of access needs only a few registers. Make a table: for a bridge and for the "
        "card, which bit of COMMAND, and which window or number?",
        "Go along the path from bus 0 and return at the first thing that is wrong: behind a wrong "
        "bus number all registers read as ones. A window's base and limit name the first and the "
        "last unit: 1 MiB, or 4096 ports. So the last byte is the limit with all lower bits 1.",
        "Write a helper that gives a bridge's windows for a kind as pairs (first, last): for ports "
        "one, for memory and DMA two. The access is inside if one of them has it. Going down, "
        "inside is right; going up, outside is. Mask the low 4 bits of each base and limit off: "
        "they say what kind of window it is.",
    ),
)
