"""Decoding: the frozen words of `lspci` on a real-looking machine, and each clause by itself."""

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.lspci import blocks, differences, identities, said_by_us
from tests.pci.dumps import EXPRESS, MSI, PCI_X, Space, machine
from virtlab.pci.capabilities import Msi, Msix, PowerManagement
from virtlab.pci.config import Header
from virtlab.pci.decode import decode
from virtlab.pci.dump import DumpedFunction, example
from virtlab.pci.extended import SrIov
from virtlab.pci.pcie import Express
from virtlab.pci.regions import DecodedBar
from virtlab.pci.report import as_data, verbose_text
from virtlab.pci.tree import tree_text

DATA = Path(__file__).parents[1] / "data" / "pci"
POWER, VENDOR, NULL = 0x01, 0x09, 0x00


def frozen(name):
    """What `lspci` said of the example."""
    return gzip.decompress((DATA / f"q35.lspci-{name}.txt.gz").read_bytes()).decode()


def function(*capabilities, size=256, kind=0, status=0x10, extended=()):
    """A function with capabilities and extended ones, each `(at, id, next)`."""
    space = Space(size)
    space.put(0x00, 0x1041_1AF4, 4)
    space.put(0x04, 0x0003, 2)
    space.put(0x06, status, 2)
    space.put(0x0E, kind, 1)
    for at, id_, following in capabilities:
        space.put(at, following << 8 | id_, 2)
    if capabilities:
        space.put(0x34, capabilities[0][0], 1)
    for at, id_, following in extended:
        space.put(at, following << 20 | 1 << 16 | id_, 4)
    return DumpedFunction(0, 0, 3, 0, bytes(space.data))


def changed(source, at, value, size):
    data = bytearray(source.data)
    data[at : at + size] = value.to_bytes(size, "little")
    return decode(source._replace(data=bytes(data)))


def ids(capabilities):
    return [(each.id, each.offset) for each in capabilities]


# -- against lspci, frozen


def test_every_function_of_the_example_is_what_lspci_said():
    numbers = identities(frozen("nn"))
    theirs = blocks(frozen("vvv"))
    ours = {each.bdf: said_by_us(json.loads(json.dumps(as_data(each)))) for each in functions()}
    assert list(ours) == list(theirs) == list(numbers)
    for place, said in theirs.items():
        said.identity = numbers[place]
        said.subsystem = ours[place].subsystem  # a name there, not a number
        assert differences(said, ours[place]) == {}, place


def test_the_frozen_words_hold_something_to_compare():
    said = blocks(frozen("vvv")).values()
    assert sum(len(each.regions) for each in said) == 28
    assert sum(len(each.capabilities) for each in said) == 63
    assert sum(len(each.extended) for each in said) == 15
    assert sum(each.buses is not None for each in said) == 8
    assert sum(each.vfs is not None for each in said) == 1


def functions():
    return [decode(each) for each in example()]


# -- the header


def test_all_ones_is_nobody():
    """PCI 3.0, 6.1: a read of a function that is not there gives all ones."""
    decoded = decode(DumpedFunction(0, 0, 0, 0, b"\xff" * 64))
    assert (decoded.present, decoded.vendor, decoded.notes) == (
        False,
        0xFFFF,
        ["all ones: nobody answered"],
    )
    assert decoded.bars == decoded.capabilities == []


def test_a_virtual_function_has_no_vendor_of_its_own_and_is_there():
    """SR-IOV 1.1, 3.4.1.1 and 3.4.1.2: Vendor ID and Device ID of a VF read FFFFh."""
    decoded = changed(function(), 0, 0xFFFF_FFFF, 4)
    assert (decoded.present, decoded.vendor, decoded.bars) == (True, 0xFFFF, [])


def test_the_fields_of_the_header():
    source = function()
    assert changed(source, 0x08, 0x0106_0102, 4).class_code == 0x010601
    assert changed(source, 0x08, 0x0106_0102, 4).revision == 2
    assert changed(source, 0x0E, 0x80, 1).multi_function
    assert not changed(source, 0x0E, 0x7F, 1).multi_function
    assert decode(source).bdf == "00:03.0"


