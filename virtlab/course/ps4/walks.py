"""Tables of descriptors for task 2, and what a walk over them gives.

    lay(ram, table, [(addr, len, flags, next), ...])       a table, written
    expected(ram, table, size, head, indirect)             its chain, or the word that refuses it

The idea: the answer of a walk is a list or one word. `expected` is the walk in the order in which
the task states its rules. A test holds it against `virtlab.virtio.split_chain`, which refuses the
same chains.

Source: virtio 1.3 2.7.5 to 2.7.5.3.2, 2.7.4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from virtlab.course.given.rings import Written
from virtlab.memory import GuestMemory
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, packer

_struct = packer(DESC)
STEP = DESC.itemsize

Descriptor = tuple[int, int, int, int]
"""`addr`, `len`, `flags`, `next`."""


def lay(ram: GuestMemory, table: int, descriptors: Sequence[Descriptor]) -> None:
    """Write a table."""
    ram.write(table, b"".join(_struct.pack(*one) for one in descriptors))


def expected(
    ram: GuestMemory, table: int, size: int, head: int, indirect: bool
) -> list[Written] | str:
    """The buffers of the chain at `head`, or the word of the first rule that it breaks."""
    found = _follow(ram, table, size, head, size, indirect, [])
    return found if isinstance(found, str) else _judged(found, ram.size)


def _follow(
    ram: GuestMemory,
    table: int,
    entries: int,
    index: int,
    size: int,
    indirect: bool,
    found: list[Written],
) -> list[Written] | str:
    """The chain from `index` on, behind what was `found`; inside a table `size` is its limit."""
    while True:
        if index >= entries:
            return "range"
        if len(found) == size:
            return "long"
        addr, length, flags, following = _struct.unpack(ram.read(table + STEP * index, STEP))
        if flags & INDIRECT:
            if not indirect or flags & NEXT or length % STEP or not length:
                return "indirect"
            if addr + length > ram.size:
                return "memory"
            return _follow(ram, addr, length // STEP, 0, size, False, found)
        found.append((addr, length, bool(flags & WRITE)))
        if not flags & NEXT:
            return found
        index = following


def _judged(buffers: list[Written], memory: int) -> list[Written] | str:
    """The buffers, or what is wrong with the first of them that is wrong."""
    writing = False
    for addr, length, write in buffers:
        if not length:
            return "empty"
        if addr + length > memory:
            return "memory"
        if writing and not write:
            return "order"
        writing = write
    return buffers


# -- the tables of the fixed cases

N, W, I = NEXT, WRITE, INDIRECT  # noqa: E741  # the three flags, as a table needs them

INNER = 0x9000
"""Where an indirect table is."""


def chain(*slots: int, last: int = 0, length: int = 64) -> dict[int, Descriptor]:
    """Readable buffers in `slots`, one linked to the next."""
    made = {at: (0x4000 + 64 * at, length, N, following) for at, following in pairwise(slots)}
    return made | {slots[-1]: (0x4000 + 64 * slots[-1], length, 0, last)}


def points(length: int, flags: int = I, addr: int = INNER, at: int = 2) -> dict[int, Descriptor]:
    """One descriptor, for an indirect table."""
    return {at: (addr, length, flags, 5)}


DISK = {3: (0x4000, 16, N, 1), 1: (0x5000, 512, N | W, 6), 6: (0x4010, 1, W, 0)}
"""A request for a disk's sector: what to read, where to put it, and how it went."""

INSIDE: list[Descriptor] = [(0x4000, 16, N, 2), (0x4010, 1, W, 0), (0x5000, 512, N | W, 1)]
"""The same in an indirect table."""

RUN: list[Descriptor] = [(0x4000, 4, N, n + 1) for n in range(11)] + [(0x4000, 4, 0, 0)]
"""Twelve in a row."""


def table_text(descriptors: list[Descriptor], name: str) -> str:
    """Those descriptors that are not 0, as a report shows them."""
    marks = ((NEXT, "NEXT"), (WRITE, "WRITE"), (INDIRECT, "INDIRECT"))
    texts: list[str] = []
    for index, (addr, length, flags, following) in enumerate(descriptors):
        if (addr, length, flags, following) != (0, 0, 0, 0) and len(texts) < 6:
            names = "|".join(word for bit, word in marks if flags & bit) or "0"
            onward = f" next {following}" if flags & NEXT else ""
            texts.append(f"{name}[{index}] {addr:#x}/{length:#x} {names}{onward}")
    return "; ".join(texts)


# -- chains by chance


def any_chain(rng: Random, ram: GuestMemory, table: int, size: int) -> int:
    """Write a table with one good chain in it, in disorder; its head."""
    slots = rng.sample(range(size), rng.randrange(1, min(size, 6) + 1))
    descriptors = [any_descriptor(rng, ram.size, size) for _ in range(size)]
    reads = rng.randrange(len(slots) + 1)
    for place, slot in enumerate(slots):
        flags = (WRITE if place >= reads else 0) | (NEXT if slot != slots[-1] else 0)
        following = slots[place + 1] if slot != slots[-1] else rng.getrandbits(16)
        length = rng.randrange(1, 4096)
        descriptors[slot] = (rng.randrange(ram.size - length), length, flags, following)
    lay(ram, table, descriptors)
    return slots[0]


def any_descriptor(rng: Random, memory: int, size: int) -> Descriptor:
    """A descriptor as a careless guest writes it: often good, sometimes not."""
    flags = rng.choice((0, NEXT, NEXT, WRITE, NEXT | WRITE, INDIRECT, rng.getrandbits(16)))
    addr = rng.choice((rng.randrange(memory), rng.randrange(memory), rng.getrandbits(64)))
    length = rng.choice((16, rng.randrange(1, 600), rng.randrange(1, 600), rng.getrandbits(32), 0))
    return addr, length, flags, rng.choice((rng.randrange(size), rng.randrange(size + 2)))
