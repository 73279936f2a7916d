"""What plural calls cost: the accesses of each, their order, and what a batch ends at."""

import weakref

import numpy as np
import pytest

from tests.guest.twin_drivers import LAYOUTS
from tests.virtio.model import MemoryCpu
from virtlab.cpu import Recorder
from virtlab.guest import virtqueue_driver
from virtlab.guest.virtqueue import DeviceBroken, Tables
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import USED_ELEM
from virtlab.virtio.ordering import Order
from virtlab.virtio.packed_layouts import (
    EVENT_DESC,
    PACKED_DESC,
    PackedOrder,
    to_word,
    used_bits,
    wrap_at,
)

RING, TABLE, BUFFER = 0x1000, 0x180000, 0x190000


class Rig:
    """One driver behind a recorder, and a device that is real."""

    def __init__(self, layout, size=8, features=frozenset(), base=MemoryCpu):
        kind, rings, queue = LAYOUTS[layout]
        self.ram = GuestMemory(1 << 21)
        self.rings = rings.placed(RING, size)
        self.cpu = Recorder(base(self.ram))
        self.points = []
        self.driver = kind(self.cpu, self.rings, features)
        self.driver.barrier = lambda point: self.points.append((point, len(self.cpu.accesses)))
        self.queue = queue(self.ram)
        self.queue.enable(self.rings, features)
        self.cpu.accesses.clear()

    def serve(self, count=None, written=0):
        """Kick, and give back the first `count` of what is there, one after the other."""
        self.driver.kick()
        left = self.driver.size if count is None else count
        while left and (chain := self.queue.pop()):
            self.queue.push(chain, min(written, chain.writable))
            left -= 1
        self.cpu.accesses.clear()
        self.points.clear()

    def moves(self):
        """The accesses, as (verb, address, bytes), and forget them."""
        verbs = {(False, 2): "load", (True, 2): "store", (True, 4): "store"}
        each = self.cpu.accesses
        found = [(verbs.get((a.write, a.size), "move"), a.address, a.size) for a in each]
        self.cpu.accesses.clear()
        return found


BOTH = pytest.mark.parametrize("layout", ["split", "packed"])


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch):
    """The batches of these tests are small, and shall not go one by one."""
    monkeypatch.setattr(virtqueue_driver, "FEW", 0)


# -- adding


@BOTH
def test_tokens_count_from_0_if_there_are_none(layout):
    rig = Rig(layout)
    assert rig.driver.add_bufs([BUFFER] * 3, 16) == 3
    rig.serve()
    tokens, written = rig.driver.get_bufs()
    assert tokens == [0, 1, 2]
    assert written.tolist() == [0, 0, 0]


@BOTH
def test_a_token_is_whatever_it_was(layout):
    """Lists and tuples too, which NumPy would take apart; and its own numbers become ints."""
    rig = Rig(layout)
    some = [(1, 2), [3, 4], None, object(), np.zeros(3)]
    rig.driver.add_bufs([BUFFER] * 5, 16, some)
    rig.driver.add_buf([(BUFFER, 1)], [], (5, 6))
    rig.serve()
    assert all(a is b for a, b in zip(rig.driver.get_bufs(5)[0], some, strict=True))
    assert rig.driver.get_bufs()[0] == [(5, 6)]
    rig.driver.add_bufs([BUFFER] * 2, 16, np.array([7, 8]))
    rig.serve()
    assert [type(token) for token in rig.driver.get_bufs()[0]] == [int, int]


@BOTH
def test_a_full_ring_takes_as_many_as_fit_and_says_how_many(layout):
    rig = Rig(layout)
    assert rig.driver.add_bufs(np.full((5, 3), BUFFER), 16) == 2
    assert rig.driver.free == 2
    assert rig.driver.add_bufs(np.full((5, 3), BUFFER), 16) == 0
    assert rig.driver.add_bufs([BUFFER] * 5, 16) == 2
    rig.driver._check()


@BOTH
def test_no_buffers_are_added(layout):
    rig = Rig(layout)
    assert rig.driver.add_bufs([], []) == 0
    assert rig.moves() == []


def test_split_descriptors_and_entries_are_one_move_each():
    rig = Rig("split")
    rig.driver.add_bufs(np.full((2, 3), BUFFER), 16)
    assert rig.moves() == [("move", rig.rings.desc, 6 * 16), ("store", rig.rings.avail_at(0), 4)]