def test_a_header_type_that_is_not_known_is_said_and_nothing_is_guessed():
    decoded = decode(function((0x40, POWER, 0), kind=3))
    assert decoded.notes == ["header type 0x3 is not known"]
    assert (decoded.capabilities, decoded.bars, decoded.bridge) == ([], [], None)


def test_fewer_bytes_than_a_header_are_our_own_mistake():
    with pytest.raises(ValueError, match=r"00:03\.0: 63 bytes; a header has 64"):
        decode(function()._replace(data=bytes(63)))


def test_a_bridge_says_its_card_in_a_capability():
    """PCI Express 6.3, 7.9.23; in a type 1 header, 2Ch is a part of a window."""
    bridge = function((0x40, 0x0D, 0), kind=1)
    assert changed(bridge, 0x44, 0x1100_1AF4, 4).subsystem == (0x1AF4, 0x1100)
    assert changed(function(kind=1), 0x2C, 0x1100_1AF4, 4).subsystem is None
    assert changed(function((0x40, 0x0D, 0)), 0x2C, 0x1100_1AF4, 4).subsystem == (0x1AF4, 0x1100)


def test_a_cardbus_bridge_has_its_list_and_its_card_elsewhere():
    space = Space(128)
    space.put(0x06, 0x10, 2)
    space.put(0x0E, 2, 1)
    space.put(0x14, 0x50, 1)
    space.put(0x18, 0x0402_0100, 4)
    space.put(0x40, 0x1234_104C, 4)
    space.put(0x50, POWER, 1)
    decoded = decode(DumpedFunction(0, 1, 0, 0, bytes(space.data)))
    assert ids(decoded.capabilities) == [(POWER, 0x50)]
    assert decoded.subsystem == (0x104C, 0x1234)
    assert decoded.bridge[:3] == (0, 1, 2)


# -- the list of capabilities


def test_the_list_is_followed_in_its_own_order():
    """PCI 3.0, 6.7: each capability has the offset of the next; 0 ends the list."""
    decoded = decode(function((0x80, POWER, 0x40), (0x40, VENDOR, 0x60), (0x60, MSI, 0)))
    assert ids(decoded.capabilities) == [(POWER, 0x80), (VENDOR, 0x40), (MSI, 0x60)]
    assert decoded.notes == []


def test_the_low_two_bits_of_a_pointer_are_reserved():
    """PCI 3.0, 6.7: software must mask them to 00b."""
    source = function((0x40, POWER, 0x63), (0x60, VENDOR, 0x02))
    decoded = changed(source, 0x34, 0x43, 1)
    assert ids(decoded.capabilities) == [(POWER, 0x40), (VENDOR, 0x60)]


def test_without_the_status_bit_there_is_no_list():
    """PCI 3.0, 6.2.3: bit 4 says that the byte at 34h is a pointer."""
    assert decode(function((0x40, POWER, 0), status=0)).capabilities == []


@pytest.mark.parametrize(
    ("capabilities", "size", "why"),
    [
        ([(0x40, POWER, 0x50), (0x50, VENDOR, 0x40)], 256, "loops: it comes back to 0x40"),
        ([(0x40, POWER, 0x40)], 256, "loops: it comes back to 0x40"),
        ([(0x40, POWER, 0x10)], 256, "points to 0x10, before 0x40"),
        ([(0x40, POWER, 0x50), (0x50, 0xFF, 0)], 256, "breaks at 0x50: all ones"),
        ([(0x40, POWER, 0x80)], 128, "goes on at 0x80, and the dump has 128 bytes"),
    ],
)
def test_a_list_that_cannot_go_on_ends_and_a_note_says_why(capabilities, size, why):
    decoded = decode(function(*capabilities, size=size))
    assert decoded.capabilities[0].id == POWER
    assert len(decoded.capabilities) == len({each.offset for each in decoded.capabilities})
    assert len(decoded.notes) == 1
    assert why in decoded.notes[0]


