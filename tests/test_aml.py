"""The byte code of a DSDT: lengths, numbers, names, windows, each in its one shortest form."""

import pytest

from virtlab.acpi import aml


@pytest.mark.parametrize(
    ("content", "encoded"),
    [
        (0, "01"),
        (0x3E, "3f"),
        (0x3F, "4104"),
        (0xFFD, "4fff"),
        (0xFFE, "810001"),
        (0xFFFFC, "8fffff"),
        (0xFFFFD, "c1000001"),
        (0xFFFFFFB, "cfffffff"),
    ],
)
def test_a_package_length_counts_itself(content, encoded):
    """20.2.4: bits 7:6 of the first byte say how many bytes follow."""
    assert aml.package_length(content).hex() == encoded


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (1, "01"),
        (2, "0a02"),
        (0x100, "0b0001"),
        (0x10000, "0c00000100"),
        (1 << 32, "0e0000000001000000"),
    ],
)
def test_a_number_takes_its_shortest_form(value, encoded):
    """20.2.3."""
    assert aml.integer(value).hex() == encoded


def test_names_have_four_characters():
    """20.2.2: NameSeg, RootChar, DualNamePath."""
    assert aml.name_string("_SB") == b"_SB_"
    assert aml.name_string("\\_SB.PCI0") == b"\\\x2e_SB_PCI0"


@pytest.mark.parametrize(
    ("verb", "argument", "why"),
    [
        (aml.package_length, 1 << 28, "do not fit into one package"),
        (aml.integer, 1 << 64, "has no 64 bits"),
        (aml.integer, -1, "has no 64 bits"),
        (aml.eisa_id, "PNP03", "is no EISA id"),
        (aml.name_string, "A.B.C", "is no path"),
        (aml.name_string, "lower", "is no path"),
        (aml.name_string, "0BAD", "is no path"),
    ],
)
def test_what_aml_cannot_say_is_misuse(verb, argument, why):
    with pytest.raises(ValueError, match=why):
        verb(argument)


def test_a_package_has_at_most_255_elements():
    with pytest.raises(ValueError, match="at most 255 elements, not 256"):
        aml.package(*[b"\0"] * 256)


def test_a_window_above_4_gib_takes_64_bits():
    low, high = aml.memory(0xC000_0000, 0x4000_0000), aml.memory(0xC000_0000, 0x4000_0001)
    assert (low[0], len(low), high[0], len(high)) == (0x87, 26, 0x8A, 46)
    assert aml.memory(1 << 32, 1, consumer=True)[4:6] == b"\x0d\x01"
    assert aml.memory(1 << 32, 1)[4:6] == b"\x0c\x07"


def test_a_window_that_16_bits_cannot_say_is_misuse():
    with pytest.raises(ValueError, match="0xf001 from 0x1000 do not fit"):
        aml.ports(0x1000, 0xF001)
