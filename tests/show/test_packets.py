"""A packet's header as a picture: every field over its bits, and no bit told twice."""

import pytest

from tests.show.boards import Board
from tests.show.looks import check_picture, words_of
from virtlab.pci.tlp import ASSERT_INTA, Tlp
from virtlab.show import PacketViewer, packet_table, tlp_picture
from virtlab.show.packets import dwords, value_of, word_for
from virtlab.wire import Bits

PACKETS = {
    "memory read": Tlp("MRd", requester=0x300, tag=5, address=0xC000_0004, length=4),
    "memory write above 4 GiB": Tlp(
        "MWr", requester=0x300, address=0x12_0000_0042, length=100, data=bytes(range(100))
    ),
    "port read": Tlp("IORd", address=0x1000, length=1),
    "configuration": Tlp("CfgWr1", completer=0x0301, address=0x10, length=4, data=b"\xff" * 4),
    "completion": Tlp("CplD", 0x300, 5, 0x44, 64, 0x200, byte_count=128, data=bytes(64)),
    "unsupported": Tlp("Cpl", status=1),
    "message": Tlp("Msg", requester=0x300, code=ASSERT_INTA),
}


@pytest.fixture(params=PACKETS.values(), ids=PACKETS)
def packet(request):
    return request.param


def test_every_packet_can_be_drawn(packet):
    check_picture(tlp_picture(packet))


def test_the_bytes_are_the_header_s(packet):
    shown = [words for words in words_of(tlp_picture(packet)) if words.count(" ") == 3]
    raw = [each for each in shown if all(len(part) == 2 for part in each.split())]
    assert bytes.fromhex("".join(raw))[: len(packet.header())] == packet.header()


def test_the_fields_of_a_dword_share_no_bit(packet):
    for fields, word in dwords(packet):
        taken = 0
        for bits in fields.values():
            assert not taken & bits.mask
            taken |= bits.mask
        assert word >> 32 == 0


def test_a_memory_read_field_by_field():
    lines = tlp_picture(PACKETS["memory read"]).text.splitlines()
    assert lines[0] == "MRd32 03:00.0 -> 0xc0000004, 4 bytes, non-posted"
    assert "  31:16  REQUESTER = 03:00.0  who asks: bus, device, function" in lines
    assert "   15:8  TAG = 5  the number of the question" in lines
    assert "    3:0  FIRST_BE = 1111  which bytes of the first dword count" in lines
    assert "   31:2  ADDRESS = 0xc0000004  where, in units of 4 bytes" in lines


def test_an_address_above_4_gib_takes_two_dwords():
    fields = [list(fields) for fields, _ in dwords(PACKETS["memory write above 4 GiB"])]
    assert fields[2:] == [["ADDRESS_UPPER"], ["ADDRESS"]]
    assert "  31:0  ADDRESS_UPPER = 0x12" in tlp_picture(PACKETS["memory write above 4 GiB"]).text


def test_a_message_says_nothing_in_its_last_two_dwords():
    assert [list(fields) for fields, _ in dwords(PACKETS["message"])][2:] == [[], []]


def test_posted_non_posted_and_completion_are_told_apart():
    assert word_for(PACKETS["memory read"]) == "non-posted"
    assert word_for(PACKETS["message"]) == "posted"
    assert word_for(PACKETS["unsupported"]) == "completion"
    for name, says in (
        ("memory read", "Non-posted: a completion must come back. 12 bytes of header"),
        ("message", "Posted: it is sent and forgotten. 16 bytes of header"),
        ("completion", "A completion: it answers a request. 12 bytes of header, 64 bytes of data"),
    ):
        assert words_of(tlp_picture(PACKETS[name]))[1].startswith(says)


def test_long_data_is_cut_and_counted():
    words = words_of(tlp_picture(PACKETS["memory write above 4 GiB"]))[-1]
    assert words.startswith("00 01 02")
    assert words.endswith("16 17 and 76 more")


@pytest.mark.parametrize(
    ("name", "bits", "word", "shown"),
    [
        ("TARGET", Bits(31, 16), 0x0301_0010, "03:00.1"),
        ("REGISTER", Bits(11, 2), 0x0301_0010, "0x10"),
        ("LENGTH", Bits(9, 0), 0x1A, "26"),
        ("LAST_BE", Bits(7, 4), 0x3C, "0011"),
        ("CODE", Bits(7, 0), 0x20, "0x20"),
        ("STATUS", Bits(15, 13), 1 << 13, "1"),
    ],
)
def test_a_field_is_written_as_the_specification_writes_it(name, bits, word, shown):
    assert value_of(name, bits, word) == shown


# -- many


@pytest.fixture(scope="module")
def crossings():
    board = Board("express")
    return board.recorded(lambda: board.cpu.load(board.edus[0].bar(0)))


def test_a_table_of_packets(crossings):
    table = packet_table(crossings)
    assert table.caption == "8 packets on a bus"
    assert table.rows[0][:6] == (
        "1",
        "00",
        "processor",
        "00:02.0 root port 1",
        "MRd32",
        "non-posted",
    )
    assert table.rows[0][6].endswith("4 bytes")
    assert [row[5] for row in table.rows] == ["non-posted"] * 4 + ["completion"] * 4
    assert packet_table(crossings, limit=3).caption == "the first 3 of 8 packets on a bus"
    assert packet_table(crossings[:1], caption="mine").caption == "mine"


def test_the_viewer_shows_one_after_the_other(crossings):
    viewer = PacketViewer(crossings, start=1)
    assert "On bus 01" in viewer._says.value
    next(each for each in viewer.controls if each.description == "Step").click()
    assert "On bus 02" in viewer._says.value
    viewer._packet.value = 7
    assert "a completion with data" in viewer._says.value
    viewer.reset()
    assert "On bus 01" in viewer._says.value
    assert "2: MRd on bus 01" in dict(viewer._packet.options)


def test_no_packet_is_refused():
    with pytest.raises(ValueError, match="no packet"):
        PacketViewer([])
