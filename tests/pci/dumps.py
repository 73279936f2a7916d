"""Configuration spaces made up by chance, but well formed: what real machines may have in a dump.

The bytes are put together here by hand, with none of the library's declarations: so a wrong
declaration cannot hide.
"""

from __future__ import annotations

import random

from virtlab.pci.dump import DumpedFunction

EXPRESS, PCI_X, MSI, SUBSYSTEM, HYPERTRANSPORT, ENHANCED = 0x10, 0x07, 0x05, 0x0D, 0x08, 0x14
SR_IOV = 0x10

LENGTHS = {EXPRESS: 0x3C, MSI: 0x18, PCI_X: 0x10, HYPERTRANSPORT: 0x1C, ENHANCED: 0x08}
"""Bytes that a capability is given; 8 for any other."""

CAPABILITIES = (*range(0x01, 0x03), *range(0x04, 0x15), 0x15, 0x1F, 0x7F)
"""Ids, some of them not known. Vital product data (03h) is left out: reading it takes writes."""

EXTENDED = (*range(0x01, 0x05), 0x06, *range(0x08, 0x30), 0x33, 0x1234)
"""Ids; 05h and 07h are left out, for `lspci` follows what they point to."""

BARS = {
    "none": lambda chance: (0,),
    "gone": lambda chance: (0xFFFF_FFFF,),
    "ports": lambda chance: (chance.randrange(0x1000, 0x10000, 8) | 1,),
    "ports, not assigned": lambda chance: (1,),
    "memory": lambda chance: (chance.randrange(0x1000_0000, 0xFFF0_0000, 16) | ahead(chance),),
    "memory, not assigned": lambda chance: (8,),
    "wide": lambda chance: (
        chance.randrange(0, 0xFFF0_0000, 16) | 4 | ahead(chance),
        chance.choice((0, 0x40, 0x0012_3456)),
    ),
    "wide, not assigned": lambda chance: (4 | ahead(chance), 0),
}
"""Each way in which a BAR can read, as one word or two."""


def ahead(chance: random.Random) -> int:
    """The prefetchable bit, or not."""
    return chance.choice((0, 8))


