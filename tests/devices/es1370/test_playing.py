"""The ES1370's channels: they fetch and store by themselves, at the rate of their clock."""

import pytest

from tests.devices.es1370.bench import (
    AT_11025,
    CONTROL,
    EIGHT_STEREO,
    RAM,
    SERIAL,
    SIXTEEN_MONO,
    SIXTEEN_STEREO,
    STATUS,
)
from virtlab.backends.speaker import Format
from virtlab.clock import SECOND
from virtlab.devices.es1370 import ADC, DAC1, DAC2, format_of

# -- playing


@pytest.mark.parametrize("code", range(4))
def test_it_fetches_at_the_rate_of_its_clock(bench, code):
    width = format_of(DAC1, code).width
    bench.set_up(code=code, longwords=1024)
    bench.start()
    bench.run(100)
    assert bench.get(DAC1.frame) >> 16 == 100 * width // 4
    assert bench.heard() == bench.memory(0x1000, 100 * width)
    bench.run(100)
    bench.card.settle()
    assert bench.heard() == bench.memory(0x1000, 200 * width)


def test_the_speaker_hears_when_and_how(bench):
    bench.clock.advance(5 * SECOND)
    bench.set_up(DAC2, code=SIXTEEN_MONO)
    bench.start(DAC2, CONTROL.CLOCK_DIVIDER.put(0, 126))
    bench.run(10, 11025)
    bench.card.settle()
    piece = bench.speaker.pieces[0]
    assert (piece.voice, piece.rate, piece.format) == ("DAC2", 11025, Format(16, 1))
    assert (piece.time, len(piece.data)) == (5 * SECOND, 20)
    bench.run(1, 11025)
    bench.card.settle()
    assert bench.speaker.pieces[1].time - 5 * SECOND == -(-10 * SECOND // 11025)


def test_the_buffer_is_circular(bench):
    bench.set_up(longwords=4)
    bench.start()
    bench.run(40)
    bench.card.settle()
    once = bench.memory(0x1000, 16)
    assert bench.heard() == once + once + once[:8]
    assert bench.get(DAC1.frame) == 2 << 16 | 3


def test_a_byte_of_a_longword_is_remembered(bench):
    bench.set_up(longwords=2)
    bench.start()
    for _ in range(11):
        bench.run(1)
        bench.card.settle()
    once = bench.memory(0x1000, 8)
    assert bench.heard() == once + once[:3]
    assert bench.get(DAC1.frame) >> 16 == 0
    bench.put(DAC1.frame, 1)
    bench.run(2)
    bench.card.settle()
    assert bench.heard()[11:] == once[:2]


def test_both_dacs_play_at_once(bench):
    bench.set_up(DAC1, 0x1000)
    bench.set_up(DAC2, 0x2000)
    bench.put(CONTROL, AT_11025 | DAC1.enable.mask | DAC2.enable.mask | CONTROL.DAC_SYNC.mask)
    bench.run(4)
    bench.card.settle()
    assert bench.speaker.voices() == ["DAC1", "DAC2"]
    assert [piece.data for piece in bench.speaker.pieces] == [
        bench.memory(0x1000, 4),
        bench.memory(0x2000, 4),
    ]


def test_pause_holds_the_sound_and_goes_on_where_it_was(bench):
    bench.set_up(longwords=1024)
    bench.start()
    bench.run(10)
    bench.put(SERIAL, DAC1.pause.mask)
    bench.run(100)
    assert bench.get(DAC1.frame) >> 16 == 2
    assert bench.clock.next_event() is None
    bench.put(SERIAL, 0)
    bench.run(10)
    bench.card.settle()
    assert bench.heard() == bench.memory(0x1000, 20)


def test_a_disabled_channel_asks_for_no_time(bench):
    bench.set_up(serial=DAC1.interrupt.mask)
    bench.start()
    assert bench.clock.next_event() is not None
    bench.put(CONTROL, 0)
    bench.run(1000)
    assert (bench.heard(), bench.rose, bench.clock.next_event()) == (b"", [], None)


def test_a_new_rate_begins_with_a_new_sample(bench):
    bench.set_up(longwords=1024)
    bench.start()
    bench.run(10)
    bench.put(CONTROL, CONTROL.DAC1_RATE.put(0, 3) | DAC1.enable.mask)
    bench.run(40, 44100)
    bench.card.settle()
    assert [(piece.rate, len(piece.data)) for piece in bench.speaker.pieces] == [
        (11025, 10),
        (44100, 40),
    ]


def test_what_cannot_be_fetched_is_silence(bench):
    bench.set_up(at=RAM - 8, longwords=4)
    bench.start()
    bench.run(16)
    bench.card.settle()
    assert bench.card.channels[0].faults == 1
    assert bench.heard() == b"\x80" * 16


def test_an_address_has_32_bits(bench):
    bench.set_up(at=0xFFFF_FFF8, longwords=4)
    bench.start()
    bench.run(16)
    bench.card.settle()
    assert bench.dma.asked == [(0xFFFF_FFF8, 8), (0, 8)]
    assert bench.heard() == b"\x80" * 8 + bench.memory(0, 8)


def test_a_count_beyond_the_buffer_stands_still(bench):
    bench.set_up()
    bench.put(DAC1.frame, 5 << 16 | 4)
    bench.start()
    bench.run(1000)
    assert bench.get(DAC1.frame) == 5 << 16 | 4
    assert (bench.dma.asked, bench.clock.next_event()) == ([], None)


# -- recording


@pytest.mark.parametrize(("code", "silence"), [(EIGHT_STEREO, 0x80), (SIXTEEN_STEREO, 0)])
def test_the_adc_records_silence(bench, code, silence):
    bench.set_up(ADC, 0x2000, longwords=4, code=code, serial=ADC.interrupt.mask)
    before = bench.memory(0x2010, 16)
    bench.start(ADC, CONTROL.CLOCK_DIVIDER.put(0, 126))
    bench.run(20, 11025)
    assert bench.get(STATUS) == 0x8000_0061
    assert bench.memory(0x2000, 16) == bytes([silence]) * 16
    assert bench.memory(0x2010, 16) == before
    assert bench.heard() == b""


def test_adc_stop_holds_the_transfer(bench):
    bench.set_up(ADC, 0x2000)
    bench.start(ADC, CONTROL.ADC_STOP.mask)
    bench.run(1000)
    assert bench.dma.asked == []


def test_a_recording_into_nothing_is_lost_and_counted(bench):
    bench.set_up(ADC, RAM)
    bench.start(ADC, CONTROL.CLOCK_DIVIDER.put(0, 126))
    bench.run(10, 11025)
    bench.card.settle()
    assert bench.card.channels[2].faults == 1
