"""The HPET: registers, the counter, matches, and lines. IA-PC HPET 1.0a, 2.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.bus import AddressSpace
from virtlab.clock import SECOND, Clock
from virtlab.devices.hpet import BASE, MIN_INTERVAL, TICK, Hpet, HpetTimer
from virtlab.interrupts import IrqLine

ENABLE, LEGACY = 1, 2
LEVEL, INT, PERIODIC, VAL_SET, MODE32, FSB = 1 << 1, 1 << 2, 1 << 3, 1 << 6, 1 << 8, 1 << 14
CONF, COMP, ROUTE = 0x100, 0x108, 0x110
ALL = (1 << 64) - 1


def route(line):
    return line << 9


class Bench:
    """An HPET with a clock, its four lines, both legacy lines, and every change they made."""

    def __init__(self, message=None):
        self.clock, self.edges = Clock(), []
        self.lines = {n: self._line(n) for n in (20, 21, 22, 23)}
        self.irq0, self.irq8 = self._line("irq0"), self._line("irq8")
        self.hpet = Hpet(self.clock, self.lines, (self.irq0, self.irq8), message)

    def _line(self, name):
        return IrqLine(str(name), lambda level: self.edges.append((self.clock.now, name, level)))

    def set(self, offset, value, size=4):
        self.hpet.write(offset, size, value)

    def get(self, offset, size=4):
        return self.hpet.read(offset, size)

    def raised(self, name):
        return [when for when, line, level in self.edges if line == name and level]


@pytest.fixture
def bench():
    return Bench()


# -- registers


def test_it_says_what_it_is(bench):
    capabilities = bench.get(0, 8)
    assert capabilities >> 32 == 10_000_000  # femtoseconds
    assert Hpet.GCAP_ID.decode(capabilities) == {
        "REV_ID": 1,
        "NUM_TIM_CAP": 2,
        "COUNT_SIZE_CAP": 1,
        "LEG_RT_CAP": 1,
        "VENDOR_ID": 0x8086,
        "COUNTER_CLK_PERIOD": 10_000_000,
    }
    assert bench.get(CONF, 8) == 0xF0_0000 << 32 | 0x30
    assert bench.get(COMP, 8) == ALL


@pytest.mark.parametrize("offset", [0, 4, 0x104])
def test_what_is_read_only_stays(bench, offset):
    before = bench.get(offset)
    bench.set(offset, 0)
    bench.set(offset, 0xFFFF_FFFF)
    assert bench.get(offset) == before


def test_a_route_that_is_not_possible_does_not_read_back(bench):
    bench.set(CONF, route(21))
    bench.set(CONF, route(5) | INT)
    assert bench.get(CONF) == 0x30 | route(21) | INT


def test_messages_cannot_be_enabled_without_the_capability(bench):
    bench.set(CONF, FSB)
    assert bench.get(CONF) == 0x30


def test_halves_of_a_register_are_written_alone(bench):
    bench.set(0xF4, 0x1234_5678)
    bench.set(0xF0, 0x9ABC_DEF0)
    assert bench.get(0xF0, 8) == 0x1234_5678_9ABC_DEF0
    bench.set(COMP + 4, 5)
    assert bench.get(COMP, 8) == 5 << 32 | 0xFFFF_FFFF
    bench.set(ROUTE, 0xFEE0_0000_0000_0031, 8)
    assert bench.get(ROUTE + 4) == 0xFEE0_0000


def test_in_32_bit_mode_the_upper_half_of_the_comparator_is_zero(bench):
    bench.set(CONF, MODE32)
    assert bench.get(COMP, 8) == 0xFFFF_FFFF
    bench.set(COMP + 4, 7)
    assert bench.get(COMP, 8) == 0xFFFF_FFFF


def test_reset_is_power_on(bench):
    bench.set(CONF, INT | LEVEL | route(20))
    bench.set(COMP, 3, 8)
    bench.set(0x10, ENABLE)
    bench.clock.advance(100)
    assert bench.lines[20].level
    bench.hpet.reset()
    assert not bench.lines[20].level
    fresh = Bench()
    assert [bench.get(at, 8) for at in range(0, 0x400, 8)] == [
        fresh.get(at, 8) for at in range(0, 0x400, 8)
    ]
    bench.clock.advance(100)
    assert bench.get(0xF0, 8) == 0


# -- the counter


def test_the_counter_runs_only_while_enabled(bench):
    bench.clock.advance(1000)
    assert bench.get(0xF0, 8) == 0
    bench.set(0x10, ENABLE)
    bench.clock.advance(1005)
    assert bench.get(0xF0, 8) == 100
    bench.set(0x10, 0)
    bench.clock.advance(1000)
    assert bench.get(0xF0, 8) == 100
    bench.set(0x10, ENABLE)
    bench.clock.advance(30)
    assert bench.get(0xF0, 8) == 103


def test_a_running_counter_ignores_writes_and_a_halted_one_goes_on_from_them(bench):
    bench.set(0xF0, 0xFFFF_FFFF_FFFF_FFFE, 8)
    bench.set(0x10, ENABLE)
    bench.clock.advance(10)
    bench.set(0xF0, 5, 8)
    assert bench.get(0xF0, 8) == ALL
    bench.clock.advance(20)
    assert bench.get(0xF0, 8) == 1


# -- matches


def test_a_one_shot_edge_comes_at_its_tick_and_once(bench):
    bench.set(CONF, INT | route(20))
    bench.set(COMP, 100, 8)
    bench.set(0x10, ENABLE)
    bench.clock.advance(10 * SECOND)
    assert bench.edges == [(1000, 20, True), (1000, 20, False)]
    assert bench.get(0x20) == 0
    assert bench.get(COMP, 8) == 100


def test_a_comparator_that_is_past_waits_for_the_counter_to_come_round(bench):
    bench.set(CONF, INT | MODE32 | route(20))
    bench.set(0xF0, 200, 8)
    bench.set(COMP, 100)
    bench.set(0x10, ENABLE)
    bench.clock.advance(100 * SECOND)
    assert bench.raised(20) == [((1 << 32) - 100) * TICK, ((2 << 32) - 100) * TICK]


def test_a_periodic_timer_adds_the_value_written_last(bench):
    bench.set(CONF, INT | PERIODIC | VAL_SET | route(21))
    bench.set(COMP, 1500, 8)
    bench.set(COMP, 2000, 8)
    assert (bench.get(COMP), bench.get(CONF) & VAL_SET) == (1500, 0)
    bench.set(0x10, ENABLE)
    bench.clock.advance(60_000)
    assert bench.raised(21) == [15_000, 35_000, 55_000]
    assert bench.get(COMP, 8) == 7500


def test_half_a_write_after_val_set_moves_half_of_the_comparator(bench):
    bench.set(CONF, PERIODIC | VAL_SET | route(21))
    bench.set(COMP, 3 << 32 | 1500, 8)
    bench.set(COMP, 2000, 8)
    bench.set(CONF, PERIODIC | VAL_SET | route(21))
    bench.set(COMP, 7)
    assert bench.get(COMP, 8) == 3 << 32 | 7


def test_a_32_bit_periodic_comparator_wraps(bench):
    bench.set(0xF0, 0xFFFE_FFFF, 8)
    bench.set(CONF, INT | PERIODIC | VAL_SET | MODE32 | route(21))
    bench.set(COMP, 0xFFFF_0000)
    bench.set(COMP, 0x20000)
    bench.set(0x10, ENABLE)
    bench.clock.advance(10)
    assert bench.get(COMP, 8) == 0x1_0000


def test_a_periodic_timer_with_no_period_matches_once_a_round(bench):
    bench.set(CONF, INT | PERIODIC | VAL_SET | MODE32 | route(21))
    bench.set(COMP, 0)
    bench.set(0x10, ENABLE)
    bench.clock.advance(50 * SECOND)
    assert bench.raised(21) == [TICK << 32]


def test_matches_too_close_are_one_interrupt_and_the_host_lives(bench):
    bench.set(CONF, INT | PERIODIC | VAL_SET | route(20))
    bench.set(COMP, 1, 8)
    bench.set(0x10, ENABLE)
    bench.clock.advance(SECOND // 100)
    times = bench.raised(20)
    assert len(times) == SECOND // 100 // MIN_INTERVAL
    assert 0 <= bench.get(0xF0, 8) - bench.get(COMP, 8) < MIN_INTERVAL // TICK


def test_a_match_between_ticks_is_on_the_tick(bench):
    bench.set(0x10, ENABLE)
    bench.clock.advance(13)
    bench.set(CONF, INT | route(20))
    bench.set(COMP, 4, 8)
    bench.clock.advance(100)
    assert bench.raised(20) == [40]


def test_halting_the_counter_disarms_the_timers(bench):
    bench.set(CONF, INT | route(20))
    bench.set(COMP, 100, 8)
    bench.set(0x10, ENABLE)
    bench.clock.advance(500)
    bench.set(0x10, 0)
    bench.clock.advance(10_000)
    assert bench.edges == []
    assert bench.clock.next_event() is None


# -- lines


def test_a_level_stays_until_its_status_bit_is_cleared(bench):
    bench.set(CONF + 0x20, INT | LEVEL | route(22))
    bench.set(COMP + 0x20, 10, 8)
    bench.set(0x10, ENABLE)
    bench.clock.advance(1000)
    assert (bench.lines[22].level, bench.get(0x20)) == (True, 0b010)
    bench.set(0x20, 0b101)
    assert bench.lines[22].level
    bench.set(0x20, 0b010)
    assert (bench.lines[22].level, bench.get(0x20)) == (False, 0)


def test_the_status_bit_comes_without_the_interrupt(bench):
    bench.set(CONF, LEVEL | route(20))
    bench.set(COMP, 10, 8)
    bench.set(0x10, ENABLE)
    bench.clock.advance(1000)
    assert (bench.get(0x20), bench.edges) == (1, [])
    bench.set(CONF, LEVEL | INT | route(20))
    assert bench.lines[20].level
    bench.set(0x10, 0)
    assert not bench.lines[20].level


def test_an_edge_has_no_status_and_no_interrupt_when_disabled(bench):
    bench.set(CONF, route(20))
    bench.set(COMP, 10, 8)
    bench.set(0x10, ENABLE)
    bench.clock.advance(1000)
    assert (bench.get(0x20), bench.edges) == (0, [])


def test_two_levels_share_a_line(bench):
    for timer in (0, 1):
        bench.set(CONF + 0x20 * timer, INT | LEVEL | route(23))
        bench.set(COMP + 0x20 * timer, 10 + timer, 8)
    bench.set(0x10, ENABLE)
    bench.clock.advance(1000)
    bench.set(0x20, 1)
    assert bench.lines[23].level
    bench.set(0x20, 2)
    assert not bench.lines[23].level
    assert len(bench.edges) == 2


def test_it_leaves_a_line_alone_that_another_device_holds(bench):
    bench.lines[20].set(True)
    bench.set(0x10, ENABLE)
    bench.set(0x20, 7)
    assert bench.lines[20].level


def test_legacy_replacement_moves_timers_0_and_1(bench):
    for timer in range(3):
        bench.set(CONF + 0x20 * timer, INT | route(20))
        bench.set(COMP + 0x20 * timer, 10 * (timer + 1), 8)
    bench.set(0x10, ENABLE | LEGACY)
    bench.clock.advance(1000)
    assert [edge for edge in bench.edges if edge[2]] == [
        (100, "irq0", True),
        (200, "irq8", True),
        (300, 20, True),
    ]


def test_a_message_replaces_the_line():
    messages = []
    bench = Bench(messages.append)
    bench.set(CONF, INT | FSB | route(20))
    assert bench.get(CONF) == 0x8030 | INT | FSB | route(20)
    bench.set(ROUTE, 0xFEE0_1000_0000_4031, 8)
    bench.set(COMP, 10, 8)
    bench.set(0x10, ENABLE)
    bench.clock.advance(1000)
    assert messages == [(0xFEE0_1000, 0x4031)]
    assert bench.edges == []


def test_a_timer_without_a_line_interrupts_nobody():
    hpet = Hpet(lines={})
    hpet.write(CONF, 4, INT)
    hpet.write(COMP, 8, 10)
    hpet.write(0x10, 4, ENABLE)
    hpet.clock.advance(1000)
    assert hpet.read(CONF, 4) == 0x30 | INT


# -- a hostile guest

accesses = st.lists(
    st.tuples(
        st.sampled_from(["r", "w", "t"]),
        st.one_of(st.integers(0, 0x400), st.sampled_from([0x10, 0x20, 0xF0, CONF, COMP, ROUTE])),
        st.sampled_from([1, 2, 4, 8]),
        st.one_of(st.integers(0, ALL), st.integers(0, 0x7FFF)),
    ),
    max_size=40,
)


@given(accesses)
def test_no_access_raises_out_of_the_bus_or_hangs(steps):
    bench = Bench(lambda message: None)
    memory = AddressSpace("memory", 52)
    memory.map(BASE, Hpet.length, bench.hpet, "hpet", width=8)
    for verb, offset, size, value in steps:
        match verb:
            case "r":
                assert 0 <= memory.read(BASE + offset, size) < 1 << 8 * size
            case "w":
                memory.write(BASE + offset, size, value)
            case "t":
                bench.clock.advance(value & 0xFFFFF)
    assert sum(timer.alarm is not None for timer in bench.hpet.timers) <= 3


@given(st.integers(-16, 0x410), st.integers(-1, 40), st.integers())
def test_called_directly_it_takes_any_offset_and_size(offset, size, value):
    hpet = Hpet()
    hpet.write(offset, size, value)
    assert hpet.read(offset, size) >= 0


def test_every_register_names_its_clause():
    assert all(reg.spec.startswith("HPET 1.0a 2.3.") for reg in Hpet.registers)
    assert all(reg.spec.startswith("HPET 1.0a 2.3.") for reg in HpetTimer.registers)
