"""Messages, entries and records as boxes: every bit is in one box, and says what it is."""

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.guest.vtd_interrupts import message
from virtlab.interrupts import Delivery, Interrupt, Msi
from virtlab.iommu.layouts import DST_XAPIC, FAULT_RECORD, FI_INDEX, IRTE, IRTE_POSTED
from virtlab.show.irq_fields import (
    Cut,
    _boxes,
    entry_picture,
    fields_picture,
    message_picture,
    record_picture,
)
from virtlab.wire import Bits

REMAPPED = DST_XAPIC.put(IRTE.pack(P=1, V=0x45, SID=0x18, SVT=1), 2)
POSTED = IRTE_POSTED.pack(P=1, IM=1, VV=0x65, SID=0x18, SVT=1, PDAL=0x40)
RECORD = FAULT_RECORD.pack(F=1, FR=0x26, SID=0x300) | FI_INDEX.put(0, 5)


def test_an_old_message_says_vector_mode_and_processor():
    drawn = message_picture(Interrupt(0xEC, 1, Delivery.NMI).message())
    check_picture(drawn)
    assert drawn.text.splitlines() == [
        "A message that names a vector",
        "address 0xfee01000: FEE=0xfee DESTINATION=1 FORMAT=0 HINT=0 LOGICAL=0",
        "data 0x000004ec: TRIGGER=0 ASSERT=0 MODE=NMI VECTOR=0xec",
    ]


def test_a_new_message_says_a_handle():
    drawn = message_picture(message(5), lit=["HANDLE"])
    check_picture(drawn)
    assert drawn.text.splitlines()[0] == "A message that names an entry"
    assert "HANDLE=5 FORMAT=1 SHV=0" in drawn.text
    assert drawn.svg != message_picture(message(5)).svg
    assert message_picture(message(5), "Mine").text.startswith("Mine\n")


def test_a_mode_that_is_none_is_a_number():
    assert "MODE=3" in message_picture(Msi(0xFEE0_0000, 0x345)).text


def test_both_forms_of_an_entry():
    for entry, says in ((REMAPPED, "DST=2 V=0x45 IM=0"), (POSTED, "PDAL=0x40 VV=0x65 IM=1")):
        drawn = entry_picture(5, entry)
        check_picture(drawn)
        assert drawn.text.startswith("Entry 5 of the table\n")
        assert "SID=00:03.0" in drawn.text
        assert says in drawn.text


def test_a_record_has_its_reason_in_words():
    drawn = record_picture(RECORD)
    check_picture(drawn)
    assert words_of(drawn)[0] == "A fault record: the interrupt entry is not for this source id"
    assert "FR=26h" in drawn.text
    assert "SID=03:00.0" in drawn.text
    assert "INDEX=5" in drawn.text
    assert "not known" in record_picture(FAULT_RECORD.pack(FR=0xFF)).text


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["15:0"]),
        ({"A": Bits(15, 0)}, ["15:0"]),
        ({"A": Bits(3, 0), "B": Bits(15)}, ["15", "14:4", "3:0"]),
        ({"A": Bits(14, 1)}, ["15", "14:1", "0"]),
        ({"A": Bits(17, 15)}, ["15:0"]),
    ],
)
def test_every_bit_is_in_one_box(fields, expected):
    assert [box.bits for box in _boxes(Cut("x", 0, Bits(15, 0), fields))] == expected


def test_rows_of_any_layout():
    cut = Cut("word", 0xAB, Bits(7, 0), {"HIGH": Bits(7, 4), "LOW": Bits(3, 0)}, {"LOW": "eleven"})
    drawn = fields_picture("A byte", [cut])
    check_picture(drawn)
    assert drawn.text == "A byte\nword 0xab: HIGH=0xa LOW=eleven"