def test_packed_descriptors_are_one_move_but_for_the_flags_of_the_first():
    """2.8.21.1.1: those flags are for `kick`, after the barrier. A second batch has none."""
    rig = Rig("packed")
    rig.driver.add_bufs(np.full((2, 2), BUFFER), 16)
    rig.driver.add_bufs(np.full((2, 1), BUFFER), 16)
    at = rig.rings.desc_at
    assert rig.moves() == [
        ("move", at(0), 14),
        ("move", at(1), 3 * 16),
        ("move", at(4), 2 * 16),
    ]
    assert rig.queue.pop() is None
    rig.driver.kick()
    assert rig.moves()[0] == ("store", at(0) + 14, 2)
    assert sum(rig.queue.pop() is not None for _ in range(5)) == 4


@BOTH
def test_round_the_end_there_are_two_moves(layout):
    rig = Rig(layout)
    rig.driver.add_bufs([BUFFER] * 6, 16)
    rig.serve()
    rig.driver.get_bufs()
    rig.driver.add_buf([(BUFFER, 1)], [], "one")
    rig.cpu.accesses.clear()
    rig.driver.add_bufs([BUFFER] * 4, 16)
    moves = rig.moves()
    assert [move[1] for move in moves[:2]] == [rig.rings.desc_at(7), rig.rings.desc]
    assert [move[2] for move in moves[:2]] == [16, 3 * 16]
    assert len(moves) == (4 if layout == "split" else 2)


def test_free_descriptors_in_disorder_are_sorted_into_runs():
    """Heads go into the entries as they were freed; the table does not care who is first."""
    rig = Rig("split")
    rig.driver.add_bufs([BUFFER] * 8, 16)
    rig.driver.kick()
    chains = [rig.queue.pop() for _ in range(8)]
    for i in (5, 1, 4, 0, 2):
        rig.queue.push(chains[i])
    rig.driver.get_bufs()
    rig.cpu.accesses.clear()
    rig.driver.add_bufs([BUFFER + i for i in range(5)], 16)
    at = rig.rings.desc_at
    assert rig.moves() == [
        ("move", at(0), 3 * 16),
        ("move", at(4), 2 * 16),
        ("move", rig.rings.avail_at(0), 10),
    ]
    rig.driver.kick()
    assert [rig.queue.pop().head for _ in range(5)] == [5, 1, 4, 0, 2]


@BOTH
def test_full_tables_that_are_neighbours_are_one_move(layout):
    rig = Rig(layout, 8, frozenset({Feature.RING_INDIRECT_DESC}))
    rig.driver.tables = Tables(TABLE, 3)
    rig.driver.add_bufs(np.full((4, 3), BUFFER), 16)
    assert rig.moves()[0] == ("move", TABLE, 4 * 3 * 16)
    rig.driver.add_bufs(np.full((2, 2), BUFFER), 16)
    assert [move[1:] for move in rig.moves()[:2]] == [
        (TABLE + 4 * 48, 32),
        (TABLE + 5 * 48, 32),
    ]


# -- getting


@BOTH
def test_what_was_written_is_never_more_than_there_was_room(layout):
    rig = Rig(layout)
    rig.driver.add_bufs([[BUFFER, BUFFER + 64]] * 3, [16, 5], write=[False, True])
    rig.serve(written=5)
    assert rig.driver.get_bufs()[1].tolist() == [5, 5, 5]


@BOTH
def test_nothing_used_gives_nothing(layout):
    rig = Rig(layout)
    for _ in range(2):
        tokens, written = rig.driver.get_bufs()
        assert (tokens, written.tolist()) == ([], [])
        rig.driver.add_bufs([BUFFER], 16)
        rig.driver.kick()


@BOTH
def test_a_limit_leaves_the_rest(layout):
    rig = Rig(layout)
    rig.driver.add_bufs([BUFFER] * 5, 16)
    rig.serve()
    assert rig.driver.get_bufs(0)[0] == []
    assert rig.moves() == []
    assert rig.driver.get_bufs(2)[0] == [0, 1]
    assert rig.driver.get_bufs(9)[0] == [2, 3, 4]
    with pytest.raises(ValueError, match="a limit is 0 or more, not -1"):
        rig.driver.get_bufs(-1)


