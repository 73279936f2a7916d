"""The driver's side of a split ring, with a device that writes by hand, and with the real one."""

import pytest

from tests.virtio.model import MemoryCpu
from virtlab.cpu import Recorder
from virtlab.guest.store_buffer import StoreBuffer
from virtlab.guest.virtqueue import DeviceBroken, QueueFull, Tables, Used, elements
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, USED_ELEM, WRITE, SplitRings, packer
from virtlab.virtio.ordering import Order
from virtlab.virtio.split import SplitQueue

RING, TABLE, OUT, IN = 0x1000, 0x4000, 0x8000, 0x9000
EVENTS = frozenset({Feature.RING_EVENT_IDX})
ORDER = frozenset({Feature.IN_ORDER})
INDIRECT_DESC = frozenset({Feature.RING_INDIRECT_DESC})


def books(driver):
    """All that a driver remembers."""
    names = ("added", "exposed", "last_used", "_batch_end", "callbacks", "_next")
    counts = [repr(getattr(driver, name)) for name in names]
    out = driver.outstanding
    held = [(key, out.tokens[key], out.slots[key], out.room[key]) for key in out.by_age()]
    return counts, held, driver._free.numbers()


class Rig:
    """A driver over its own memory; `device` is asked for only by who wants the real one."""

    def __init__(self, size=8, features=frozenset(), tables=None):
        self.ram = GuestMemory(0x10000)
        self.ram.bytes[:] = 0xEE  # what was there before
        self.rings = SplitRings.placed(RING, size)
        self.bells = 0
        self.cpu = Recorder(MemoryCpu(self.ram))
        self.driver = SplitDriver(self.cpu, self.rings, features, self.bell, tables)
        self.cpu.accesses.clear()

    def bell(self):
        self.bells += 1

    def device(self):
        queue = SplitQueue(self.ram)
        queue.enable(self.rings, self.driver.features)
        return queue

    def desc(self, index, table=None):
        at = (self.rings.desc if table is None else table) + 16 * index
        return packer(DESC).unpack(self.ram.read(at, 16))

    def avail(self, field):
        return self.ram.load(self.rings.avail_field(field), 2)

    def entry(self, position):
        return self.ram.load(self.rings.avail_at(position), 2)

    def set_used(self, field, value):
        self.ram.store(self.rings.used_field(field), 2, value)

    def use(self, head, written=0, step=1, at=None):
        """As the device: an element, and the index moved by `step`."""
        idx = self.ram.load(self.rings.used_field("idx"), 2)
        place = self.rings.used_at(idx if at is None else at)
        self.ram.write(place, packer(USED_ELEM).pack(head, written))
        self.set_used("idx", idx + step)

    def add(self, token, out=((OUT, 16),), in_=()):
        self.driver.add_buf(out, in_, token)

    def state(self):
        return books(self.driver), self.ram.bytes.tobytes()


# -- initialization


def test_the_parts_are_zero_at_first():
    """2.7.10.1: the driver initializes the used ring's flags to 0; all else too."""
    rig = Rig()
    for start, length in rig.rings.parts:
        assert rig.ram.read(start, length) == bytes(length)
    assert rig.ram.read(rig.rings.end, 1) == b"\xee"
    assert rig.driver.free == 8


# -- add_buf


def test_add_buf_chains_the_pieces():
    """2.7.13.1: what is read first, each but the last with NEXT; then the head in the entry."""
    rig = Rig()
    rig.add("one", [(OUT, 16), (OUT + 64, 8)], [(IN, 512), (IN + 512, 1)])
    assert [rig.desc(i) for i in range(4)] == [
        (OUT, 16, NEXT, 1),
        (OUT + 64, 8, NEXT, 2),
        (IN, 512, NEXT | WRITE, 3),
        (IN + 512, 1, WRITE, 0),
    ]
    assert rig.entry(0) == 0
    assert rig.driver.free == 4
    rig.driver._check()


