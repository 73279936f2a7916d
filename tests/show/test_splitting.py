"""A transfer in packets: no packet too long, none over a boundary, no byte twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.show.looks import check_picture, words_of
from virtlab.show import Split, SplitLab, split_picture
from virtlab.show.splitting import BOUNDARIES, LONGEST, SIZES, explain

SPLITS = st.builds(
    Split,
    write=st.booleans(),
    address=st.integers(0, (1 << 32) - 1),
    length=st.integers(1, LONGEST),
    payload=st.sampled_from(SIZES),
    request=st.sampled_from(SIZES),
    boundary=st.sampled_from(BOUNDARIES),
)


@given(SPLITS)
def test_the_packets_are_the_transfer(asked):
    """PCI Express 3.0, 2.2.2 and 2.2.7."""
    for pieces in filter(None, (asked.requests, asked.answers)):
        at = asked.address
        for start, length in pieces:
            assert start == at
            assert start // 4096 == (start + length - 1) // 4096
            at += length
        assert at == asked.address + asked.length
    carried = asked.requests if asked.write else asked.answers
    assert max(length for _, length in carried) <= asked.payload
    if not asked.write:
        assert max(length for _, length in asked.requests) <= asked.request


@given(SPLITS)
def test_a_completion_ends_at_a_boundary_or_ends_its_request(asked):
    """PCI Express 3.0, 2.3.1.1."""
    ends = {start + length for start, length in asked.requests}
    for start, length in asked.answers:
        assert (start + length) % asked.boundary == 0 or start + length in ends


def test_the_cost_of_4096_bytes():
    whole = Split(True, 0x1000, 4096)
    assert (whole.packets, whole.overhead) == (32, 32 * 20)
    assert Split(False, 0x1000, 4096).packets == 8 + 32


@pytest.mark.parametrize(
    "asked",
    [
        Split(),
        Split(write=True),
        Split(address=0x1010, length=4096),
        Split(address=0x1FF0, length=17),
        Split(address=0xFFF, length=2),
        Split(length=1),
    ],
    ids=str,
)
def test_it_can_be_drawn(asked):
    check_picture(split_picture(asked))


def test_what_the_picture_counts():
    drawn = split_picture(Split())
    assert "read requests: 2" in words_of(drawn)
    assert "completions: 5" in words_of(drawn)
    assert "0x1000: a 4 KiB boundary" in words_of(drawn)
    assert "request     0xf90, 112 bytes" in drawn.text
    assert "completion  0x1180, 104 bytes" in drawn.text
    single = split_picture(Split(length=1)).text
    assert single.startswith("1 byte: 1 request, 1 completion, 40")


def test_a_write_has_no_completions():
    drawn = split_picture(Split(write=True))
    assert "memory writes: 5" in words_of(drawn)
    assert "completion" not in drawn.text


def test_the_words_name_the_limits():
    assert "Max_Payload_Size, `128` bytes" in explain(Split(write=True))
    assert "Max_Read_Request_Size, `512` bytes" in explain(Split())
    assert "4 KiB boundary" in explain(Split())
    assert "4 KiB boundary" not in explain(Split(address=0))
    assert "50 % of the bytes" in explain(Split(write=True, length=20, address=0))


# -- the widget


@pytest.fixture
def lab():
    return SplitLab()


def test_every_field_changes_the_picture(lab):
    seen = {lab._picture.value}
    for field, value in (
        (lab._way, True),
        (lab._payload, 256),
        (lab._address, "0x1000"),
        (lab._length, "1000"),
        (lab._way, False),
        (lab._request, 128),
        (lab._boundary, 128),
    ):
        field.value = value
    assert lab.state == Split(False, 0x1000, 1000, 256, 128, 128)
    assert lab._picture.value not in seen


@pytest.mark.parametrize(
    ("field", "typed", "says"),
    [
        ("_address", "here", "is no address"),
        ("_address", "0x100000000", "is no address"),
        ("_length", "0", "is no length: give a number from 1 to <code>4096</code>"),
        ("_length", "4097", "is no length"),
        ("_length", "", "is no length"),
    ],
)
def test_what_makes_no_sense_is_said_and_the_picture_stays(lab, field, typed, says):
    before = lab._picture.value
    getattr(lab, field).value = typed
    assert says in lab._says.value
    assert lab._picture.value == before


def test_reset_brings_the_start_back(lab):
    start = lab._picture.value, lab._says.value
    lab._length.value, lab._way.value, lab._payload.value = "nonsense", True, 4096
    lab.reset()
    assert (lab._picture.value, lab._says.value) == start
    assert lab.state == Split()
