"""Task 7 of problem set 3: move the DMA to the right frames. The judge is the VM's map of frames.

The VM's RAM lies in scattered frames, some of them side by side; every other frame of the host is
somebody else's. A case follows the guest's bytes one by one to the host, and holds the student's
pieces against that. Pins are counted, and so is each byte of the guest's table that is read.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps2.regions import Pieces, joined, pieces_text
from virtlab.course.ps3.scattered_vm import FIXED, HIGH, LOW, Vm, scattered
from virtlab.course.ps3.shadow_tables import (
    LOOK_REFUSE,
    frames_text,
    in_a_row,
    no_end,
    no_table,
    pins,
    prd,
    refused,
    shadow,
    shadows,
)
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same
from virtlab.devices.ata.registers import BOUNDARY
from virtlab.memory import PAGE

LOOK_PAGES = "each page has a frame of its own; the offset in the page stays"
LOOK_JOIN = "what touches in the host is one piece"


def _remap(answer: Answer, vm: Vm, pieces: Pieces) -> Difference | None:
    answer.given = f"remap(vm, {pieces_text(pieces[:6])}); {frames_text(vm, pieces)}"
    expected = vm.host(pieces)
    yours = answer.call("remap", vm, list(pieces))
    if not same(expected, yours):
        return _differs(vm, expected, yours)
    return pins(vm, vm.touched(pieces) if expected is not None else set())


def _differs(vm: Vm, expected: Pieces | None, yours: object) -> Difference | None:
    """Host pieces that are not as they should be."""
    if expected is None or type(yours) is not list or not _is_pieces(yours):
        return compare(expected, yours, LOOK_REFUSE if expected is None else LOOK_PAGES)
    look = LOOK_JOIN if joined(yours) == expected else LOOK_PAGES
    foreign = vm.foreign(yours)
    access = f"the frame at {foreign:#x} is not this VM's" if foreign is not None else ""
    return Difference(pieces_text(expected[:8]), pieces_text(yours[:8]), look, access)


def _is_pieces(value: list[object]) -> bool:
    return all(
        type(one) is tuple and len(one) == 2 and all(type(number) is int for number in one)
        for one in value
    )


def _remaps(*pieces: tuple[int, int]) -> Run:
    """On the VM of the fixed cases."""
    return lambda answer, rng: _remap(answer, Vm(dict(FIXED)), list(pieces))


def _any_pieces(rng: Random, largest: int) -> Pieces:
    """Pieces within the VM's RAM."""
    pieces = []
    for _ in range(rng.randrange(1, 9)):
        pages = rng.choice((LOW, HIGH))
        gpa = pages.start + rng.randrange(len(pages) * PAGE - 8)
        length = min(rng.randrange(1, largest), pages.stop - gpa)
        pieces.append((gpa, length))
    return pieces


def _any_vm(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(6):
        frames = scattered(rng)
        pieces = _any_pieces(rng, 0x6000)
        more = [(gpa & -2, max(length & -2, 2)) for gpa, length in _any_pieces(rng, BOUNDARY + 1)]
        if rng.random() < 0.3:
            pieces.append((rng.choice((0x1_FFFF, 0x2_0000, 0x13_FFFC, 1 << 40)), 8))
        vm, table = Vm(frames), rng.choice((0x0, 0x1_FF00, 0x10_0FF8))
        vm.write(table, prd(more))
        found = _remap(answer, Vm(frames), pieces) or shadow(answer, vm, table, more)
        if found:
            return found
    return None


def _hostile(answer: Answer, rng: Random) -> Difference | None:
    """Lengths and addresses that no driver has, and tables of random bytes."""
    frames = scattered(rng)
    sizes = (0, 1, 0x1000, 0x2_0000, 0x2_0001, 1 << 32, 1 << 60)
    for _ in range(8):
        pieces = [
            (rng.choice((0, 0x1FFF, 0x13_FFFF, 1 << 63)), rng.choice(sizes)) for _ in range(3)
        ]
        if found := _remap(answer, Vm(frames), pieces):
            return found
        vm, entries = Vm(frames), rng.randrange(1, 6)
        bases = [
            rng.choice((0, 0x1_0000, 0x10_0000, rng.getrandbits(31) << 1)) for _ in range(entries)
        ]
        pieces = [(base, rng.choice((2, 0x200, BOUNDARY))) for base in bases]
        vm.write(0x1000, prd(pieces))
        if found := shadow(answer, vm, 0x1000, pieces):
            return found
    return None


REMAP = Task(
    "ps3.q7",
    "move the DMA to the right frames",
    ("remap", "shadow_prd"),
    ("S20", "S27"),
    lines=35,
    minutes=40,
    difficulty=4,
    points=6,
    cases=(
        Case("a page", _remaps((0x1000, 0x1000))),
        Case("inside a page", _remaps((0x1204, 0x10))),
        Case("pieces in their order", _remaps((0x4FFF, 1), (0x1000, 8), (0x3000, 4))),
        Case("two pages", _remaps((0x1FF0, 0x20))),
        Case("frames side by side", _remaps((0x2000, 0x2000), (0x1FF0, 0x1020))),
        Case("pieces that touch in the host", _remaps((0x3F00, 0x100), (0x5000, 8), (0x5008, 8))),
        Case("the same page again", _remaps((0x1000, 8), (0x4000, 8), (0x1000, 8))),
        Case("nothing", _remaps((0x1000, 0), (0x2000, 8), (0x9000, 0))),
        Case("not the VM's", _remaps((0x6000, 8))),
        Case("the last byte is not", _remaps((0x5FFF, 2))),
        Case("a later piece is not", _remaps((0x1000, 0x2000), (0x1000, 8), (0x800, 8))),
        Case("a huge length", _remaps((0x1000, 1 << 60))),
        Case("a table of one entry", shadows(0x4000, (0x1000, 0x200))),
        Case("several entries", shadows(0x4000, (0x2F00, 0x200), (0x1002, 6), (0x5000, 0x10))),
        Case("a table over two pages", shadows(0x1FF8, (0x3000, 8), (0x4000, 8), (0x5000, 8))),
        Case("a table at the end of RAM", shadows(0x5FF0, (0x3000, 8), (0x4000, 8))),
        Case("64 KiB, and borders of the host", in_a_row),
        Case("an entry that is not the VM's", refused),
        Case("a table that is not there", no_table),
        Case("a table without an end", no_end),
        Case("any VM", _any_vm),
        Case("hostile numbers", _hostile),
    ),
    hints=(
        "Do remap for one piece inside one page first, then let a loop cut at the borders of "
        "pages. How many bytes are there from gpa to the end of its page?",
        "Keep a list of the pages that you have pinned; it is what you need when a later page is "
        "not there. shadow_prd has three steps: read the guest's entries, remap all of them at "
        "once, write the host's pieces as entries.",
        "In remap, before you add a piece, compare the end of the last one with its beginning. In "
        "shadow_prd read 8 bytes at a time until the mark, but 64 times at most; take 64 KiB for "
        "a count of 0. Only after remap cut at 64 KiB, as in problem set 2, and set the mark in "
        "the very last entry.",
    ),
)