def test_a_header_alone_says_how_to_get_the_rest():
    """`lspci -x`, or a user who may not read more."""
    source = function(size=64)
    decoded = changed(source, 0x34, 0x40, 1)
    assert "sudo lspci -xxxx shows all" in decoded.notes[0]


def test_an_id_that_is_not_known_is_in_the_list_with_its_head():
    decoded = decode(function((0x40, 0x7F, 0x50), (0x50, POWER, 0)))
    unknown, power = decoded.capabilities
    assert (unknown.id, unknown.name) == (0x7F, "Capability ID 0x7f")
    assert [each.name for each in unknown.registers] == ["CAPABILITY_ID", "NEXT"]
    assert power.name == "Power Management"


def test_a_capability_at_the_very_end_has_only_the_registers_that_are_there():
    decoded = decode(function((0xFC, POWER, 0)))
    (power,) = decoded.capabilities
    assert [each.name for each in power.registers] == ["CAPABILITY_ID", "NEXT", "PMC"]
    assert power.registers.value(PowerManagement.PMCSR) == 0


def test_find_gives_the_first_of_its_kind():
    decoded = decode(function((0x40, MSI, 0x60), (0x60, MSI, 0)))
    assert decoded.find(Msi).offset == 0x40
    assert decoded.find(Msix) is None


def test_find_looks_in_the_list_that_the_kind_belongs_to():
    """0x10 is PCI Express in the one, SR-IOV in the other."""
    decoded = extended((0x100, 0x10, 0))
    assert decoded.find(SrIov) is decoded.extended[0]
    assert decoded.find(Express).id == 0x10
    assert decoded.find(Express) is not decoded.find(SrIov)


# -- the list of extended capabilities


def extended(*chain, by=EXPRESS, size=4096):
    return decode(function((0x40, by, 0), size=size, extended=chain))


def test_the_extended_list_begins_at_100h():
    """PCI Express 3.0, 7.9.1 and 7.9.3."""
    decoded = extended((0x100, 1, 0x200), (0x200, 3, 0x150), (0x150, 0x1234, 0))
    assert ids(decoded.extended) == [(1, 0x100), (3, 0x200), (0x1234, 0x150)]
    assert [each.version for each in decoded.extended] == [1, 1, 1]
    assert decoded.extended[2].name == "Extended Capability ID 0x1234"


def test_a_head_of_0_is_a_null_capability_that_may_link_on():
    """PCI Express 3.0, 7.9.3: an id of 0 and a pointer of 0 means that there is none."""
    assert ids(extended((0x100, NULL, 0x180), (0x180, 3, 0)).extended) == [(0, 0x100), (3, 0x180)]
    assert changed(function((0x40, EXPRESS, 0), size=4096), 0x100, 0, 4).extended == []


def test_all_ones_is_no_extended_capability():
    assert changed(function((0x40, EXPRESS, 0), size=4096), 0x100, 0xFFFF_FFFF, 4).extended == []


@pytest.mark.parametrize(("by", "found"), [(EXPRESS, 1), (PCI_X, 1), (POWER, 0)])
def test_extended_capabilities_need_pci_express_or_pci_x(by, found):
    assert len(extended((0x100, 3, 0), by=by).extended) == found


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        ([(0x100, 1, 0x200), (0x200, 3, 0x100)], "loops: it comes back to 0x100"),
        ([(0x100, 1, 0x100)], "loops: it comes back to 0x100"),
        ([(0x100, 1, 0x040)], "points to 0x40, before 0x100"),
    ],
)
def test_an_extended_list_that_cannot_go_on_ends_and_a_note_says_why(chain, why):
    decoded = extended(*chain)
    assert decoded.notes == [f"the list of extended capabilities {why}"]


def test_a_dump_of_256_bytes_has_none_of_them_and_that_is_no_fault():
    decoded = extended(size=256)
    assert (decoded.extended, decoded.notes) == ([], [])


