"""The I/O APIC: the 82093AA data sheet, clause by clause, and what no guest may do to it."""

import random

import pytest

from virtlab.bus import AddressSpace
from virtlab.devices.ioapic import BASE, ENTRY, PINS, IoApic
from virtlab.interrupts import Interrupt, Msi

LEVEL, MASK, LOGICAL = 1 << 15, 1 << 16, 1 << 11
REMOTE_IRR = 1 << 14


class Bench:
    """An I/O APIC behind a bus, and the list of what it sent."""

    def __init__(self):
        self.sent: list[Msi] = []
        self.chip = IoApic(self.sent.append, number=2)
        self.memory = AddressSpace("memory", 52)
        self.memory.map(BASE, IoApic.length, self.chip, "ioapic", width=4)

    def get(self, index):
        self.memory.write(BASE, 4, index)
        return self.memory.read(BASE + 0x10, 4)

    def set(self, index, value):
        self.memory.write(BASE, 4, index)
        self.memory.write(BASE + 0x10, 4, value)

    def entry(self, n):
        return self.get(0x10 + 2 * n) | self.get(0x11 + 2 * n) << 32

    def route(self, n, low, high=0):
        self.set(0x11 + 2 * n, high)
        self.set(0x10 + 2 * n, low)

    def taken(self):
        """What was sent since the last call, as the local APICs read it."""
        found = [Interrupt.of(msi) for msi in self.sent]
        self.sent.clear()
        return found


@pytest.fixture
def bench():
    return Bench()


# -- 3.2.1 to 3.2.3: identity


def test_version_tells_of_24_entries_and_an_eoi_register(bench):
    assert bench.get(0x01) == 0x0017_0020


def test_the_id_is_four_bits_and_arbitration_follows_it(bench):
    assert (bench.get(0x00), bench.get(0x02)) == (0x0200_0000, 0x0200_0000)
    bench.set(0x00, 0xFFFF_FFFF)
    assert (bench.get(0x00), bench.get(0x02)) == (0x0F00_0000, 0x0F00_0000)


@pytest.mark.parametrize("index", [0x01, 0x02, 0x03, 0x0F, 0x40, 0xFF])
def test_what_cannot_be_written_stays(bench, index):
    before = bench.get(index)
    bench.set(index, 0xFFFF_FFFF)
    assert bench.get(index) == before
    assert bench.chip.entries == [MASK] * PINS


# -- 3.2.4: the redirection table


def test_after_reset_every_input_is_masked(bench):
    assert {bench.entry(n) for n in range(PINS)} == {MASK}


def test_status_and_remote_irr_cannot_be_written(bench):
    bench.route(3, 0xFFFF_FFFF, 0xFFFF_FFFF)
    assert bench.entry(3) == 0xFFFF_0000_0001_AFFF


def test_an_edge_is_one_message(bench):
    bench.route(5, 0x41, 3 << 24)
    bench.chip.lines[5].set(True)
    assert bench.sent == [Msi(0xFEE0_3000, 0x41)]
    assert bench.taken() == [Interrupt(0x41, destination=3)]
    bench.chip.lines[5].set(False)
    bench.chip.lines[5].pulse()
    assert len(bench.sent) == 1


def test_an_edge_at_a_masked_input_is_lost(bench):
    bench.route(5, 0x41 | MASK)
    bench.chip.lines[5].set(True)
    bench.route(5, 0x41)
    assert bench.sent == []


def test_a_level_at_a_masked_input_waits(bench):
    bench.route(5, 0x41 | MASK | LEVEL)
    bench.chip.lines[5].set(True)
    assert bench.sent == []
    bench.route(5, 0x41 | LEVEL)
    assert bench.taken() == [Interrupt(0x41, level=True)]


def test_a_level_that_fell_before_it_was_unmasked_is_nothing(bench):
    bench.route(5, 0x41 | MASK | LEVEL)
    bench.chip.lines[5].pulse()
    bench.route(5, 0x41 | LEVEL)
    assert bench.sent == []


def test_a_level_is_sent_once_until_its_eoi(bench):
    bench.route(5, 0x41 | LEVEL)
    bench.chip.lines[5].set(True)
    assert bench.entry(5) & REMOTE_IRR
    bench.chip.lines[5].set(False)
    bench.chip.lines[5].set(True)
    assert len(bench.taken()) == 1
    bench.chip.eoi(0x41)
    assert bench.taken() == [Interrupt(0x41, level=True)]
    bench.chip.lines[5].set(False)
    bench.chip.eoi(0x41)
    assert not bench.entry(5) & REMOTE_IRR
    assert bench.sent == []


