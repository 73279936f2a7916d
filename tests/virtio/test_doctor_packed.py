"""The ring doctor on a packed ring: who is where, what is pending, what is wrong and where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Ring,
)
from virtlab.errors import GuestError
from virtlab.virtio import doctor
from virtlab.virtio.doctor import Pending, examine, records

CHAPTER = "virtio 1.3 2.8"
ONE = (BUFFERS, 16, 0)


def ring_of(ring, **other):
    """The queue as its device has it."""
    return doctor.ring_of(ring.queue)._replace(**other)


def report(ring, whole=True, **other):
    """What the doctor says; and it changed nothing."""
    before = ring.ram.bytes.tobytes()
    found = examine(ring.ram, ring_of(ring, **other), whole)
    assert ring.ram.bytes.tobytes() == before
    return found


def only(ring, **other):
    """The one finding that there is."""
    findings = report(ring, **other).findings
    assert len(findings) == 1, findings
    return findings[0]


def laps(ring, count):
    """Let `count` lists of one descriptor come and go."""
    for _ in range(count):
        ring.give(ONE)
        ring.queue.push(ring.queue.pop())


# -- a sound ring


def test_a_ring_that_nobody_used_is_sound():
    found = report(Ring())
    assert found == (ring_of(Ring()), (), 0, 0, (), found.signals)


def test_lists_are_listed_taken_or_waiting():
    ring = Ring()
    ring.give((BUFFERS, 16, 0), (BUFFERS + 64, 512, WRITE), ident=7)
    ring.give(ONE, ident=3)
    ring.queue.pop()
    found = report(ring)
    assert found.findings == ()
    assert (found.in_flight, found.waiting) == (2, 1)
    assert found.pending == (
        Pending(7, ((BUFFERS, 16, False), (BUFFERS + 64, 512, True)), 0, True),
        Pending(3, ((BUFFERS, 16, False),), 2, False),
    )


def test_an_indirect_table_stands_for_the_descriptor_that_refers_to_it():
    ring = Ring(features=INDIRECT_ONLY)
    at, length = ring.table((BUFFERS, 4, 0), (BUFFERS + 8, 5, WRITE))
    ring.give((at, length, INDIRECT), ident=2)
    found = report(ring)
    assert found.findings == ()
    assert found.pending == (Pending(2, ((BUFFERS, 4, False), (BUFFERS + 8, 5, True)), 0, False),)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_the_bits_tell_where_the_driver_is_in_any_lap(size):
    """Every place of both sides, for three laps: nothing pending, some, all, in flight or not."""
    for gone in range(3 * size + 1):
        for given_ in range(size + 1):
            for taken in range(given_ + 1):
                ring = Ring(size)
                laps(ring, gone)
                for number in range(given_):
                    ring.give(ONE, ident=number)
                for _ in range(taken):
                    ring.queue.pop()
                found = report(ring)
                assert found.findings == ()
                assert [chain.head for chain in found.pending] == list(range(given_))
                if taken < size:  # all taken looks like none
                    assert (found.in_flight, found.waiting) == (taken, given_ - taken)
                    assert [chain.taken for chain in found.pending].count(True) == taken


def test_a_wrap_counter_in_bit_15_is_not_looked_at():
    ring = Ring()
    ring.give(ONE, ident=4)
    ring.queue.pop()
    plain = report(ring)
    marked = report(ring, last_avail_idx=0x8001, used_idx=0x8000)
    assert marked[1:] == plain[1:]


def test_a_list_of_many_leaves_old_descriptors_behind():
    """The device marks the first as used and skips the rest, which still look available."""
    ring = Ring(4)
    ring.give(ONE, ONE, ONE)
    ring.queue.push(ring.queue.pop())
    found = report(ring)
    assert (found.pending, found.findings) == ((), ())
    ring.give(ONE, ONE, ident=5)
    found = report(ring)
    assert [chain.head for chain in found.pending] == [5]
    assert found.pending[0].position == 3
    assert found.findings == ()


def test_what_was_used_out_of_order_is_noticed_where_its_id_came_again():
    ring = Ring(8)
    ring.give(ONE, ident=0)
    ring.give(ONE, ident=1)
    _, second = ring.queue.pop(), ring.queue.pop()
    ring.queue.push(second)
    ring.give(ONE, ident=1)
    found = report(ring)
    assert (found.in_flight, found.waiting) == (1, 1)
    assert found.sound
    (finding,) = found.findings
    assert (finding.who, finding.where) == ("device", "desc[2].id")
    assert finding.why.startswith("id 1 stands here twice: the first was used, out of order")


# -- the parts


@pytest.mark.parametrize(
    ("area", "name", "odd", "align"),
    [
        ("desc", "descriptor ring", 0x2008, 16),
        ("driver", "driver event", 0x2002, 4),
        ("device", "device event", 0x2001, 4),
    ],
)
def test_each_part_begins_where_it_may(area, name, odd, align):
    assert str(only(Ring(), **{area: odd})) == (
        f"driver: {name} at {odd:#x}: it does not begin at a multiple of {align} ({CHAPTER}.11)"
    )


@pytest.mark.parametrize(
    ("area", "name"),
    [("desc", "descriptor ring"), ("driver", "driver event"), ("device", "device event")],
)
def test_each_part_is_memory(area, name):
    finding = only(Ring(), **{area: MEMORY})
    assert (finding.where, finding.spec) == (name, CHAPTER)
    assert "not all of it is memory" in finding.why


def test_without_the_ring_nothing_is_counted():
    assert report(Ring(), desc=MEMORY)[1:4] == ((), 0, 0)


def test_two_parts_do_not_overlap():
    assert only(Ring(), driver=RING + 16).where == "driver event"


@pytest.mark.parametrize("name", ["last_avail_idx", "used_idx"])
def test_a_place_of_the_device_is_a_slot(name):
    finding = only(Ring(5), **{name: 5})
    assert str(finding) == f"device: {name} at 0x1000: slot 5 of a ring of 5 ({CHAPTER})"


@pytest.mark.parametrize(
    ("desc", "flags", "features", "where", "spec"),
    [
        (0, 3, EXACT, "event.flags", ".10"),
        (0, 4, EXACT, "event.flags", ".14"),
        (0, 2, frozenset(), "event.flags", ".10"),
        (8, 2, EXACT, "event.desc", ".10"),
        (0x8008, 2, EXACT, "event.desc", ".10"),
    ],
)
@pytest.mark.parametrize("who", ["driver", "device"])
def test_an_event_structure_has_three_values(who, desc, flags, features, where, spec):
    ring = Ring(features=features)
    address = getattr(ring.rings, who)
    ring.ram.store(address, 4, desc | flags << 16)
    finding = only(ring)
    assert (finding.who, finding.where, finding.spec) == (who, f"{who} {where}", CHAPTER + spec)
    assert finding.address == address + (2 if where == "event.flags" else 0)


def test_an_event_structure_that_is_right():
    ring = Ring(features=EXACT)
    for desc, flags in ((7, 2), (0x8007, 2), (0xFFFF, 0), (0xFFFF, 1)):
        ring.event(desc, flags)
        assert report(ring).findings == ()


# -- places


def test_a_device_takes_what_is_available():
    ring = Ring()
    ring.give(ONE)
    finding = only(ring, last_avail_idx=3)
    assert (finding.who, finding.where, finding.spec) == (
        "device",
        "last_avail_idx",
        CHAPTER + ".15",
    )
    assert finding.why == "3 descriptors taken, where 1 were available"


def test_a_device_takes_whole_lists():
    ring = Ring()
    ring.give(ONE, ONE, ONE)
    finding = only(ring, last_avail_idx=2)
    assert finding.why == "the device has taken the list up to slot 2, not all of it"
    assert finding.spec == CHAPTER + ".6"


@pytest.mark.parametrize("gone", [0, 3, 8, 11])
def test_what_the_device_has_not_used_is_not_marked_as_used(gone):
    ring = Ring()
    laps(ring, gone)
    for number in range(4):
        ring.give(ONE, ident=number)
    slot = (gone + 2) % 8
    ring.desc(slot, flags=AVAIL | USED if gone + 2 < 8 else 0)
    finding = only(ring)
    assert (finding.who, finding.where) == ("device", f"desc[{slot}].flags")
    assert (finding.address, finding.spec) == (RING + 16 * slot, CHAPTER + ".12")
    assert finding.why == f"it is marked as used, and the device uses slot {gone % 8} next"
    assert [chain.head for chain in report(ring).pending] == [0, 1]


def test_a_device_that_is_further_than_it_says_is_found():
    ring = Ring()
    laps(ring, 3)
    assert only(ring, used_idx=0, last_avail_idx=0).where == "desc[0].flags"


def test_bits_of_another_lap_are_a_warning():
    ring = Ring()
    laps(ring, 3)
    ring.desc(6, flags=AVAIL)
    assert str(only(ring)) == (
        "warning: desc[6].flags at 0x1060: AVAIL is of another lap, and the driver makes slot 3 "
        "available next: is it about to? (virtio 1.3 2.8.17)"
    )


@pytest.mark.parametrize("gone", [0, 1, 2, 5, 7, 8, 15, 16])
def test_a_list_in_the_making_is_not_pending_yet(gone):
    """The flags of the first descriptor come last."""
    ring = Ring(8)
    laps(ring, gone)
    ring.give(ONE, ident=3)
    first = ring.at % 8
    before = ring.found(first)
    ring.give(ONE, ONE, ONE, ident=4)
    addr, length, ident, _ = ring.found(first)
    ring.desc(first, addr, length, ident, before[3])
    found = report(ring)
    assert found.sound
    assert [finding.where[:5] for finding in found.findings] in ([], ["desc["])
    assert [chain.head for chain in found.pending] == [3]
    assert (found.waiting, found.in_flight) == (1, 0)


# -- lists


def broken_length(ring):
    ring.give((TABLE, 24, INDIRECT))


def broken_mixed(ring):
    ring.give((BUFFERS, 16, 0), (TABLE, 16, INDIRECT))


def broken_order(ring):
    ring.give((BUFFERS, 16, WRITE), (BUFFERS, 16, 0))


def broken_memory(ring):
    ring.give((BUFFERS, 16, 0), (MEMORY - 4, 16, 0))


def broken_table(ring):
    ring.give((MEMORY, 32, INDIRECT))


def broken_inside(ring):
    at, length = ring.table((BUFFERS, 16, 0), (BUFFERS, 0, 0))
    ring.give((at, length, INDIRECT))


def broken_end(ring):
    ring.give((BUFFERS, 16, NEXT))


@pytest.mark.parametrize(
    ("breaks", "where", "spec", "left"),
    [
        (broken_length, "desc[0]", ".7", 0),
        (broken_mixed, "desc[1]", ".19", 1),
        (broken_order, "desc[1]", ".17", 2),
        (broken_memory, "desc[1]", ".13", 2),
        (broken_table, "desc[0] table[0]", ".13", 0),
        (broken_inside, "desc[0] table[1]", ".4", 2),
        (broken_end, "desc[1]", ".17", 2),
    ],
)
def test_a_list_that_breaks_a_rule_is_found_with_its_place(breaks, where, spec, left):
    ring = Ring(features=INDIRECT_ONLY)
    breaks(ring)
    finding = only(ring)
    assert (finding.who, finding.where, finding.spec) == ("driver", where, CHAPTER + spec)
    with pytest.raises(GuestError, match=finding.why.split(";")[0].split("(")[0]):
        ring.queue.pop()
    assert len(report(ring).pending[0].buffers) == left


def test_behind_a_broken_list_the_next_is_found():
    ring = Ring(features=INDIRECT_ONLY)
    broken_order(ring)
    ring.give(ONE, ident=6)
    assert [(chain.head, chain.position) for chain in report(ring).pending] == [(0, 0), (6, 2)]


def test_a_finding_says_what_the_descriptor_holds():
    ring = Ring()
    ring.give((TABLE, 16, INDIRECT), ident=9)
    assert only(ring).why == (
        "INDIRECT without the feature; it says addr 0x6000, len 0x10, id 0x9, flags 0x84 INDIRECT"
    )


@pytest.mark.parametrize(("taken", "features"), [(0, frozenset()), (0, ORDERED), (1, ORDERED)])
def test_an_id_is_pending_once(taken, features):
    ring = Ring(features=features)
    ring.give(ONE, ONE, ident=5)
    ring.give(ONE, ident=5)
    for _ in range(taken):
        ring.queue.pop()
    finding = only(ring)
    assert str(finding) == (
        f"driver: desc[2].id at {RING + 32 + 12:#x}: buffer id 5 is pending already"
        f" ({CHAPTER}.21.1)"
    )


def test_of_a_part_of_memory_buffers_are_not_looked_at():
    ring = Ring(features=INDIRECT_ONLY)
    broken_memory(ring)
    assert report(ring, whole=False).findings == ()
    ring.give((MEMORY, 32, INDIRECT), ident=1)
    found = report(ring, whole=False)
    assert [finding.warning for finding in found.findings] == [True]
    assert found.sound


def test_a_ring_of_full_tables_is_read_up_to_the_limit(monkeypatch):
    monkeypatch.setattr(records, "MAX_DESCRIPTORS", 25)
    ring = Ring(features=INDIRECT_ONLY)
    at, length = ring.table(*[ONE] * 8)
    for number in range(8):
        ring.give((at, length, INDIRECT), ident=number)
    found = report(ring)
    assert [chain.head for chain in found.pending] == [0, 1]
    assert found.waiting == 8
    assert str(found.findings[0]).startswith("warning: desc[2] at 0x1020: not read from here on")


def test_a_list_that_vanishes_while_it_is_looked_at_is_no_list():
    """The ring is read, then followed: a driver that goes back in between is not believed."""
    ring = Ring()
    ring.give(ONE, ident=5)
    seen = []

    def after_read(iova, length):
        seen.append(length)
        if iova == ring.rings.device:
            ring.desc(0, flags=0)

    ring.ram.after_read = after_read
    found = examine(ring.ram, ring_of(ring))
    assert [chain.buffers for chain in found.pending] == [()]


# -- who wants to hear of what


def test_signals():
    ring = Ring(features=EXACT)
    assert report(ring).signals == (
        "the driver wants an interrupt for each list; the next is 0",
        "the device wants a kick for each list; the next is 0",
    )
    ring.event(0x8003, 2)
    ring.queue.enable_notify()
    ring.give(ONE)
    assert report(ring).signals == (
        "the driver wants an interrupt for slot 3 with wrap counter 1; the next is 0",
        "the device wants a kick for slot 0 with wrap counter 1; the next is 1: "
        "a kick is due, 1 wait",
    )
    ring.event(0, 1)
    ring.queue.disable_notify()
    assert report(ring).signals == (
        "the driver wants no interrupt; the next is 0",
        "the device wants no kick; the next is 1: no kick is due for the 1 that wait",
    )


# -- the same as the queue

places = st.sampled_from([0, RING, TABLE, BUFFERS, MEMORY - 8, 2**64 - 8])
lengths = st.sampled_from([0, 1, 16, 24, 32, 128, 144, 0xFFFF_FFFF])
entries = st.lists(
    st.tuples(places, lengths, st.sampled_from([0, WRITE, NEXT, INDIRECT, NEXT | WRITE, 7])),
    min_size=1,
    max_size=8,
)


@given(own=entries, table=entries, allowed=st.booleans())
def test_the_doctor_finds_what_the_queue_refuses_and_nothing_else(own, table, allowed):
    ring = Ring(features=INDIRECT_ONLY if allowed else frozenset())
    ring.table(*table)
    for number, piece in enumerate(own):
        ring.give(piece, ident=number)
    found = report(ring)
    try:
        chain = ring.queue.pop()
    except GuestError as error:
        refused = error
    else:
        assert found.pending[0] == Pending(chain.head, chain.buffers, 0, False)
        assert not any(finding.where.startswith("desc[0]") for finding in found.findings)
        return
    assert found.findings[0].spec == refused.spec
    assert found.findings[0].why.startswith(refused.why)


@given(st.data())
def test_whatever_the_ring_holds_the_doctor_answers(data):
    size = data.draw(st.integers(1, 9))
    ring = Ring(size, data.draw(st.sampled_from([frozenset(), INDIRECT_ONLY, EXACT, ORDERED])))
    place, value = st.integers(RING, RING + 16 * size + 8), st.integers(0, 1 << 64)
    for at, word in data.draw(st.lists(st.tuples(place, value), max_size=30)):
        ring.ram.store(at, data.draw(st.sampled_from([1, 2, 8])), word)
    counts = {name: data.draw(st.integers(0, 0xFFFF)) for name in ("last_avail_idx", "used_idx")}
    assert len(report(ring, **counts).pending) <= size
