"""Where the packets of a batch lie: one view if in even steps, else an index, and both the same."""

import numpy as np
import pytest

from tests.virtio.net_rig import DATA, World, frame
from virtlab.backends import Frames
from virtlab.memory import GuestMemory
from virtlab.virtio.batch import Batch
from virtlab.virtio.batch_checks import evenly
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.net_places import Places

RAM = GuestMemory(0x10000)
RAM.bytes[:] = np.arange(0x10000) % 251

STEPS = {
    "side by side": [0x1000 + 64 * n for n in range(6)],
    "in slots": [0x1003 + 2048 * n for n in range(6)],
    "here and there": [0x1000, 0x5001, 0x3000, 0x2FC0, 0x7777, 0x10000 - 64],
    "downwards": [0x5000 - 128 * n for n in range(6)],
    "overlapping": [0x1000 + 16 * n for n in range(6)],
    "one": [0x10000 - 64],
}


def batch_at(places, length=64, write=False):
    return Batch.of([Chain(0, (Buffer(at, length, write),), 1) for at in places], RAM)


@pytest.mark.parametrize("name", STEPS)
def test_read_gives_a_copy_of_each(name):
    places = Places(batch_at(STEPS[name]), RAM.bytes)
    for at, size in ((0, 2), (12, 52), (0, 64), (63, 1)):
        found = places.read(at, size)
        assert found.shape == (len(STEPS[name]), size)
        assert [row.tobytes() for row in found] == [RAM.read(gpa + at, size) for gpa in STEPS[name]]
        assert not np.shares_memory(found, RAM.bytes)


@pytest.mark.parametrize("name", [name for name in STEPS if name != "overlapping"])
@pytest.mark.parametrize("rows", [1, None])
def test_write_puts_a_row_to_each_or_one_to_all(name, rows):
    ram = GuestMemory(0x10000)
    places = Places(batch_at(STEPS[name]), ram.bytes)
    rng = np.random.default_rng(1)
    data = rng.integers(1, 256, (rows or len(STEPS[name]), 52), np.uint8)
    places.write(12, data)
    for number, gpa in enumerate(STEPS[name]):
        assert ram.read(gpa + 12, 52) == data[0 if rows else number].tobytes()
    assert np.count_nonzero(ram.bytes) == 52 * len(STEPS[name])


def test_what_is_learned_of_a_batch():
    chains = [
        Chain(0, (Buffer(0x100, 64, False),), 1),
        Chain(1, (Buffer(0x200, 16, False), Buffer(0x300, 90, True)), 2),
    ]
    places = Places(Batch.of(chains, RAM), RAM.bytes)
    assert (places.alone, places.readable, places.writable) == (False, False, False)
    assert (places.least, places.most) == (16, 90)
    places = Places(batch_at([0x100, 0x200], 70, True), RAM.bytes)
    assert (places.alone, places.readable, places.writable) == (True, False, True)
    assert (places.least, places.most) == (70, 70)


def test_it_is_learned_once():
    """The note of a batch that comes again; not the note of somebody else."""
    batch = batch_at(STEPS["in slots"])
    batch.note = "somebody's"
    places = Places.of(batch, RAM.bytes)
    assert Places.of(batch, RAM.bytes) is places is batch.note
    assert Places.of(batch.copy(), RAM.bytes) is not places


def test_even_steps():
    u32 = np.dtype("<u4")

    def found(*offsets):
        view = evenly(RAM.bytes, np.array(offsets), u32)
        return None if view is None else view.strides[0]

    assert found(8, 12, 16) == 4
    assert found(8, 28, 48) == 20
    assert found(8) == 4
    assert found(8, 11, 14) is None  # they overlap
    assert found(12, 8, 4) is None
    assert found(8, 8) is None
    assert found(8, 12, 17) is None


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("length", [60, 61])
def test_frames_of_one_length_into_buffers_that_do_not_all_suffice(layout, length):
    """Then it is as ever: each frame that fits into its buffer is put there, the next one waits."""
    left = []
    for scalar in (True, False):
        world = World(layout=layout, scalar=scalar)
        receive, send, _ = world.by_hand(size=16, entries=6)
        for lap in range(6):
            for n in range(8):
                receive.add_buf((), [(DATA + 0x400 * n, 72 if n == 3 and lap > 2 else 2048)], n)
            receive.kick()
            if not lap:
                send.kick()
            frames = [frame(length, fill=lap * 8 + n) for n in range(7)]
            world.device._arrive_many(Frames.equal(np.array([list(each) for each in frames], "u1")))
            used = []
            while got := receive.get_buf():
                used.append((got.token, got.written))
            left.append((scalar, lap, used, world.ram.read(DATA, 0x3000)))
            if length == 61 and lap > 2:
                break
    half = len(left) // 2
    assert [each[1:] for each in left[:half]] == [each[1:] for each in left[half:]]


