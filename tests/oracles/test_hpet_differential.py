"""Our HPET against QEMU's, register by register, while the counter stands still.

Where they differ on purpose, a test of its own shows both answers and the clause. The random
accesses stay out of exactly these.
"""

import random

import pytest

from tests.needs import needs_qemu, require
from virtlab.devices.hpet import BASE, Hpet
from virtlab.guest.hpet import HpetDriver
from virtlab.hosts.remote import QtestMachine
from virtlab.interrupts import IrqLine

ACCESSES = 4000
VAL_SET, PERIODIC, MODE32, FSB = 1 << 6, 1 << 3, 1 << 8, 1 << 14
ROUTE_MASK, ROUTE_2 = 0x1F << 9, 2 << 9
OFFSETS = [0x00, 0x10, 0x20, 0xF0, *(0x100 + 0x20 * n + at for n in range(3) for at in (0, 8, 16))]


@pytest.fixture
def qemu():
    require("QEMU")
    with QtestMachine("pc,hpet=on", paused=True) as machine:
        yield machine


def ours():
    """As QEMU's `pc` has it: every timer can be routed to input 2 and to no other."""
    return Hpet(lines={2: IrqLine("gsi 2")})


def tamed(hpet, offset, size, value):
    """The accesses that make up a write, without what is different on purpose."""
    if offset == 0x10:
        return [(offset, size, value & ~1)]
    inside = (offset - 0x100) % 0x20
    if offset < 0x100 or inside >= 0x10:
        return [(offset, size, value)]
    if inside == 0:
        return [(offset, size, value & ~(FSB | ROUTE_MASK) | ROUTE_2)]
    conf = hpet.read(offset & ~0x1F, 4)
    if conf & MODE32 and inside == 12:
        return []
    if conf & MODE32 and size == 8:
        value &= 0xFFFF_FFFF
    if conf & VAL_SET and conf & PERIODIC and size == 8:
        return [(offset, 4, value & 0xFFFF_FFFF)]
    return [(offset, size, value)]


@needs_qemu
def test_seeded_random_accesses_agree(qemu):
    rng, hpet, reads = random.Random(1004), ours(), 0
    for _ in range(ACCESSES):
        size = rng.choice([4, 8])
        offset = rng.choice(OFFSETS) + (rng.choice([0, 4]) if size == 4 else 0)
        if rng.random() < 0.5:
            value = rng.choice([rng.getrandbits(8 * size), 0, 0x4C, 0x148])
            for write in tamed(hpet, offset, size, value):
                qemu.store(BASE + write[0], write[2], write[1])
                hpet.write(*write)
        else:
            reads += 1
            assert hpet.read(offset, size) == qemu.load(BASE + offset, size), hex(offset)
    assert reads > ACCESSES / 3


def both(qemu, writes, offset, size=4):
    """What our HPET and QEMU's answer after the same writes."""
    hpet = ours()
    for at, n, value in writes:
        hpet.write(at, n, value)
        qemu.store(BASE + at, value, n)
    return hpet.read(offset, size), qemu.load(BASE + offset, size)


@needs_qemu
def test_deviation_a_route_that_is_not_possible_reads_back_in_qemu(qemu):
    """2.3.8, Tn_INT_ROUTE_CNF: such a value does not read back as it was written."""
    assert both(qemu, [(0x100, 4, 7 << 9)], 0x100) == (0x30, 0x30 | 7 << 9)


@needs_qemu
def test_deviation_qemu_enables_messages_without_the_capability(qemu):
    """2.3.8, Tn_FSB_EN_CNF: can be set if Tn_FSB_INT_DEL_CAP is set."""
    assert both(qemu, [(0x100, 4, FSB)], 0x100) == (0x30, 0x30 | FSB)


@needs_qemu
def test_deviation_qemu_keeps_an_upper_half_in_32_bit_mode(qemu):
    """2.3.8, Tn_32MODE_CNF: the timer acts as one of 32 bits."""
    writes = [(0x100, 4, MODE32 | ROUTE_2), (0x10C, 4, 5)]
    assert both(qemu, writes, 0x10C) == (0, 5)


@needs_qemu
def test_deviation_qemu_takes_half_of_a_64_bit_write_after_val_set(qemu):
    """2.3.2: 64-bit accesses are whole. QEMU 7.2 cuts them; VAL_SET ends after the first half."""
    writes = [(0x100, 4, PERIODIC | VAL_SET | ROUTE_2), (0x108, 8, 0x1_0000_0002)]
    assert both(qemu, writes, 0x10C) == (1, 0xFFFF_FFFF)


@needs_qemu
def test_the_driver_finds_qemus_hpet_and_its_counter_runs():
    with QtestMachine("pc,hpet=on") as machine:
        driver = HpetDriver(machine)
        assert driver.detect()
        assert (driver.period_fs(), driver.timers()) == (10_000_000, 3)
        assert driver.ticks() == 0
        driver.start()
        first = driver.nanoseconds()
        assert 0 < first < driver.nanoseconds()
        driver.stop()
        assert driver.ticks() == driver.ticks()
