"""Base address registers: what a size is, which accesses reach the device, who may answer."""

import pytest

from tests.pci.rig import Scratch
from virtlab.pci.bars import Bar, check
from virtlab.pci.config import Header, Type0, Type1
from virtlab.pci.function import Function, Identity


class Recorder:
    """Keeps the accesses that reach it; reads all ones, and more bits than were asked for."""

    def __init__(self):
        self.accesses = []

    def read(self, offset, size):
        self.accesses.append(("read", offset, size))
        return -1

    def write(self, offset, size, value):
        self.accesses.append(("write", offset, size, value))


def rom(size=0x800):
    made = Function(Identity(0x1AF4, 1, 0xFF0000), name="f")
    made.rom_bar(Scratch(), size)
    return made


# -- expansion ROM


def test_a_rom_answers_with_its_size_and_its_enable_bit():
    """PCI 3.0, 6.2.5.2: bits 31 to 11 are the address, bit 0 enables."""
    made = rom(0x10000)
    made.config.write(Type0.EXPANSION_ROM.offset, 4, 0xFFFF_FFFF)
    assert made.config.read(Type0.EXPANSION_ROM.offset, 4) == 0xFFFF_0001


def test_a_rom_answers_only_with_both_enables_on():
    """6.2.5.2: the Memory Space bit has precedence over the enable bit."""
    made = rom()
    where, command = Type0.EXPANSION_ROM.offset, Header.COMMAND.MEMORY_SPACE.mask
    for enable, memory, answers in ((0, 0, 0), (1, 0, 0), (0, command, 0), (1, command, 1)):
        made.config.write(where, 4, 0xC000_0000 | enable)
        made.config.write(Header.COMMAND.offset, 2, memory)
        assert (made.claim("memory", 0xC000_0010, 4) is not None) == answers
    assert made.bars[0].address(made.header) == 0xC000_0000


@pytest.mark.parametrize("size", [0x400, 1 << 25, 0xC00])
def test_a_rom_has_2_kib_to_16_mib(size):
    with pytest.raises(ValueError, match="EXPANSION_ROM cannot have"):
        rom(size)


# -- the path to the device


def test_an_access_is_cut_to_the_devices_path():
    device = Recorder()
    bar = Bar("BAR0", "memory", device, 0x100, width=2)
    assert bar.read(1, 8) == (1 << 64) - 1
    bar.write(0, 4, 0x1122_3344)
    assert device.accesses == [
        ("read", 1, 1),
        ("read", 2, 2),
        ("read", 4, 2),
        ("read", 6, 2),
        ("read", 8, 1),
        ("write", 0, 2, 0x3344),
        ("write", 2, 2, 0x1122),
    ]


def test_a_wide_path_takes_eight_bytes_at_once():
    device = Recorder()
    Bar("BAR0", "memory", device, 0x100, width=8).write(8, 8, 1 << 63)
    assert device.accesses == [("write", 8, 8, 1 << 63)]


@pytest.mark.parametrize("width", [0, 3, 16])
def test_a_path_of_no_width_is_misuse(width):
    with pytest.raises(ValueError, match="a data path is 1, 2, 4 or 8 bytes wide"):
        check(Bar("BAR0", "memory", Scratch(), 0x1000, width=width), Type0())


@pytest.mark.parametrize(
    ("bar", "header", "why"),
    [
        (Bar("BAR2", "memory", Scratch(), 0x1000), Type1(), "Type1 has no BAR2"),
        (Bar("BAR1", "memory", Scratch(), 0x1000, 64), Type1(), "Type1 has no BAR2"),
        (Bar("BAR0", "port", Scratch(), 0x20, 64), Type0(), "cannot be 64 bits wide in port"),
        (Bar("BAR0", "port", Scratch(), 2), Type0(), "cannot have 0x2 bytes of port"),
        (Bar("BAR0", "memory", Scratch(), 0), Type0(), "cannot have 0x0 bytes"),
    ],
)
def test_a_register_that_the_header_does_not_have_is_misuse(bar, header, why):
    with pytest.raises(ValueError, match=why):
        check(bar, header)


def test_a_bridge_may_have_two_bars():
    check(Bar("BAR0", "memory", Scratch(), 0x1000, 64), Type1())


# -- who answers


def card():
    made = Function(Identity(0x1AF4, 1, 0xFF0000), name="f")
    made.memory_bar(0, Scratch(), 0x1000, bits=64)
    made.port_bar(2, Scratch(), 0x10)
    made.config.write(0x10, 4, 0xFFFF_F000)
    made.config.write(0x14, 4, 0x1)
    made.config.write(0x18, 4, 0x2001)
    made.config.write(Header.COMMAND.offset, 2, 3)
    return made


def test_a_64_bit_bar_has_its_upper_half_in_the_next_register():
    """6.2.5.1: type 10b."""
    bar, offset = card().claim("memory", 0x1_FFFF_F004, 4)
    assert (bar.register, bar.upper, offset) == ("BAR0", "BAR1", 4)


@pytest.mark.parametrize(
    ("space", "address", "size", "claims"),
    [
        ("memory", 0x1_FFFF_FFFC, 4, True),
        ("memory", 0x1_FFFF_FFFD, 4, False),
        ("memory", 0x1_FFFF_EFFF, 1, False),
        ("memory", 0x1_FFFF_EFFE, 4, False),
        ("memory", 0x2000, 1, False),
        ("port", 0x2000, 1, True),
        ("port", 0x200F, 1, True),
        ("port", 0x200F, 2, False),
        ("port", 0x1_FFFF_F000, 4, False),
    ],
)
def test_an_access_belongs_to_a_bar_as_a_whole_or_not_at_all(space, address, size, claims):
    assert (card().claim(space, address, size) is not None) == claims


@pytest.mark.parametrize(("command", "memory", "port"), [(0, 0, 0), (1, 0, 1), (2, 1, 0)])
def test_each_space_has_its_own_enable(command, memory, port):
    """6.2.2: bits 0 and 1 of the command register."""
    made = card()
    made.config.write(Header.COMMAND.offset, 2, command)
    assert (made.claim("memory", 0x1_FFFF_F000, 4) is not None) == memory
    assert (made.claim("port", 0x2000, 4) is not None) == port


def test_why_a_bar_is_silent():
    made = card()
    assert made.silence("memory", 0x1_FFFF_FFFE).endswith("runs off the end of BAR0")
    assert made.silence("memory", 0) == ""
    made.config.write(Header.COMMAND.offset, 2, 0)
    assert made.silence("port", 0x2004).endswith("BAR2 has it, but port decoding is off")
