"""Tasks 1 to 3 of problem set 7: their judges, held to the library and to the text of the tasks."""

import os
import socket
from random import Random

import pytest

from tests.course.answers import right
from tests.course.refusals import refusal
from virtlab.backends.disk import Disk
from virtlab.course.answers import Answer
from virtlab.course.checks import check
from virtlab.course.ps4.avail_ring import Ring as AvailRing
from virtlab.course.ps7 import parts, table_asks
from virtlab.course.ps7.stream_asks import packed, right_messages, right_reply
from virtlab.course.ps7.table import HALVES, PC
from virtlab.course.ps7.turn_bench import Bench
from virtlab.course.ps7.world import ANSWERED, Mapped, ring_at
from virtlab.errors import DmaFault
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.vhost_user.channel import Channel
from virtlab.virtio.vhost_user.layouts import ProtocolFeature, Request
from virtlab.virtio.vhost_user.messages import FORMS, ProtocolError
from virtlab.virtio.vhost_user.session import Answer as Reply
from virtlab.virtio.vhost_user.session import Session
from virtlab.virtio.vhost_user.shared_memory import Shape, SharedMemory


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


# -- task 2, held to the library's shared memory


@pytest.fixture
def file():
    fd = os.memfd_create("ram")
    yield fd
    os.close(fd)


def test_a_table_is_refused_where_our_shared_memory_refuses_it(file):
    """For what it can be asked: rows, and the size of their files."""
    rng, outcomes = Random(3), set()
    memory = SharedMemory(limit=1 << 30)
    for _ in range(60):
        rows = table_asks.any_rows(rng, rng.randrange(1, 6))
        n = rng.randrange(len(rows))
        guest, size, user, offset = rows[n]
        rows[n] = rng.choice(
            (
                rows[n],
                (guest, 0, user, offset),
                (rows[0][0], size, user, offset),
                (guest, size, rows[-1][2] - 1, offset),
                (guest, size, (1 << 62) - size + rng.randrange(2), offset),
            )
        )
        end = max(table_asks.ends_of(rows)) - rng.choice((0, 0, 0, 1))
        os.ftruncate(file, end)
        due, _ = table_asks.right_table(table_asks.payload_of(rows), [end] * len(rows))
        try:
            memory.set_table([Shape(*row) for row in rows], [file] * len(rows))
            same = due == rows
        except ProtocolError:
            same = due == "refused"
        assert same, rows
        outcomes.add(due == "refused")
    assert outcomes == {True, False}
    memory.close()


def test_addresses_lead_where_those_of_our_shared_memory_lead(file):
    rng, memory = Random(4), SharedMemory(limit=1 << 30)
    for _ in range(20):
        rows = table_asks.any_rows(rng, rng.randrange(1, 6))
        os.ftruncate(file, max(table_asks.ends_of(rows)))
        memory.set_table([Shape(*row) for row in rows], [file] * len(rows))
        for _ in range(20):
            n = rng.randrange(len(rows))
            guest, size, user, offset = rows[n]
            inside, length = rng.randrange(size), rng.choice((1, 16, size))
            try:
                due = memory.gpa_of(user + inside, length)
            except ProtocolError:
                due = None
            assert table_asks.right_gpa(rows, user + inside, length) == due
            found = table_asks.right_place(rows, guest + inside, length)
            try:
                memory.offset(guest + inside, length)
            except DmaFault:
                assert found is None or len(found) > 1
                continue
            if inside + length <= size:
                assert found == [(n, offset + inside, length)]
            else:
                assert found is not None
                assert len(found) > 1
    memory.close()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def read_table(p, s): return [(1, 2)]", "yours [(1, 2)]"),
        ("def read_table(p, s): return []", "yours []"),
        ("def gpa_of(r, u, n): return 0x5000", "FAILS a ring"),
        ("def place(r, g, n): return 7", "yours 7"),
        ("def place(r, g, n): return [7]", "yours [7]"),
        ("r = place\ndef place(x, g, n): return r(x, g, n) or []", "a buffer of which one byte"),
    ],
)
def test_what_is_no_place_is_said(source, said):
    assert said in refusal("ps7.q2", source)