def test_nothing_can_be_seen_before_kick():
    rig = Rig()
    rig.add("one")
    rig.add("two", [], [(IN, 4)])
    assert (rig.entry(0), rig.entry(1), rig.avail("idx")) == (0, 1, 0)
    assert rig.device().pop() is None
    assert rig.driver.kick()
    assert rig.avail("idx") == 2
    assert rig.bells == 1


@pytest.mark.parametrize(
    ("features", "question"), [(frozenset(), "flags"), (EVENTS, "avail_event")]
)
def test_the_order_of_the_stores(features, question):
    """2.7.13: descriptors, entry, index; the question comes last."""
    rig = Rig(8, features)
    points = []
    rig.driver.barrier = lambda point: points.append((point, len(rig.cpu.accesses)))
    rig.add("one")
    rig.driver.kick()
    assert [(access.write, access.address, access.size) for access in rig.cpu.accesses] == [
        (True, rig.rings.desc_at(0), 16),
        (True, rig.rings.avail_at(0), 2),
        (True, rig.rings.avail_field("idx"), 2),
        (False, rig.rings.used_field(question), 2),
    ]
    assert points == [(Order.ENTRY_THEN_AVAIL_IDX, 2), (Order.AVAIL_IDX_THEN_EVENT, 3)]


@pytest.mark.parametrize(
    ("out", "in_", "says"),
    [
        ([], [], "1 to 8 pieces, not 0"),
        ([(OUT, 1)] * 5, [(IN, 1)] * 4, "1 to 8 pieces, not 9"),
        ([(OUT, 0)], [], "1 to 2\\*\\*32 - 1 bytes"),
        ([(OUT, 1)], [(IN, 2**32)], "1 to 2\\*\\*32 - 1 bytes"),
        ([(-1, 1)], [], "an address"),
        ([(0, 2**31)], [(0, 2**31), (0, 1)], "at most 2\\*\\*32 bytes"),
    ],
)
def test_what_is_no_buffer(out, in_, says):
    rig = Rig()
    before = rig.state()
    with pytest.raises(ValueError, match=says):
        rig.driver.add_buf(out, in_, "x")
    assert rig.state() == before
    assert elements([(OUT, 2**32 - 1)], [], 8)[0].length == 2**32 - 1
    assert len(elements([(0, 2**31)], [(0, 2**31)], 2)) == 2


def test_a_full_queue_takes_nothing_and_says_so():
    rig = Rig(4)
    rig.add("one", [(OUT, 1)] * 3)
    before = rig.state()
    with pytest.raises(QueueFull, match="2 descriptors are needed, 1 are free"):
        rig.add("two", [(OUT, 1)] * 2)
    assert rig.state() == before
    rig.add("three")
    with pytest.raises(QueueFull, match="1 descriptors are needed, 0 are free"):
        rig.add("four")


def test_free_descriptors_are_taken_first_freed_first():
    rig = Rig(4)
    for token in "abcd":
        rig.add(token)
    rig.driver.kick()
    for head in (2, 0):
        rig.use(head)
    assert [rig.driver.get_buf().token for _ in range(2)] == ["c", "a"]
    rig.add("e", [(OUT, 1), (OUT, 1)])
    assert rig.entry(4) == 2
    assert rig.desc(2) == (OUT, 1, NEXT, 0)
    rig.driver._check()


def test_an_indirect_table_takes_one_descriptor():
    rig = Rig(4, INDIRECT_DESC, Tables(TABLE, 3))
    rig.add("none")
    rig.add("table", [(OUT, 16)], [(IN, 8), (IN + 8, 1)])
    where = TABLE + 1 * 3 * 16
    assert rig.desc(1) == (where, 48, INDIRECT, 0)
    assert [rig.desc(i, where) for i in range(3)] == [
        (OUT, 16, NEXT, 1),
        (IN, 8, NEXT | WRITE, 2),
        (IN + 8, 1, WRITE, 0),
    ]
    assert rig.driver.free == 2
    assert rig.desc(0)[2] == 0, "one piece needs no table"


def test_what_does_not_fit_into_a_table_goes_without():
    rig = Rig(4, INDIRECT_DESC, Tables(TABLE, 3))
    rig.add("four", [(OUT, 1)] * 4)
    assert rig.driver.free == 0