def test_split_the_index_is_read_once_and_then_the_elements():
    rig = Rig("split")
    rig.driver.add_bufs([BUFFER] * 5, 16)
    rig.serve()
    rig.driver.get_bufs()
    used = rig.rings.used_field
    assert rig.moves() == [("load", used("idx"), 2), ("move", used("ring"), 40)]
    assert rig.points == [(Order.USED_IDX_THEN_ELEMENT, 1)]


def test_packed_the_flags_are_read_before_the_rest():
    """2.8.22: one look at the first, the flags of the stretch, a barrier, and ids and lengths."""
    rig = Rig("packed")
    rig.driver.add_bufs([BUFFER] * 5, 16)
    rig.serve(count=3)
    rig.driver.get_bufs()
    desc = rig.rings.desc
    assert rig.moves() == [("load", desc + 14, 2), ("move", desc, 5 * 16), ("move", desc, 3 * 16)]
    assert rig.points == [(PackedOrder.USED_FLAGS_THEN_REST, 2)]


class Torn(MemoryCpu):
    """A Cpu whose string moves read the flags late: all that stands before them is of long ago."""

    def read(self, gpa, length):
        data = self.old if hasattr(self, "old") else super().read(gpa, length)
        self.__dict__.pop("old", None)
        return data


def test_packed_no_length_is_older_than_its_flags():
    """What the first move brought beside flags is not believed, and of the second no flags."""
    rig = Rig("packed", base=Torn)
    rig.driver.add_bufs([BUFFER] * 3, 16, "abc", write=True)
    rig.driver.kick()
    stale = [bytearray(rig.ram.read(rig.rings.desc_at(i), 16)) for i in range(3)]
    chains = [rig.queue.pop() for _ in range(3)]
    for chain in (chains[1], chains[0]):
        rig.queue.push(chain, 7)
    for i in (0, 1):
        stale[i][14:] = rig.ram.read(rig.rings.desc_at(i) + 14, 2)
    rig.cpu.cpu.old = b"".join(stale)
    rig.driver.barrier = lambda point: rig.queue.in_flight and rig.queue.push(chains[2], 9)
    tokens, written = rig.driver.get_bufs()
    assert (tokens, written.tolist()) == (["b", "a"], [7, 7])
    assert rig.driver.get_bufs()[0] == ["c"]


@BOTH
def test_one_wish_a_batch(layout):
    """With EVENT_IDX each `get_buf` asks anew, `get_bufs` once, for what comes after them all."""
    rig = Rig(layout, features=frozenset({Feature.RING_EVENT_IDX}))
    rig.driver.add_bufs([BUFFER] * 5, 16)
    rig.serve()
    rig.driver.get_bufs()
    at, value = (
        (rig.rings.avail_field("used_event"), 5)
        if layout == "split"
        else (
            rig.rings.driver,
            EVENT_DESC << 16 | to_word(5, 8),
        )
    )
    stores = [(a.address, a.value) for a in rig.cpu.accesses if a.write]
    assert stores == [(at, value)]
    assert rig.points[-1][1] == len(rig.cpu.accesses)
    rig.driver.disable_cb()
    rig.driver.add_bufs([BUFFER] * 2, 16)
    rig.serve()
    rig.driver.get_bufs()
    assert not [access for access in rig.cpu.accesses if access.write]


@BOTH
def test_what_came_before_a_lie_is_given_back_first(layout):
    rig = Rig(layout)
    rig.driver.add_bufs([BUFFER] * 5, 16)
    rig.serve(count=4)
    if layout == "split":
        rig.ram.store(rig.rings.used_at(2), 4, 1)  # which came back just before
    else:
        rig.ram.store(rig.rings.desc_at(2) + 12, 2, 1)
    assert rig.driver.get_bufs()[0] == [0, 1]
    for call in (rig.driver.get_bufs, rig.driver.get_bufs, rig.driver.get_buf):
        with pytest.raises(DeviceBroken, match=r"used (id )?1"):
            call()
    rig.driver._check()


@BOTH
def test_in_order_one_element_stands_for_many(layout):
    """2.7.9, 2.8.8: and if the limit is inside, the rest is still in hand."""
    rig = Rig(layout, features=frozenset({Feature.IN_ORDER}))
    rig.driver.add_bufs([BUFFER] * 6, 10, "abcdef", write=True)
    rig.driver.kick()
    chains = [rig.queue.pop() for _ in range(6)]
    rig.queue.push(chains[3], 4, count=4)
    rig.queue.push(chains[4], 3)
    got = [rig.driver.get_bufs(limit) for limit in (3, None, None)]
    assert [(tokens, written.tolist()) for tokens, written in got] == [
        (["a", "b", "c"], [10, 10, 10]),
        (["d", "e"], [4, 3]),
        ([], []),
    ]
    rig.driver._check()