class Space:
    """A configuration space that is being filled in."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)

    def put(self, at: int, value: int, size: int) -> None:
        self.data[at : at + size] = value.to_bytes(size, "little")


def function(chance: random.Random, bus: int, device: int, size: int, kind: int) -> DumpedFunction:
    """One function with a header of type `kind`, `size` bytes, and whatever chance gives it."""
    space = Space(size)
    space.put(0x00, chance.choice((0x8086, 0x1AF4, 0x10DE, 0xFFFF, 0x1234)), 2)
    space.put(0x02, chance.randrange(0xFFFF), 2)
    space.put(0x04, chance.randrange(0x800), 2)
    space.put(0x06, chance.choice((0x0000, 0x0010, 0x0010, 0x0010, 0xFA10)), 2)
    space.put(0x08, chance.randrange(0x100), 1)
    space.put(0x09, chance.randrange(0x100), 1)
    space.put(0x0A, 0x0604 if kind == 1 else 0x0607 if kind == 2 else chance.randrange(0x600), 2)
    space.put(0x0E, kind | chance.choice((0, 0x80)), 1)
    bars(space, chance, (6, 2, 1)[kind])
    if kind == 0:
        space.put(0x2C, chance.choice((0, 0x1AF4)), 2)
        space.put(0x2E, chance.randrange(0x10000), 2)
        space.put(0x30, rom(chance), 4)
    else:
        bridge(space, chance, bus, kind)
    capabilities(space, chance, 0x14 if kind == 2 else 0x34, 0x80 if kind == 2 else 0x40)
    return DumpedFunction(0, bus, device, 0, bytes(space.data), "x")


def bars(space: Space, chance: random.Random, count: int) -> None:
    index = 0
    while index < count:
        words = BARS[chance.choice(tuple(BARS))](chance)
        if index + len(words) <= count:
            for word in words:
                space.put(0x10 + 4 * index, word, 4)
                index += 1


def rom(chance: random.Random) -> int:
    return chance.choice(
        (0, 1, chance.randrange(0x1000_0000, 0xFFF0_0000, 0x800) | chance.choice((0, 1)))
    )


def bridge(space: Space, chance: random.Random, bus: int, kind: int) -> None:
    """Bus numbers that agree with `bus`, windows that may be open or closed."""
    for at, value in zip(
        (0x18, 0x19, 0x1A), (bus, bus + 1, bus + chance.randrange(1, 4)), strict=True
    ):
        space.put(at, value, 1)
    if kind == 2:
        for at in range(0x1C, 0x3C, 4):
            space.put(at, chance.randrange(0, 1 << 32, 0x1000) | (at >= 0x2C), 4)
        return
    wide_io, wide = chance.choice((0, 1)), chance.choice((0, 1))
    for at in (0x1C, 0x1D):
        space.put(at, chance.randrange(0, 0x100, 0x10) | wide_io, 1)
    for at, low in ((0x20, 0), (0x22, 0), (0x24, wide), (0x26, wide)):
        space.put(at, chance.randrange(0, 0x10000, 0x10) | low, 2)
    for at in (0x28, 0x2C):
        space.put(at, chance.choice((0, 1, 8)) * wide, 4)
    for at in (0x30, 0x32):
        space.put(at, chance.choice((0, 1)) * wide_io, 2)
    space.put(0x38, rom(chance), 4)


# -- the lists


def capabilities(space: Space, chance: random.Random, pointer: int, first: int) -> None:
    """A list in any order of offsets, and behind it, where there is room, the extended one."""
    size = len(space.data)
    if size < 0x100:
        return
    known = [kind for kind in CAPABILITIES if kind != PCI_X or pointer == 0x34]
    kinds = [EXPRESS, *chance.sample(known, chance.randrange(8))]
    chance.shuffle(kinds)
    places = scatter(chance, [LENGTHS.get(kind, 8) for kind in kinds], first, 0x100)
    last, extended = pointer, False
    for kind, at in zip(kinds, places, strict=False):
        space.put(last, at | chance.choice((0, 3)), 1)
        for byte in range(at, at + LENGTHS.get(kind, 8)):
            space.data[byte] = chance.randrange(0x100)
        space.put(at, kind, 2)
        shape(space, chance, kind, at)
        extended |= kind in (EXPRESS, PCI_X)
        last = at + 1
    if extended and size > 0x100:
        extend(space, chance)


def shape(space: Space, chance: random.Random, kind: int, at: int) -> None:
    """Make what `lspci` would stop at, or look up, what it is in a real device."""
    if kind == EXPRESS:
        role = chance.choice((0, 1, 4, 5, 6, 7, 8, 9, 10))
        space.put(at + 2, role << 4 | chance.choice((1, 2)) | chance.choice((0, 0x100)), 2)
    elif kind == MSI:
        space.put(at + 2, chance.randrange(6) << 1 | chance.randrange(4) << 7, 2)
    elif kind == ENHANCED:
        space.put(at + 2, 0, 2)


def extend(space: Space, chance: random.Random) -> None:
    """Extended capabilities from 0x100 on, each with room for any."""
    kinds = chance.sample(EXTENDED, chance.randrange(10))
    places = [0x100, *scatter(chance, [0x100] * len(kinds), 0x200, 0x1000)]
    for index, (kind, at) in enumerate(zip(kinds, places, strict=False)):
        for byte in range(at + 4, at + 0x40):
            space.data[byte] = chance.randrange(0x100)
        more = index + 1 < min(len(kinds), len(places))
        space.put(
            at, kind | chance.randrange(1, 5) << 16 | (places[index + 1] << 20 if more else 0), 4
        )
        if kind == SR_IOV:
            for bar in range(0x24, 0x3C, 4):
                space.put(at + bar, 0, 4)
            space.put(at + 0x24, chance.randrange(0, 0xFFF0_0000, 16) | 4 | ahead(chance), 4)
            space.put(at + 0x28, chance.choice((0, 0x40)), 4)
        elif kind in (0x15, 0x24):
            space.put(at + 8, 1 << 5, 4)


def scatter(chance: random.Random, lengths: list[int], start: int, end: int) -> list[int]:
    """Places for as many of the lengths as fit, one behind the other, given in any order."""
    places = []
    for length in lengths:
        if start + length > end:
            break
        places.append(start)
        start += length + chance.choice((0, 0, 4)) if length < 0x100 else length
    return places


def machine(seed: int, count: int) -> list[DumpedFunction]:
    """`count` functions, each on a bus of its own."""
    chance = random.Random(seed)
    sizes, kinds = (64, 256, 256, 4096, 4096, 4096), (0, 0, 0, 1, 1, 2)
    made = []
    for bus in range(count):
        size, kind = chance.choice(sizes), chance.choice(kinds)
        size = 128 if kind == 2 and size == 64 else size
        made.append(function(chance, 3 * bus % 250, bus // 84, size, kind))
    return made


# -- trees


def header(place: tuple[int, int, int, int], buses: tuple[int, int, int] | None) -> DumpedFunction:
    """The header of a card, or of a bridge that leads to `buses`."""
    space = Space(64)
    space.put(0x00, 0x1234_1AF4, 4)
    space.put(0x0A, 0x0604 if buses else 0xFF00, 2)
    if buses:
        space.put(0x0E, 1, 1)
        space.data[0x18:0x1B] = bytes(buses)
    return DumpedFunction(*place, bytes(space.data), "x")


def forest(seed: int) -> list[DumpedFunction]:
    """Buses below buses, numbered as firmware numbers them, in one domain or several."""
    chance = random.Random(seed)
    made: list[DumpedFunction] = []
    for domain in range(chance.choice((1, 1, 3))):
        first = 0
        for _ in range(chance.choice((1, 1, 2))):
            first = 1 + grow(chance, made, domain, first, 4)
    chance.shuffle(made)
    return made


def grow(chance: random.Random, made: list, domain: int, bus: int, depth: int) -> int:
    """Functions on `bus`, and what is below them. The highest bus number that was used."""
    highest = bus
    count = chance.randrange(depth == 4, 4)
    for device in sorted(chance.sample(range(32), count)):
        if depth and highest < 60 and chance.random() < 0.6:
            below = highest + 1
            highest = grow(chance, made, domain, below, depth - 1)
            highest += chance.choice((0, 0, 2))
            made.append(header((domain, bus, device, 0), (bus, below, highest)))
        else:
            made.append(header((domain, bus, device, chance.randrange(8)), None))
    return highest
