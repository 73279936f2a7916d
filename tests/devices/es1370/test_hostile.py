"""The ES1370 and a hostile guest: nothing raises, every piece of work has a bound."""

from hypothesis import given
from hypothesis import strategies as st

from tests.devices.es1370.bench import CONTROL, RAM, SIXTEEN_MONO, Bench
from virtlab.bus import AddressSpace
from virtlab.clock import MICROSECOND, SECOND
from virtlab.devices.es1370 import CHANNELS, CHUNK, DAC2, LENGTH, Es1370Registers, ports_of
from virtlab.wire import all_ones

# -- a hostile guest


def steps():
    """Accesses at registers and beside them; time; pages, enables and counts among the values."""
    ports = sorted({ports_of(reg)[1] for reg in Es1370Registers.registers})
    values = st.one_of(
        st.integers(0, all_ones(4)),
        st.sampled_from([0, 0xC, 0xD, 0x70, 0x1F70, 0xFFFF, RAM - 2, 0xFFFF_FFFE]),
    )
    offsets = st.one_of(st.sampled_from(ports), st.integers(0, LENGTH - 1))
    sizes = st.sampled_from([1, 2, 4])
    return st.lists(st.tuples(st.sampled_from("rrwwwt"), offsets, sizes, values), max_size=60)


@given(steps())
def test_no_access_raises_out_of_the_bus(todo):
    bench = Bench()
    space = AddressSpace("port", 16, max_size=4)
    space.map(0x1000, LENGTH, bench.card, "es1370", width=4)
    for verb, offset, size, value in todo:
        match verb:
            case "r":
                assert 0 <= space.read(0x1000 + offset, size) <= all_ones(size)
            case "w":
                space.write(0x1000 + offset, size, value)
            case "t":
                bench.clock.advance(value % (2000 * MICROSECOND))
    pending = [bench.card.STATUS & layout.pending.mask for layout in CHANNELS]
    assert bench.card.irq.level == any(pending) == bool(bench.card.STATUS >> 31)
    assert all(len(piece.data) <= CHUNK for piece in bench.speaker.pieces)
    assert sum(entry[2].action is not None for entry in bench.clock._queue) <= len(CHANNELS)


@given(st.integers(-512, 512), st.integers(1, 8), st.integers(0))
def test_called_directly_it_takes_any_offset_and_size(offset, size, value):
    card = Bench().card
    card.write(offset, size, value)
    assert 0 <= card.read(offset, size) <= all_ones(size)


@given(
    st.integers(0, 3),
    st.integers(0, 0xFFFF),
    st.integers(0, all_ones(4)),
    st.integers(0, 0xFFFF),
    st.integers(0, 0x1FFF),
)
def test_one_call_of_the_clock_moves_one_chunk_at_most(code, samples, address, size, divider):
    bench = Bench()
    bench.set_up(DAC2, address, size + 1, samples + 1, code, DAC2.interrupt.mask)
    bench.start(DAC2, CONTROL.CLOCK_DIVIDER.put(0, divider))
    for _ in range(4):
        bench.dma.asked.clear()
        bench.clock.advance(bench.clock.next_event() - bench.clock.now)
        assert sum(length for _, length in bench.dma.asked) <= CHUNK
        assert len(bench.dma.asked) <= CHUNK // 4 + 1


def test_an_interrupt_for_each_sample_floods_nobody():
    """705,600 samples a second, an interrupt for each, none acknowledged: still few calls."""
    bench = Bench()
    bench.set_up(DAC2, longwords=1 << 16, samples=1, serial=DAC2.interrupt.mask)
    bench.start(DAC2)
    calls = 0
    while bench.clock.now < SECOND // 10:
        bench.clock.advance(bench.clock.next_event() - bench.clock.now)
        calls += 1
    assert calls < 705_600 // 10 // CHUNK + 5


@given(st.lists(st.integers(1, 3 * SECOND // 100), min_size=1, max_size=20))
def test_how_often_one_looks_changes_nothing(naps):
    """The same time in many steps or in one: the same samples, the same counters."""
    looked, slept = Bench(), Bench()
    for bench in (looked, slept):
        bench.set_up(longwords=7, samples=5, code=SIXTEEN_MONO)
        bench.start()
    for nap in naps:
        looked.clock.advance(nap)
        looked.card.settle()
    slept.clock.advance(sum(naps))
    slept.card.settle()
    assert looked.heard() == slept.heard()
    assert looked.card.peek() == slept.card.peek()
