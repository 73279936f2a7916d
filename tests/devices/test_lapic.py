"""The local APIC: the manual's chapter 10, clause by clause, and what no guest may do to it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.devices.lapic_bench import (
    ENABLED,
    MASK,
    RECEIVE,
    REGISTER,
    SEND,
    Bench,
)
from virtlab.devices.lapic import BASE, LVT, Lapic, LapicRegisters, Vectors, highest


@pytest.fixture
def bench():
    return Bench()


# -- 11.4: reset, identity, on and off


def test_after_reset_as_the_manual_lists_it():
    bench = Bench(on=False)
    values = {"SVR": 0xFF, "DFR": 0xFFFF_FFFF, "LDR": 0, "TPR": 0, "PPR": 0, "ID": 0x1200_0000}
    values |= {reg.name: MASK for reg in LVT} | {"INITIAL_COUNT": 0, "CURRENT_COUNT": 0}
    assert {name: bench.get(name) for name in values} == values
    assert [bench.vectors(name) for name in ("ISR", "TMR", "IRR")] == [[], [], []]


def test_the_version_tells_of_six_entries_and_of_eoi_suppression(bench):
    assert bench.get("VERSION") == 0x0105_0014
    assert len(LVT) == 6


def test_switched_off_nothing_is_accepted_and_nothing_given(bench):
    """11.4.7.2. What was requested before is held."""
    bench.request(0x41)
    bench.set("SVR", 0xFF)
    bench.request(0x42)
    assert (bench.vectors("IRR"), bench.chip.pending) == ([0x41], False)
    bench.set("SVR", ENABLED)
    assert bench.chip.acknowledge() == 0x41


def test_switched_off_every_entry_is_masked_and_stays_so(bench):
    for reg in LVT:
        bench.set(reg.name, 0x55)
    bench.set("SVR", 0xFF)
    assert {bench.get(reg.name) & MASK for reg in LVT} == {MASK}
    for reg in LVT:
        bench.set(reg.name, 0x55)
    assert {bench.get(reg.name) for reg in LVT} == {MASK | 0x55}
    bench.set("SVR", ENABLED)
    assert {bench.get(reg.name) for reg in LVT} == {MASK | 0x55}


@pytest.mark.parametrize("reg", LapicRegisters.registers, ids=lambda reg: reg.name)
def test_only_what_is_writable_is_written(bench, reg):
    computed = reg.name in ("EOI", "ESR", "CURRENT_COUNT", "ICR_LOW")
    before = bench.get(reg.name)
    if not computed:
        bench.set(reg.name, 0xFFFF_FFFF)
        assert bench.get(reg.name) == before & ~reg.rw | reg.rw


# -- 11.8.3: priorities


@pytest.mark.parametrize(
    ("tpr", "serving", "ppr"),
    [
        (0x00, None, 0x00),
        (0x34, None, 0x34),
        (0x34, 0x52, 0x50),
        (0x57, 0x52, 0x57),
        (0x60, 0x52, 0x60),
    ],
)
def test_the_processor_priority_is_the_higher_of_task_and_service(bench, tpr, serving, ppr):
    if serving:
        bench.request(serving)
        bench.chip.acknowledge()
    bench.set("TPR", tpr)
    assert bench.get("PPR") == ppr


@given(st.sets(st.integers(16, 255)), st.sets(st.integers(16, 255)), st.integers(0, 255))
def test_what_is_pending_by_a_plain_reading_of_the_clause(requested, serving, tpr):
    """11.8.3.1, written a second time with lists: the highest, if its class is above both."""
    sets = Vectors()
    sets.irr = sum(1 << vector for vector in requested)
    sets.isr = sum(1 << vector for vector in serving)
    bar = max([tpr >> 4, *(vector >> 4 for vector in serving)])
    above = [vector for vector in requested if vector >> 4 > bar]
    assert sets.wanted(tpr) == (max(above) if above else None)
    assert sets.priority(tpr) >> 4 == bar


def test_the_highest_request_goes_first_and_waits_for_its_class(bench):
    bench.request(0x41, 0x52, 0x58)
    assert bench.chip.acknowledge() == 0x58
    assert not bench.chip.pending
    bench.request(0x61)
    assert bench.chip.acknowledge() == 0x61
    assert (bench.vectors("ISR"), bench.vectors("IRR")) == ([0x58, 0x61], [0x41, 0x52])
    bench.set("EOI", 0)
    assert not bench.chip.pending
    bench.set("EOI", 0)
    assert [bench.chip.acknowledge() for _ in "ab"] == [0x52, 0xFF]


def test_a_request_that_the_task_priority_hides_becomes_the_spurious_vector(bench):
    """11.9: the answer is SVR's vector, and nothing is in service."""
    bench.set("SVR", 0x13F)
    bench.request(0x41)
    bench.set("TPR", 0x40)
    assert bench.chip.acknowledge() == 0x3F
    assert (bench.vectors("ISR"), bench.vectors("IRR")) == ([], [0x41])