def test_an_eoi_ends_its_own_vector_only(bench):
    bench.route(5, 0x41 | LEVEL)
    bench.route(6, 0x42 | LEVEL)
    bench.route(7, 0x41 | LEVEL)
    for n in (5, 6, 7):
        bench.chip.lines[n].pulse()
    bench.memory.write(BASE + 0x40, 4, 0x41)
    assert [bool(bench.entry(n) & REMOTE_IRR) for n in (5, 6, 7)] == [False, True, False]


def test_an_eoi_does_not_send_what_is_masked_by_now(bench):
    bench.route(5, 0x41 | LEVEL)
    bench.chip.lines[5].set(True)
    bench.set(0x10 + 10, 0x41 | LEVEL | MASK)
    bench.taken()
    bench.chip.eoi(0x41)
    assert bench.sent == []
    assert not bench.entry(5) & REMOTE_IRR


def test_an_entry_made_edge_triggered_has_no_remote_irr(bench):
    bench.route(5, 0x41 | LEVEL)
    bench.chip.lines[5].set(True)
    bench.set(0x10 + 10, 0x41 | MASK)
    bench.set(0x10 + 10, 0x41 | MASK | LEVEL)
    assert not bench.entry(5) & REMOTE_IRR


def test_the_high_half_leaves_remote_irr(bench):
    bench.route(5, 0x41 | LEVEL)
    bench.chip.lines[5].set(True)
    bench.set(0x11 + 10, 1 << 24)
    assert bench.entry(5) == 1 << 56 | LEVEL | REMOTE_IRR | 0x41


@pytest.mark.parametrize("mode", [0, 1, 2, 4, 5, 7])
def test_mode_and_destination_mode_are_those_of_the_message(bench, mode):
    bench.route(1, 0x50 | mode << 8 | LOGICAL, 0x81 << 24)
    bench.chip.lines[1].pulse()
    assert bench.taken() == [Interrupt(0x50, 0x81, mode, logical=True)]


def test_a_remappable_entry_puts_its_handle_into_the_address(bench):
    """VT-d 5.1.5.1: bits 63:49 are handle 14:0, bit 48 the format, bit 11 handle 15."""
    handle = 0x9234
    bench.route(1, 0x50 | (handle >> 15) << 11, (handle & 0x7FFF) << 17 | 1 << 16)
    bench.chip.lines[1].pulse()
    address = bench.sent[0].address
    assert (address >> 5 & 0x7FFF | (address >> 2 & 1) << 15, address >> 4 & 1) == (handle, 1)
    assert address >> 20 == 0xFEE


# -- accesses


def test_the_window_is_read_and_written_whole(bench):
    bench.set(0x10, MASK | 0x41)
    for size in (1, 2):
        bench.memory.write(BASE + 0x10, size, 0x55)
        assert bench.memory.read(BASE + 0x10, size) == 0
    assert bench.memory.read(BASE + 0x10, 4) == MASK | 0x41
    assert bench.memory.read(BASE + 0x40, 4) == 0


def test_the_eoi_register_is_written_whole(bench):
    bench.route(5, 0x41 | LEVEL)
    bench.chip.lines[5].pulse()
    bench.memory.write(BASE + 0x40, 1, 0x41)
    assert bench.entry(5) & REMOTE_IRR


def test_reset_masks_everything_and_gives_back_the_id(bench):
    bench.set(0, 0)
    bench.route(5, 0x41)
    bench.chip.reset()
    assert (bench.get(0), bench.entry(5)) == (0x0200_0000, MASK)


def test_peek_shows_the_entries_and_changes_nothing(bench):
    bench.route(5, 0x41)
    shown = bench.chip.peek()
    assert (shown["ENTRY5"], shown["ENTRY6"], shown["ID"]) == (0x41, MASK, 0x0200_0000)
    assert shown["IOWIN"] == 0x41


def test_nothing_that_a_guest_does_raises():
    rng, bench = random.Random(7), Bench()
    for step in range(20_000):
        size = rng.choice([1, 2, 4, 8])
        offset = rng.choice([0, 0x10, 0x40, rng.randrange(IoApic.length - 8)])
        value = rng.choice([rng.randrange(0x48), rng.getrandbits(8 * size)])
        match rng.randrange(4):
            case 0:
                assert 0 <= bench.memory.read(BASE + offset, size) < 1 << 8 * size
            case 1:
                bench.chip.lines[rng.randrange(PINS)].set(bool(step & 1))
            case _:
                bench.memory.write(BASE + offset, size, value)
        bench.sent.clear()
    for entry in bench.chip.entries:
        assert not ENTRY["STATUS"].get(entry)
        assert entry < 1 << 64


def test_a_level_that_stays_up_sends_once_an_eoi():
    """A broken handler cannot make the chip turn without end: each message needs an EOI."""
    bench = Bench()
    bench.chip.message = lambda msi: bench.sent.append(msi)
    bench.route(5, 0x41 | LEVEL)
    bench.chip.lines[5].set(True)
    for _ in range(10):
        bench.chip.eoi(0x41)
    assert len(bench.sent) == 11
