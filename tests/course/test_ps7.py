"""Problem set 7: its examples, and task 1, held to the library's channel and session."""

import socket
from random import Random

import pytest

from tests.course.answers import right
from tests.course.refusals import refusal
from virtlab.backends.disk import Disk
from virtlab.course.answers import Answer
from virtlab.course.checks import check
from virtlab.course.given.world import ANSWERED
from virtlab.course.ps7.stream_asks import packed, right_messages, right_reply
from virtlab.course.ps7.turn_bench import Bench
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.vhost_user.channel import Channel
from virtlab.virtio.vhost_user.layouts import ProtocolFeature, Request
from virtlab.virtio.vhost_user.messages import FORMS, ProtocolError
from virtlab.virtio.vhost_user.session import Answer as Reply
from virtlab.virtio.vhost_user.session import Session


@pytest.mark.parametrize("number", range(1, 6))
def test_the_solution_passes(number):
    assert check(f"ps7.q{number}", seed=4, namespace=right()).ok


@pytest.mark.long
@pytest.mark.parametrize("number", range(1, 6))
def test_the_solution_passes_with_150_seeds(number):
    for seed in range(150):
        assert check(f"ps7.q{number}", seed=seed, namespace=right()).ok


# -- the examples that the texts of the tasks give


def test_the_examples_of_task_1_hold():
    asked = bytes.fromhex("030000000100000000000000 02")
    assert right()["split_stream"](asked) == ([(3, 1, b"")], b"\2")
    done = bytes.fromhex("03000000 05000000 08000000 00000000 00000000")
    assert right()["reply"]((3, 9, b""), True, lambda *_: None) == done


def test_the_examples_of_task_2_hold():
    regions = [(0x4000, 0x1000, 0x7F0000, 0), (0x5000, 0x2000, 0x900000, 0x3000)]
    assert right()["gpa_of"](regions, 0x900010, 16) == 0x5010
    assert right()["place"](regions, 0x4FF0, 0x20) == [(0, 0xFF0, 0x10), (1, 0x3000, 0x10)]


def test_the_example_of_task_3_holds():
    bench = Bench(Answer({}))
    bench.listens(used_event=1)
    bench.offer(3, 5)
    assert right()["turn"](bench.q, bench.serve) == (True, "sleep")
    assert bench.ram.load(bench.q.used + 68, 2) == 2
    assert bench.served == [3, 5]


# -- task 1, held to the library's channel and session


def by_channel(data):
    """What our channel makes of a stream."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.sendall(data)
    channel, messages = Channel(ours, check=lambda message: None), []
    try:
        while True:
            message = channel.receive()
            if message is None:
                # What it has read of the message that is not complete.
                return messages, bytes(channel._data)
            messages.append((message.request, message.flags, message.payload))
    except ProtocolError:
        return messages, None
    finally:
        channel.close()
        theirs.close()


def test_a_stream_is_cut_as_our_channel_cuts_it():
    rng = Random(5)
    for _ in range(150):
        stream = b"".join(
            packed(rng.randrange(50), rng.randbytes(rng.choice((0, 8, 268))), rng.choice((1, 9)))
            for _ in range(rng.randrange(4))
        )
        stream += rng.choice((b"", rng.randbytes(20), packed(1, bytes(20))[: rng.randrange(32)]))
        assert right_messages(stream) == by_channel(stream)


def by_session(message, acked, handled):
    """What our session sends when a handler says so; None if it hangs up."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    session = Session(VirtioBlk(Disk(512)), ours)
    session.protocol = frozenset(ProtocolFeature) if acked else frozenset()

    def handler(_):
        if handled == "refused":
            raise ProtocolError("refused")
        return None if handled is None else Reply(handled)

    session.handlers[message[0]] = handler
    request, flags, payload = message
    theirs.sendall(packed(request, payload, flags))
    try:
        session.receive()
        return theirs.recv(4096)
    except BlockingIOError:
        return b""
    except ProtocolError:
        return None
    finally:
        session.close()
        theirs.close()


PLAIN = [
    request
    for request, form in FORMS.items()
    if form.feature is None and 0 in form.fds and request not in (Request.SET_MEM_TABLE,)
]


@pytest.mark.parametrize("request_", PLAIN)
def test_a_reply_is_what_our_session_sends(request_):
    form = FORMS[request_]
    payload = bytes(form.payload.itemsize) if form.payload else b""
    assert form.answered == (request_ in ANSWERED)
    for flags in (1, 9, 5):
        for acked in (True, False):
            for handled in (None, "refused", b"12345678", b""):
                message = (int(request_), flags, payload)
                due = by_session(message, acked, handled)
                assert right_reply(message, acked, handled) == due


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def split_stream(d): return 1", "yours 1"),
        ("def split_stream(d): return [], 7", "yours messages [], rest 7"),
        ("def split_stream(d): return [7], b''", "yours messages [7], rest none"),
        ("def split_stream(d): return [(1, 2, b'')] * 9, b''", "and 5 more, rest none"),
        ("def reply(m, a, h): h(*m[::2]); return 'x'", "yours 'x'"),
        ("def reply(m, a, h): h(m[0], None); return b''", "TypeError"),
        ("def reply(m, a, h): return b''", "expected 1 calls of handle yours 0 calls"),
        ("r = reply\ndef reply(m, a, h): r(m, a, h); return h(*m[::2])", "yours 2 calls"),
    ],
)
def test_what_is_no_message_is_said(source, said):
    assert said in refusal("ps7.q1", source)