def test_memory_in_files_is_read_and_written_across_their_borders():
    files = [bytearray(0xA000), bytearray(0x4000), bytearray(0x1000)]
    memory = Mapped(HALVES, files, table_asks.right_place)
    memory.write(0x40_1FFC, bytes(range(1, 9)))
    assert bytes(files[0][0x9FFC:]) + bytes(files[1][0x1000:0x1004]) == bytes(range(1, 9))
    assert memory.load(0x40_1FFE, 4) == 0x06050403
    memory.store(0x40_4FFF, 2, 0x1_2345)
    assert (files[1][0x3FFF], files[2][0]) == (0x45, 0x23)
    with pytest.raises(DmaFault):
        memory.read(0x40_5FFF, 2)
    memory.place = lambda regions, gpa, length: [(0, 0, 1)]
    with pytest.raises(ValueError, match="place gives"):
        memory.read(0, 2)


# -- task 3


def test_the_parts_of_the_library_do_what_problem_set_4_asks_for():
    """`parts.pop` on the rings of ps4.q4: the same chain, or the same word."""
    rng, seen = Random(2), set()
    for _ in range(200):
        size, start = 1 << rng.randrange(1, 5), rng.choice((0, 65535, 65533))
        ring = AvailRing(Answer({"pop": parts.pop}), size, start, 0)
        heads = [rng.randrange(size + 1) for _ in range(rng.randrange(size))]
        if rng.random() < 0.2:
            ring.bad[0] = "loop"
        ring.offer(*heads, by=rng.choice((None, None, 9999)))
        for _ in range(3):
            before = ring.expected.copy()
            due = ring.right()
            ring.expected.update(before)
            assert ring.pop() is None
            seen.add(due if isinstance(due, str) else type(due))
    assert seen == {"idx", "head", "loop", tuple, type(None)}


def test_a_ring_that_may_not_lie_there_is_refused_by_the_parts():
    ring = ring_at(Mapped(PC, [bytearray(8 << 20)] * 2, table_asks.right_place), 8, 3, 0x400, 0x800)
    assert parts.pop(ring) == "ring"
    assert parts.should_interrupt(ring, 0) is False


def test_a_walk_of_the_record_refuses_what_the_library_refuses():
    memory = Mapped(PC, [bytearray(8 << 20)] * 2, table_asks.right_place)
    rings = SplitRings.placed(0x1000, 4)
    ring = ring_at(memory, *rings)
    memory.write(
        rings.desc_at(0), (0x5000).to_bytes(8, "little") + bytes([16, 0, 0, 0, 0, 0, 0, 0])
    )
    memory.write(rings.desc_at(1), (0xB_0000).to_bytes(8, "little") + bytes([16] + [0] * 7))
    memory.write(
        rings.desc_at(2), (0x5000).to_bytes(8, "little") + bytes([16, 0, 0, 0, 1, 0, 9, 0])
    )
    assert [ring.walk(head) for head in range(3)] == [[(0x5000, 16, False)], "memory", "chain"]


TURN = "t = turn\ndef turn(q, serve):\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (TURN + " return 1, 'sleep'", "yours (1, 'sleep')"),
        (TURN + " q.memory.store(0x100, 1, 0); return t(q, serve)", "a byte at 0x100"),
        (TURN + " serve([]); return t(q, serve)", "serve(buffers) gets the buffers of a chain"),
        (TURN + " while True: q.memory.load(q.avail, 2)", "it was stopped after 5,000 accesses"),
    ],
)
def test_what_is_no_turn_is_said(source, said):
    assert said in refusal("ps7.q3", source)
