"""Packets: headers bit by bit, how they are read back, and how a transfer is cut into them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.pci.tlp import (
    ASSERT_INTA,
    DEASSERT_INTA,
    FIRST,
    TYPES,
    WITH_DATA,
    Tlp,
    bdf_text,
    completions,
    message_name,
    parse_bdf,
    source_id,
    split_reads,
    split_writes,
)

# -- requester ids


@given(st.integers(0, 0xFFFF))
def test_a_source_id_is_written_and_read(source):
    """2.2.6.2: bus in 15:8, device in 7:3, function in 2:0."""
    assert parse_bdf(bdf_text(source)) == source
    assert source_id(source >> 8, source >> 3 & 31, source & 7) == source


@pytest.mark.parametrize("text", ["", "00:20.0", "00:00.8", "100:00.0", "0:0", "00:00.0x"])
def test_what_is_no_place_is_misuse(text):
    with pytest.raises(ValueError, match="is no bus:device"):
        parse_bdf(text)


# -- headers, against the figures of 2.2


@pytest.mark.parametrize(
    ("tlp", "header"),
    [
        (Tlp("MRd", 0x0100, 3, 0x1000, 64), "00000010 0100 03 ff 00001000"),
        (Tlp("MRd", 0x0100, 3, 0x1_0000_1000, 64), "20000010 0100 03 ff 00000001 00001000"),
        (Tlp("MWr", 0x0208, 0, 0x1001, 1), "40000001 0208 00 02 00001000"),
        (Tlp("MWr", 0x0208, 0, 0x1002, 8), "40000003 0208 00 3c 00001000"),
        (Tlp("MRd", 0, 0, 0, 4096), "00000000 0000 00 ff 00000000"),
        (Tlp("MRd", 0, 0, 0x1000, 0), "00000001 0000 00 00 00001000"),
        (Tlp("IORd", 0, 1, 0x3F8, 1), "02000001 0000 01 01 000003f8"),
        (Tlp("IOWr", 0, 1, 0x3FA, 2), "42000001 0000 01 0c 000003f8"),
        (Tlp("CfgRd0", 0, 2, 0x104, 4, 0x0300), "04000001 0000 02 0f 03000104"),
        (Tlp("CfgWr1", 0, 2, 0x3D, 1, 0x0300), "45000001 0000 02 02 0300003c"),
        (Tlp("Msg", 0x0300, 0, code=ASSERT_INTA), "34000000 0300 00 20 00000000 00000000"),
        (Tlp("Cpl", 0, 2, completer=0x0300, status=1), "0a000000 0300 2000 0000 02 00"),
        (
            Tlp("CplD", 0x0100, 3, 0x41, 63, 0x0200, byte_count=4096),
            "4a000010 0200 0000 0100 03 41",
        ),
        (Tlp("CplD", 0x0100, 3, 0, 4, 0x0200), "4a000001 0200 0004 0100 03 00"),
    ],
)
def test_a_header_is_as_the_specification_draws_it(tlp, header):
    assert tlp.header().hex() == header.replace(" ", "")
    back = Tlp.decode(tlp.header())
    assert back._replace(byte_count=0) == tlp._replace(byte_count=0)


@pytest.mark.parametrize("kind", TYPES)
def test_fmt_says_whether_there_is_data(kind):
    """Table 2-2: bit 30 of the first dword."""
    word = int.from_bytes(Tlp(kind, length=4).header()[:4], "big")
    assert bool(FIRST.FMT.get(word) & 2) == (kind in WITH_DATA)


@pytest.mark.parametrize(
    ("address", "length", "enables"),
    [
        (0, 4, (0b1111, 0)),
        (1, 2, (0b0110, 0)),
        (3, 1, (0b1000, 0)),
        (3, 2, (0b1000, 0b0001)),
        (0, 8, (0b1111, 0b1111)),
        (2, 9, (0b1100, 0b0111)),
        (0, 0, (0, 0)),
    ],
)
def test_byte_enables_mark_the_first_and_the_last_dword(address, length, enables):
    """2.2.5: Last DW BE is 0000b where there is one dword only."""
    assert Tlp("MWr", address=address, length=length).byte_enables == enables


def test_posted_non_posted_and_completions():
    """2.1.1: memory writes and messages are posted."""
    groups = {"posted": [], "non_posted": [], "completion": []}
    for kind in TYPES:
        tlp = Tlp(kind, length=4)
        assert tlp.posted + tlp.non_posted + tlp.completion == 1
        for name, members in groups.items():
            members += [kind] * getattr(tlp, name)
    assert groups["posted"] == ["MWr", "Msg", "MsgD"]
    assert groups["completion"] == ["Cpl", "CplD"]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"", "12 or 16 bytes, not 0"),
        (bytes(16), "Fmt 000 does not fit a header of 16 bytes"),
        (b"\x20" + bytes(11), "Fmt 001 does not fit a header of 12 bytes"),
        (b"\x80" + bytes(11), "Fmt 100 is a prefix"),
        (b"\x1f" + bytes(11), "type 11111 without data"),
        (b"\x24" + bytes(15), "type 00100 without data"),
        (b"\x14" + bytes(11), "type 10100 without data"),
    ],
)
def test_a_header_that_is_not_known_is_refused(header, why):
    with pytest.raises(ValueError, match=why):
        Tlp.decode(header)


@given(st.binary(min_size=12, max_size=12) | st.binary(min_size=16, max_size=16))
def test_what_can_be_read_is_stable(header):
    """Any 12 or 16 bytes: refused, or a packet that is written and read as itself."""
    try:
        tlp = Tlp.decode(header)
    except ValueError:
        return
    assert Tlp.decode(tlp.header()) == tlp
    assert str(tlp)
    assert tlp.fields()


@given(
    st.sampled_from(["MRd", "MWr"]),
    st.integers(0, 0xFFFF),
    st.integers(0, 255),
    st.integers(0, (1 << 64) - 1),
    st.integers(1, 4096),
)
def test_a_memory_request_comes_back_whole(kind, requester, tag, address, length):
    length = min(length, 4096 - address % 4096)
    tlp = Tlp(kind, requester, tag, address, length)
    assert Tlp.decode(tlp.header()) == tlp


# -- for people


@pytest.mark.parametrize(
    ("tlp", "text"),
    [
        (Tlp("MRd", 0x100, 1, 0x1000, 4), "MRd32 01:00.0 -> 0x1000, 4 bytes, non-posted"),
        (Tlp("MWr", 0x100, 1, 1 << 32, 1), "MWr64 01:00.0 -> 0x100000000, 1 byte, posted"),
        (Tlp("IORd", 0, 1, 0x3F8, 1), "IORd 00:00.0 -> 0x3f8, 1 byte, non-posted"),
        (Tlp("CfgRd0", 0, 1, 4, 2, 0x208), "CfgRd0 02:01.0 register 0x4, 2 bytes, non-posted"),
        (Tlp("Msg", 0x100, code=0x26), "Msg from 01:00.0, Deassert_INTC, posted"),
        (Tlp("CplD", 0x100, 7, length=64), "CplD for 01:00.0 tag 7, 64 bytes"),
        (Tlp("Cpl", 0x100, 7), "Cpl for 01:00.0 tag 7, done"),
        (Tlp("Cpl", 0x100, 7, status=1), "Cpl for 01:00.0 tag 7, unsupported request"),
        (Tlp("Cpl", 0x100, 7, status=6), "Cpl for 01:00.0 tag 7, reserved status"),
    ],
)
def test_a_packet_in_words(tlp, text):
    assert str(tlp) == text


def test_interrupt_messages_have_names():
    """Table 2-16."""
    names = [message_name(ASSERT_INTA + n) for n in range(4)]
    assert names == ["Assert_INTA", "Assert_INTB", "Assert_INTC", "Assert_INTD"]
    assert message_name(DEASSERT_INTA) == "Deassert_INTA"
    assert message_name(0x7F) == "message 0x7f"


def test_every_field_is_listed_with_its_value():
    rows = {name: value for name, _, value, _ in Tlp("MWr", 0x108, 5, 1 << 32, 8).fields()}
    assert rows["DW 0 LENGTH"] == 2
    assert rows["DW 0 FMT"] == 3
    assert rows["DW 1 REQUESTER"] == 0x108
    assert rows["DW 2 address"] == 1
    assert rows["DW 3 address"] == 0


# -- cutting


@given(
    st.integers(0, 1 << 40), st.integers(0, 20_000), st.sampled_from([128, 256, 512, 1024, 4096])
)
def test_a_write_is_cut_and_nothing_is_lost(address, length, payload):
    """2.2.7: no more than Max_Payload_Size, and not across 4 KiB."""
    at = address
    for start, n in split_writes(address, length, payload):
        assert start == at
        assert 0 < n <= payload
        assert start // 4096 == (start + n - 1) // 4096
        at += n
    assert at == address + length


def test_a_read_is_cut_by_its_own_limit():
    assert list(split_reads(0x1F00, 0x300, 512)) == [(0x1F00, 0x100), (0x2000, 0x200)]


@given(
    st.integers(0, 1 << 40),
    st.integers(1, 4096),
    st.sampled_from([128, 256, 512]),
    st.sampled_from([64, 128]),
)
def test_completions_end_at_the_read_completion_boundary(address, length, payload, rcb):
    """2.3.1.1: each but the last ends at a multiple of RCB; the count is what is left."""
    at, parts = address, list(completions(address, length, payload, rcb))
    for start, n, left in parts:
        assert start == at
        assert 0 < n <= payload
        assert left == address + length - start
        at += n
    assert at == address + length
    assert all((start + n) % rcb == 0 for start, n, _ in parts[:-1])
