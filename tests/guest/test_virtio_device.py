"""The eight steps of 3.1.1, as a driver tells them to any transport."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.guest.paper_virtio import PaperTransport, RamCpu
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import (
    RING_FEATURES,
    VirtioDriver,
    choose,
    next_word,
)
from virtlab.guest.virtio_transport import EAGER, POLLS, VirtioFailed, legacy_page, poll
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.status import Status

V, P = Feature.VERSION_1, Feature.RING_PACKED
AT = 0x1_0000


def driver(transport, length=0x2_0000):
    ram = GuestMemory(0x4_0000)
    return VirtioDriver(RamCpu(ram), transport, Room(AT, length))


def begun(offered=frozenset({V}), understood=RING_FEATURES, **kinds):
    """A driver after step 6."""
    virtio = driver(PaperTransport(offered, **kinds))
    virtio.begin()
    virtio.negotiate(understood)
    return virtio


# -- the order of the steps


def test_the_steps_in_their_order():
    virtio = driver(PaperTransport({V, P, 5}))
    assert virtio.begin() == {V, P, 5}
    assert virtio.negotiate(frozenset({V, P, 9})) == {V, P}
    virtio.add_queue(0, 64)
    virtio.ready()
    assert virtio.transport.log == [
        "status 0x00",
        "status 0x01",
        "status 0x03",
        "features?",
        "accept 0x500000000",
        "status 0x0b",
        "queue 0: 64 at 0x10000 0x10400 0x10404",
        "status 0x0f",
    ]
    assert repr(virtio) == "VirtioDriver(device 2, ACKNOWLEDGE DRIVER FEATURES_OK DRIVER_OK)"


def test_a_legacy_device_has_no_features_ok():
    """Steps 5 and 6 are left out (3.1.2)."""
    virtio = begun({28, 29}, legacy=True)
    virtio.ready()
    statuses = [line for line in virtio.transport.log if line.startswith("status")]
    assert statuses == ["status 0x00", "status 0x01", "status 0x03", "status 0x07"]


def test_any_layout_must_be_accepted_by_a_legacy_driver():
    """6.3, if it is offered; a modern device has no such feature."""
    assert begun({27, 29, 30}, frozenset({29}), legacy=True).features == {27, 29}
    assert begun({29}, frozenset({29}), legacy=True).features == {29}
    assert begun({V, 27}).features == {V}


def test_nothing_is_told_before_the_reset_is_done():
    virtio = driver(PaperTransport())
    virtio.transport.reset_works = False
    with pytest.raises(VirtioFailed, match="does not end its reset"):
        virtio.begin()
    assert virtio.transport.log == ["status 0x00"]


def test_a_device_that_does_not_agree_is_given_up():
    """FEATURES_OK does not stay (3.1.1, step 6): FAILED, and no further step."""
    virtio = driver(PaperTransport({V, P}))
    virtio.transport.status_mask = ~Status.FEATURES_OK
    virtio.begin()
    with pytest.raises(VirtioFailed, match="does not agree to VERSION_1, RING_PACKED"):
        virtio.negotiate(RING_FEATURES)
    assert virtio.transport.log[-1] == "status 0x83"
    assert virtio.features == frozenset()


def test_a_modern_transport_needs_version_1():
    virtio = driver(PaperTransport({5}))
    virtio.begin()
    with pytest.raises(VirtioFailed, match="does not offer VERSION_1"):
        virtio.negotiate(RING_FEATURES)
    assert virtio.transport.log[-1] == "status 0x83"


def test_version_1_must_be_accepted():
    virtio = driver(PaperTransport({V}))
    virtio.begin()
    with pytest.raises(ValueError, match=r"must accept VERSION_1 where it is offered \(6.1\)"):
        virtio.negotiate(frozenset())


def test_a_device_that_needs_a_reset_at_once():
    virtio = begun()
    virtio.transport.extra_status = Status.DEVICE_NEEDS_RESET
    assert not virtio.needs_reset
    with pytest.raises(VirtioFailed, match="needs a reset as soon as it is live"):
        virtio.ready()
    assert virtio.needs_reset


def test_a_status_bit_is_never_cleared():
    """2.1.1, but for the reset."""
    virtio = begun()
    virtio.ready()
    with pytest.raises(VirtioFailed, match="enough"):
        virtio.fail("enough")
    told = [int(line[7:], 16) for line in virtio.transport.log if line.startswith("status")]
    assert all(old & new == old for old, new in itertools.pairwise(told))


def test_a_new_beginning_forgets_everything():
    virtio = begun()
    virtio.add_queue()
    virtio.ready()
    taken = virtio.room.taken
    virtio.begin()
    assert (virtio.features, virtio.queues, virtio.room.taken) == (frozenset(), {}, 0)
    virtio.negotiate(RING_FEATURES)
    virtio.add_queue()
    assert virtio.room.taken == taken
    assert repr(driver(PaperTransport())).startswith("VirtioDriver(device 2, ACKNOWLEDGE")
    virtio.reset()
    assert repr(virtio) == "VirtioDriver(device 2, reset)"


# -- features

SETS = st.frozensets(st.integers(0, 8))


@given(SETS, SETS, st.dictionaries(st.integers(0, 8), SETS, max_size=4))
def test_what_is_accepted(offered, understood, needs):
    """2.2.1: nothing that was not offered; nothing that requires what was not accepted."""
    chosen = choose(offered, understood, needs)
    assert chosen <= offered & understood
    assert all(needs.get(bit, frozenset()) <= chosen for bit in chosen)
    for bit in (offered & understood) - chosen:
        assert not needs[bit] <= chosen


def test_a_feature_without_what_it_needs_is_left_out():
    virtio = driver(PaperTransport({V, 1, 2, 3}))
    virtio.begin()
    needs = {1: frozenset({2}), 2: frozenset({4}), 3: frozenset({V})}
    assert virtio.negotiate(frozenset({V, 1, 2, 3, 4}), needs) == {V, 3}


# -- queues


def test_a_split_and_a_packed_queue():
    split, packed = begun({V}).add_queue(), begun({V, P}).add_queue(size=37)
    assert isinstance(split, SplitDriver)
    assert split.rings == SplitRings.placed(AT, 256)
    assert isinstance(packed, PackedDriver)
    assert packed.rings.parts == ((AT, 592), (AT + 592, 4), (AT + 596, 4))


def test_a_legacy_queue_is_one_piece_from_a_page_on():
    virtio = begun(frozenset(), legacy=True)
    virtio.room.take(1)
    queue = virtio.add_queue(size=256)
    assert queue.rings == SplitRings.legacy((AT + 0x1000) // 4096, 256)
    assert virtio.transport.log[-1] == "queue 0: 256 at 0x11000 0x12000 0x13000"


@pytest.mark.parametrize(
    ("page", "size", "areas"),
    [
        (0, 8, (0, 0x80, 0x1000)),  # page 0 means that there is no queue
        (1, 8, (0x1010, 0x1090, 0x2000)),
        (1, 8, (0x1000, 0x1090, 0x2000)),
        (1, 8, (0x1000, 0x1080, 0x1100)),
    ],
)
def test_other_places_are_no_legacy_queue(page, size, areas):
    with pytest.raises(ValueError, match="in one piece from a page border on"):
        legacy_page(size, areas)
    assert legacy_page(8, (0x1000, 0x1080, 0x2000)) == 1


def test_sizes_that_are_none():
    virtio = begun()
    for size in (0, 257, -1):
        with pytest.raises(ValueError, match=f"queue 0 has 1 to 256 entries, not {size}"):
            virtio.add_queue(0, size)
    with pytest.raises(ValueError, match="a power of two, not 37"):
        virtio.add_queue(0, 37)
    assert virtio.queues == {}


def test_the_largest_queue_that_the_specification_knows():
    """A device that says more is not believed: indices have 16 bits, and wrap counters one."""
    virtio = driver(PaperTransport({V, P}), 0x10_0000)
    virtio.cpu.ram = GuestMemory(0x20_0000)
    virtio.begin()
    virtio.negotiate(RING_FEATURES)
    virtio.transport.sizes[0] = 65535
    assert virtio.add_queue().rings.size == 32768


def test_a_queue_that_is_not_there():
    virtio = begun()
    with pytest.raises(VirtioFailed, match="no free queue 1"):
        virtio.add_queue(1)
    assert virtio.transport.log[-1] == "status 0x8b"
    virtio = begun()
    virtio.add_queue(0)
    with pytest.raises(VirtioFailed, match="no free queue 0"):
        virtio.add_queue(0)


def test_tables_are_there_only_if_negotiated():
    indirect = Feature.RING_INDIRECT_DESC
    queue = begun({V, indirect}).add_queue(0, 8, entries=4)
    assert (queue.tables.gpa, queue.tables.entries) == (AT, 4)
    assert queue.rings.desc == AT + 8 * 4 * 16
    assert begun({V, indirect}).add_queue(0, 8).tables is None
    assert begun({V}).add_queue(0, 8, entries=4).tables is None


def test_the_room_has_an_end():
    room = Room(0x1001, 0x100)
    assert room.take(3, 1) == 0x1001
    assert room.take(16) == 0x1010
    with pytest.raises(ValueError, match="226 bytes do not fit: 31 of 256 are taken"):
        room.take(226)
    assert room.take(0x1101 - 0x1020) == 0x1020
    with pytest.raises(ValueError, match="1 bytes do not fit"):
        room.take(1)
    room.clear()
    assert room.take(1) == 0x1010


@pytest.mark.parametrize("packed", [False, True])
def test_the_bell_says_how_far_the_driver_is(packed):
    """2.9: where the next entry goes, with the wrap counter or bit 15 of the index above."""
    virtio = begun({V, P} if packed else {V})
    queue = virtio.add_queue(0, 4)
    for at in range(5):
        queue.add_buf([(0x5000, 1)], [], at)
        queue.kick()
        words = {False: [1, 2, 3, 4, 5], True: [0x8001, 0x8002, 0x8003, 0x0000, 0x0001]}[packed]
        assert virtio.transport.log[-1] == f"bell 0 {words[at]:#x}"
        assert next_word(queue) == words[at]
        use(virtio, queue, at)


def use(virtio, queue, at):
    """Give the buffer back by hand, so that the ring goes on."""
    ram = virtio.cpu.ram
    if isinstance(queue, PackedDriver):
        flags = 0x8080 if at < 4 else 0
        ram.store(queue.rings.desc_at(at) + 8, 8, at % 4 << 32 | flags << 48)
    else:
        ram.store(queue.rings.used_at(at), 8, at % 4)
        ram.store(queue.rings.used_field("idx"), 2, at + 1)
    assert queue.get_buf().token == at


def test_one_queue_is_reset():
    """The device first, then the driver's side, then the queue is handed over again (2.6.1)."""
    virtio = begun({V, Feature.RING_RESET})
    queue = virtio.add_queue(0, 4)
    queue.add_buf([(0x5000, 1)], [], "lost")
    assert virtio.reset_queue(0) == ["lost"]
    assert virtio.transport.log[-2:] == [
        "reset queue 0",
        f"queue 0: 4 at {AT:#x} {AT + 64:#x} {AT + 80:#x}",
    ]
    assert queue.free == 4


