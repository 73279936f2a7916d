"""Frames: whole, bounded, and never more than data, whatever comes out of a pipe."""

import contextlib
import json
import os
import struct
import threading

import pytest

from virtlab.course.grading import channel
from virtlab.course.grading.channel import Channel, Coded, Ended, Several, TooLarge
from virtlab.course.grading.kinds import Broken
from virtlab.course.grading.mirror import Book


@pytest.fixture
def ends():
    """Two channels, each the other's end; and the numbers of their pipes."""
    (r1, w1), (r2, w2) = os.pipe(), os.pipe()
    yield Channel(w1, r2, Book(2)), Channel(w2, r1, Book(1)), (r1, w1, r2, w2)
    for number in (r1, w1, r2, w2):
        with contextlib.suppress(OSError):
            os.close(number)


def frame(text, raw=b""):
    data = text if isinstance(text, bytes) else json.dumps(text).encode()
    return struct.pack("<II", len(data), len(raw)) + data + raw


def test_a_frame_comes_whole(ends):
    one, other, _ = ends
    one.send("call", 7, Coded(b"abc"), Several([1, (2,)]))
    kind, number, raw, several = other.receive()
    assert (kind, number) == ("call", 7)
    assert other.values([raw]) == [b"abc"]
    assert other.values(several) == [1, (2,)]


def test_a_large_value_crosses_in_pieces(ends):
    one, other, _ = ends
    value = os.urandom(3 << 20)
    thread = threading.Thread(target=one.send, args=("result", Coded(value)))
    thread.start()
    assert other.values(other.receive()[1:]) == [value]
    thread.join()


def test_a_frame_may_come_byte_by_byte(ends):
    one, _, (_, _, _, w2) = ends
    data = frame(["returned", [], [], 1])

    def drip():
        for byte in data:
            os.write(w2, bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    assert one.receive() == ["returned", 1]
    thread.join()


@pytest.mark.parametrize("value", [b"x" * (channel.MAX_RAW + 1), "x" * (channel.MAX_JSON + 1)])
def test_what_is_too_large_is_not_sent(ends, value):
    one, other, _ = ends
    with pytest.raises(TooLarge):
        one.send("result", Coded(value))
    one.send("result", 1)
    assert other.receive() == ["result", 1]


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<II", channel.MAX_JSON + 1, 0),
        struct.pack("<II", 2, 0xFFFFFFFF),
        frame(["x", [], []]) + b"!",
        frame(b""), frame(b"{"), frame(b"\xff\xfe"), frame(b"[1] [2]"), frame(b"[" * 200_000),
        frame(7), frame("text"), frame([]), frame(["x"]), frame({"a": 1, "b": 2, "c": 3}),
        frame(["x", 5, []]), frame(["x", [[]], []]), frame(["x", [[1, []]], []]),
        frame(b'["x",[],[],' + b"9" * 5000 + b"]"),
    ],
)  # fmt: skip
def test_what_is_no_frame_is_broken(ends, data):
    one, _, (_, _, _, w2) = ends
    thread = threading.Thread(target=os.write, args=(w2, data))
    thread.start()
    with pytest.raises(Broken):
        one.receive()
    thread.join()


def test_nobody_there_is_the_end_for_both_directions(ends):
    one, _, (r1, _, _, w2) = ends
    os.close(w2)
    with pytest.raises(Ended):
        one.receive()
    os.close(r1)
    with pytest.raises(Ended):
        one.send("call")
    one.into = 1 << 20
    with pytest.raises(Ended):
        one.receive()


def test_half_a_frame_is_the_end(ends):
    one, _, (_, _, _, w2) = ends
    os.write(w2, frame(["x", [], []])[:-1])
    os.close(w2)
    with pytest.raises(Ended):
        one.receive()


def test_a_length_decides_about_no_memory(ends, monkeypatch):
    one, _, (_, _, _, w2) = ends
    asked = []
    read = os.read
    monkeypatch.setattr(channel.os, "read", lambda fd, n: asked.append(n) or read(fd, n))
    os.write(w2, struct.pack("<II", channel.MAX_JSON, channel.MAX_RAW) + b"[1")
    os.close(w2)
    with pytest.raises(Ended):
        one.receive()
    assert max(asked) == channel.PIECE
