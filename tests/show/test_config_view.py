"""Configuration space in bytes: the tints, the chosen register, and the words about it."""

from xml.etree import ElementTree

import pytest

from tests.show.boards import Board
from tests.show.looks import SVG, check_picture, words_of
from virtlab.pci.config import Header, Type0, Type1
from virtlab.pci.decode import decode
from virtlab.pci.dump import DumpedFunction, dumped, example
from virtlab.show import ConfigView, config_picture
from virtlab.show.config_bytes import at_offset, declared, in_words, places

NVME = "06:00.0"


@pytest.fixture(scope="module")
def board():
    return Board("express")


@pytest.fixture(scope="module")
def dump():
    return example()


def texts(drawn):
    return ElementTree.fromstring(drawn.svg).iter(f"{SVG}text")


def of(dump, bdf):
    return decode(next(each for each in dump if each.bdf == bdf))


def place(function, name):
    return next(each for each in places(function) if each.register.name == name)


def test_every_byte_stands_where_the_dump_has_it(dump):
    nvme = of(dump, NVME)
    drawn = config_picture(nvme)
    check_picture(drawn)
    shown = [words for words in words_of(drawn) if len(words) == 2]
    assert shown[:256] == [f"{byte:02x}" for byte in nvme.source.data[:256]]


def test_registers_do_not_overlap_and_stay_inside(dump):
    for each in map(decode, dump):
        taken = [at for found in places(each) for at in found.span]
        assert len(taken) == len(set(taken))
        assert max(taken) < len(each.source.data)


def test_the_page_follows_the_chosen_register(dump):
    nvme = of(dump, NVME)
    drawn = config_picture(nvme, place(nvme, "TOTAL_VFS"))
    check_picture(drawn)
    assert "bytes 0x100 to 0x1ff of 4096" in words_of(drawn)[1]
    assert drawn.text.splitlines()[1].startswith("100: 0e 00 01 12")
    assert drawn.text.splitlines()[-1].startswith("`0x12e` TOTAL_VFS")


def test_the_structures_of_a_page_are_named_where_they_begin(dump):
    names = words_of(config_picture(of(dump, NVME)))
    assert "00 header, type 0" in names
    assert "40 MSI-X" in names
    assert "80 Express" in names


def test_structures_that_begin_on_one_row_are_not_written_over_each_other(board):
    """Two capabilities of 8 bytes: their names go on rows of their own."""
    port = next(each for each in board.root.bus.walk() if each.name == "root port 1")
    check_picture(config_picture(decode(dumped(port))))
    data = bytearray(256)
    data[0:4], data[6], data[0x34] = b"\xf4\x1a\x34\x12", 0x10, 0x40
    for at in range(0x40, 0x60, 8):
        data[at : at + 2] = bytes([0x09, at + 8 if at < 0x58 else 0])
        data[at + 2] = 8
    drawn = config_picture(decode(DumpedFunction(0, 0, 1, 0, bytes(data))))
    check_picture(drawn)
    assert sum("Vendor Specific" in words for words in words_of(drawn)) == 4
    heights = {each.text[:9]: float(each.attrib["y"]) for each in texts(drawn)}
    assert heights["40 Vendor"] == heights["040"]
    assert heights["48 Vendor"] == heights["050"]


def test_a_register_over_two_rows_is_outlined_on_both(dump):
    nvme = of(dump, NVME)
    narrow = config_picture(nvme, place(nvme, "VENDOR_ID")).svg.count('stroke-width="3.5"')
    assert narrow == 1


def test_64_bytes_are_enough(dump):
    short = dump[0]._replace(data=dump[0].data[:64])
    check_picture(config_picture(decode(short)))
    assert len(places(decode(short))) == len(Type0.registers)


# -- the words


def test_a_header_in_words(dump):
    nvme = of(dump, NVME)
    assert in_words(nvme, place(nvme, "VENDOR_ID")).startswith(
        "`0x000` VENDOR_ID = `0x1b36`. Who made it. FFFFh: nobody is there. Here: Red Hat QEMU."
    )
    assert "Here: NVM Express controller." in in_words(nvme, place(nvme, "DEVICE_ID"))
    assert "Here: Non-Volatile memory controller." in in_words(nvme, place(nvme, "CLASS_CODE"))
    command = in_words(nvme, place(nvme, "COMMAND"))
    assert "Here: BUS_MASTER=1 MEMORY_SPACE=1 IO_SPACE=1. (PCI 3.0 6.2.2)" in command


