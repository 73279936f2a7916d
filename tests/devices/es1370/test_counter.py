"""The ES1370's sample counters: interrupts, acknowledgement, stop mode."""

from tests.devices.es1370.bench import AT_11025, CONTROL, RATE, SERIAL, STATUS
from virtlab.clock import SECOND
from virtlab.devices.es1370 import DAC1, DAC2

# -- the counter and its interrupt


def test_it_interrupts_when_so_many_samples_have_played(bench):
    bench.set_up(samples=16, serial=DAC1.interrupt.mask)
    bench.start()
    bench.clock.advance(16 * SECOND // RATE)
    assert (bench.card.irq.level, bench.card.read(STATUS.offset, 4)) == (False, 0x60)
    bench.clock.advance(1)
    assert bench.rose == [-(-16 * SECOND // RATE)]
    assert bench.get(STATUS) == 0x8000_0064
    assert bench.heard() == bench.memory(0x1000, 16)


def test_the_enable_bit_acknowledges(bench):
    bench.set_up(samples=16, serial=DAC1.interrupt.mask)
    bench.start()
    bench.run(17)
    bench.put(SERIAL, 0)
    assert (bench.card.irq.level, bench.get(STATUS)) == (False, 0x60)
    bench.put(SERIAL, DAC1.interrupt.mask)
    assert not bench.card.irq.level
    bench.run(16)
    assert bench.rose == [-(-n * SECOND // RATE) for n in (16, 32)]


def test_it_plays_on_while_nobody_acknowledges(bench):
    bench.set_up(samples=16, serial=DAC1.interrupt.mask, longwords=1024)
    bench.start()
    bench.run(16 * 10 + 5)
    assert len(bench.rose) == 1
    assert bench.get(DAC1.count) == (15 - 5) << 16 | 15
    assert bench.heard() == bench.memory(0x1000, 165)


def test_without_the_enable_bit_the_counter_runs_and_says_nothing(bench):
    bench.set_up(samples=16)
    bench.start()
    bench.run(20)
    assert bench.get(DAC1.count) == (15 - 4) << 16 | 15
    assert (bench.get(STATUS), bench.rose) == (0x60, [])


def test_writing_the_count_starts_it_again(bench):
    bench.set_up(samples=16)
    bench.start()
    bench.run(5)
    assert bench.get(DAC1.count) >> 16 == 10
    bench.put(DAC1.count, 7 << 16 | 99)
    assert bench.get(DAC1.count) == 99 << 16 | 99


def test_the_reload_bit_starts_dac1s_counter_again(bench):
    bench.set_up(samples=16)
    bench.start()
    bench.run(5)
    bench.put(SERIAL, SERIAL.DAC1_RELOAD.mask)
    assert bench.get(DAC1.count) == 15 << 16 | 15


def test_the_line_is_up_while_any_channel_waits(bench):
    for layout in (DAC1, DAC2):
        bench.set_up(layout, samples=4)
    bench.put(SERIAL, DAC1.interrupt.mask | DAC2.interrupt.mask)
    bench.put(CONTROL, AT_11025 | DAC1.enable.mask | DAC2.enable.mask | CONTROL.DAC_SYNC.mask)
    bench.run(5)
    bench.put(SERIAL, DAC2.interrupt.mask)
    assert (bench.card.irq.level, bench.get(STATUS)) == (True, 0x8000_0062)
    bench.put(SERIAL, 0)
    assert not bench.card.irq.level


def test_in_stop_mode_the_counters_end_is_the_end(bench):
    bench.set_up(samples=16, longwords=1024, serial=DAC1.stop_mode.mask | DAC1.interrupt.mask)
    bench.start()
    bench.run(1000)
    assert bench.heard() == bench.memory(0x1000, 16)
    assert (len(bench.rose), bench.clock.next_event()) == (1, None)
    bench.put(DAC1.count, 3)
    bench.run(1000)
    assert bench.heard() == bench.memory(0x1000, 20)


def test_in_stop_mode_it_stops_without_an_interrupt_too(bench):
    bench.set_up(samples=16, longwords=1024, serial=DAC1.stop_mode.mask)
    bench.start()
    bench.run(1000)
    assert bench.heard() == bench.memory(0x1000, 16)


def test_a_stopped_channel_starts_when_it_is_enabled_anew(bench):
    bench.set_up(samples=16, longwords=1024, serial=DAC1.stop_mode.mask)
    bench.start()
    bench.run(1000)
    bench.put(CONTROL, AT_11025)
    bench.start()
    bench.run(1000)
    assert bench.heard() == bench.memory(0x1000, 32)
