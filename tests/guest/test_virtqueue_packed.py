"""The driver's side of a packed ring: what it writes, what it believes, and whom it calls."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtio.model import MemoryCpu
from virtlab.cpu import Recorder
from virtlab.guest.virtqueue import DeviceBroken, QueueFull, Tables, Used
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import (
    DISABLE,
    ENABLE,
    EVENT_DESC,
    PackedOrder,
    PackedRings,
    to_word,
)

RING, TABLE, BUFFER = 0x1000, 0x4000, 0x8000
NEXT, WRITE, INDIRECT, AVAIL, USED = 1, 2, 4, 0x80, 0x8000
INDIRECT_DESC = frozenset({Feature.RING_INDIRECT_DESC})
EXACT = frozenset({Feature.RING_EVENT_IDX})
ORDERED = frozenset({Feature.IN_ORDER})
OUT, IN = [(BUFFER, 16)], [(BUFFER + 0x100, 512), (BUFFER + 0x400, 1)]


def books(driver):
    """All that a driver remembers."""
    names = ("added", "exposed", "last_used", "_given", "_shown", "_returned", "_batch_end")
    counts = [getattr(driver, name) for name in (*names, "_first_flags", "callbacks")]
    out = driver.outstanding
    held = [(key, out.tokens[key], out.slots[key], out.room[key]) for key in out.by_age()]
    return counts, held, driver._free.numbers()


class Rig:
    """A driver, and its memory, where a test plays the device by hand."""

    def __init__(self, size=4, features=frozenset(), entries=4):
        self.ram = GuestMemory(0x10000)
        self.ram.bytes[:] = 0xEE
        self.rings = PackedRings.placed(RING, size)
        self.bells = []
        self.cpu = Recorder(MemoryCpu(self.ram))
        self.driver = PackedDriver(
            self.cpu, self.rings, features, lambda: self.bells.append(None), Tables(TABLE, entries)
        )
        self.cpu.accesses.clear()

    def desc(self, slot, table=RING):
        """What is in a descriptor: addr, len, id, flags."""
        return struct.unpack("<QIHH", self.ram.read(table + 16 * slot, 16))

    def use(self, slot, length, ident, flags):
        """What a device writes to say that a buffer is used."""
        self.ram.write(RING + 16 * slot + 8, struct.pack("<IHH", length, ident, flags))

    def wish(self):
        raw = self.ram.load(self.rings.driver, 4)
        return raw & 0xFFFF, raw >> 16

    def device_asks(self, desc, flags):
        self.ram.store(self.rings.device, 4, desc | flags << 16)

    def one(self, token="t"):
        """Add and expose one buffer of a single piece."""
        self.driver.add_buf(OUT, [], token)
        return self.driver.kick()


# -- adding


def test_the_ring_is_zero_at_first():
    """2.8.13; and both event suppressions ask for everything."""
    rig = Rig()
    assert not any(rig.ram.read(RING, 4 * 16 + 8))


def test_a_buffer_becomes_a_list():
    """2.8.21.1: neighbours, NEXT in all but the last, the id, AVAIL and not USED."""
    rig = Rig()
    rig.driver.add_buf(OUT, IN, "t")
    rig.driver.kick()
    assert rig.desc(0) == (BUFFER, 16, 0, AVAIL | NEXT)
    assert rig.desc(1) == (BUFFER + 0x100, 512, 0, AVAIL | NEXT | WRITE)
    assert rig.desc(2) == (BUFFER + 0x400, 1, 0, AVAIL | WRITE)
    assert rig.driver.free == 1


def test_until_the_kick_nothing_is_available():
    rig = Rig()
    queue = PackedQueue(rig.ram)
    queue.enable(rig.rings)
    for token in "abc":
        rig.driver.add_buf(OUT, [], token)
    assert queue.pop() is None
    assert rig.desc(0) == (BUFFER, 16, 0, 0)
    rig.driver.kick()
    assert [queue.pop().head for _ in range(3)] == [0, 1, 2]


def test_one_store_exposes_the_whole_batch():
    """2.8.21.1.1: the flags of the first descriptor come last, after a barrier."""
    points = []
    rig = Rig()
    rig.driver.barrier = lambda point: points.append((point, len(rig.cpu.accesses)))
    rig.driver.add_buf(OUT, IN, "a")
    rig.driver.add_buf(OUT, [], "b")
    assert points == []
    written = len(rig.cpu.accesses)
    rig.driver.kick()
    assert points == [
        (PackedOrder.LIST_THEN_FIRST_FLAGS, written),
        (PackedOrder.FLAGS_THEN_DEVICE_EVENT, written + 1),
    ]
    flags, event = rig.cpu.accesses[written:]
    assert (flags.write, flags.address, flags.size) == (True, RING + 14, 2)
    assert (event.write, event.address, event.size) == (False, rig.rings.device, 4)


def test_round_the_end_the_wrap_counter_flips():
    rig = Rig(size=3)
    for _ in range(2):
        rig.one()
    for slot in range(2):
        rig.use(slot, 0, slot, AVAIL | USED)
        rig.driver.get_buf()
    rig.driver.add_buf(OUT, IN[:1], "t")
    rig.driver.kick()
    assert [rig.desc(slot)[3] for slot in (2, 0)] == [AVAIL | NEXT, USED | WRITE]


def test_many_pieces_go_into_a_table():
    """2.8.7: one slot; in the table no flag but WRITE, no id."""
    rig = Rig(features=INDIRECT_DESC)
    rig.one()
    rig.driver.add_buf(OUT, IN, "t")
    rig.driver.kick()
    at = TABLE + 1 * 4 * 16
    assert rig.desc(1) == (at, 48, 1, AVAIL | INDIRECT)
    assert [rig.desc(n, at) for n in range(3)] == [
        (BUFFER, 16, 0, 0),
        (BUFFER + 0x100, 512, 0, WRITE),
        (BUFFER + 0x400, 1, 0, WRITE),
    ]
    assert rig.driver.free == 2


@pytest.mark.parametrize(("features", "entries"), [(frozenset(), 4), (INDIRECT_DESC, 2)])
def test_without_the_feature_or_the_room_they_go_into_the_ring(features, entries):
    rig = Rig(features=features, entries=entries)
    rig.driver.add_buf(OUT, IN, "t")
    assert rig.driver.free == 1


def test_a_single_piece_needs_no_table():
    rig = Rig(features=INDIRECT_DESC)
    rig.one()
    assert rig.desc(0)[3] == AVAIL


def test_a_full_ring_takes_nothing_and_changes_nothing():
    """2.8.17: there is space for the whole list, or it is not begun."""
    rig = Rig()
    rig.driver.add_buf(OUT, IN, "t")
    before = rig.ram.bytes.tobytes()
    with pytest.raises(QueueFull, match="2 slots are needed, 1 are free"):
        rig.driver.add_buf(OUT, IN[:1], "u")
    assert rig.ram.bytes.tobytes() == before
    rig.driver._check()


@pytest.mark.parametrize(("out", "in_"), [([], []), ([(0, 1)] * 3, [(0, 1)] * 2), ([(0, 0)], [])])
def test_what_is_no_buffer(out, in_):
    rig = Rig()
    with pytest.raises(ValueError, match="has"):
        rig.driver.add_buf(out, in_, "t")
    assert rig.driver.free == 4


# -- kicking


@pytest.mark.parametrize(("flags", "rings"), [(ENABLE, True), (DISABLE, False), (3, True)])
def test_the_device_may_be_left_alone(flags, rings):
    rig = Rig()
    rig.device_asks(0, flags)
    assert rig.one() is rings
    assert len(rig.bells) == rings


def test_a_kick_with_nothing_new_rings_nothing():
    rig = Rig()
    assert rig.driver.kick() is False
    rig.one()
    rig.cpu.accesses.clear()
    assert rig.driver.kick() is False
    assert rig.cpu.accesses == []


def test_the_bell_rings_for_the_descriptor_that_was_asked_for():
    rig = Rig(size=3, features=EXACT)
    rig.device_asks(to_word(4, 3), EVENT_DESC)
    rang = []
    for n in range(6):
        rang.append(rig.one())
        rig.use(n % 3, 0, n % 3, AVAIL | USED if n < 3 else 0)
        rig.driver.get_buf()
    assert rang == [False] * 4 + [True, False]


def test_the_bell_may_say_how_far_the_driver_is():
    """2.9: offset and wrap counter of the next descriptor not yet available."""
    rig = Rig(size=3)
    rig.driver.add_buf(OUT, [], "t")
    assert rig.driver.next_word == 0x8000
    rig.driver.kick()
    assert rig.driver.next_word == 0x8001
    rig.driver.add_buf(OUT, IN[:1], "t")
    rig.driver.kick()
    assert rig.driver.next_word == 0x0000


# -- getting


def test_a_used_buffer_comes_back_with_its_token():
    rig = Rig()
    token = object()
    rig.driver.add_buf(OUT, IN, token)
    rig.driver.kick()
    assert rig.driver.get_buf() is None
    rig.use(0, 513, 0, AVAIL | USED | WRITE)
    assert rig.driver.get_buf() == Used(token, 513)
    assert (rig.driver.free, rig.driver.last_used) == (4, 3)
    assert rig.driver.get_buf() is None


def test_len_without_the_write_flag_is_believed():
    """2.8.4 lets a driver ignore it; QEMU writes `len` and never the flag."""
    rig = Rig()
    rig.driver.add_buf([], IN, "t")
    rig.driver.kick()
    rig.use(0, 100, 0, AVAIL | USED)
    assert rig.driver.get_buf().written == 100


def test_no_more_was_written_than_there_was_room():
    rig = Rig()
    rig.driver.add_buf(OUT, IN, "t")
    rig.driver.kick()
    rig.use(0, 0xFFFF_FFFF, 0, AVAIL | USED | WRITE)
    assert rig.driver.get_buf().written == 513


def test_out_of_order_the_driver_skips_what_that_buffer_had():
    """2.8.6."""
    rig = Rig()
    rig.driver.add_buf(OUT, IN[:1], "first")
    rig.driver.add_buf(OUT, [], "second")
    rig.driver.kick()
    rig.use(0, 0, 1, AVAIL | USED)
    assert rig.driver.get_buf().token == "second"
    assert rig.driver.last_used == 1
    assert rig.driver.get_buf() is None
    rig.use(1, 4, 0, AVAIL | USED | WRITE)
    assert rig.driver.get_buf() == Used("first", 4)
    assert rig.driver.last_used == 3


def test_in_order_one_used_descriptor_gives_many_back():
    """2.8.8: those that were skipped were written completely."""
    rig = Rig(size=8, features=ORDERED)
    for token in "abc":
        rig.driver.add_buf(OUT, IN[:1], token)
    rig.driver.kick()
    rig.use(0, 7, 1, AVAIL | USED | WRITE)
    assert rig.driver.get_buf() == Used("a", 512)
    assert rig.driver.enable_cb() is False  # there is more to get
    assert rig.driver.get_buf() == Used("b", 7)
    assert rig.driver.get_buf() is None
    assert rig.driver.enable_cb() is True
    rig.driver._check()


def test_a_used_descriptor_is_read_once_and_its_flags_first():
    """2.8.22: a barrier between the flags and what they vouch for."""
    rig = Rig()
    rig.one()
    rig.use(0, 0, 0, AVAIL | USED)
    rig.cpu.accesses.clear()
    points = []
    rig.driver.barrier = lambda point: points.append((point, len(rig.cpu.accesses)))
    rig.driver.get_buf()
    assert points == [(PackedOrder.USED_FLAGS_THEN_REST, 1)]
    assert [(a.write, a.address, a.size) for a in rig.cpu.accesses] == [
        (False, RING + 14, 2),
        (False, RING + 8, 6),
    ]


def nothing_exposed(rig):
    rig.use(0, 0, 0, AVAIL | USED)


def not_yet_exposed(rig):
    rig.one()
    rig.driver.add_buf(OUT, [], "held back")
    rig.use(0, 0, 1, AVAIL | USED)


def unknown(rig):
    rig.one()
    rig.use(0, 0, 2, AVAIL | USED)


def past_the_ring(rig):
    rig.one()
    rig.use(0, 0, 0xFFFF, AVAIL | USED)


def twice(rig):
    rig.one()
    rig.one()
    for slot in (0, 1):
        rig.use(slot, 0, 0, AVAIL | USED)
    rig.driver.get_buf()


@pytest.mark.parametrize("lie", [nothing_exposed, not_yet_exposed, unknown, past_the_ring, twice])
@pytest.mark.parametrize("features", [frozenset(), ORDERED])
def test_a_device_that_gives_back_what_it_does_not_have(lie, features):
    rig = Rig(features=features)
    lie(rig)
    before = books(rig.driver), rig.ram.bytes.tobytes()
    with pytest.raises(DeviceBroken, match="used id"):
        rig.driver.get_buf()
    assert before == (books(rig.driver), rig.ram.bytes.tobytes())
    rig.driver._check()


@given(
    st.integers(1, 5),
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.integers(0, 0xFFFF_FFFF),
            st.integers(0, 6) | st.integers(0, 0xFFFF),
            st.sampled_from([0, AVAIL, USED, AVAIL | USED]),
        ),
        max_size=12,
    ),
    st.sampled_from([frozenset(), ORDERED, EXACT]),
)
def test_whatever_a_device_writes_the_driver_stays_sound(size, writes, features):
    rig = Rig(size=size, features=features)
    for slot, length, ident, flags in writes:
        if rig.driver.free:
            rig.one(len(rig.driver.outstanding))
        rig.use(slot % size, length, ident, flags)
        try:
            got = rig.driver.get_buf()
        except DeviceBroken:
            got = None
        assert got is None or got.written == 0
        rig.driver._check()


# -- callbacks


def test_without_event_idx_a_driver_says_yes_or_no():
    rig = Rig()
    rig.driver.disable_cb()
    assert rig.wish() == (0, DISABLE)
    assert rig.driver.enable_cb() is True
    assert rig.wish() == (0, ENABLE)


def test_with_event_idx_it_asks_for_the_next_used_descriptor():
    rig = Rig(size=2, features=EXACT)
    for n, bits in enumerate([AVAIL | USED, AVAIL | USED, 0]):
        rig.one()
        rig.use(n % 2, 0, n % 2, bits)
        rig.driver.get_buf()
        assert rig.wish() == (to_word(n + 1, 2), EVENT_DESC)
    rig.driver.disable_cb()
    assert rig.wish() == (0, DISABLE)
    rig.one()
    rig.use(1, 0, 1, 0)
    rig.driver.get_buf()
    assert rig.wish() == (0, DISABLE)  # who does not want to hear does not ask


def test_enable_cb_says_if_something_came_meanwhile():
    rig = Rig()
    rig.driver.disable_cb()
    rig.one()
    rig.use(0, 0, 0, AVAIL | USED)
    assert rig.driver.enable_cb() is False
    rig.driver.get_buf()
    assert rig.driver.enable_cb() is True


def test_reset_gives_the_tokens_back():
    rig = Rig(features=EXACT)
    for token in "abc":
        rig.driver.add_buf(OUT, [], token)
    rig.driver.kick()
    rig.driver.disable_cb()
    assert rig.driver.reset() == ["a", "b", "c"]
    assert not any(rig.ram.read(RING, 4 * 16 + 8))
    assert (rig.driver.free, rig.driver.callbacks) == (4, True)
    rig.driver._check()
    rig.one("d")
    assert rig.desc(0) == (BUFFER, 16, 0, AVAIL)


def test_reset_forgets_the_rest_of_a_batch():
    rig = Rig(features=ORDERED)
    for token in "ab":
        rig.driver.add_buf(OUT, [], token)
    rig.driver.kick()
    rig.use(0, 0, 1, AVAIL | USED)
    assert rig.driver.get_buf().token == "a"
    assert rig.driver.reset() == ["b"]
    assert rig.driver.get_buf() is None


def test_nobody_need_hear_the_bell():
    rig = Rig()
    rig.driver = PackedDriver(rig.cpu, rig.rings)
    assert rig.one() is True


# -- the race between going to sleep and calling


class StoreBuffer(MemoryCpu):
    """A Cpu whose stores wait until a barrier: loads may overtake them, as on a PC."""

    def __init__(self, ram):
        super().__init__(ram)
        self.waiting = []

    def store(self, gpa, value, size=4):
        self.waiting.append((gpa, value, size))

    def drain(self, *_):
        for gpa, value, size in self.waiting:
            super().store(gpa, value, size)
        self.waiting.clear()


def race(features, ordered):
    """The driver wants to sleep; just before it looks once more, the device uses its buffer."""
    ram, told = GuestMemory(0x10000), []
    rings = PackedRings.placed(RING, 4)
    cpu = StoreBuffer(ram)
    queue = PackedQueue(ram, lambda: told.append(None))
    driver = PackedDriver(cpu, rings, features, barrier=cpu.drain)
    queue.enable(rings, features)
    driver.add_buf(OUT, [], "t")
    driver.kick()
    driver.disable_cb()
    cpu.drain()
    chain = queue.pop()
    if not ordered:
        driver.barrier = lambda point: None

    def at_the_look(gpa, size=4):
        if gpa == rings.desc_at(0) + 14:  # the driver's last look, with its wish perhaps waiting
            raw = ram.load(gpa, size)
            queue.push(chain)
            queue.notify()
            return raw
        return ram.load(gpa, size)

    cpu.load = at_the_look
    return driver.enable_cb(), len(told)


@pytest.mark.parametrize("features", [frozenset(), EXACT])
def test_with_the_barrier_a_sleeping_driver_is_woken(features):
    """2.8.22: the wish can be seen before the driver looks."""
    assert race(features, ordered=True) == (True, 1)


@pytest.mark.parametrize("features", [frozenset(), EXACT])
def test_without_the_barrier_it_sleeps_for_ever(features):
    assert race(features, ordered=False) == (True, 0)


@pytest.mark.parametrize("features", [frozenset(), EXACT])
@pytest.mark.parametrize("step", range(7))
def test_wherever_the_device_steps_in_nobody_sleeps_for_ever(features, step):
    """The device takes and gives back at each access of the driver's, one test a place."""
    ram, told = GuestMemory(0x10000), []
    rings = PackedRings.placed(RING, 4)
    queue = PackedQueue(ram, lambda: told.append(None))
    queue.enable(rings, features)
    cpu = Recorder(MemoryCpu(ram))
    driver = PackedDriver(cpu, rings, features)
    driver.disable_cb()
    driver.add_buf(OUT, [], "t")
    driver.kick()
    cpu.accesses.clear()

    def device():
        if len(cpu.accesses) == step and (chain := queue.pop()):
            queue.push(chain)
            queue.notify()

    for verb in ("load", "store", "read", "write"):
        setattr(cpu, verb, stepping(getattr(cpu, verb), device))
    got = [driver.get_buf()]
    asleep = driver.enable_cb()
    while not asleep:
        got.append(driver.get_buf())
        asleep = driver.enable_cb()
    came = any(used is not None for used in got)
    assert came or told or queue.available()


def stepping(verb, first):
    def step(*arguments):
        first()
        return verb(*arguments)

    return step
