"""The plural calls of a packed queue: a batch is what so many `pop` and `push` are, and no more."""

import tracemalloc

import numpy as np
import pytest

from tests.virtio.packed_random import Game, arrays
from tests.virtio.packed_ring import (
    AVAIL,
    BUFFERS,
    EXACT,
    INDIRECT,
    INDIRECT_ONLY,
    MEMORY,
    NEXT,
    ORDERED,
    RING,
    TABLE,
    USED,
    WRITE,
    CountingDma,
    Ring,
)
from tests.virtio.test_packed_hostile import CASES, refusal
from virtlab.errors import DmaFault, GuestError
from virtlab.memory import PAGE, GuestMemory, Region
from virtlab.virtio import packed_shadow
from virtlab.virtio.batch import Batch
from virtlab.virtio.ordering import no_barrier
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PackedOrder, PackedRings, to_word

READ = (BUFFERS, 16, 0)
IN = (BUFFERS + 0x100, 16, WRITE)

# -- scalar and vector agree


def play(first, rounds, **options):
    """Games from the seed `first` on, until `rounds` rings were compared."""
    while rounds > 0:
        rounds -= Game(first, **options).play(8)
        first += 1


# of each kind of guest, careful to careless, the first thousand are watched
@pytest.mark.parametrize(
    "part", [0, 1, 2, *(pytest.param(part, marks=pytest.mark.volume) for part in range(3, 10))]
)
def test_scalar_and_vector_agree_on_a_thousand_rings(part, monkeypatch):
    monkeypatch.setattr(packed_shadow, "RELEARN", 2)
    play(part * 1_000_000, 1000, bad=(0.05, 0.02, 0.2)[part % 3])


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(20))
def test_scalar_and_vector_agree_on_a_hundred_thousand_rings(part, monkeypatch):
    monkeypatch.setattr(packed_shadow, "RELEARN", 2)
    play(100_000_000 + part * 1_000_000, 5000, bad=(0.05, 0.02, 0.2)[part % 3])


@pytest.mark.parametrize("part", range(2))
def test_scalar_and_vector_agree_on_long_rings(part):
    play(part * 1_000_000, 30, sizes=(127, 256, 300, 511), bad=0.002)


def filled(size, features=frozenset(), base=0, lengths=512):
    """A ring of `size` full of lists of one descriptor, in memory that is large enough."""
    ring = Ring(size, features, CountingDma(RING + 16 * size + 0x1000 + 512), base)
    lap, slot = divmod(base, size)
    desc = ring.ram.view(RING, 16 * size).view(np.uint64).reshape(-1, 2)
    numbers = np.arange(size)
    desc[:, 0] = 16 * numbers
    bits = np.where((numbers < slot) ^ bool(lap % 2), USED, AVAIL)
    words = lengths | numbers << 32 | bits << 48
    desc[:, 1] = words.view(np.uint64)
    ring.at = base + size
    return ring