def test_the_last_dword_of_the_space_can_be_a_capability():
    assert ids(extended((0x100, 1, 0xFFC), (0xFFC, 3, 0)).extended)[1] == (3, 0xFFC)


def test_sr_iov_that_does_not_fit_is_listed_and_not_decoded():
    """SR-IOV 1.1, 3.3: the structure has 40h bytes."""
    assert extended((0x100, 0x10, 0)).sriov is not None
    cut = extended((0x100, 1, 0xFE0), (0xFE0, 0x10, 0))
    assert (cut.extended[1].id, cut.sriov) == (0x10, None)


def test_what_a_physical_function_says_of_its_virtual_ones():
    """SR-IOV 1.1, 3.3.3 to 3.3.14."""
    source = function((0x40, EXPRESS, 0), size=4096, extended=[(0x100, 0x10, 0)])
    data = bytearray(source.data)
    for at, value, size in (
        (0x08, 0x0009, 2),
        (0x0C, 7, 2),
        (0x0E, 8, 2),
        (0x10, 3, 2),
        (0x14, 0x80, 2),
        (0x16, 2, 2),
        (0x1A, 0x10CA, 2),
        (0x24, 0xFE00_000C, 4),
        (0x28, 0x1, 4),
    ):
        data[0x100 + at : 0x100 + at + size] = value.to_bytes(size, "little")
    vfs = decode(source._replace(data=bytes(data))).sriov
    assert vfs[:7] == (8, 7, 3, 0x80, 2, True, 0x10CA)
    assert vfs.bars == (DecodedBar(0, "memory", 0x1_FE00_0000, True, 64, True),)
    data[0x108] = 0x01  # VFs, but no VF MSE (3.3.3.4)
    assert not decode(source._replace(data=bytes(data))).sriov.bars[0].enabled


# -- what the registers say


def test_a_register_knows_where_it_is_and_explains_itself():
    decoded = decode(function((0x40, EXPRESS, 0)))
    express = decoded.find(Express).registers
    register = next(each for each in express if each.name == "DEVICE_CONTROL")
    assert (register.offset, register.fields["MAX_PAYLOAD"]) == (0x48, 0)
    assert register.declared is Express.DEVICE_CONTROL
    assert repr(register) == "048 DEVICE_CONTROL = 0000"
    assert decoded.header.value(Header.VENDOR_ID) == 0x1AF4


# -- any bytes at all


@given(
    st.integers(0, 1 << 30),
    st.sampled_from([64, 128, 256, 4096]),
    st.integers(0, 3),
    st.integers(0, 64),
)
def test_no_bytes_of_a_function_do_harm(seed, size, kind, damage):
    """A guest, or a broken device, wrote them: decoding ends, visits nothing twice, says notes."""
    chance = random.Random(seed)
    data = bytearray(chance.randbytes(size))
    data[0x06], data[0x0E] = 0x10, kind
    for _ in range(damage):  # many pointers that lead somewhere, and the heads of lists
        at = chance.randrange(0x40, size) & ~3 if size > 64 else 0x34
        data[at : at + 2] = bytes((chance.choice((EXPRESS, MSI, PCI_X)), chance.randrange(256)))
    check(DumpedFunction(0, 0, 0, 0, bytes(data)))


@given(st.integers(0, 1 << 30), st.integers(1, 6))
def test_no_damage_to_a_real_function_does_harm(seed, count):
    chance = random.Random(seed)
    source = chance.choice(machine(seed % 5, 30))
    data = bytearray(source.data)
    for _ in range(count):
        data[chance.choice((0x06, 0x0E, 0x34, chance.randrange(len(data))))] = chance.randrange(256)
    check(source._replace(data=bytes(data)))


def check(source):
    decoded = decode(source)
    for each in (decoded.capabilities, decoded.extended):
        assert len({found.offset for found in each}) == len(each)
    assert len(decoded.notes) <= 2
    assert json.dumps(as_data(decoded, verbose=True))
    assert verbose_text(decoded)
    assert tree_text([decoded])
