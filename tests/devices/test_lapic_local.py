"""What comes to a local APIC from its own processor: timer, pins, the 8259A, commands."""

import pytest

from tests.devices.lapic_bench import (
    ENABLED,
    EXTINT,
    LEVEL,
    MASK,
    PERIODIC,
    REMOTE_IRR,
    Bench,
)
from virtlab.devices.lapic import BASE, MIN_INTERVAL
from virtlab.devices.pic import PicPair
from virtlab.interrupts import Delivery, Interrupt


@pytest.fixture
def bench():
    return Bench()


# -- 11.5.4: the timer


@pytest.mark.parametrize(
    ("code", "divide"), [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)]
)
def test_the_divide_configuration(bench, code, divide):
    bench.set("DIVIDE", code)
    bench.set("INITIAL_COUNT", 1000)
    bench.clock.advance(10 * divide)
    assert bench.get("CURRENT_COUNT") == 990


def test_one_shot_interrupts_once_and_stays_at_0(bench):
    bench.set("DIVIDE", 11)
    bench.set("LVT_TIMER", 0x40)
    bench.set("INITIAL_COUNT", 500)
    bench.clock.advance(499)
    assert (bench.chip.pending, bench.get("CURRENT_COUNT")) == (False, 1)
    bench.clock.advance(1)
    assert bench.chip.acknowledge() == 0x40
    bench.set("EOI", 0)
    bench.clock.advance(10_000)
    assert (bench.chip.pending, bench.get("CURRENT_COUNT")) == (False, 0)


def test_periodic_interrupts_each_time(bench):
    bench.set("DIVIDE", 11)
    bench.set("LVT_TIMER", 0x40 | PERIODIC)
    bench.set("INITIAL_COUNT", 20_000)
    for _ in range(3):
        bench.clock.advance(19_999)
        assert not bench.chip.pending
        bench.clock.advance(1)
        assert (bench.chip.acknowledge(), bench.get("CURRENT_COUNT")) == (0x40, 20_000)
        bench.set("EOI", 0)


def test_a_masked_timer_counts_and_does_not_interrupt(bench):
    bench.set("DIVIDE", 11)
    bench.set("INITIAL_COUNT", 500)
    bench.clock.advance(100)
    assert bench.get("CURRENT_COUNT") == 400
    bench.clock.advance(1000)
    bench.set("LVT_TIMER", 0x40)
    bench.clock.advance(10_000)
    assert not bench.chip.pending


def test_a_timer_unmasked_on_its_way_interrupts_at_0(bench):
    bench.set("DIVIDE", 11)
    bench.set("INITIAL_COUNT", 500)
    bench.clock.advance(100)
    bench.set("LVT_TIMER", 0x40)
    bench.clock.advance(399)
    assert not bench.chip.pending
    bench.clock.advance(1)
    assert bench.chip.pending


def test_an_initial_count_of_0_stops_it(bench):
    bench.set("LVT_TIMER", 0x40)
    bench.set("INITIAL_COUNT", 500)
    bench.set("INITIAL_COUNT", 0)
    bench.clock.advance(10_000)
    assert not bench.chip.pending


def test_a_quick_periodic_timer_does_not_occupy_the_host(bench):
    """Matches closer than MIN_INTERVAL make one interrupt, still at a moment of count 0."""
    calls = []
    bench.chip.timer.zero = lambda: calls.append(bench.clock.now)
    bench.set("DIVIDE", 11)
    bench.set("LVT_TIMER", 0x40 | PERIODIC)
    bench.set("INITIAL_COUNT", 7)
    bench.clock.advance(100 * MIN_INTERVAL)
    assert 90 <= len(calls) <= 100
    assert all(now % 7 == 0 for now in calls)


def test_another_pace_leaves_the_count(bench):
    bench.set("INITIAL_COUNT", 1000)
    bench.clock.advance(200)
    bench.set("DIVIDE", 11)
    assert bench.get("CURRENT_COUNT") == 900
    bench.clock.advance(200)
    assert bench.get("CURRENT_COUNT") == 700


def test_a_one_shot_that_became_periodic_starts_again(bench):
    bench.set("DIVIDE", 11)
    bench.set("INITIAL_COUNT", 100)
    bench.clock.advance(150)
    bench.set("LVT_TIMER", MASK | PERIODIC)
    bench.clock.advance(30)
    assert bench.get("CURRENT_COUNT") == 70


# -- 11.5.1: pins


def test_an_nmi_at_lint1(bench):
    bench.set("LVT_LINT1", 4 << 8)
    bench.chip.lint[1].pulse()
    assert bench.signals == [(Delivery.NMI, 0)]


def test_a_masked_pin_does_nothing(bench):
    bench.set("LVT_LINT1", MASK | 4 << 8)
    bench.chip.lint[1].pulse()
    assert bench.signals == []


def test_an_edge_at_lint0_is_its_vector(bench):
    bench.set("LVT_LINT0", 0x71)
    bench.chip.lint[0].pulse()
    assert (bench.chip.acknowledge(), bench.get("LVT_LINT0")) == (0x71, 0x71)