def test_a_queue_is_not_reset_without_the_feature():
    virtio = begun()
    virtio.add_queue()
    with pytest.raises(ValueError, match="RING_RESET was not negotiated"):
        virtio.reset_queue(0)


# -- configuration


def test_fields_of_one_moment():
    """2.5.1: the generation changed while they were read, so they are read again."""
    virtio = begun()
    virtio.transport.generations = [7, 8, 9, 9]
    virtio.transport.configs = [bytes(16), b"\x11" * 16, b"\x22" * 16]
    virtio.transport.turns_at = 4
    assert virtio.config([(0, 4), (4, 2)]) == [0x11111111, 0x2222]
    virtio.transport.turns_at = 0
    assert virtio.config([(0, 8), (8, 1)]) == [0x2222222222222222, 0x22]


def test_a_field_of_64_bits_is_two_reads():
    """4.1.3.1, 4.2.2.2."""
    virtio = begun()
    assert virtio.config([(8, 8), (3, 1), (2, 2)]) == [0x0F0E0D0C0B0A0908, 3, 0x0302]
    assert virtio.transport.log[-4:] == ["config+8/4", "config+12/4", "config+3/1", "config+2/2"]


def test_a_legacy_device_is_asked_until_it_says_the_same_twice():
    """2.5.4."""
    virtio = begun(frozenset(), legacy=True)
    virtio.transport.configs = [b"\1" * 8, b"\2" * 8, b"\3" * 8]
    virtio.transport.turns_at = 8
    virtio.transport.log.clear()
    assert virtio.config([(0, 8)]) == [0x0303030303030303]
    assert len(virtio.transport.log) == 2 * 4


def test_a_configuration_that_never_stands_still():
    virtio = begun()
    virtio.transport.generations = list(range(3 * POLLS))
    with pytest.raises(VirtioFailed, match="changes faster than it can be read"):
        virtio.config([(0, 1)])


def test_no_field_at_all():
    assert begun().config([]) == []


def test_why_it_interrupts():
    virtio = begun()
    virtio.transport.isr = 3
    assert [virtio.causes(), virtio.causes()] == [3, 0]


# -- polling


def test_time_passes_between_later_looks():
    cpu = RamCpu(None)
    looks = iter([False] * (EAGER + 2) + [True])
    assert poll(cpu, lambda: next(looks))
    assert cpu.waits == 2
    assert not poll(cpu, lambda: False)
    assert cpu.waits == 2 + POLLS - EAGER