@pytest.mark.parametrize("size", [1, 5, 6, 127, 1000, 32767, 32768])
def test_a_full_ring_of_any_size_in_one_batch(size):
    """2.8: any Queue Size up to 32768. A lap and a half, from a slot in the middle."""
    base = 3 * size // 2
    ring = filled(size, base=base)
    batch = ring.queue.pop_many()
    slots = np.arange(base, base + size) % size
    assert batch.heads.tolist() == slots.tolist()
    assert batch.offset.tolist() == (16 * slots).tolist()
    assert set(batch.length) == {512}
    assert ring.queue.last_avail == base + size
    ring.queue.push_many(batch, 0)
    ring.queue._check()
    words = ring.ram.view(RING, 16 * size).view(np.uint64)[1::2]
    first_lap = np.arange(size) < base % size
    wrap = np.where(first_lap, base // size + 1, base // size) % 2 == 0
    assert (words >> np.uint64(48)).tolist() == np.where(wrap, AVAIL | USED, 0).tolist()
    assert (words >> np.uint64(32) & np.uint64(0xFFFF)).tolist() == list(range(size))


# -- what is taken


def test_a_batch_says_what_the_lists_say():
    ring = Ring(features=INDIRECT_ONLY)
    ring.give(READ, IN, ident=7)
    ring.give((*ring.table(READ, READ, IN), INDIRECT), ident=3)
    for ident in (1, 2):
        ring.give(READ, ident=ident)
    batch = ring.queue.pop_many()
    assert arrays(batch) == {
        "heads": [7, 3, 1, 2],
        "slots": [2, 1, 1, 1],
        "starts": [0, 2, 5, 6, 7],
        "offset": [BUFFERS, IN[0], BUFFERS, BUFFERS, IN[0], BUFFERS, BUFFERS],
        "length": [16] * 7,
        "write": [False, True, False, False, True, False, False],
    }


@pytest.mark.parametrize("limit", [0, 1, 4, 5, 6, 20])
def test_a_limit_leaves_the_rest(limit):
    ring = filled(16)
    batch = ring.queue.pop_many(limit)
    assert batch.heads.tolist() == list(range(min(limit, 16)))
    assert ring.queue.pop_many().heads.tolist() == list(range(limit, 16))


def test_a_limit_is_not_negative():
    with pytest.raises(ValueError, match="0 or more, not -1"):
        Ring().queue.pop_many(-1)


def test_nothing_there_is_an_empty_batch():
    queue = Ring().queue
    assert arrays(queue.pop_many()) == arrays(Batch.of([], queue.dma))
    queue.push_many(queue.pop_many(), 0)
    queue.push_many(np.zeros(0, np.int64))
    assert queue.used == 0


def test_a_queue_that_is_not_ready_has_none():
    queue = PackedQueue(CountingDma())
    assert len(queue.pop_many()) == 0
    with pytest.raises(ValueError, match="0 lists are in flight"):
        queue.push_many(np.array([0]))


def test_a_batch_needs_memory_that_is_one_array():
    class Plain:
        """A `Dma`, and no more."""

    queue = PackedQueue(Plain())
    with pytest.raises(TypeError, match="one array"):
        queue.pop_many()


def test_what_a_batch_has_cannot_be_changed():
    """It is given out again in the next lap: so whoever writes it would write what was checked."""
    ring = filled(8)
    batch = ring.queue.pop_many()
    for name in ("heads", "slots", "starts", "offset", "length", "write"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(batch, name)[0] = 1
    batch.copy().heads[0] = 1


# -- what is refused


@pytest.mark.parametrize("name", CASES)
def test_each_mistake_is_refused_as_by_pop(name):
    """The same words, the same clause, and nothing moves."""
    bad, says, clause = CASES[name]
    ring = Ring(size=8, features=INDIRECT_ONLY)
    bad(ring)
    error = refusal(ring, ring.queue.pop_many)
    assert says in error.why
    assert error.spec == f"virtio 1.3 {clause}"
    assert str(error) == str(refusal(ring))


MISTAKES = {
    "no bytes": (BUFFERS, 0, 0),
    "not memory": (MEMORY - 8, 9, 0),
    "past the last address": ((1 << 64) - 16, 17, 0),
    "over the queue": (RING + 100, 1, WRITE),
    "over the events": (RING + 16 * 16, 1, WRITE),
    "INDIRECT without the feature": (TABLE, 16, INDIRECT),
}


@pytest.mark.parametrize("before", [0, 1, 4, 5, 15])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_batch_ends_before_the_first_mistake(name, before):
    ring = Ring(size=16)
    ring.table(READ)
    for ident in range(16):
        ring.give(MISTAKES[name] if ident == before else READ, ident=ident)
    if before:
        assert ring.queue.pop_many().heads.tolist() == list(range(before))
    assert str(refusal(ring, ring.queue.pop_many)) == str(refusal(ring))


TABLES = {
    "INDIRECT and NEXT": [(TABLE, 16, INDIRECT), READ],
    "INDIRECT at the end": [READ, (TABLE, 16, INDIRECT)],
    "a table of nothing": [(TABLE, 0, INDIRECT)],
    "a table and a half": [(TABLE, 24, INDIRECT)],
    "a table that passes the last address": [((1 << 64) - 16, 32, INDIRECT)],
    "a table that is not memory": [(MEMORY, 16, INDIRECT)],
    "a table larger than the queue": [(TABLE, 16 * 17, INDIRECT)],
    "a list in two laps": [READ] * 3,
}


@pytest.mark.parametrize("features", [INDIRECT_ONLY, frozenset()])
@pytest.mark.parametrize("name", TABLES)
def test_a_batch_ends_before_a_wrong_table(name, features):
    """All else is right: what stands in the table, and what lies where no memory would be read."""
    ring = Ring(size=16, features=features)
    ring.table(*[READ] * 17)
    ring.table(READ, at=MEMORY - 16)
    for ident in range(6):
        ring.give(READ, ident=ident)
    ring.give(*TABLES[name], ident=9)
    if name == "a list in two laps":
        ring.desc(8, flags=USED)
    ring.give(READ, ident=10)
    assert ring.queue.pop_many().heads.tolist() == [0, 1, 2, 3, 4, 5]
    assert str(refusal(ring, ring.queue.pop_many)) == str(refusal(ring))


def after_three_laps(barrier, pieces, at, bad):
    """The shadow knows all of the ring; then the descriptor in slot `at` is another one."""
    ring = Ring(size=16, barrier=barrier)
    for lap in range(4):
        for ident in range(16):
            ring.give(bad if lap == 3 and ident == at else pieces(lap), ident=ident)
        batch = ring.queue.pop_many()
        assert batch.heads.tolist() == list(range(at if lap == 3 else 16))
        ring.queue.push_many(batch)
    assert str(refusal(ring, ring.queue.pop_many)) == str(refusal(ring))


@pytest.mark.parametrize("barrier", [no_barrier, None])
@pytest.mark.parametrize("step", [0, 32])
@pytest.mark.parametrize("at", [6, 15])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_what_was_right_a_lap_ago(name, at, step, barrier):
    """By compare, and, where addresses move, by a look at them."""
    after_three_laps(barrier, lambda lap: (BUFFERS + step * lap, 16, 0), at, MISTAKES[name])


@pytest.mark.parametrize("address", [RING - 15, RING + 16 * 16 + 7, MEMORY - 15, MEMORY, 1 << 63])
@pytest.mark.parametrize("at", [6, 15])
def test_only_the_address_is_wrong_now(address, at):
    """Over the queue, or no memory: `len`, `id` and `flags` are as before."""
    bad = (address, 16, WRITE)
    after_three_laps(None, lambda lap: (BUFFERS + 32 * lap, 16, WRITE), at, bad)


@pytest.mark.parametrize("ident", [3, 40])
def test_an_id_twice_in_a_batch_or_in_flight(ident):
    """2.8.21.1: a buffer gets the next free id."""
    ring = Ring(size=16)
    ring.give(READ, ident=40)
    ring.queue.pop()
    for number in range(8):
        ring.give(READ, ident=ident if number == 6 else number)
    assert ring.queue.pop_many().heads.tolist() == list(range(6))
    assert f"id {ident} is in flight" in refusal(ring, ring.queue.pop_many).why


def test_an_id_in_flight_is_seen_where_the_ring_is_as_it_was():
    """The shadow says the same lists; that one of them is in flight still, it does not know."""
    ring = Ring(size=16)
    for _ in range(2):
        for ident in range(8):
            ring.give(READ, ident=ident)
        batch = ring.queue.pop_many()
        ring.queue.push_many(batch)
    for ident in [40, 41, 42, 43, 44, 45, 46, 7, 0, 1, 2, 3, 4, 5, 6, 47]:
        ring.give(READ, ident=ident)
    # Slots 0 to 7 are taken. Of them only 7 stays away, and so slots 8 to 15 have to wait.
    first = ring.queue.pop_many(8)
    ring.queue.push_many(first.heads[:7])
    ring.queue.push_many(ring.queue.pop_many(8))
    for ident in range(7):
        ring.give(READ, ident=ident)
    assert ring.queue.pop_many().heads.tolist() == list(range(7))
    ring.queue._check()


@pytest.mark.parametrize("barrier", [no_barrier, None])
def test_what_the_device_holds_is_not_taken_again(barrier):
    """2.8.16. The bytes are those of a run that the shadow knows, and its ids are free."""
    ring = Ring(size=16, barrier=barrier)
    for lap in range(4):
        for ident in range(16):
            ring.give(READ, ident=ident + 20 * (lap == 3))
        if lap < 3:
            ring.queue.push_many(ring.queue.pop_many())
    assert len([ring.queue.pop() for _ in range(16)]) == 16
    for ident in range(16):
        ring.give(READ, ident=ident)
    assert refusal(ring, ring.queue.pop_many).spec == "virtio 1.3 2.8.16"


def test_a_batch_ends_where_the_device_holds_the_rest():
    """2.8.16 again: the slots behind the batch are in flight, and marked as available."""
    ring = Ring(16)
    for ident in range(16):
        ring.give(READ, ident=ident)
    ring.queue.push_many(ring.queue.pop_many().heads[:8])
    for ident in range(16):
        ring.give(READ, ident=ident + 20)
    assert ring.queue.pop_many().heads.tolist() == list(range(20, 28))
    assert refusal(ring, ring.queue.pop_many).spec == "virtio 1.3 2.8.16"


def test_a_guest_cannot_name_the_square_of_the_size():
    """Each of 32768 lists refers to the same table of 32768 buffers: 2**30 in all."""
    size = 32768
    table = RING + 16 * size + 0x1000
    ram = CountingDma(table + 16 * size + 16)
    ring = Ring(size, INDIRECT_ONLY, ram)
    desc = ram.view(RING, 16 * size).view(np.uint64)
    desc[0::2] = table
    desc[1::2] = (16 * size | np.arange(size) << 32 | (AVAIL | INDIRECT) << 48).view(np.uint64)
    inner = ram.view(table, 16 * size).view(np.uint64)
    inner[0::2], inner[1::2] = table, 1
    tracemalloc.start()
    batch = ring.queue.pop_many()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 1 <= len(batch) <= 4
    assert len(batch.offset) == len(batch) * size
    assert peak < 64 << 20
    assert len(ring.queue.pop_many()) == len(batch)


def test_more_than_four_gigabytes_are_too_many_for_a_list():
    """2.8.13: by a table of 32768 buffers, all of them the same 128 KiB, and one byte more each."""
    size, length = 32768, (1 << 17) + 1
    table = RING + 16 * size + 0x1000
    ram = CountingDma(table + 16 * size)
    ring = Ring(size, INDIRECT_ONLY, ram)
    inner = ram.view(table, 16 * size).view(np.uint64)
    inner[0::2], inner[1::2] = RING, length
    for ident in range(8):
        ring.give((RING, 16, 0) if ident != 6 else (table, 16 * size, INDIRECT), ident=ident)
    assert ring.queue.pop_many().heads.tolist() == [0, 1, 2, 3, 4, 5]
    assert "chain of 0x1" in refusal(ring, ring.queue.pop_many).why


def test_lists_one_by_one_have_the_same_bound(monkeypatch):
    """Where memory is in pieces, every list is taken alone; a batch ends there too."""
    ring = Ring(8, INDIRECT_ONLY)
    table = ring.table(*[READ] * 8)
    for ident in range(8):
        ring.give((*table, INDIRECT), ident=ident)
    many = ring.queue._plural()
    many.most, many.ring = 32, None
    assert [len(ring.queue.pop_many()) for _ in range(3)] == [4, 4, 0]


# -- notification


def test_with_event_idx_the_device_asks_once_for_what_comes_next():
    """2.8.10: for the descriptor behind the batch."""
    ring = filled(16, EXACT)
    ring.queue.pop_many(12)
    assert ring.ram.load(ring.rings.device, 2) == to_word(12, 16)
    assert ring.ram.writes == [(ring.rings.device, 4)]
    ring.queue.listening = False
    ring.queue.pop_many()
    assert len(ring.ram.writes) == 1


def test_where_the_devices_event_is_not_memory_nothing_is_taken():
    ring = Ring(16, EXACT)
    ring.queue.enable(ring.rings._replace(device=1 << 40), EXACT)
    for ident in range(16):
        ring.give(READ, ident=ident)
    assert "no memory" in refusal(ring, ring.queue.pop_many).why


# -- one fetch, in order


class Meddler:
    """A barrier that lets the driver run: at `point` it calls `act`, once."""

    def __init__(self, point, act):
        self.point, self.act, self.points = point, act, []

    def __call__(self, point):
        self.points.append(point)
        if point is self.point and self.act:
            act, self.act = self.act, None
            act()


def with_meddler(act, laps, size=8):
    """A ring whose driver fills it `laps` times, and does `act` when the flags were read then."""
    meddler = Meddler(PackedOrder.FLAGS_THEN_REST, None)
    ring = Ring(size, barrier=meddler)
    for lap in range(laps):
        for ident in range(size):
            ring.give(READ, ident=ident)
        if lap == laps - 1:
            meddler.act = lambda: act(ring)
        else:
            ring.queue.push_many(ring.queue.pop_many())
    return ring


@pytest.mark.parametrize("laps", [1, 2, 3, 4])
def test_addresses_are_read_behind_the_flags(laps):
    """2.8.21.1.1: what the driver wrote before the flags is seen. From lap 2 on by the shadow."""
    ring = with_meddler(lambda ring: ring.ram.store(RING + 16 * 5, 8, BUFFERS + 0x200), laps)
    assert ring.queue.pop_many().offset[5] == BUFFERS + 0x200


@pytest.mark.parametrize("laps", [1, 2, 3, 4])
def test_an_address_that_is_changed_between_is_checked_as_it_is_used(laps):
    ring = with_meddler(lambda ring: ring.ram.store(RING + 16 * 5, 8, MEMORY), laps)
    assert ring.queue.pop_many().heads.tolist() == [0, 1, 2, 3, 4]


def test_flags_that_change_behind_the_scan_are_those_of_the_copy():
    """NEXT, where there was none when the device counted: two lists have become one."""
    ring = with_meddler(lambda ring: ring.ram.store(RING + 16 * 5 + 14, 2, AVAIL | NEXT), 1)
    assert ring.queue.pop_many().slots.tolist() == [1, 1, 1, 1, 1, 2, 1]


def test_what_is_not_available_any_more_is_not_taken():
    ring = with_meddler(lambda ring: ring.ram.store(RING + 16 * 5 + 14, 2, 0), 1)
    assert ring.queue.pop_many().heads.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("features", [frozenset(), ORDERED])
@pytest.mark.parametrize("how", ["whole", "ids", "written"])
def test_the_first_used_descriptor_opens_the_batch(features, how):
    """2.8.21.3.1: at the barrier all else is written, and a driver sees nothing of it."""
    seen = []

    def look():
        flags = [ring.found(slot)[3] & (AVAIL | USED) for slot in range(8)]
        seen.append([bits == AVAIL | USED for bits in flags])

    ring = Ring(8, features, barrier=Meddler(PackedOrder.REST_THEN_USED_FLAGS, look))
    for ident in range(8):
        ring.give(IN, ident=ident)
    batch = ring.queue.pop_many()
    lengths = {"whole": 0, "ids": 0, "written": np.arange(8)}[how]
    ring.queue.push_many(batch.heads if how == "ids" else batch, lengths)
    assert seen == [[False] + [True] * 7]
    assert [ring.found(slot)[3] & (AVAIL | USED) for slot in range(8)] == [AVAIL | USED] * 8
    assert ring.queue.barrier.points.count(PackedOrder.REST_THEN_USED_FLAGS) == 1


# -- the shadow


def laps(ring, count, move=0):
    """The driver fills the ring with the same lists again: the batch of each lap."""
    found = []
    for lap in range(count):
        for ident in range(ring.rings.size):
            ring.give((BUFFERS + 16 * ident + move * lap, 16, 0), ident=ident)
        batch = ring.queue.pop_many()
        found.append(batch.offset.tolist())
        ring.queue.push_many(batch)
    return found


def test_the_same_bytes_are_the_same_batch():
    ring = Ring(16, barrier=no_barrier)
    batches = []
    for _ in range(4):
        for ident in range(16):
            ring.give(READ, ident=ident)
        batches.append(ring.queue.pop_many())
        ring.queue.push_many(batches[-1])
    assert batches[2] is batches[3]
    assert arrays(batches[0]) == arrays(batches[1]) == arrays(batches[2])


@pytest.mark.parametrize("barrier", [no_barrier, None])
def test_other_addresses_are_looked_at(barrier):
    ring = Ring(16, barrier=barrier)
    assert laps(ring, 3, move=512) == [
        [BUFFERS + 16 * ident + 512 * lap for ident in range(16)] for lap in range(3)
    ]


def test_addresses_that_come_again_are_learned(monkeypatch):
    monkeypatch.setattr(packed_shadow, "RELEARN", 3)
    ring = Ring(16, barrier=no_barrier)
    laps(ring, 2)
    run = ring.queue._many._runs[0]
    for lap in range(4):
        for ident in range(16):
            ring.give((BUFFERS + 0x400 + 16 * ident, 16, 0), ident=ident)
        batch = ring.queue.pop_many()
        assert batch.offset.tolist() == [BUFFERS + 0x400 + 16 * ident for ident in range(16)]
        assert (batch is run.batch) == (lap == 3)
        ring.queue.push_many(batch)


def test_it_is_forgotten_when_memory_is_mapped_otherwise():
    """`Dma.generation`: the same addresses are other bytes now."""
    ring = Ring(16, ram=CountingDma(2 * MEMORY))
    laps(ring, 2)
    for ident in range(16):
        ring.give((BUFFERS + 16 * ident, 16, 0), ident=ident)
    ram = ring.ram
    ram.bytes[MEMORY:] = ram.bytes[:MEMORY]
    ram.regions = [Region(0, MEMORY, MEMORY)]
    ram.generation += 1
    batch = ring.queue.pop_many()
    assert batch.offset.tolist() == [MEMORY + BUFFERS + 16 * ident for ident in range(16)]
    ram.regions = [Region(0, MEMORY, 0)]
    ram.generation += 1
    ring.queue.push_many(batch)
    ring.queue._check()
    assert ring.found(0)[3] == AVAIL | USED
    assert ram.bytes[MEMORY + RING + 14] == AVAIL  # where it lay in between


def test_a_buffer_longer_than_any_window_is_looked_at_in_full():
    """It lies between two parts of the queue; moved, it lies over one of them."""
    ring = Ring(8, ram=CountingDma(0x6000))
    ring.rings = ring.rings._replace(device=0x5000)
    ring.queue.enable(ring.rings)
    for lap in range(3):
        for ident in range(8):
            ring.give((0x1200 if lap < 2 else 0xF00, 0x3D00, WRITE), ident=ident)
        if lap < 2:
            ring.queue.push_many(ring.queue.pop_many())
    assert "over the queue" in refusal(ring, ring.queue.pop_many).why


def test_it_does_not_grow_without_a_bound():
    """A run for each slot where a batch began would be the square of the size."""
    ring = Ring(63)
    for lap in range(300):
        for ident in range(lap % 13 + 5):
            ring.give(READ, ident=ident)
        ring.queue.push_many(ring.queue.pop_many())
        kept = sum(run.size for run in ring.queue._many._runs.values())
        assert kept == ring.queue._many._runs.size <= 4 * 63


# -- giving back


def in_flight(features=frozenset()):
    ring = Ring(16, features)
    ring.give(READ, IN, ident=4)
    for ident in (0, 9, 7, 2):
        ring.give(IN, ident=ident)
    return ring, ring.queue.pop_many()


@pytest.mark.parametrize(
    ("features", "heads", "written", "says"),
    [
        (frozenset(), [1], 0, "id 1 is in flight"),
        (frozenset(), [4, 0, 4], 0, "given twice"),
        (frozenset(), [-1], 0, "id -1"),
        (frozenset(), [65536], 0, "id 65536"),
        (frozenset(), [4, 0, 9, 7, 2, 1], 0, "cannot give 6 back"),
        (frozenset(), [4.5], 0, "whole numbers"),
        (frozenset(), [[4]], 0, "shape"),
        (frozenset(), [4], [1, 2], "shape"),
        (frozenset(), [4], [0.5], "whole numbers"),
        (frozenset(), [4], -1, "not -1"),
        (frozenset(), [4], (1 << 32) + 1, "writable bytes"),
        (frozenset(), None, [16, 16, 16, 17, 16], "id 7 has 16 writable bytes, not 17"),
        (frozenset(), None, -1, "not -1"),
        (ORDERED, [4], 17, "16 writable bytes"),
        (ORDERED, [4, 9], 0, "list 0 is next, not 9"),
        (ORDERED, [0], 0, "list 4 is next, not 0"),
    ],
)
def test_a_device_that_gives_back_what_it_may_not(features, heads, written, says):
    ring, batch = in_flight(features)
    ring.queue._settle()
    before = ring.state()
    with pytest.raises(ValueError, match=says):
        ring.queue.push_many(batch if heads is None else heads, written)
    assert ring.state() == before


def test_a_batch_of_another_time_is_not_given_back():
    """The id is in flight again, but with another number of slots."""
    ring, batch = in_flight()
    ring.queue.push_many(batch)
    for ident in (4, 0, 9, 7, 2):
        ring.give(READ, ident=ident)
    ring.queue.pop_many()
    with pytest.raises(ValueError, match="no such list with id 4"):
        ring.queue.push_many(batch)


def test_nothing_is_given_back_twice():
    ring, batch = in_flight()
    ring.queue.push_many(batch)
    with pytest.raises(ValueError, match="0 lists are in flight"):
        ring.queue.push_many(batch)


def test_the_last_batch_while_others_are_in_flight():
    """As it was taken; but what is written goes where the oldest begins."""
    ring, _ = in_flight()
    for ident in range(20, 26):
        ring.give(READ, ident=ident)
    ring.queue.push_many(ring.queue.pop_many())
    assert [ring.found(slot)[2] for slot in range(6)] == list(range(20, 26))
    assert (ring.queue.used, ring.queue.in_flight) == (6, 5)
    ring.queue._check()


def test_one_number_stands_for_all():
    ring, batch = in_flight()
    ring.queue.push_many(batch, 7)
    assert [ring.found(slot)[1:3] for slot in (0, 2, 3)] == [(7, 4), (7, 0), (7, 9)]


@pytest.mark.parametrize("ids", [False, True])
def test_in_order_a_used_descriptor_stands_for_those_before_it(ids):
    """2.8.8: all that were written completely, and one more."""
    ring, batch = in_flight(ORDERED)
    ring.queue.push_many(batch.heads if ids else batch, np.array([16, 16, 3, 16, 16]))
    used = {slot: ring.found(slot)[1:3] for slot in range(6) if ring.found(slot)[3] & USED}
    assert used == {0: (3, 9), 4: (16, 2)}
    assert ring.queue.in_flight == 0


def test_in_order_what_is_only_read_takes_one_descriptor():
    ring = filled(16, ORDERED)
    ring.queue.push_many(ring.queue.pop_many(), 0)
    assert [slot for slot in range(16) if ring.found(slot)[3] & USED] == [0]
    assert ring.found(0)[1:3] == (0, 15)


def test_four_gigabytes_do_not_fit_into_the_used_length():
    """2.8.13."""
    ring, _ = in_flight()
    ring.queue.push_many([4], 1 << 32)
    assert ring.found(0)[1] == 0xFFFF_FFFF


@pytest.mark.parametrize("calls", ["pop and push", "push", "peek", "reset"])
def test_singular_calls_know_of_the_last_batch(calls):
    """It is noted late. Whatever comes in between must not see a difference."""
    ring, batch = in_flight(ORDERED)
    queue = ring.queue
    if calls == "reset":
        queue.reset()
        assert queue.in_flight == 0
        queue._check()
        return
    if calls == "peek":
        assert queue.peek(queue.used).head == 4
    if calls == "pop and push":
        ring.give(READ, ident=5)
        assert queue.pop().head == 5
    chain = queue.peek(0)
    queue.push(chain, 16)
    assert queue.in_flight == (5 if calls == "pop and push" else 4)
    queue._check()
    assert not queue._slots[4]
    assert queue._slots[batch.heads[1:]].tolist() == [1] * 4


# -- memory in pieces


class Scattered(GuestMemory):
    """Memory whose pages lie in another order: what passes the end of a page is in two places."""

    def __init__(self, size):
        super().__init__(size)
        self.pages = np.random.default_rng(1).permutation(size // PAGE)

    def offset(self, gpa, length=1, write=False):
        start = super().offset(gpa, length, write)
        if length and start // PAGE != (start + length - 1) // PAGE:
            raise DmaFault("in two places", gpa, length)
        return int(self.pages[start // PAGE]) * PAGE + start % PAGE

    def offset_many(self, gpas, lengths, write=None):
        found = [self._offset(int(gpa), int(n)) for gpa, n in zip(gpas, lengths, strict=True)]
        return np.array(found, np.int64)

    def _offset(self, gpa, length):
        try:
            return self.offset(gpa, length)
        except DmaFault:
            return -1


@pytest.mark.parametrize("size", [16, 400])
def test_a_buffer_in_several_places_is_several_pieces(size):
    """400 descriptors are more than a page: there the ring itself is in two places."""
    ram = Scattered(MEMORY)
    first_flags = []
    ring = Ring(size, ram=ram, barrier=lambda point: first_flags.append(ram.load(RING + 14, 2)))
    raw = np.zeros((size, 2), np.uint64)
    raw[:, 0] = 0x8000 + 0x100 * np.arange(size) % 0x7000
    raw[:, 1] = (0x180 | np.arange(size) << 32 | AVAIL << 48).view(np.uint64)
    for number, pair in enumerate(raw):
        ram.write(RING + 16 * number, pair.tobytes())
    scalar = PackedQueue(ram)
    scalar.enable(ring.rings)
    expected = Batch.of(iter(scalar.pop, None), ram)
    batch = ring.queue.pop_many()
    assert arrays(batch) == arrays(expected)
    assert len(batch.offset) > size
    ring.queue.push_many(batch, 0)
    ring.queue._check()
    assert set(first_flags) == {AVAIL}  # the first is used last, here too
    flags = [ram.load(RING + 16 * number + 14, 2) for number in range(size)]
    assert flags == [AVAIL | USED] * size


def test_a_ring_that_is_not_memory_is_refused():
    ring = Ring(16)
    ring.queue.enable(PackedRings(16, 1 << 40, 0x100, 0x104))
    with pytest.raises(GuestError, match="no memory"):
        ring.queue.pop_many()
