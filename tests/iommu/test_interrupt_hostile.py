"""Interrupt entries and messages of every shape: a second, plain reading, and isolation."""

import random

import pytest

from tests.iommu.interrupt_bench import DISK, NIC, Bench, entry, posted, request
from virtlab.interrupts import Interrupt, Msi

# -- a second, plain reading; hostile tables; isolation


def plain(memory, table, entries, sid, msi):
    """5.1.2 read once more, bit by bit from the figures: a message, a reason, or a descriptor."""
    address, data = msi
    if address >> 32 or address >> 20 != 0xFEE:
        return 0x20
    if not address & 0x10:
        return 0x25
    index = address >> 5 & 0x7FFF | (address & 4) << 13
    if address & 8:
        if data >> 16:
            return 0x20
        index += data & 0xFFFF
    if index >= entries:
        return 0x21
    at = table + 16 * index
    if at + 16 > memory.size:
        return 0x23
    low = int.from_bytes(memory.read(at, 8), "little")
    high = int.from_bytes(memory.read(at + 8, 8), "little")
    if not low & 1:
        return 0x22
    svt, sq, wanted = high >> 18 & 3, high >> 16 & 3, high & 0xFFFF
    is_posted = low >> 15 & 1
    if is_posted:
        bad = low >> 2 & 0x3F or low >> 12 & 3 or low >> 24 & 0x3FFF or high >> 20 & 0xFFF
    else:
        bad = low >> 12 & 7 or low >> 24 & 0xFFFF or low >> 48 or high >> 20
        bad = bad or low >> 5 & 7 in (3, 6)
    if bad or svt == 3:
        return 0x24
    ignored = (0, 4, 6, 7)[sq]
    if svt == 1 and (sid | ignored) != (wanted | ignored):
        return 0x26
    if svt == 2 and not wanted >> 8 <= sid >> 8 <= wanted & 0xFF:
        return 0x26
    if is_posted:
        return "posted", (low >> 38) << 6 | (high >> 32) << 32, low >> 16 & 0xFF
    bits = 0xFEE0_0000 | (low >> 40 & 0xFF) << 12 | (low & 8) | (low & 4)
    level = low >> 4 & 1
    return bits, low >> 16 & 0xFF | (low >> 5 & 7) << 8 | level << 15 | level << 14


def hostile_entry(rng):
    """Mostly good, with a few bits turned, or anything."""
    if rng.random() < 0.15:
        return rng.getrandbits(128)
    sid = rng.choice([DISK, NIC, 0x0305])
    make = posted if rng.random() < 0.3 else entry
    value = make(vector=rng.randrange(256), sid=sid, svt=rng.choice([0, 1, 1, 2, 2]))
    value |= rng.randrange(4) << 80
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        value ^= 1 << rng.randrange(128)
    return value


def hostile_message(rng):
    address, data = request(rng.choice([rng.randrange(64), rng.randrange(0x10000)]))
    if rng.random() < 0.3:
        address, data = (
            address | 8,
            rng.choice([rng.randrange(8), rng.getrandbits(16 + rng.choice([0, 16]))]),
        )
    if rng.random() < 0.2:
        address ^= 1 << rng.randrange(34)
    return Msi(address, data)


@pytest.mark.parametrize("seed", range(3))
def test_hostile_tables_against_the_plain_reading(seed):
    rng, reasons = random.Random(seed), set()
    bench = Bench(0xF000 | 0xE)
    table = 0xF000
    for _ in range(4_000):
        bench.memory.store(table + 16 * rng.randrange(64), 16, hostile_entry(rng))
        sid, msi = rng.choice([DISK, NIC, 0x0421, 0x001A]), hostile_message(rng)
        bench.unit.invalidate_all()
        outcome = bench.unit.decide(sid, msi)
        expected = plain(bench.memory, table, 0x8000, sid, msi)
        if outcome.descriptor is not None:
            got = "posted", outcome.descriptor, outcome.vector
        else:
            got = outcome.reason or outcome.message
        assert got == expected
        reasons.add(outcome.reason)
        bench.unit.send(sid, msi)
    assert reasons >= {None, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26}


def test_no_source_id_reaches_a_vector_of_another():
    """Isolation: each of 16 domains has its entries; messages of every shape from every source."""
    rng, bench = random.Random(1), Bench()
    owners = {index: rng.randrange(16) << 8 | rng.randrange(256) for index in range(256)}
    for index, owner in owners.items():
        bench.put(index, entry(vector=16 + (owner >> 8), processor=owner >> 8, sid=owner))
    for _ in range(20_000):
        sid = rng.randrange(16) << 8 | rng.randrange(256)
        msi = rng.choice([request(rng.randrange(300)), hostile_message(rng)])
        outcome = bench.unit.decide(sid, msi)
        if outcome.message is not None:
            assert owners[outcome.interrupt_index] == sid
            assert Interrupt.of(outcome.message).destination == sid >> 8
    for index, owner in owners.items():
        assert bench.unit.decide(owner, request(index)).message is not None
