"""The layouts of capabilities: which class a head means, and how far it reaches.

That each field lies where `lspci` looks for it is in `tests/oracles/test_lspci.py`.
"""

import pytest

from virtlab.pci.config import Capability, ExtendedCapability, Header
from virtlab.pci.extended_layouts import TphRequester
from virtlab.pci.fields import Registers, number
from virtlab.pci.layouts import (
    CAPABILITIES,
    EXTENDED_CAPABILITIES,
    VC_WITH_MFVC,
    Type2,
    VitalProductData,
    layout_of,
)
from virtlab.pci.msi import Msi32, Msi32Masked, Msi64, Msi64Masked
from virtlab.pci.names import capability_name, extended_capability_name
from virtlab.pci.pcie import Express

LENGTHS = {
    0x01: 8,
    0x03: 8,
    0x04: 4,
    0x07: 8,
    0x08: 4,
    0x09: 4,
    0x0A: 4,
    0x0D: 8,
    0x10: 0x3C,
    0x11: 12,
    0x12: 8,
    0x13: 6,
    0x14: 4,
}
"""Bytes that are declared of each capability, by its specification; MSI has four lengths."""

EXTENDED_LENGTHS = {
    0x01: 0x48,
    0x03: 0x0C,
    0x0B: 0x08,
    0x0D: 0x08,
    0x0E: 0x08,
    0x0F: 0x08,
    0x10: 0x40,
    0x13: 0x10,
    0x15: 0x0C,
    0x18: 0x08,
    0x1B: 0x08,
    0x1E: 0x10,
    0x1F: 0x0C,
    0x25: 0x0C,
}


@pytest.mark.parametrize(("id_", "length"), LENGTHS.items(), ids=hex)
def test_how_many_bytes_a_capability_has(id_, length):
    kind, found = layout_of(0x0002_0000 | id_)
    assert (kind, found) == (CAPABILITIES[id_], length)


@pytest.mark.parametrize(("id_", "length"), EXTENDED_LENGTHS.items(), ids=hex)
def test_how_many_bytes_an_extended_capability_has(id_, length):
    assert EXTENDED_CAPABILITIES[id_].length == length


@pytest.mark.parametrize(
    ("control", "kind", "length"),
    [
        (0x0000, Msi32, 0x0C),
        (0x0080, Msi64, 0x10),
        (0x0100, Msi32Masked, 0x14),
        (0x0180, Msi64Masked, 0x18),
    ],
)
def test_two_bits_of_message_control_say_which_msi_it_is(control, kind, length):
    """PCI 3.0, 6.8.1.3: bit 7 says 64 bits of address, bit 8 says masks."""
    assert layout_of(control << 16 | 0x05) == (kind, length)


@pytest.mark.parametrize(
    ("word", "length"),
    [
        (0x0001, 0x14),  # an endpoint: device and link
        (0x0141, 0x24),  # a root port with a slot: all of it
        (0x0041, 0x24),
        (0x0161, 0x1C),  # a downstream port with a slot: no root registers
        (0x0061, 0x14),
        (0x0091, 0x0C),  # integrated in the root complex: no link
        (0x0002, 0x3C),  # version 2 has room for everything, whatever it is
        (0x0092, 0x3C),
    ],
)
def test_version_1_of_pci_express_ends_where_the_function_has_no_more_to_say(word, length):
    """PCI Express 1.1, 7.8; PCI Express 3.0, 7.8."""
    assert layout_of(word << 16 | 0x10) == (Express, length)


def test_an_id_that_is_not_declared_has_a_head_alone():
    assert layout_of(0x7F) == (Capability, 2)
    assert ExtendedCapability.length == 4


@pytest.mark.parametrize("kind", [*CAPABILITIES.values(), *EXTENDED_CAPABILITIES.values()])
def test_every_register_says_what_it_is_for_and_where_that_stands(kind):
    for register in kind.registers:
        assert register.doc.endswith("."), register
        assert register.spec, register


def test_every_declared_capability_has_a_name():
    assert all(not capability_name(id_).startswith("Capability ID") for id_ in CAPABILITIES)
    names = [extended_capability_name(id_) for id_ in EXTENDED_CAPABILITIES]
    assert not any(name.startswith("Extended Capability ID") for name in names)


def test_a_virtual_channel_capability_has_two_ids():
    """PCI Express 3.0, 7.11.1: 0009h where the function also has a multi-function one."""
    assert EXTENDED_CAPABILITIES[VC_WITH_MFVC] is EXTENDED_CAPABILITIES[0x0002]


@pytest.mark.parametrize("kind", [VitalProductData, TphRequester, Type2])
def test_what_only_dumps_have_cannot_be_written(kind):
    head = {register.name for register in Header.registers}
    assert all(not each.rw and not each.w1c for each in kind.registers if each.name not in head)


def test_a_cardbus_header_keeps_the_first_16_bytes_of_every_header():
    common = [each for each in Header.registers if each.offset < 0x10]
    assert [each for each in Type2.registers if each.offset < 0x10] == common
    assert Type2.CAPABILITIES.offset == 0x14


# -- declared registers with values


def test_a_register_that_is_not_there_as_a_whole_is_not_there_at_all():
    registers = Registers.at(Header, bytes(range(0x0B)), 0)
    assert registers[-1].name == "REVISION_ID"
    assert registers.value(Header.CLASS_CODE) == 0
    assert registers.value("STATUS") == 0x0706


def test_a_length_cuts_a_structure_short():
    data = b"\xff" * 0x100
    assert Registers.at(Express, data, 0x40, 0x14)[-1].name == "LINK_STATUS"
    assert Registers.at(Express, data, 0x40)[-1].name == "SLOT_STATUS_2"
    assert Registers.at(Express, data, 0xF0)[-1].offset == 0xFC


def test_numbers_are_little_endian():
    assert number(b"\x00\x34\x12", 1, 2) == 0x1234