def test_tables_are_for_those_who_negotiated_them():
    """2.7.5.3.1."""
    rig = Rig(4, frozenset(), Tables(TABLE, 3))
    rig.add("two", [(OUT, 1)] * 2)
    assert rig.driver.free == 2
    rig = Rig(4, INDIRECT_DESC)
    rig.add("two", [(OUT, 1)] * 2)
    assert rig.driver.free == 2


# -- kick


def test_kick_with_nothing_new_does_nothing():
    rig = Rig()
    assert not rig.driver.kick()
    assert not rig.cpu.accesses


@pytest.mark.parametrize(("flags", "rings"), [(0, True), (1, False), (2, True)])
def test_flags_decide_without_EVENT_IDX(flags, rings):
    """2.7.10.1: and `avail_event` is ignored."""
    rig = Rig()
    rig.set_used("flags", flags)
    rig.set_used("avail_event", 0x7777)
    rig.add("one")
    assert rig.driver.kick() == rings
    assert rig.bells == rings


def test_with_EVENT_IDX_flags_are_ignored_and_one_entry_decides():
    """2.7.10.1."""
    rig = Rig(8, EVENTS)
    rig.set_used("flags", 1)
    rig.set_used("avail_event", 2)
    rang = []
    for batch in (1, 1, 1, 1):
        for _ in range(batch):
            rig.add("one")
        rang.append(rig.driver.kick())
    assert rang == [False, False, True, False]


def test_a_batch_rings_once():
    rig = Rig(8, EVENTS)
    rig.set_used("avail_event", 2)
    for _ in range(4):
        rig.add("one")
    assert rig.driver.kick()
    assert rig.bells == 1


def test_the_bell_may_be_nobodys():
    ram = GuestMemory(0x10000)
    driver = SplitDriver(MemoryCpu(ram), SplitRings.placed(RING, 2))
    driver.add_buf([(OUT, 1)], [], 0)
    assert driver.kick()


# -- get_buf


def test_get_buf_gives_token_and_bytes():
    rig = Rig()
    assert rig.driver.get_buf() is None
    rig.add("one", [(OUT, 16)], [(IN, 512)])
    rig.add("two", [(OUT, 16)])
    rig.driver.kick()
    assert rig.driver.get_buf() is None
    rig.use(2)
    rig.use(0, 100)
    assert rig.driver.get_buf() == Used("two", 0)
    assert rig.driver.get_buf() == Used("one", 100)
    assert rig.driver.get_buf() is None
    assert rig.driver.free == 8


def test_the_index_is_read_before_the_element():
    rig = Rig()
    rig.add("one")
    rig.driver.kick()
    rig.use(0)
    points = []
    rig.driver.barrier = lambda point: points.append((point, len(rig.cpu.accesses)))
    rig.cpu.accesses.clear()
    rig.driver.get_buf()
    places = [(access.address, access.size) for access in rig.cpu.accesses]
    assert places == [(rig.rings.used_field("idx"), 2), (rig.rings.used_at(0), 8)]
    assert points == [(Order.USED_IDX_THEN_ELEMENT, 1)]


def test_a_device_that_claims_more_is_not_believed():
    """A driver makes no assumptions beyond what was given; 2.7.8.1: `len` was often wrong."""
    rig = Rig()
    rig.add("one", [(OUT, 16)], [(IN, 5)])
    rig.driver.kick()
    rig.use(0, 0xFFFFFFFF)
    assert rig.driver.get_buf() == Used("one", 5)


@pytest.mark.parametrize(
    ("head", "step"), [(1, 1), (2, 1), (8, 1), (0xFFFFFFFF, 1), (0, 2), (0, 3), (0, 65535)]
)
def test_a_device_that_gives_back_what_it_does_not_have(head, step):
    """Head 2 was used before; two buffers were never exposed."""
    rig = Rig()
    rig.add("a", [(OUT, 1), (OUT, 1)])
    rig.add("b")
    rig.driver.kick()
    rig.use(2)
    assert rig.driver.get_buf().token == "b"
    rig.use(head, 0, step)
    before = rig.state()
    for _ in range(2):
        with pytest.raises(DeviceBroken, match=f"used {head}, {step} new elements, with 1 buffers"):
            rig.driver.get_buf()
        assert rig.state() == before
        rig.driver._check()


