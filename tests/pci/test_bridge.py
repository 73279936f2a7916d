"""A bridge: three windows, legacy addresses, sleep, and the reset of what is below."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pci.rig import Card, Rig
from tests.pci.test_routing import bar
from virtlab.errors import DmaFault
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.pci.bridge import PciBridge, Window, of_source, windows
from virtlab.pci.bus import Bus
from virtlab.pci.config import Header, Type1
from virtlab.pci.express import POWER_AT, PciePciBridge

BOTH = Header.COMMAND.IO_SPACE.mask | Header.COMMAND.MEMORY_SPACE.mask


def bridge(*writes):
    made = PciBridge()
    made.config.write(Header.COMMAND.offset, 2, BOTH)
    for reg, value in writes:
        made.config.write(reg.offset, reg.width, value)
    return made


CLOSED = (
    (Type1.IO_BASE, 0xF0),
    (Type1.MEMORY_BASE, 0xFFF0),
    (Type1.PREFETCHABLE_BASE, 0xFFF0),
)


@pytest.mark.parametrize(
    ("writes", "index", "low", "high"),
    [
        (((Type1.IO_BASE, 0x20), (Type1.IO_LIMIT, 0x3F)), 0, 0x2000, 0x3FFF),
        (((Type1.MEMORY_BASE, 0xC000), (Type1.MEMORY_LIMIT, 0xC01F)), 1, 0xC000_0000, 0xC01F_FFFF),
        (
            (
                (Type1.PREFETCHABLE_BASE, 0x1230),
                (Type1.PREFETCHABLE_LIMIT, 0x1230),
                (Type1.PREFETCHABLE_BASE_UPPER, 8),
                (Type1.PREFETCHABLE_LIMIT_UPPER, 8),
            ),
            2,
            0x8_1230_0000,
            0x8_123F_FFFF,
        ),
    ],
)
def test_a_window_is_a_base_and_a_limit_with_the_low_bits_left_out(writes, index, low, high):
    """3.2.5.6, 3.2.5.8, 3.2.5.9: zeros below the base, ones below the limit; both included."""
    made = bridge(*CLOSED, *writes)
    window = made.windows[index]
    assert (window.base, window.limit) == (low, high)
    for address, inside in ((low - 1, 0), (low, 1), (high, 1), (high + 1, 0)):
        assert made.forwards(window.space, address, 1) == inside
    assert not made.forwards(window.space, high, 2)
    assert [w.open for w in made.windows] == [n == index for n in range(3)]


def test_the_type_bits_of_the_windows_cannot_be_written():
    """3.2.5.6: 0 is 16-bit ports; 3.2.5.9: 1 is 64-bit prefetchable memory."""
    made = bridge(*((reg, 0xFFFF) for reg in (Type1.PREFETCHABLE_BASE, Type1.PREFETCHABLE_LIMIT)))
    made.config.write(Type1.IO_BASE.offset, 2, 0xFFFF)
    assert (made.header.IO_BASE, made.header.IO_LIMIT) == (0xF0, 0xF0)
    assert (made.header.PREFETCHABLE_BASE, made.header.PREFETCHABLE_LIMIT) == (0xFFF1, 0xFFF1)


def test_a_32_bit_port_window_has_upper_registers():
    """3.2.5.11: where the type is 1. Ours has none; a dump may."""
    values = dict(Type1().values, IO_BASE=0x21, IO_LIMIT=0x21, IO_BASE_UPPER=1, IO_LIMIT_UPPER=1)
    assert windows(values)[0] == Window("io", "port", 0x1_2000, 0x1_2FFF)
    values["IO_BASE"] = 0x20
    assert windows(values)[0] == Window("io", "port", 0x2000, 0x2FFF)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 1 << 33), st.integers(1, 8))
def test_a_window_that_is_closed_has_nothing(base, limit, address, size):
    made = bridge(*CLOSED, (Type1.MEMORY_BASE, base), (Type1.MEMORY_LIMIT, limit))
    low, high = base >> 4 << 20, limit >> 4 << 20 | 0xFFFFF
    inside = low <= address and address + size - 1 <= high
    assert made.forwards("memory", address, size) == inside
    assert not (inside and not made.windows[1].open)


@pytest.mark.parametrize("space", ["memory", "port"])
def test_a_space_that_is_off_is_not_passed_on(space):
    """3.2.4.3: the enables are for what is below, too."""
    made = bridge()
    assert made.forwards(space, 0, 4)
    made.config.write(Header.COMMAND.offset, 2, 0)
    assert not made.forwards(space, 0, 4)


# -- asleep


def test_a_port_that_sleeps_passes_nothing_down_or_up():
    """PCI Express 3.0, 5.3.1.4.1: in D3hot it takes configuration requests only."""
    rig = Rig().plug_everything()
    enumerate_pci(rig.cpu)
    port = rig.ports_[1]
    port.config.write(POWER_AT + 4, 2, 3)
    assert rig.cpu.load(bar(rig.end), 4) == 0xFFFF_FFFF
    with pytest.raises(DmaFault, match="root port 1 sleeps, nothing goes up"):
        rig.end.dma.read(0, 4)
    port.config.write(POWER_AT + 4, 2, 0)
    assert rig.end.dma.read(0, 4) == bytes(4)


# -- who answers for whom


def test_a_conventional_bus_has_no_source_ids_of_its_own():
    """PCI Express to PCI bridge 1.0, 2.3: secondary bus, device 0; VT-d 3.4.1: the bridge."""
    rig = Rig().plug_everything()
    enumerate_pci(rig.cpu)
    assert rig.to_pci.requester_for(0x1234) == of_source(rig.to_pci.secondary)
    assert rig.deep.requester_for(0x1234) == rig.deep.source_id
    assert rig.ports_[0].requester_for(0x1234) == 0x1234


# -- reset


def test_a_secondary_bus_reset_happens_when_the_bit_is_set_and_not_while_it_stays():
    """3.2.5.18, bit 6."""
    rig, made, card = Rig(), PciBridge(), Card()
    rig.bus.plug(made, 1)
    made.below.plug(card, 0)
    reset = Type1.BRIDGE_CONTROL.SECONDARY_BUS_RESET.mask
    card.config.write(Header.COMMAND.offset, 2, 7)
    made.config.write(Type1.BRIDGE_CONTROL.offset, 2, reset)
    assert card.header.COMMAND == 0
    card.config.write(Header.COMMAND.offset, 2, 7)
    made.config.write(Header.INTERRUPT_LINE.offset, 1, 5)
    assert card.header.COMMAND == 7
    made.config.write(Type1.BRIDGE_CONTROL.offset, 2, 0)
    made.config.write(Type1.BRIDGE_CONTROL.offset, 2, reset)
    assert card.header.COMMAND == 0


# -- plugging


def test_a_bridge_cannot_hang_below_itself():
    outer, inner = PciBridge("outer"), PciBridge("inner")
    outer.below.plug(inner)
    inner.below.plug(Card())
    for bus in (outer.below, inner.below):
        with pytest.raises(ValueError, match="outer cannot hang below itself"):
            bus.plug(outer, 1)
    assert Bus("conventional").plug(outer, 1) is outer


def test_what_cannot_be_plugged_in_changes_nothing():
    bus, card = Bus("conventional"), Card()
    with pytest.raises(ValueError, match="needs a function 0 first"):
        bus.plug(card, 1, 1)
    assert (bus.functions, card.bus) == ({}, None)
    bus.plug(card, 1, 0)
    assert card.bus is bus


def test_what_is_unplugged_can_be_plugged_in_elsewhere():
    bus, other, card = Bus("conventional"), Bus("conventional"), Card()
    bus.plug(card, 3)
    with pytest.raises(ValueError, match="is not plugged in here"):
        other.unplug(card)
    bus.unplug(card)
    assert (bus.functions, card.bus) == ({}, None)
    with pytest.raises(ValueError, match="is not plugged in here"):
        bus.unplug(card)
    assert other.plug(card, 3).bus is other


def test_a_pin_below_a_bridge_that_hangs_nowhere_stays_there():
    made, card = PciePciBridge(), Card()
    made.below.plug(card, 3)
    card.irq.set(True)
    assert made.below._asserted == {(3, 0, 1)}
    alone, other = Bus("conventional"), Card()
    alone.plug(other, 3)
    other.irq.set(True)
    assert alone._asserted == {(3, 0, 1)}


def test_a_bus_in_words():
    rig = Rig().plug_everything()
    enumerate_pci(rig.cpu)
    assert repr(rig.switch.upstream.below) == "Bus(02, internal, 2 functions)"
    assert str(rig.switch.downstream[1]).startswith("02:01.0 ")