def test_bars_in_words(board):
    first = board.edus[0]
    edu = decode(dumped(board.cards.edu))
    assert f"Here: 32 bits of memory, at {first.bar(0):#x}." in in_words(edu, place(edu, "BAR0"))
    assert "Here: no region." in in_words(edu, place(edu, "BAR1"))
    board.config.write(first.place, Header.COMMAND.offset, 2, 0)
    off = decode(dumped(board.cards.edu))
    assert "decoding is off" in in_words(off, place(off, "BAR0"))
    board.config.write(first.place, Header.COMMAND.offset, 2, 6)


def test_a_bar_of_ports_and_one_without_an_address():
    data = bytearray(64)
    data[0:4], data[4] = b"\xf4\x1a\x34\x12", 1
    data[0x10:0x18] = bytes([1, 0x10, 0, 0, 4, 0, 0, 0])
    function = decode(DumpedFunction(0, 0, 1, 0, bytes(data)))
    assert "Here: ports, at 0x1000." in in_words(function, place(function, "BAR0"))
    assert "64 bits of memory, no address yet, decoding is off" in in_words(
        function, place(function, "BAR1")
    )
    assert set(declared(place(function, "BAR0")).fields) == {"IO", "ADDRESS"}
    assert "TYPE" in declared(place(function, "BAR1")).fields


def test_the_upper_half_of_a_wide_bar_has_no_words_of_its_own(dump):
    nvme = of(dump, NVME)
    upper = place(nvme, "BAR1")
    assert upper.register.value == 0
    assert "Here: no region." in in_words(nvme, upper)
    data = bytearray(nvme.source.data)
    data[0x14] = 8
    high = decode(nvme.source._replace(data=bytes(data)))
    assert high.bars[0].address >> 32 == 8
    assert "no region" not in in_words(high, place(high, "BAR1"))


def test_a_declaration_stands_at_its_offset_in_the_whole_space(dump):
    nvme = of(dump, NVME)
    reg = declared(place(nvme, "TOTAL_VFS"))
    assert (reg.offset, reg.width, reg.access) == (0x12E, 2, "")


def test_the_register_at_an_offset(dump):
    found = places(of(dump, NVME))
    names = [found[at_offset(found, at)].register.name for at in (0, 1, 5, 0x11, 0xF00)]
    assert names == ["VENDOR_ID", "VENDOR_ID", "COMMAND", "BAR0", found[-1].register.name]
    assert at_offset(found[3:], 0) == 0


# -- the widget


def press(view, words):
    next(each for each in view.controls if each.description == words).click()


@pytest.fixture
def view(dump):
    return ConfigView(dump, start=(NVME, 0x120))


def test_it_starts_where_it_is_told(view):
    assert view.place.register.offset == 0x120
    assert view._offset.value == "0x120"
    assert "HEADER" in view._says.value
    assert repr(view) == "ConfigView: 21 functions"


def test_stepping_choosing_and_typing_agree(view):
    press(view, "Step")
    assert view.place.register.name == "CAPABILITIES"
    view._register.value = 0
    assert view._offset.value == "0x0"
    view._offset.value = "0x3c"
    assert view.place.register.name == "INTERRUPT_LINE"
    assert view._register.value == view.state.index
    press(view, "Last")
    assert view.state.at_end


def test_an_offset_inside_a_register_shows_the_register(view):
    view._offset.value = "0x12f"
    assert view.place.register.name == "TOTAL_VFS"


@pytest.mark.parametrize("typed", ["", "BAR0", "0x1000", "-1"])
def test_what_is_no_offset_is_said(view, typed):
    view._offset.value = typed
    assert "is no offset: give a number below <code>0x1000</code>" in view._says.value
    assert view.place.register.offset == 0x120


def test_another_function_begins_at_its_vendor(view, dump):
    view._function.value = 0
    assert view.place.register.name == "VENDOR_ID"
    assert "00:00.0" in view._bytes.value
    bridge = next(n for n, each in enumerate(dump) if each.bdf == "00:03.0")
    view._function.value = bridge
    names = [words.split()[1] for words, _ in view._register.options]
    assert Type1.SECONDARY_BUS.name in names


def test_reset_brings_the_start_back(view):
    start = view._bytes.value, view._one.value, view._says.value
    view._function.value = 3
    press(view, "Step")
    view.reset()
    assert (view._bytes.value, view._one.value, view._says.value) == start


def test_a_stand_in_for_a_title_is_replaced_by_names(view, board):
    assert view._function.options[0][0] == "00:00.0 Host bridge: 82G33 (Q35) host bridge"
    ours = ConfigView([dumped(board.cards.edu)])
    assert ours._function.options[0][0].endswith(" edu")


def test_what_cannot_be_shown_is_refused(dump):
    with pytest.raises(ValueError, match="at least one function"):
        ConfigView([])
    with pytest.raises(ValueError, match=r"no function 77:00\.0"):
        ConfigView(dump, start=("77:00.0", 0))