def test_a_level_at_lint0_comes_again_after_its_eoi(bench):
    bench.set("LVT_LINT0", 0x71 | LEVEL)
    bench.chip.lint[0].set(True)
    assert bench.get("LVT_LINT0") == 0x71 | LEVEL | REMOTE_IRR
    assert bench.chip.acknowledge() == 0x71
    bench.chip.lint[0].set(False)
    bench.chip.lint[0].set(True)
    assert bench.vectors("IRR") == []
    bench.set("EOI", 0)
    assert bench.chip.acknowledge() == 0x71
    bench.chip.lint[0].set(False)
    bench.set("EOI", 0)
    assert (bench.chip.pending, bench.get("LVT_LINT0")) == (False, 0x71 | LEVEL)


def test_another_vectors_eoi_leaves_a_pin(bench):
    bench.set("LVT_LINT0", 0x71 | LEVEL)
    bench.chip.lint[0].set(True)
    bench.request(0x91)
    bench.chip.acknowledge()
    bench.chip.lint[0].set(False)
    bench.set("EOI", 0)
    assert bench.get("LVT_LINT0") & REMOTE_IRR


def test_an_entry_made_edge_triggered_has_no_remote_irr(bench):
    bench.set("LVT_LINT0", 0x71 | LEVEL)
    bench.chip.lint[0].set(True)
    bench.set("LVT_LINT0", 0x71)
    assert bench.get("LVT_LINT0") == 0x71


# -- the 8259A behind it


def with_pic(on=True):
    pair = PicPair()
    for word in (0x11, 0x20, 0x04, 0x01):
        pair.master.write(0 if word == 0x11 else 1, 1, word)
    return pair, Bench(on, pic=pair)


def test_extint_at_lint0_lets_the_8259a_give_the_vector():
    pair, bench = with_pic()
    pair.line(1).set(True)
    assert not bench.chip.pending
    bench.set("LVT_LINT0", EXTINT)
    assert bench.chip.pending
    assert (bench.chip.acknowledge(), bench.vectors("ISR")) == (0x21, [])
    bench.set("LVT_LINT0", EXTINT | MASK)
    pair.line(0).set(True)
    assert not bench.chip.pending


def test_an_extint_message_does_so_once():
    pair, bench = with_pic()
    pair.line(1).set(True)
    bench.chip.accept(Interrupt(0, mode=Delivery.EXTINT))
    assert bench.chip.acknowledge() == 0x21
    pair.line(0).set(True)
    assert not bench.chip.pending


def test_without_a_local_apic_the_8259a_speaks_directly():
    pair, bench = with_pic(on=False)
    bench.chip.present = False
    pair.line(1).set(True)
    assert (bench.chip.pending, bench.chip.acknowledge()) == (True, 0x21)
    assert bench.memory.read(BASE + 0x20, 4) == 0xFFFF_FFFF
    bench.memory.write(BASE + 0xF0, 4, ENABLED)
    bench.chip.present = True
    assert bench.get("SVR") == 0xFF


# -- what has no vector


@pytest.mark.parametrize("mode", [Delivery.NMI, Delivery.SMI, Delivery.STARTUP])
def test_it_goes_to_the_processor_also_while_switched_off(mode):
    bench = Bench(on=False)
    assert bench.chip.accept(Interrupt(0x9F, mode=mode))
    assert bench.signals == [(mode, 0x9F)]


def test_init_resets_all_but_the_id(bench):
    """11.4.7.3."""
    bench.set("ID", 5 << 24)
    bench.set("TPR", 0x30)
    bench.request(0x41)
    bench.chip.accept(Interrupt(0, mode=Delivery.INIT))
    assert (bench.get("ID"), bench.get("TPR"), bench.vectors("IRR")) == (5 << 24, 0, [])
    assert bench.signals == [(Delivery.INIT, 0)]
    bench.chip.reset()
    assert bench.get("ID") == 0x12 << 24


def test_the_reserved_mode_is_nobodys(bench):
    assert not bench.chip.accept(Interrupt(0x41, mode=3))


# -- 11.6.1: ICR, alone


@pytest.mark.parametrize(
    ("command", "destination", "requests"),
    [
        (0x41, 0x12, [0x41]),
        (0x41, 0x13, []),
        (0x41, 0xFF, [0x41]),
        (0x41 | 1 << 18, 0, [0x41]),
        (0x41 | 2 << 18, 0, [0x41]),
        (0x41 | 3 << 18, 0x12, []),
    ],
)
def test_an_apic_with_no_other_sends_to_itself(bench, command, destination, requests):
    bench.set("ICR_HIGH", destination << 24)
    bench.set("ICR_LOW", command)
    assert bench.vectors("IRR") == requests
    assert bench.get("ICR_LOW") == command


def test_a_deasserted_init_does_nothing(bench):
    bench.set("ICR_LOW", 5 << 8 | LEVEL | 1 << 18)
    assert bench.signals == []
    bench.set("ICR_LOW", 5 << 8 | LEVEL | 1 << 14 | 1 << 18)
    assert bench.signals == [(Delivery.INIT, 0)]