def test_what_was_added_is_not_yet_the_devices():
    """2.7.13.3.1: until the index says so, no buffer has been given to it."""
    rig = Rig()
    rig.add("shown")
    rig.driver.kick()
    rig.add("not yet")
    rig.use(1)
    for get in (rig.driver.get_buf, rig.driver.get_bufs):
        with pytest.raises(DeviceBroken, match="used 1, 1 new elements, with 1 buffers exposed"):
            get()
    rig.driver._check()


def test_in_order_one_element_completes_a_batch():
    """2.7.9: those before its last were written completely."""
    rig = Rig(8, ORDER)
    for token in "abcd":
        rig.add(token, [], [(IN, 10)])
    rig.driver.kick()
    rig.use(2, 4, step=3)
    assert [rig.driver.get_buf() for _ in range(4)] == [
        Used("a", 10),
        Used("b", 10),
        Used("c", 4),
        None,
    ]
    rig.use(3, 10)
    assert rig.driver.get_buf() == Used("d", 10)
    rig.driver._check()


def test_in_order_a_batch_in_hand_keeps_the_driver_awake():
    rig = Rig(8, ORDER | EVENTS)
    rig.add("a")
    rig.add("b")
    rig.driver.kick()
    rig.use(1, step=2)
    rig.driver.get_buf()
    assert not rig.driver.enable_cb()
    rig.driver.get_buf()
    assert rig.driver.enable_cb()


def test_in_order_two_elements_follow_each_other():
    rig = Rig(8, ORDER)
    for token in "abc":
        rig.add(token)
    rig.driver.kick()
    rig.use(1, step=2)
    rig.use(2)
    assert [rig.driver.get_buf().token for _ in range(3)] == list("abc")


@pytest.mark.parametrize(("head", "step"), [(2, 1), (1, 1), (5, 3), (2, 4), (3, 4)])
def test_in_order_a_batch_that_cannot_be(head, step):
    """An index that moved by less than the batch, a head nobody added, or one not exposed."""
    rig = Rig(8, ORDER)
    for token in "abc":
        rig.add(token)
    rig.driver.kick()
    rig.add("d")
    rig.use(head, 0, step)
    before = rig.state()
    with pytest.raises(DeviceBroken):
        rig.driver.get_buf()
    assert rig.state() == before


def test_in_order_descriptors_are_taken_in_ring_order():
    """2.7.5, 2.7.5.2: from 0 on, around the end of the table, `next` being the neighbour."""
    rig = Rig(4, ORDER)
    device = rig.device()
    heads = []
    for lap in range(7):
        rig.add(lap, [(OUT, 1)] * 3)
        rig.driver.kick()
        chain = device.pop()
        heads.append(chain.head)
        device.push(chain)
        assert rig.driver.get_buf() == Used(lap, 0)
    assert heads == [0, 3, 2, 1, 0, 3, 2]


# -- callbacks


def test_without_EVENT_IDX_the_flag_says_it():
    """2.7.7.1: 0 or 1."""
    rig = Rig()
    rig.driver.disable_cb()
    assert rig.avail("flags") == 1
    assert rig.driver.enable_cb()
    assert rig.avail("flags") == 0
    assert rig.avail("used_event") == 0


def test_with_EVENT_IDX_flags_stay_0_and_the_next_element_is_asked_for():
    """2.7.7.1."""
    rig = Rig(8, EVENTS)
    for token in range(3):
        rig.add(token)
    rig.driver.kick()
    asked = []
    for head in range(2):
        rig.use(head)
        rig.driver.get_buf()
        asked.append(rig.avail("used_event"))
    assert asked == [1, 2]
    rig.driver.disable_cb()
    assert rig.avail("used_event") == 1
    rig.use(2)
    assert not rig.driver.enable_cb()
    rig.driver.disable_cb()
    rig.driver.get_buf()
    assert rig.avail("used_event") == 1
    assert rig.driver.enable_cb()
    assert rig.avail("used_event") == 3
    assert rig.avail("flags") == 0


