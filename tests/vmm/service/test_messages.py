"""The messages: every field comes back, and what is no message is refused."""

import json
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.vmm.service.messages import (
    DATA_BYTES,
    MAX_GREETING,
    NEVER,
    REPLY,
    REQUEST,
    Kind,
    Malformed,
    Reply,
    Request,
    greet,
    greeted,
    pack_reply,
    pack_request,
    receive,
    unpack_reply,
    unpack_request,
)

u32s, u64s = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
few = st.binary(max_size=DATA_BYTES)


@given(
    st.sampled_from([kind for kind in Kind if kind is not Kind.TYPE]),
    st.integers(0, 255),
    st.integers(0, 65535),
    u32s,
    u64s,
    u64s,
    u64s,
)
def test_a_request_comes_back_field_by_field(kind, part, size, sequence, offset, value, time):
    request = Request(kind, part, size, sequence, offset, value, time)
    packed = pack_request(request)
    assert len(packed) == 64
    assert unpack_request(packed) == request


@given(few)
def test_what_is_typed_comes_back_with_its_length(data):
    back = unpack_request(pack_request(Request(Kind.TYPE, data=data)))
    assert (back.data, back.size) == (data, len(data))


@given(u32s, u64s, st.one_of(st.none(), st.integers(0, NEVER - 1)), few)
def test_a_reply_comes_back_field_by_field(sequence, value, due, data):
    packed = pack_reply(Reply(sequence, value, due, data))
    assert len(packed) == 56
    assert unpack_reply(packed, sequence) == Reply(sequence, value, due, data)


def test_the_layout_is_the_one_that_is_documented():
    assert [REQUEST.fields[name][1] for name in REQUEST.names] == [0, 1, 2, 4, 8, 16, 24, 32]
    assert [REPLY.fields[name][1] for name in REPLY.names] == [0, 4, 8, 16, 24]
    packed = pack_request(Request(Kind.WRITE, 1, 2, 3, 4, 5, 6))
    assert packed[:32] == struct.pack("<BBHIQQQ", 2, 1, 2, 3, 4, 5, 6)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_request_or_malformed(data):
    try:
        request = unpack_request(data)
    except Malformed:
        assert len(data) != 64 or data[0] not in list(Kind)
    else:
        assert len(data) == 64
        assert request.kind == data[0]


@given(st.binary(min_size=50, max_size=60), st.integers(0, 3))
def test_any_bytes_are_a_reply_or_malformed(data, sequence):
    try:
        reply = unpack_reply(data, sequence)
    except Malformed:
        number, length = struct.unpack_from("<II", data)
        assert len(data) != 56 or number != sequence or length > DATA_BYTES
    else:
        assert len(data) == 56
        assert len(reply.data) <= DATA_BYTES


def test_a_reply_to_another_request_is_none():
    with pytest.raises(Malformed, match="request 8"):
        unpack_reply(pack_reply(Reply(8)), 9)


def test_a_reply_with_more_data_than_it_has_room_for_is_none():
    packed = bytearray(pack_reply(Reply(8, data=b"x" * DATA_BYTES)))
    assert len(unpack_reply(bytes(packed), 8).data) == DATA_BYTES
    packed[4] = DATA_BYTES + 1
    with pytest.raises(Malformed, match="33 bytes"):
        unpack_reply(bytes(packed), 8)


def test_receive_collects_pieces_and_ends_where_the_other_side_does():
    one, other = socket.socketpair()
    with one, other:
        other.sendall(b"ab")
        other.sendall(b"cdef")
        assert receive(one, 5) == b"abcde"
        other.close()
        assert receive(one, 5) == b"f"
        assert receive(one, 5) == b""


def said(data):
    """What is made of `data` as a greeting."""
    one, other = socket.socketpair()
    with one, other:
        other.sendall(data)
        other.shutdown(socket.SHUT_WR)
        return greeted(one)


def test_a_greeting_comes_back():
    one, other = socket.socketpair()
    with one, other:
        greet(one, {"kind": "uart", "memory": {"frames": [1, 2]}})
        assert greeted(other) == {"kind": "uart", "memory": {"frames": [1, 2]}}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "0 bytes"),
        (b"\1\0", "0 bytes"),
        (b"\0\0\0\0", "0 bytes"),
        (struct.pack("<I", MAX_GREETING + 1), str(MAX_GREETING + 1)),
        (b"\2\0\0\0{", "no JSON"),
        (b"\2\0\0\0[]", "no object"),
        (b"\2\0\0\0\xff\xff", "no JSON"),
    ],
)
def test_what_is_no_greeting_is_refused(data, why):
    with pytest.raises(Malformed, match=why):
        said(data)


def test_a_greeting_is_plain_json():
    text = json.dumps({"kind": "pic"}).encode()
    assert said(struct.pack("<I", len(text)) + text) == {"kind": "pic"}
