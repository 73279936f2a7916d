"""Tasks 2 and 3 of problem set 7: their judges, held to the library's memory and queue."""

import os
from random import Random

import pytest

from tests.course.refusals import refusal
from virtlab.course.answers import Answer
from virtlab.course.given import parts
from virtlab.course.given.world import Mapped, ring_at
from virtlab.course.ps4.avail_ring import Ring as AvailRing
from virtlab.course.ps7 import table_asks
from virtlab.course.ps7.table import HALVES, PC
from virtlab.errors import DmaFault
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.vhost_user.messages import ProtocolError
from virtlab.virtio.vhost_user.shared_memory import Shape, SharedMemory

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