def test_in_order_an_index_that_moved_by_less_than_its_element_says():
    rig = Rig("split", features=frozenset({Feature.IN_ORDER}))
    rig.driver.add_bufs([BUFFER] * 6, 10, write=True)
    rig.driver.kick()
    rig.ram.store(rig.rings.used_at(0), 4, 2)
    rig.ram.store(rig.rings.used_field("idx"), 2, 1)
    with pytest.raises(DeviceBroken, match="used 2, 1 new elements"):
        rig.driver.get_bufs()
    rig.driver._check()


@BOTH
@pytest.mark.parametrize("size", [1, 32768])
def test_the_smallest_and_the_largest_ring(layout, size):
    rig = Rig(layout, size)
    rig.driver.tables = None
    for _ in range(3):
        rig.driver.add_bufs(np.full(size + 5, BUFFER), 16, write=True)
        rig.driver.kick()
        use_all(rig, layout, size)
        tokens, written = rig.driver.get_bufs()
        assert tokens == list(range(size))
        assert int(written.sum()) == 16 * size
    rig.driver._check()


def use_all(rig, layout, size):
    """Give everything back, as a device does that says nothing new: each in its own place."""
    driver = rig.driver
    if layout == "packed":
        ring = rig.ram.view(rig.rings.desc, 16 * size).view(PACKED_DESC)
        ring["flags"] = used_bits(wrap_at(driver.last_used, size))
        return
    ring = rig.ram.view(rig.rings.used_field("ring"), 8 * size).view(USED_ELEM)
    ring["id"], ring["len"] = np.arange(size), 16
    rig.ram.store(rig.rings.used_field("idx"), 2, driver.exposed)


# -- a few


@BOTH
def test_a_few_go_one_by_one(layout, monkeypatch):
    """Singular calls are quicker for these: they are added so, and got so after a small batch."""
    monkeypatch.setattr(virtqueue_driver, "FEW", 4)
    rig = Rig(layout, 32)
    loads = []
    for count in (4, 4, 2, 9, 9, 0, 9):
        pieces = np.full((count, 2), BUFFER)
        assert rig.driver.add_bufs(pieces, 16, write=[False, True]) == count
        assert (len([move for move in rig.moves() if move[2] > 8]) == 2 * count) == (count <= 4)
        rig.serve()
        assert rig.driver.get_bufs()[0] == list(range(count))
        loads.append(len([move for move in rig.moves() if move[0] == "load"]))
    # All at once; then one by one, with a look if there are more; and nothing changes nothing.
    # A packed driver does not look where nothing was exposed.
    assert loads == ([1, 5, 3, 5, 1, 2, 1] if layout == "split" else [1, 4, 3, 5, 1, 1, 1])
    rig.driver._check()


@BOTH
def test_of_a_few_as_many_as_fit(layout, monkeypatch):
    monkeypatch.setattr(virtqueue_driver, "FEW", 4)
    rig = Rig(layout)
    assert rig.driver.add_bufs(np.full((3, 3), BUFFER), 16) == 2
    assert rig.driver.free == 2


# -- the books


@BOTH
def test_what_came_back_is_forgotten(layout):
    """A driver that kept tokens would keep their memory."""
    rig = Rig(layout)
    token = type("Token", (), {})()
    gone = weakref.ref(token)
    rig.driver.add_bufs([BUFFER] * 2, 16, [token, None])
    del token
    rig.serve()
    tokens, _ = rig.driver.get_bufs()
    assert tokens.pop(0) is gone()
    assert gone() is None


@BOTH
def test_reset_gives_the_tokens_oldest_first(layout):
    rig = Rig(layout)
    rig.driver.add_bufs([BUFFER] * 8, 16, "abcdefgh")
    rig.serve(count=5)
    assert rig.driver.get_bufs()[0] == list("abcde")
    rig.driver.add_bufs([BUFFER] * 2, 16, "ij")
    assert rig.driver.reset() == list("fghij")
    rig.driver._check()
