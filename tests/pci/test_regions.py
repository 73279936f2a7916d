"""BARs, the ROM, and a bridge's windows: what a register value says, with no write to size it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pci.dumps import Space
from virtlab.pci.config import Type1
from virtlab.pci.fields import Registers
from virtlab.pci.layouts import Type2
from virtlab.pci.regions import (
    DecodedBar,
    DecodedRom,
    Window,
    bridge_windows,
    cardbus_windows,
    decode_bars,
    decode_rom,
)

words = st.lists(st.integers(0, 0xFFFF_FFFF), min_size=1, max_size=6)


def bars(*values, memory=True, ports=True):
    return list(decode_bars(values, memory, ports))


@pytest.mark.parametrize(
    ("word", "bar"),
    [
        (0xC000_0000, DecodedBar(0, "memory", 0xC000_0000, False, 32, True)),
        (0xC000_0008, DecodedBar(0, "memory", 0xC000_0000, True, 32, True)),
        (0x0000_C001, DecodedBar(0, "io", 0xC000, False, 32, True)),
        (0x000D_0002, DecodedBar(0, "memory", 0xD_0000, False, 32, True)),
        (0x0000_0008, DecodedBar(0, "memory", 0, True, 32, True)),
        (0x0000_0001, DecodedBar(0, "io", 0, False, 32, True)),
    ],
)
def test_bit_0_says_ports_and_bits_2_to_1_the_width(word, bar):
    """PCI 3.0, 6.2.5.1. An address of 0 is one that is not assigned yet."""
    assert bars(word) == [bar]


def test_a_64_bit_bar_takes_the_next_register_for_its_upper_half():
    wide, after = bars(0xFE00_000C, 0x0000_0012, 0x0000_E001)
    assert wide == DecodedBar(0, "memory", 0x12_FE00_0000, True, 64, True)
    assert (after.index, after.kind) == (2, "io")


def test_an_upper_half_is_no_bar_whatever_it_reads():
    """PCI 3.0, 6.2.5.1. `lspci -F` prints a region of its own where it is not 0."""
    assert [bar.index for bar in bars(0x4, 0x0012_3456, 0x8)] == [0, 2]


def test_a_register_that_reads_0_or_all_ones_is_no_bar():
    assert bars(0, 0xFFFF_FFFF, 0xE000_0000) == [
        DecodedBar(2, "memory", 0xE000_0000, False, 32, True)
    ]


def test_a_64_bit_bar_in_the_last_register_has_no_upper_half():
    """A mistake of the device; `lspci` calls it broken."""
    last = DecodedBar(5, "memory", 0xFE00_0000, False, 64, True)
    assert bars(0, 0, 0, 0, 0, 0xFE00_0004) == [last]


def test_each_kind_answers_where_the_command_register_lets_it():
    """PCI 3.0, 6.2.2: bit 0 for ports, bit 1 for memory."""
    assert [bar.enabled for bar in bars(0xC000_0000, 0xC001, memory=False)] == [False, True]
    assert [bar.enabled for bar in bars(0xC000_0000, 0xC001, ports=False)] == [True, False]


@given(words)
def test_no_values_do_harm(values):
    found = bars(*values)
    indices = [bar.index for bar in found]
    assert indices == sorted(set(indices))
    for bar in found:
        assert values[bar.index] not in (0, 0xFFFF_FFFF)
        assert 0 <= bar.address < 1 << bar.width
        assert bar.address % (4 if bar.kind == "io" else 16) == 0


@pytest.mark.parametrize(
    ("word", "memory", "rom"),
    [
        (0xFEB0_0001, True, DecodedRom(0xFEB0_0000, True)),
        (0xFEB0_0000, True, DecodedRom(0xFEB0_0000, False)),
        (0xFEB0_0001, False, DecodedRom(0xFEB0_0000, False)),
        (0x0000_0001, True, DecodedRom(0, True)),
        (0, True, None),
        (0xFFFF_FFFF, True, None),
    ],
)
def test_the_rom_needs_its_own_bit_and_the_command_register(word, memory, rom):
    """PCI 3.0, 6.2.5.2."""
    assert decode_rom(word, memory) == rom


# -- windows


def bridge(*writes, kind=Type1):
    space = Space(0x48)
    for at, value, size in writes:
        space.put(at, value, size)
    return Registers.at(kind, bytes(space.data), 0)


def test_the_windows_of_a_bridge_that_was_just_reset():
    """All registers 0: the first 4 KiB of ports, the first MiB of memory."""
    assert bridge_windows(bridge()) == (
        Window("io", 0, 0xFFF, 16),
        Window("memory", 0, 0xF_FFFF, 32),
        Window("prefetchable", 0, 0xF_FFFF, 32),
    )


def test_the_limits_are_the_last_address_of_their_piece():
    """PCI-to-PCI Bridge 1.2, 3.2.5.6, 3.2.5.8 and 3.2.5.9: FFFh, and FFFFFh, are assumed."""
    io, memory, ahead = bridge_windows(
        bridge((0x1C, 0xD0, 1), (0x1D, 0xE0, 1), (0x20, 0xFE00, 2), (0x22, 0xFE10, 2))
    )
    assert (io.base, io.limit) == (0xD000, 0xEFFF)
    assert (memory.base, memory.limit) == (0xFE00_0000, 0xFE1F_FFFF)
    assert ahead.open


def test_wide_windows_have_an_upper_half():
    io, _, ahead = bridge_windows(
        bridge(
            (0x1C, 0x11, 1),
            (0x1D, 0x21, 1),
            (0x30, 1, 2),
            (0x32, 2, 2),
            (0x24, 0x0001, 2),
            (0x26, 0xFFF1, 2),
            (0x28, 8, 4),
            (0x2C, 9, 4),
        )
    )
    assert io == Window("io", 0x1_1000, 0x2_2FFF, 32)
    assert ahead == Window("prefetchable", 0x8_0000_0000, 0x9_FFFF_FFFF, 64)


def test_narrow_windows_do_not_look_at_the_upper_halves():
    """3.2.5.10 and 3.2.5.11: they are there only if the low four bits say so."""
    io, _, ahead = bridge_windows(bridge((0x30, 1, 2), (0x32, 2, 2), (0x28, 8, 4), (0x2C, 9, 4)))
    assert (io.limit, ahead.limit) == (0xFFF, 0xF_FFFF)


def test_a_base_above_its_limit_closes_a_window():
    io, memory, ahead = bridge_windows(
        bridge((0x1C, 0xF0, 1), (0x20, 0xFFF0, 2), (0x24, 0xFFF1, 2), (0x26, 0x0001, 2))
    )
    assert [io.open, memory.open, ahead.open] == [False] * 3


def test_a_cardbus_bridge_has_two_windows_of_each():
    windows = cardbus_windows(
        bridge(
            (0x1C, 0x1000_0000, 4),
            (0x20, 0x1000_1000, 4),
            (0x2C, 0x0000_4000, 4),
            (0x30, 0xFFFF_40FC, 4),
            (0x34, 0x0001_4001, 4),
            (0x38, 0x0001_40FC, 4),
            kind=Type2,
        )
    )
    assert windows == (
        Window("memory", 0x1000_0000, 0x1000_1FFF, 32),
        Window("memory", 0, 0xFFF, 32),
        Window("io", 0x4000, 0x40FF, 16),
        Window("io", 0x1_4000, 0x1_40FF, 32),
    )