def test_frames_that_are_known_to_be_alike_say_so():
    """The length travels with them, and each way to look at them agrees with taking them apart."""
    raw = np.random.default_rng(2).integers(0, 256, (7, 60), np.uint8)
    alike, apart = Frames.equal(raw), Frames.of(row.tobytes() for row in raw)
    assert (alike.size, apart.size) == (60, 0)
    for change in (
        lambda frames: frames,
        lambda frames: frames.cut(2, 6),
        lambda frames: frames.cut(3, 3),
        lambda frames: frames.take(np.arange(len(frames)) % 2 == 0),
        lambda frames: frames.cut(1, 6).take(np.arange(5) != 2),
    ):
        one, other = change(alike), change(apart)
        assert list(one) == list(other)
        assert one.lengths.tolist() == other.lengths.tolist()
        for at in (0, 6):
            assert one.addresses(at).tolist() == other.addresses(at).tolist()
        if len(one):
            assert np.array_equal(one.table, other.table)


def twice(layout, step):
    """The same on a device that is served by batches, and on one that is not: what `step` gives."""
    left = []
    for scalar in (True, False):
        world = World(layout=layout, scalar=scalar)
        receive, send, _ = world.by_hand(size=16, entries=6)
        world.ram.write(DATA, bytes(0x8000))
        seen = step(world, receive, send)
        broken = bool(world.rig.broken)
        left.append((seen, broken, world.heard, world.ram.read(DATA, 0x8000)))
    assert left[0] == left[1]
    return left[0]


def arrive(world, count, length=60):
    raw = [list(frame(length, fill=n)) for n in range(count)]
    world.device._arrive_many(Frames.equal(np.array(raw, "u1")))


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("cut", [(12, 60), (72, 8), (40, 2000)])
def test_a_buffer_in_two_pieces_is_filled_piece_by_piece(layout, cut):
    """2.7.4.1: no assumption about framing."""

    def step(world, receive, send):
        send.kick()
        for n in range(8):
            gpa = DATA + 0x1000 * n
            receive.add_buf((), [(gpa, cut[0]), (gpa + 0x800, cut[1])], n)
        receive.kick()
        arrive(world, 8)
        return [receive.get_buf() and n for n in range(8)]

    *_, broken, _, memory = twice(layout, step)
    assert not broken
    assert memory[0x1000 : 0x1000 + 12] == bytes(10) + b"\x01\x00"


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("odd", [range(8), [7]])
def test_a_receive_buffer_that_is_to_be_read_is_no_buffer(layout, odd):
    """5.1.6.3.1: each is at least as large as the header, for the device to write."""

    def step(world, receive, send):
        send.kick()
        for n in range(8):
            piece = [(DATA + 0x1000 * n, 200)]
            receive.add_buf(*((piece, ()) if n in odd else ((), piece)), n)
        receive.kick()
        arrive(world, 8)

    _, broken, _, memory = twice(layout, step)
    assert broken
    assert not any(any(memory[0x1000 * n :][:200]) for n in odd)


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("odd", [range(8), [3]])
def test_a_packet_that_is_to_be_written_is_no_packet(layout, odd):
    """5.1.6.2: what is sent is for the device to read."""

    def step(world, receive, send):
        for n in range(8):
            piece = [(DATA + 0x1000 * n, 72)]
            world.ram.write(DATA + 0x1000 * n, bytes(12) + frame(60, fill=n))
            send.add_buf(*(((), piece) if n in odd else (piece, ())), n)
        send.kick()

    _, broken, heard, _ = twice(layout, step)
    assert broken
    assert len(heard) == odd[0]


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_packets_of_one_length_that_are_no_frames_are_dropped_on_the_wire(layout):
    """Header and 13 bytes, or a header alone."""
    for length in (12, 13, 25):

        def step(world, receive, send, length=length):
            for n in range(8):
                world.ram.write(DATA + 0x1000 * n, bytes(12) + frame(60, fill=n))
                send.add_buf([(DATA + 0x1000 * n, length)], (), n)
            send.kick()
            return [send.get_buf() and n for n in range(8)]

        _, broken, heard, _ = twice(layout, step)
        assert not broken
        assert not heard
