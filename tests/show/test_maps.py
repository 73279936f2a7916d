"""The map of an address space: bands, hits, refusals."""

from collections import Counter
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tests.show.looks import SVG, check_picture, words_of
from virtlab.bus import AddressSpace, Ram
from virtlab.memory import GuestMemory
from virtlab.show import address_map
from virtlab.show.maps import bands, size_words
from virtlab.show.palette import VERMILLION_TINT, YELLOW_TINT
from virtlab.trace import Event


class Silent:
    def read(self, offset, size):
        return 0

    def write(self, offset, size, value):
        pass


def fills_of(drawn):
    """How many bands are lit, and how many lit as refused."""
    fills = [r.attrib["fill"] for r in ElementTree.fromstring(drawn.svg).iter(f"{SVG}rect")]
    return {tint: fills.count(tint) for tint in (YELLOW_TINT, VERMILLION_TINT)}


@pytest.fixture
def ports():
    space = AddressSpace("port", 16, verbs=("in", "out"), max_size=4)
    space.map(0x60, 1, Silent(), "keyboard")
    space.map(0x61, 1, Silent(), "beside it")
    space.map(0x3F8, 8, Silent(), "uart")
    return space


def test_bands_cover_the_space_without_a_hole(ports):
    found = bands(ports)
    assert found[0].base == 0
    assert found[-1].last == 0xFFFF
    assert all(low.last + 1 == high.base for low, high in pairwise(found))
    assert [band.name for band in found] == ["", "keyboard", "beside it", "", "uart", ""]


def test_ram_rom_and_device_are_told_apart():
    space = AddressSpace("memory", 16)
    memory = GuestMemory([(0, 0x1000), (0x8000, 0x1000)])
    space.map(0, 0x1000, Ram(memory, 0), "ram")
    space.map(0x8000, 0x8000, Ram(memory, 0x8000, writable=False), "rom")
    space.map(0x4000, 4, Silent(), "timer")
    assert [band.kind for band in bands(space)] == ["RAM", "gap", "device", "gap", "ROM"]
    check_picture(address_map(space))


def test_hits_are_counted_where_they_begin(ports):
    with ports.trace.recording() as events:
        for port in (0x3FD, 0x3F8, 0x3F8, 0x300):
            ports.read(port, 1)
        ports.read(0x3FF, 2)
    drawn = address_map(ports, events)
    check_picture(drawn)
    assert "4 hits, 1 refused" in words_of(drawn)
    assert "1 refused" in words_of(drawn)
    assert (
        "0x3f8-0x3ff   uart (device)  <- 4 hits, 1 refused: 0x3f8 x2, 0x3fd x1, 0x3ff x1"
        in drawn.text
    )
    assert "2 of 6 ranges hit" in drawn.svg
    assert fills_of(drawn) == {YELLOW_TINT: 1, VERMILLION_TINT: 1}


def test_only_accesses_to_this_space_count(ports):
    events = [
        Event(0, 0, "exit", "vm", "port", 0x3F8, 1),
        Event(1, 0, "out", "uart", "port", 0x3F8, 1),
        Event(2, 0, "load", "ram", "memory", 0x3F8, 1),
    ]
    assert sum(band.total for band in bands(ports, events)) == 1


def test_a_counter_of_addresses_will_do(ports):
    drawn = address_map(ports, Counter({0x60: 1}), title="Mine")
    assert words_of(drawn)[0] == "Mine"
    assert "1 hit" in words_of(drawn)


def test_a_space_without_a_mapping_is_one_gap():
    drawn = address_map(AddressSpace("memory", 52))
    check_picture(drawn)
    assert drawn.text.splitlines()[1:] == ["0x0-0xfffffffffffff  nobody answers"]


def test_the_same_space_gives_the_same_bytes(ports):
    assert address_map(ports, {0x60: 2}).svg == address_map(ports, {0x60: 2}).svg


def test_a_long_name_is_cut_and_many_hits_stay_in_their_column(ports):
    ports.map(0x1000, 0x100, Silent(), "a device with an endless name " * 5)
    check_picture(address_map(ports, {0x1000 + i: 1 for i in range(100)}))


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (1, "1 byte"),
        (2, "2 bytes"),
        (0x400, "1 KiB"),
        (9999, "9999 bytes"),
        (10001, "about 10 KiB"),
        (0xA0000, "640 KiB"),
        (15 << 20, "15 MiB"),
        ((1 << 52) - 1, "about 4 PiB"),
        (1 << 52, "4 PiB"),
        (1 << 64, "about 16384 PiB"),
    ],
)
def test_sizes_in_words(length, words):
    assert size_words(length) == words


def test_a_map_of_many_bands_is_tight_but_for_those_that_were_hit():
    space = AddressSpace("port", 16, verbs=("in", "out"), max_size=4)
    for number in range(16):
        space.map(0x100 * number, 8, Silent(), f"card {number}")
    root = check_picture(address_map(space, {0x102: 1}))
    assert float(root.attrib["height"]) < 32 * 30 + 200
    words = words_of(address_map(space, {0x102: 1}))
    assert "0x200-0x207" in words
    assert "0x100-0x107" not in words, "a band that was hit keeps its two lines"


def test_addresses_too_long_for_a_line_keep_two():
    space = AddressSpace("memory", 52)
    for number in range(16):
        space.map((1 << 40) + 0x1000 * number, 8, Silent(), f"card {number}")
    check_picture(address_map(space))
    assert f"{1 << 40:#x}" in words_of(address_map(space))
