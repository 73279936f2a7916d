"""Two thousand rings that nobody meant: random descriptors, indices and requests, at our device.

    fuzz(2000)    so many answered, so many refused: by which clause, how often

The idea: an attacker does not read our list of attacks. So a generator takes two honest requests
and spoils up to four numbers. The device has to do one of two things: answer, or name a clause.

The rule that keeps it simple: numbers come from a seed, out of lists that have the edges in them.
Whatever escapes from the device as an exception would end the run: nothing is caught here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from virtlab.show.attack_hand import DATA, HEADS, OUTSIDE, RINGS, TABLE, Hand
from virtlab.show.attack_memory import Process, damaged, leaked
from virtlab.show.attack_run import Checked
from virtlab.virtio.blk_layouts import SECTOR, BlkType
from virtlab.virtio.layouts import DESC, INDIRECT, offset_of

ODD = {
    "addr": (RINGS.desc, HEADS, DATA, TABLE, OUTSIDE - 16, OUTSIDE, 2**64 - 8),
    "len": (0, 1, 16, 24, 100, 2**31, 2**32 - 1),
    "flags": (0, 1, 2, 3, 4, 5, 0xFFF8),
    "next": (0, 1, 2, 3, 7, 8, 0xFFFF),
}
"""Values to try in a descriptor: the edges, and what is right elsewhere."""

MOST = 4
"""Fields that are other than they should be, at most."""

MEANING = {
    "2.7": "over the ring itself",
    "2.7.4.2": "readable comes last",
    "2.7.5": "no memory, no entry",
    "2.7.5.2": "loop, or too many bytes",
    "2.7.5.3": "a table of no entries",
    "2.7.5.3.1": "a forbidden table",
    "2.7.6": "head out of range",
    "2.7.6.1": "the index jumped",
    "2.7.13.1": "a buffer of 0 bytes",
    "5.2.6": "no head, or no status",
}
"""What a clause is about, in a few words."""


class Fuzzed(NamedTuple):
    """`rings` were tried; `answered` of them were no mistake; `refused` counts clauses.

    `harmed` are those after which a byte outside of the guest's part was another one, or was seen.
    """

    rings: int
    answered: int
    refused: Mapping[str, int]
    harmed: int


def fuzz(rings: int, seed: int = 18) -> Fuzzed:
    """Try so many."""
    draw = np.random.default_rng(seed)
    refused: Counter[str] = Counter()
    answered = harmed = 0
    for _ in range(rings):
        clause, harm = _one(draw)
        harmed += harm
        if clause:
            refused[clause] += 1
        else:
            answered += 1
    return Fuzzed(rings, answered, refused, harmed)


def _one(draw: np.random.Generator) -> tuple[str, bool]:
    """One ring, one doorbell: the clause by which it was refused, or ""; and whether it harmed."""
    process = Process()
    hand = Hand(process)
    hand.side = device = Checked(process, hand)
    before = process.bytes.tobytes()
    scribble(hand, draw)
    with device.trace.recording() as events:
        hand.side.ring(0)
    after = process.bytes.tobytes()
    found = re.search(r"\(virtio 1\.3 ([\d.]+)", events[0].note) if events else None
    return found[1] if found else "", bool(leaked(after) or damaged(before, after))


def scribble(hand: Hand, draw: np.random.Generator) -> None:
    """Two honest requests, one of them by an indirect table; then some numbers are others."""
    hand.request(BlkType.OUT, int(draw.integers(0, 9)), DATA, SECTOR)
    for index in range(3):  # the same as a table
        hand.ram.write(TABLE + 16 * index, hand.ram.read(RINGS.desc_at(index), 16))
    hand.desc(3, TABLE, 48, INDIRECT)
    hand.offer(*draw.permutation([0, 3]).tolist())
    for _ in range(int(draw.integers(0, MOST + 1))):
        _spoil(hand, draw)


def _spoil(hand: Hand, draw: np.random.Generator) -> None:
    """One number is another one: of a descriptor, of the available ring, or of a request."""
    what = int(draw.integers(0, 10))
    if what == 0:
        jump = int(draw.choice([0, 1, 3, 9, 300, 0xFFFF]))
        hand.ram.store(RINGS.avail_field("idx"), 2, jump)
    elif what == 1:
        hand.ram.store(RINGS.avail_at(0), 2, int(draw.choice([1, 2, 3, 7, 8, 0xFFFF])))
    elif what == 2:
        hand.ram.store(HEADS, 4, int(draw.integers(0, 20)))
    else:
        base = RINGS.desc if what < 7 else TABLE
        name = str(draw.choice(list(ODD)))
        place = base + 16 * int(draw.integers(0, 4)) + offset_of(DESC, name)
        value = ODD[name][int(draw.integers(0, len(ODD[name])))]
        hand.ram.store(place, DESC[name].itemsize, value)


def named(refused: Mapping[str, int]) -> dict[str, int]:
    """Counts by clause and meaning, in the order of the specification."""
    order = sorted(refused, key=lambda clause: [int(part) for part in clause.split(".")])
    return {f"{clause} {MEANING.get(clause, '')}".strip(): refused[clause] for clause in order}