@pytest.mark.parametrize("features", [frozenset(), EVENTS])
def test_every_wish_is_one_word(features):
    rig = Rig(8, features)
    rig.driver.disable_cb()
    rig.driver.enable_cb()
    field = "used_event" if features else "flags"
    places = [(access.address, access.size) for access in rig.cpu.accesses]
    wish, look = (rig.rings.avail_field(field), 2), (rig.rings.used_field("idx"), 2)
    assert places == [wish, wish, look]


def test_after_enable_cb_each_get_asks_for_the_next_element():
    rig = Rig(8, EVENTS)
    rig.driver.disable_cb()
    rig.add("a")
    rig.add("b")
    rig.driver.kick()
    rig.use(0)
    rig.use(1)
    assert not rig.driver.enable_cb()
    asked = [rig.driver.get_buf() and rig.avail("used_event") for _ in range(2)]
    assert asked == [1, 2]


def test_reset_gives_the_tokens_that_were_lost():
    """2.6.1.1.2: their resources may be released."""
    rig = Rig(8, EVENTS)
    for token in "abc":
        rig.add(token)
    rig.driver.kick()
    rig.use(1)
    rig.driver.get_buf()
    rig.driver.disable_cb()
    assert rig.driver.reset() == ["a", "c"]
    assert rig.driver.reset() == []
    assert (rig.avail("idx"), rig.avail("used_event")) == (0, 0)
    assert rig.driver.free == 8
    assert rig.driver.callbacks
    rig.add("d")
    assert (rig.entry(0), rig.desc(0)) == (0, (OUT, 16, 0, 0))


# -- a store buffer: what the barriers are for


def race(features, with_barrier, start):
    """A driver behind a store buffer, and the device, which moves when the driver has looked."""
    ram = GuestMemory(0x10000)
    rings = SplitRings.placed(RING, 8)
    cpu = StoreBuffer(ram)
    driver = SplitDriver(cpu, rings, features)
    device = SplitQueue(ram)
    device.enable(rings, features)
    start(driver, device)
    cpu.drain()
    driver.barrier = cpu.drain if with_barrier else lambda point: None
    return cpu, driver, device


@pytest.mark.parametrize("features", [frozenset(), EVENTS])
@pytest.mark.parametrize("with_barrier", [True, False])
def test_without_a_barrier_the_driver_sleeps_for_ever(features, with_barrier):
    """enable_cb: the wish is still in the store buffer when `used.idx` is read."""

    def start(driver, device):
        driver.add_buf([(OUT, 1)], [], "one")
        driver.add_buf([(OUT, 1)], [], "two")
        driver.kick()
        driver.disable_cb()

    cpu, driver, device = race(features, with_barrier, start)
    asleep = driver.enable_cb()
    device.push(device.pop())
    woken = device.should_notify()
    cpu.drain()
    assert asleep
    assert woken == with_barrier


@pytest.mark.parametrize("features", [frozenset(), EVENTS])
@pytest.mark.parametrize("with_barrier", [True, False])
def test_without_a_barrier_nobody_rings(features, with_barrier):
    """kick: avail.idx is still in the store buffer when the device asks to be rung, and looks."""
    cpu, driver, device = race(features, with_barrier, lambda driver, device: None)
    device.disable_notify()
    driver.add_buf([(OUT, 1)], [], "one")
    question = cpu.load

    def load(gpa, size=4):
        """The driver has its answer: do not ring. Just then the device asks for it, and looks."""
        answer = question(gpa, size)
        asleep.append(device.enable_notify())
        return answer

    asleep = []
    cpu.load = load
    rang = driver.kick()
    cpu.drain()
    assert not rang
    assert asleep == [not with_barrier]
    assert device.available() == 1
