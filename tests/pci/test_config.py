"""Configuration space: what can be written, what is linked, what the holes say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.pci.capabilities import Msi, PowerManagement
from virtlab.pci.config import ConfigSpace, Header, Type0, Type1
from virtlab.pci.extended import Aer, SerialNumber
from virtlab.pci.function import Function, Identity
from virtlab.registers import RegisterFile
from virtlab.wire import all_ones


def space(express=False):
    config = ConfigSpace(Type0(), express)
    config.header.preset(VENDOR_ID=0x1AF4, DEVICE_ID=0x1041)
    return config


def test_identity_is_read_only():
    config = space()
    config.write(0, 4, 0)
    assert config.read(0, 4) == 0x1041_1AF4


def test_command_keeps_only_the_bits_that_mean_something_here():
    config = space()
    config.write(Header.COMMAND.offset, 2, 0xFFFF)
    assert config.read(Header.COMMAND.offset, 2) == Header.COMMAND.rw == 0x0547


def test_a_status_bit_is_cleared_by_a_one():
    config = space()
    config.header.STATUS = 0x2000
    config.write(Header.STATUS.offset, 2, 0)
    assert config.read(Header.STATUS.offset, 2) == 0x2000
    config.write(Header.STATUS.offset, 2, 0x2000)
    assert config.read(Header.STATUS.offset, 2) == 0


def test_one_dword_write_reaches_command_and_status_by_their_own_rules():
    config = space()
    config.header.STATUS = 0xF900
    config.write(Header.COMMAND.offset, 4, 0x8000_0006)
    assert config.read(Header.COMMAND.offset, 4) == 0x7900_0006


def test_a_hole_reads_zero_and_what_is_past_the_end_all_ones():
    config = space()
    assert config.read(0x80, 4) == 0
    assert config.read(0x100, 4) == 0xFFFF_FFFF
    assert space(express=True).read(0x100, 4) == 0


def test_capabilities_are_linked_in_the_order_they_are_added():
    config = space()
    assert config.read(Header.STATUS.offset, 2) == 0
    config.add(Msi(), 0x60)
    config.add(PowerManagement(), 0x40)
    assert config.read(Header.CAPABILITIES.offset, 1) == 0x60
    assert config.read(0x60, 2) == 0x4005
    assert config.read(0x40, 2) == 0x0001
    assert list(config.capabilities()) == [0x60, 0x40]
    assert Header.STATUS.CAPABILITIES_LIST.get(config.header.STATUS)


def test_the_links_survive_a_reset():
    config = space()
    config.add(Msi(), 0x60)
    config.add(PowerManagement(), 0x40)
    before = config.dump()
    config.write(Header.COMMAND.offset, 2, 7)
    config.reset()
    assert config.dump() == before


def test_extended_capabilities_begin_at_100h():
    config = space(express=True)
    with pytest.raises(ValueError, match="first extended capability is at 0x100"):
        config.add(SerialNumber(1), 0x140)
    config.add(Aer(), 0x100)
    config.add(SerialNumber(1), 0x150)
    assert config.read(0x100, 4) >> 20 == 0x150
    assert list(config.extended_capabilities()) == [0x100, 0x150]


@pytest.mark.parametrize("at", [0x3C, 0x41, 0xFC, 0x200, -4])
def test_a_part_that_does_not_fit_is_refused(at):
    with pytest.raises(ValueError, match=r"does not fit|overlaps"):
        space().place(at, PowerManagement())


def test_two_parts_never_overlap():
    config = space()
    config.place(0x40, PowerManagement())
    with pytest.raises(ValueError, match="overlaps the part at 0x40"):
        config.place(0x44, PowerManagement())


def test_what_is_no_capability_is_refused():
    with pytest.raises(TypeError, match="RegisterFile is no capability"):
        space().add(RegisterFile(), 0x40)


@given(
    st.lists(
        st.tuples(
            st.integers(-8, 5000), st.sampled_from([1, 2, 4, 8]), st.integers(0, all_ones(8))
        ),
        max_size=30,
    )
)
def test_no_access_raises_and_what_is_read_only_stays(accesses):
    """Whatever is written where: the identity stays, and each bit obeys its mask."""
    config = space(express=True)
    config.add(Msi(), 0x60)
    config.add(Aer(), 0x100)
    for offset, size, value in accesses:
        config.write(max(offset, 0), size, value & all_ones(size))
        assert 0 <= config.read(max(offset, 0), size) <= all_ones(size)
    assert config.read(0, 4) == 0x1041_1AF4
    assert config.read(0x60, 1) == 0x05


def test_a_type_1_header_has_its_numbers_where_the_specification_has_them():
    header = Type1()
    header.write(0x18, 4, 0x00030201)
    assert (header.PRIMARY_BUS, header.SECONDARY_BUS, header.SUBORDINATE_BUS) == (1, 2, 3)


# -- base address registers


def function(**bars):
    made = Function(Identity(0x1AF4, 1, 0xFF0000), name="f")
    for name, (verb, *arguments) in bars.items():
        options = arguments.pop() if isinstance(arguments[-1], dict) else {}
        getattr(made, verb)(int(name[1:]), RegisterFile(), *arguments, **options)
    return made


@pytest.mark.parametrize(
    ("bar", "answers"),
    [
        (("memory_bar", 0x1000), [0xFFFF_F000]),
        (("memory_bar", 16), [0xFFFF_FFF0]),
        (("memory_bar", 1 << 20, {"prefetchable": True}), [0xFFF0_0008]),
        (("memory_bar", 1 << 14, {"bits": 64}), [0xFFFF_C004, 0xFFFF_FFFF]),
        (("memory_bar", 1 << 33, {"bits": 64, "prefetchable": True}), [0x0000_000C, 0xFFFF_FFFE]),
        (("port_bar", 0x20), [0xFFFF_FFE1]),
        (("port_bar", 4), [0xFFFF_FFFD]),
    ],
)
def test_a_bar_answers_all_ones_with_its_size(bar, answers):
    """PCI 3.0, 6.2.5.1: the device returns 0's in all don't-care address bits."""
    made = function(_2=bar)
    for index, expected in enumerate(answers):
        made.config.write(0x18 + 4 * index, 4, 0xFFFF_FFFF)
        assert made.config.read(0x18 + 4 * index, 4) == expected


@pytest.mark.parametrize(
    ("bar", "why"),
    [
        (("memory_bar", 0x1001), "cannot have 0x1001 bytes"),
        (("memory_bar", 8), "cannot have 0x8 bytes"),
        (("memory_bar", 1 << 32), "cannot have"),
        (("port_bar", 512), "cannot have 0x200 bytes"),
        (("memory_bar", 0x1000, {"bits": 48}), "cannot be 48 bits"),
    ],
)
def test_a_bar_that_cannot_be_is_refused(bar, why):
    with pytest.raises(ValueError, match=why):
        function(_0=bar)


def test_a_64_bit_bar_takes_the_next_register_too():
    with pytest.raises(ValueError, match="has BAR1 already"):
        function(_0=("memory_bar", 0x1000, {"bits": 64}), _1=("memory_bar", 0x1000))
    with pytest.raises(ValueError, match="no BAR6"):
        function(_5=("memory_bar", 0x1000, {"bits": 64}))
