"""The ES1370's registers, its reset, and the function around it."""

import pytest

from tests.devices.es1370.bench import CODEC, CONTROL, PAGE, STATUS
from virtlab.backends.speaker import Format
from virtlab.clock import Clock
from virtlab.devices.es1370 import (
    ADC,
    CHANNELS,
    DAC1,
    Es1370Function,
    Es1370Registers,
    format_of,
    rate_of,
)
from virtlab.wire import all_ones

# -- registers


def test_after_reset(bench):
    values = bench.card.peek()
    assert (values["CONTROL"], values["STATUS"], values["SERIAL"]) == (1, 0x60, 0)


def test_a_page_register_shows_four_registers_at_a_time(bench):
    bench.put(DAC1.address, 0x1111)
    bench.put(ADC.address, 0x2222)
    bench.card.write(PAGE.offset, 1, 0xFC)
    assert (bench.card.read(PAGE.offset, 4), bench.card.read(0x30, 4)) == (0xC, 0x1111)
    bench.card.write(PAGE.offset, 1, 0xD)
    assert bench.card.read(0x30, 4) == 0x2222
    bench.card.write(PAGE.offset, 1, 0x3)
    assert bench.card.read(0x30, 4) == all_ones(4)


def test_registers_are_written_in_bytes_and_words_too(bench):
    bench.put(CONTROL, 0x1122_3344)
    bench.card.write(1, 1, 0xAA)
    bench.card.write(2, 2, 0xBBCC)
    assert bench.get(CONTROL) == 0xBBCC_AA44
    assert bench.card.read(1, 1) == 0xAA


@pytest.mark.parametrize("offset", [0x14, 0x1C, 0x40, 0xFC])
def test_where_no_register_is_all_ones_are(bench, offset):
    bench.card.write(offset, 4, 0)
    assert bench.card.read(offset, 4) == all_ones(4)


def test_the_codec_keeps_what_is_written_and_gives_nothing_back(bench):
    bench.card.write(CODEC.offset, 2, 0x0186)
    assert bench.card.codec[0x01] == 0x86
    assert bench.card.read(CODEC.offset, 4) == 0
    bench.card.reset()
    assert not any(bench.card.codec)


def test_the_uart_is_always_ready_to_transmit_and_never_receives(bench):
    fields = Es1370Registers.UART.decode(bench.get(Es1370Registers.UART))
    assert (fields["TX_READY"], fields["RX_READY"]) == (1, 0)


@pytest.mark.parametrize(("code", "format"), [(0, (8, 1)), (1, (8, 2)), (2, (16, 1)), (3, (16, 2))])
def test_two_bits_say_what_a_sample_is(code, format):
    for layout in CHANNELS:
        assert format_of(layout, layout.format.put(0, code)) == Format(*format)


def test_each_channel_has_its_clock():
    control = CONTROL.CLOCK_DIVIDER.put(CONTROL.DAC1_RATE.put(0, 2), 30)
    assert [rate_of(layout, control) for layout in CHANNELS] == [22050, 44100, 44100]
    control |= CONTROL.DAC_SYNC.mask
    assert [rate_of(layout, control) for layout in CHANNELS] == [22050, 22050, 44100]


# -- reset, and the function around it


def test_reset_ends_everything(bench):
    bench.set_up(samples=4, serial=DAC1.interrupt.mask)
    bench.start()
    bench.run(5)
    bench.card.reset()
    assert (bench.card.irq.level, bench.get(STATUS), bench.get(CONTROL)) == (False, 0x60, 1)
    assert bench.clock.next_event() is None


def test_the_function_has_the_card_and_resets_it():
    function = Es1370Function(Clock())
    assert function.speaker is function.es1370.speaker
    assert function.config.read(0x00, 4) == 0x5000_1274
    assert function.config.read(0x0A, 2) == 0x0401
    function.es1370.write(CONTROL.offset, 4, 0x40)
    function.reset()
    assert function.es1370.read(CONTROL.offset, 4) == 1
