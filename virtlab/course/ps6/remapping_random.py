"""Random entries and messages for task 4 of problem set 6: good ones, spoiled ones, noise.

    any_entry   what software writes, with a bit changed now and then; any table, any requester
    hostile     random bits under masks, so that every check is passed by some and not by others

The idea: with plain random bits nothing gets past the first reserved bit. So an entry is made good,
then spoiled in one place; a requester is near to the one that the entry names.

The rule that keeps it simple: what is right is said by the `Ask` itself.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps6.remapping_tables import DISK, Ask, entry, irta, message, posted
from virtlab.course.tasks import Difference
from virtlab.interrupts import Msi
from virtlab.iommu.layouts import DST_XAPIC, IRTE, IRTE_POSTED

RESERVED = IRTE.reserved_mask
"""Bits that no field of a remapped entry has."""
RESERVED_POSTED = IRTE_POSTED.reserved_mask
"""The same of a posted one."""
WIDE_ONLY = IRTE.DST.mask & ~DST_XAPIC.mask
"""Bits of DST that are reserved while APIC ids have 8 bits."""

GOOD_MODES = (0, 1, 2, 4, 5, 7)
"""Delivery modes that an entry may have."""


def _any_good(rng: Random, eime: bool) -> int:
    """An entry with nothing wrong in it."""
    fields = {
        "SID": rng.choice((DISK, 0x0300, 0x0307, rng.getrandbits(16))),
        "SVT": rng.randrange(3),
        "SQ": rng.randrange(4),
        "FPD": rng.getrandbits(1),
        "AVAIL": rng.getrandbits(4),
    }
    if rng.random() < 0.35:
        return posted(
            rng.getrandbits(58) << 6, rng.getrandbits(8), URG=rng.getrandbits(1), **fields
        )
    more = {name: rng.getrandbits(1) for name in ("DM", "RH", "TM")}
    one = entry(
        rng.getrandbits(8), rng.getrandbits(8), DLM=rng.choice(GOOD_MODES), **more, **fields
    )
    return IRTE.DST.put(one, rng.getrandbits(32)) if eime else one


def _any_source(rng: Random, one: int) -> int:
    """Often the entry's own, or near it, or of its range."""
    sid = IRTE.SID.get(one)
    near = (sid ^ 1 << rng.randrange(4), sid >> 8 << 8, sid & 0xFF, (sid & 0xFF) << 8 | 0x18)
    return rng.choice((sid, *near, rng.getrandbits(16)))


def _any_message(rng: Random, entries: int) -> tuple[Msi, int]:
    """A message, and the index that it names."""
    index = rng.choice((rng.randrange(entries), entries - 1, rng.randrange(2 * entries)))
    noise = rng.getrandbits(32)
    if rng.random() < 0.5:
        return message(index & 0xFFFF, data=noise), index & 0xFFFF
    sub = rng.randrange(min(index, 0xFFFF) + 1)
    high = (rng.random() < 0.1) << rng.randrange(16, 32)
    return message(min(index - sub, 0xFFFF), sub | high), index


def any_entry(answer: Answer, rng: Random) -> Difference | None:
    """Entries as software writes them, some with one bit changed, and messages of all kinds."""
    for _ in range(36):
        eime = rng.random() < 0.4
        exponent = rng.randrange(9)
        msi, index = _any_message(rng, 2 << exponent)
        one = _any_good(rng, eime)
        if rng.random() < 0.25:
            one ^= 1 << rng.randrange(128)
        if rng.random() < 0.12:
            msi = Msi(0xFEE0_0000 | rng.getrandbits(15) << 5 | rng.getrandbits(2) << 2, msi.data)
        register = irta(exponent, rng.choice((0x1000, 0x4000, 0xF000)), eime)
        source = _any_source(rng, one)
        ask = Ask(one, msi, index, source, register, rng.random() < 0.5)
        if found := ask.run(answer):
            return found
    return None


def hostile(answer: Answer, rng: Random) -> Difference | None:
    """Entries of random bits, tables anywhere, messages of random bits."""
    for _ in range(25):
        one = rng.getrandbits(128) & rng.getrandbits(128) | 1
        one &= ~rng.choice((0, RESERVED, RESERVED | WIDE_ONLY, RESERVED_POSTED))
        msi = Msi(0xFEE0_0010 | rng.getrandbits(13) << 5, rng.getrandbits(rng.choice((4, 32))))
        table = rng.choice((0x1000, 0xF000, 0x1_0000, rng.getrandbits(52) << 12))
        register = table | rng.getrandbits(12)
        ask = Ask(one, msi, msi.address >> 5 & 0x3FF, _any_source(rng, one), register)
        if found := ask.run(answer):
            return found
    return None
