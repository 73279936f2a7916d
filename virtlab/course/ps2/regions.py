"""The region table of task 6: held against its rules, not against one right answer.

A table is right if it names the bytes in their order, if no region crosses a multiple of 64 KiB,
and if the last entry is marked. How finely it is cut is the student's choice.

The machine alone would not do for a judge: like QEMU's, our bus master forgives a region that
crosses the border. A real one wraps around in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import numpy as np

from virtlab.course.answers import Answer
from virtlab.course.tasks import Difference, shown
from virtlab.devices.ata import PRD
from virtlab.devices.ata.registers import BOUNDARY, PRD_EOT

LOOK_ENTRY = "4 bytes base, 2 bytes count (0: 64 KiB), 2 bytes flags (Bus Master IDE 1.0, 1.2)"
LOOK_BORDER = "no region crosses a multiple of 64 KiB (Bus Master IDE 1.0, 1.2)"
LOOK_EOT = "bit 15 of the flags marks the last entry, and no other (Bus Master IDE 1.0, 1.2)"

Pieces = list[tuple[int, int]]


def pieces_text(pieces: Iterable[tuple[int, int]]) -> str:
    """Pieces as a student writes them."""
    return "[" + ", ".join(f"({gpa:#x}, {length:#x})" for gpa, length in pieces) + "]"


def check_table(answer: Answer, pieces: Pieces) -> Difference | None:
    """Ask for the table of `pieces`, and hold it against the rules."""
    answer.given = f"prd_table({pieces_text(pieces)})"
    yours = answer.call("prd_table", list(pieces))
    if type(yours) is not bytes or not yours or len(yours) % PRD.itemsize:
        return Difference("entries of 8 bytes, as bytes", shown(yours), LOOK_ENTRY)
    entries = [entry.item() for entry in np.frombuffer(yours, PRD)]
    regions = [(base, count or BOUNDARY) for base, count, _ in entries]
    for number, (base, count) in enumerate(regions):
        if base % BOUNDARY + count > BOUNDARY:
            said = f"entry {number}: {count:#x} bytes at {base:#x}"
            return Difference("regions that stay between two borders", said, LOOK_BORDER)
    if joined(regions) != joined(pieces):
        return Difference(f"these bytes: {pieces_text(pieces)}", pieces_text(regions), LOOK_ENTRY)
    flags = [flags for _, _, flags in entries]
    right = [0] * (len(flags) - 1) + [PRD_EOT.mask]
    if flags != right:
        return Difference(f"flags {shown(right)}", f"flags {shown(flags)}", LOOK_EOT)
    return None


def joined(pieces: Iterable[tuple[int, int]]) -> Pieces:
    """The same bytes in as few pieces as can be.

    >>> joined([(0x1FF00, 0x100), (0x20000, 0x100), (0x5000, 2)])
    [(130816, 512), (20480, 2)]
    """
    found: Pieces = []
    for gpa, length in pieces:
        if found and sum(found[-1]) == gpa:
            found[-1] = found[-1][0], found[-1][1] + length
        else:
            found.append((gpa, length))
    return found


def any_pieces(rng: Random, sectors: int) -> Pieces:
    """Even pieces, apart from each other, in any order; together they have so many sectors."""
    total = 512 * sectors
    cuts = sorted({2 * rng.randrange(1, total // 2) for _ in range(rng.randrange(6))})
    lengths = [end - start for start, end in zip([0, *cuts], [*cuts, total], strict=True)]
    pieces, gpa = [], 0x10000
    for length in lengths:
        gpa += 2 * rng.randrange(1, 0x6000)
        pieces.append((gpa, length))
        gpa += length
    rng.shuffle(pieces)
    return pieces
