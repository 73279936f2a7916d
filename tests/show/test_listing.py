"""Listings and notes."""

from virtlab.guest.programs import SET_BIT_BY_PORTS
from virtlab.guest.small import ATA_PIO
from virtlab.show.listing import listing
from virtlab.show.note import Note


def test_a_listing_has_a_row_an_instruction():
    table = listing(SET_BIT_BY_PORTS)
    assert len(table.rows) == len(SET_BIT_BY_PORTS.lines)
    assert b"".join(bytes.fromhex(row[1]) for row in table.rows) == SET_BIT_BY_PORTS.code
    assert "through ports" in table.text
    own = ATA_PIO.parts[0]
    assert listing(own).text.startswith(f"ata_pio: {len(own.lines)} instructions, 89 bytes")


def test_a_note_prints_the_same_whatever_it_says():
    assert repr(Note("yes")) == repr(Note("no"))
    assert Note("yes").words in Note("yes").children[0].value
