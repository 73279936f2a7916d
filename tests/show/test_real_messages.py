"""A recorded message says what it is: each request by its payload, each descriptor by its kind."""

import pytest

from virtlab.show.real_chapters import chapters, drivers, second_driver
from virtlab.show.real_heard import handshake
from virtlab.show.real_memory import shared
from virtlab.show.real_messages import (
    Piece,
    R,
    Sent,
    beside,
    feature_words,
    pieces,
    wants_reply,
    words,
)
from virtlab.virtio.features import Feature, to_bits
from virtlab.virtio.vhost_user.layouts import (
    CONFIG,
    INFLIGHT,
    MEMORY,
    NEED_REPLY,
    NOFD,
    REGION,
    SINGLE_REGION,
    U64,
    VRING_ADDR,
    VRING_STATE,
)
from virtlab.virtio.vhost_user.messages import pack


def ask(request, payload=b"", fds=(), flags=1):
    return Sent(1_000_000, True, request, flags, payload, fds)


def answer(request, payload=b"", fds=()):
    return Sent(1_000_000, False, request, 5, payload, fds)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (ask(R.GET_FEATURES), ""),
        (ask(R.SET_FEATURES, pack(U64, 1 << 32 | 1 << 9)), "FLUSH VERSION_1"),
        (answer(R.GET_FEATURES, pack(U64, 1 << 30 | 1 << 50)), "PROTOCOL_FEATURES bit 50"),
        (answer(R.GET_PROTOCOL_FEATURES, pack(U64, 1 << 12 | 1 << 60)), "INFLIGHT_SHMFD bit 60"),
        (ask(R.SET_STATUS, pack(U64, 0)), "0: reset"),
        (answer(R.GET_STATUS, pack(U64, 11)), "ACKNOWLEDGE DRIVER FEATURES_OK"),
        (answer(R.GET_QUEUE_NUM, pack(U64, 4)), "4"),
        (ask(R.SET_VRING_NUM, pack(VRING_STATE, 1, 256)), "ring 1: entries 256"),
        (ask(R.GET_VRING_BASE, pack(VRING_STATE, 1, 0)), "ring 1: stop"),
        (answer(R.GET_VRING_BASE, pack(VRING_STATE, 1, 179)), "ring 1: stopped at 179"),
        (
            ask(R.SET_VRING_ADDR, pack(VRING_ADDR, 0, 0, 0x1000, 0x3000, 0x2000, 0)),
            "ring 0: table 0x1000, avail 0x2000, used 0x3000",
        ),
        (ask(R.SET_VRING_KICK, pack(U64, 2)), "ring 2"),
        (ask(R.SET_VRING_CALL, pack(U64, 2 | NOFD)), "ring 2, none"),
        (ask(R.GET_CONFIG, pack(CONFIG, 8, 4, 0)), "4 bytes from 8 on"),
        (
            answer(R.GET_CONFIG, pack(CONFIG, 0, 8, 0) + (32768).to_bytes(8, "little")),
            "capacity 32768 sectors, ...",
        ),
        (ask(R.GET_INFLIGHT_FD, pack(INFLIGHT, 0, 0, 1, 8, 0)), "1 ring of 8"),
        (
            answer(R.GET_INFLIGHT_FD, pack(INFLIGHT, 192, 0, 1, 8, 0)),
            "1 ring of 8, 192 bytes of notes",
        ),
        (
            ask(R.ADD_MEM_REG, pack(SINGLE_REGION, 0, 0x1000, 2 << 20, 0x7F00, 0)),
            "gpa 0x1000, 2 MiB, user 0x7f00",
        ),
        (answer(R.ADD_MEM_REG, pack(U64, 0)), "done"),
        (answer(R.ADD_MEM_REG, pack(U64, 1)), "refused"),
        (ask(99), ""),
    ],
)
def test_a_message_in_words(one, said):
    assert words(one) == said


def test_a_memory_table_has_all_its_regions_and_no_more_than_came():
    raw = pack(REGION, 0, 640 << 10, 0x7000, 0) + pack(REGION, 1 << 20, 1 << 20, 0x9000, 640 << 10)
    whole = ask(R.SET_MEM_TABLE, pack(MEMORY, 2, 0) + raw)
    assert pieces(whole.message) == [
        Piece(0, 640 << 10, 0x7000, 0),
        Piece(1 << 20, 1 << 20, 0x9000, 640 << 10),
    ]
    assert words(whole) == "gpa 0x0, 640 KiB, user 0x7000; gpa 0x100000, 1 MiB, user 0x9000"
    cut = ask(R.SET_MEM_TABLE, pack(MEMORY, 8, 0) + raw[:40])
    assert len(pieces(cut.message)) == 1
    assert pieces(ask(R.SET_OWNER).message) == []


def test_descriptors_are_said_by_what_they_are():
    fds = (("file", 2 << 20), ("event", 0), ("socket", 0))
    assert beside(ask(R.SET_OWNER, fds=fds)) == "a file of 2 MiB, an eventfd, a socket"
    assert beside(ask(R.SET_OWNER)) == ""


def test_a_reply_is_wanted_by_who_asks_for_it():
    assert wants_reply(ask(R.SET_OWNER, flags=1 | NEED_REPLY))
    assert not wants_reply(ask(R.SET_OWNER))
    assert not wants_reply(answer(R.SET_OWNER)._replace(flags=NEED_REPLY))


def test_features_have_names_also_those_of_the_protocol():
    assert feature_words(to_bits({Feature.RING_PACKED, 26, 6})) == "BLK_SIZE LOG_ALL RING_PACKED"


def test_the_recorded_session_has_its_parts_and_two_drivers():
    session = handshake()
    assert list(chapters(session)) == [
        *("come to terms", "what the disk is", "share memory"),
        *("start the ring", "place the ring", "stop the ring"),
    ]
    assert session[chapters(session)["share memory"]].name == "ADD_MEM_REG"
    placed = chapters(session)["place the ring"]
    assert len(shared(session, placed).ring) == 3
    assert not shared(session, placed - 1).ring
    firmware, linux = drivers(session)
    assert firmware & linux == firmware != linux
    later = second_driver(session)
    assert session[later].name == "SET_FEATURES"
    assert drivers(session[later:]) == [linux]


def test_a_session_with_no_stop_has_one_driver():
    session = handshake()
    first = session[: chapters(session)["stop the ring"]]
    assert second_driver(first) == 0
    assert len(drivers(first)) == 1
    assert "stop the ring" not in chapters(first)