def test_two_requests_of_one_vector_are_one(bench):
    bench.request(0x41, 0x41)
    bench.chip.acknowledge()
    bench.set("EOI", 0)
    assert not bench.chip.pending


def test_a_vector_in_service_may_be_requested_again(bench):
    bench.request(0x41)
    bench.chip.acknowledge()
    bench.request(0x41)
    bench.set("EOI", 0)
    assert bench.chip.acknowledge() == 0x41


# -- 11.8.5: EOI


def test_an_eoi_tells_the_io_apics_of_level_triggered_vectors_only(bench):
    for vector, level in ((0x41, False), (0x52, True)):
        bench.request(vector, level=level)
        bench.chip.acknowledge()
    assert bench.vectors("TMR") == [0x52]
    bench.set("EOI", 0)
    bench.set("EOI", 0)
    bench.set("EOI", 0)
    assert bench.ended == [0x52]


def test_an_edge_after_a_level_clears_tmr(bench):
    bench.request(0x52, level=True)
    bench.request(0x52)
    assert bench.vectors("TMR") == []


def test_the_broadcast_can_be_suppressed(bench):
    bench.set("SVR", ENABLED | 1 << 12)
    bench.request(0x52, level=True)
    bench.chip.acknowledge()
    bench.set("EOI", 0)
    assert (bench.ended, bench.vectors("ISR")) == ([], [])


# -- 11.5.2, 11.5.3: errors


def test_a_received_vector_below_16_is_an_error(bench):
    bench.request(16)
    assert bench.chip.acknowledge() == 16
    bench.request(15)
    assert (bench.vectors("IRR"), bench.get("ESR")) == ([], 0)
    assert (bench.errors(), bench.errors()) == (RECEIVE, 0)


def test_a_sent_vector_below_16_is_an_error_and_is_not_sent(bench):
    bench.set("ICR_LOW", 1 << 18 | 15)
    assert (bench.errors(), bench.vectors("IRR")) == (SEND, [])


def test_a_register_that_is_not_there_is_an_error(bench):
    assert bench.memory.read(BASE + 0x40, 4) == 0
    bench.memory.write(BASE + 0x40, 4, 1)
    assert bench.errors() == REGISTER


def test_an_error_interrupts_once_until_it_is_read(bench):
    bench.set("LVT_ERROR", 0xFE)
    bench.request(3)
    assert bench.chip.acknowledge() == 0xFE
    bench.set("EOI", 0)
    bench.request(3)
    assert not bench.chip.pending
    bench.errors()
    bench.request(3)
    assert bench.chip.pending


def test_an_error_entry_with_a_wrong_vector_does_not_turn_for_ever(bench):
    bench.set("LVT_ERROR", 3)
    bench.request(3)
    bench.memory.read(BASE + 0x40, 4)
    assert bench.errors() == RECEIVE | REGISTER


# -- 11.4.1: accesses


@pytest.mark.parametrize(("offset", "size"), [(0x80, 1), (0x80, 2), (0x84, 4), (0x82, 2)])
def test_an_access_that_is_not_32_bits_at_a_multiple_of_16_does_nothing(bench, offset, size):
    bench.set("TPR", 0x35)
    bench.memory.write(BASE + offset, size, 0x77)
    assert (bench.memory.read(BASE + offset, size), bench.get("TPR")) == (0, 0x35)
    assert bench.errors() == 0


def test_peek_shows_every_register_and_changes_nothing(bench):
    bench.request(0x41)
    shown = bench.chip.peek()
    assert (shown["IRR2"], shown["SVR"], shown["PPR"]) == (2, ENABLED, 0)
    assert set(shown) == {reg.name for reg in LapicRegisters.registers}


def test_highest_of_nothing_is_no_interrupt():
    assert (highest(0), highest(1 << 255)) == (0, 255)


def test_nothing_that_a_guest_does_raises():
    rng, bench = random.Random(5), Bench()
    for _ in range(20_000):
        size = rng.choice([1, 2, 4, 4, 4, 8])
        offset = rng.choice([16 * rng.randrange(0x40), rng.randrange(Lapic.length - 8)])
        match rng.randrange(6):
            case 0:
                assert 0 <= bench.memory.read(BASE + offset, size) < 1 << 8 * size
            case 1:
                bench.request(rng.randrange(256), level=rng.random() < 0.5)
            case 2:
                bench.chip.lint[rng.randrange(2)].set(rng.random() < 0.5)
            case 3:
                if bench.chip.pending:
                    assert 0 <= bench.chip.acknowledge() < 256
                bench.clock.advance(rng.randrange(1000))
            case _:
                bench.memory.write(BASE + offset, size, rng.getrandbits(8 * size))
                if rng.random() < 0.2:
                    bench.set("SVR", ENABLED)
        bench.ended.clear()
        bench.signals.clear()
    assert bench.clock.next_event() is None or bench.clock.now < bench.clock.next_event()
