"""The small guests' listings are true, and stand where they say."""

from itertools import pairwise

import pytest

from tests.oracles.x86 import capstone_texts
from virtlab.guest.small import SMALL_GUESTS, Piece, SmallGuest
from virtlab.guest.small.guest import FILLER
from virtlab.guest.small.pieces import table_register
from virtlab.memory import GuestMemory
from virtlab.vmm.x86_opcodes import disassemble

every_guest = pytest.mark.parametrize("guest", SMALL_GUESTS, ids=lambda guest: guest.name)


def listed(part):
    return [(line.address, line.code, line.text) for line in part.lines]


@every_guest
def test_our_disassembler_reads_what_the_listings_say(guest):
    for part in guest.parts:
        assert disassemble(part.code, part.origin) == listed(part)


@pytest.mark.oracle
@every_guest
def test_capstone_reads_what_the_listings_say(guest):
    for part in guest.parts:
        assert capstone_texts(part.code, part.origin) == listed(part)


def test_there_are_ten_in_an_order_in_which_they_can_be_read():
    names = [guest.name for guest in SMALL_GUESTS]
    assert len(set(names)) == len(names) == 10
    for place, guest in enumerate(SMALL_GUESTS):
        assert set(guest.builds_on) <= set(names[:place])


@every_guest
def test_a_guest_calls_the_pieces_that_it_has_and_no_other(guest):
    calls = {
        int(line.text.split()[1], 16)
        for part in guest.parts
        for line in part.lines
        if line.text.startswith("call")
    }
    inside = {line.address for line in guest.parts[0].lines}
    assert calls - inside == {piece.origin for piece in guest.pieces}


@every_guest
def test_nothing_is_placed_twice(guest):
    placed = [(part.origin, part.code) for part in guest.parts]
    placed += [*guest.data, *(pair for piece in guest.pieces for pair in piece.data)]
    spans = sorted((at, at + len(data)) for at, data in placed)
    for (_, end), (start, _) in pairwise(spans):
        assert end <= start
    assert spans[-1][1] < 0x8F00


def test_a_tables_register_has_the_offset_of_its_last_byte():
    assert table_register(0x4000, 0x180) == bytes.fromhex("7f01 00400000")
    assert table_register(0, 0) == bytes(6)


def test_loading_places_code_and_data():
    ram = GuestMemory(0x10000)
    guest = SmallGuest(
        "two",
        "bytes",
        "90 | nop |",
        (Piece("p", 0x1004, "c3 | ret |", ((0x3000, b"d"),)),),
        ((0x2000, b"e"),),
    )
    guest.load(ram)
    assert guest.code == b"\x90" + 3 * FILLER + b"\xc3"
    assert ram.read(0x1000, 5) == guest.code
    assert (ram.read(0x2000, 1), ram.read(0x3000, 1)) == (b"e", b"d")


def test_a_guest_prints_as_its_listings():
    guest = SmallGuest(
        "one", "does nothing", "90 | nop | rest", (Piece("p", 0x1800, "c3 | ret |"),)
    )
    assert str(guest).splitlines() == [
        "one: does nothing",
        "",
        "one",
        "0x1000  90                    nop                                    rest",
        "",
        "p",
        "0x1800  c3                    ret",
    ]
