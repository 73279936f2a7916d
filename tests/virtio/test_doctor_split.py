"""The ring doctor on a split ring: one thing broken, one finding, with its place and its clause."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtio.raw import DATA, MEMORY, RING, TABLE, Raw
from virtlab.errors import DmaFault, GuestError
from virtlab.memory import GuestMemory
from virtlab.virtio import doctor
from virtlab.virtio.doctor import MAX_FINDINGS, Pending, Ring, examine, records
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings

TABLES = Feature.RING_INDIRECT_DESC
MODERN = Feature.VERSION_1
CHAPTER = "virtio 1.3 2.7"


def made(*features, size=8):
    return Raw(size, {MODERN, *features})


def ring_of(raw, **other):
    """The queue as its device has it, at the places that `raw` says."""
    return doctor.ring_of(raw.queue)._replace(
        **{
            "desc": raw.rings.desc,
            "driver": raw.rings.avail,
            "device": raw.rings.used,
            **other,
        }
    )


def report(raw, whole=True, **other):
    """What the doctor says; and it changed nothing."""
    before = raw.ram.bytes.tobytes()
    found = examine(raw.ram, ring_of(raw, **other), whole)
    assert raw.ram.bytes.tobytes() == before
    return found


def only(raw, **other):
    """The one finding that there is."""
    findings = report(raw, **other).findings
    assert len(findings) == 1, findings
    return findings[0]


def buffers(pending):
    return [tuple(buffer) for buffer in pending.buffers]


# -- a sound ring


def test_a_ring_that_nobody_used_is_sound():
    found = report(made())
    assert found == (ring_of(made()), (), 0, 0, (), found.signals)
    assert found.sound


def test_chains_are_listed_taken_or_waiting():
    raw = made()
    raw.chain(16, 512, 1, writable=2)
    raw.chain(8, head=3)
    raw.queue.pop()
    found = report(raw)
    assert found.sound
    assert (found.in_flight, found.waiting) == (1, 1)
    assert found.pending[0] == Pending(
        0, ((DATA, 16, False), (DATA + 0x100, 512, True), (DATA + 0x200, 1, True)), 0, True
    )
    assert found.pending[1] == Pending(3, ((DATA + 0x300, 8, False),), 1, False)


def test_an_indirect_table_stands_for_the_descriptor_that_refers_to_it():
    raw = made(TABLES)
    raw.desc(0, DATA, 4, table=TABLE, flags=NEXT, following=2)
    raw.desc(2, DATA + 8, 5, WRITE, table=TABLE)
    raw.desc(5, DATA + 16, 6, NEXT, 0)
    raw.desc(0, TABLE, 48, INDIRECT | WRITE)
    raw.offer(5)
    found = report(raw)
    assert found.sound
    assert buffers(found.pending[0]) == [
        (DATA + 16, 6, False),
        (DATA, 4, False),
        (DATA + 8, 5, True),
    ]


def test_what_was_used_is_not_pending():
    raw = made()
    for head in range(4):
        raw.chain(8, head=head)
    chains = [raw.queue.pop() for _ in range(3)]
    raw.queue.push(chains[1])
    raw.queue.push(chains[2])
    found = report(raw)
    assert [(chain.head, chain.position, chain.taken) for chain in found.pending] == [
        (0, 0, True),
        (3, 3, False),
    ]


def test_a_head_that_came_again_is_the_newer_one():
    raw = made(size=4)
    for head in (0, 1, 2):
        raw.chain(8, head=head)
    chains = [raw.queue.pop() for _ in range(3)]
    for chain in (chains[2], chains[0]):
        raw.queue.push(chain)
    raw.chain(8, head=2)
    found = report(raw)
    assert [(chain.head, chain.position) for chain in found.pending] == [(1, 1), (2, 3)]


def test_a_head_is_used_where_it_came_first():
    raw = made()
    raw.chain(8, head=0)
    raw.queue.push(raw.queue.pop())
    raw.chain(8, head=0)
    raw.queue.pop()
    assert [chain.position for chain in report(raw).pending] == [1]


def test_what_was_not_taken_was_not_used():
    """Head 0 was in flight for more than a turn. Its use is in the rings, and its entry is not."""
    raw = made(size=4)
    for head in range(4):
        raw.chain(8, head=head)
    chains = [raw.queue.pop() for _ in range(4)]
    for chain in chains[1:]:
        raw.queue.push(chain)
    raw.chain(8, head=1)
    raw.queue.push(raw.queue.pop())
    raw.queue.push(chains[0])
    raw.chain(8, head=0)
    found = report(raw)
    assert [(chain.head, chain.position) for chain in found.pending] == [(0, 5)]
    assert found.sound


def test_in_order_the_entries_from_used_on_are_pending():
    raw = made(Feature.IN_ORDER)
    for head in range(4):
        raw.chain(8, head=head)
    chains = [raw.queue.pop() for _ in range(3)]
    raw.queue.push(chains[1], count=2)
    found = report(raw)
    assert found.sound
    assert [chain.head for chain in found.pending] == [2, 3]


def test_where_history_is_overwritten_the_entries_from_used_on_are_taken():
    """Head 0 is in flight for a whole turn; the used ring names a head that is no longer there."""
    raw = made(size=2)
    raw.chain(8, head=0)
    raw.chain(8, head=1)
    slow, chain = raw.queue.pop(), raw.queue.pop()
    raw.queue.push(chain)
    for head in (1, 1):
        raw.chain(8, head=head)
        raw.queue.push(raw.queue.pop())
    raw.queue.push(slow)
    raw.chain(8, head=0)
    raw.ram.store(raw.rings.used_at(3), 4, 1)
    assert [chain.position for chain in report(raw).pending] == [4]


def test_counts_run_over_65535():
    raw = made(size=4)
    base = 65534
    raw.queue.enable(raw.rings, raw.queue.features, base)
    for name in ("avail", "used"):
        raw.ram.store(getattr(raw.rings, f"{name}_field")("idx"), 2, base)
    for head in range(4):
        raw.chain(8, head=head)
    chains = [raw.queue.pop() for _ in range(3)]
    raw.queue.push(chains[2])
    found = report(raw)
    assert found.sound
    assert [(chain.head, chain.position) for chain in found.pending] == [
        (0, 65534),
        (1, 65535),
        (3, 1),
    ]
    assert [chain.taken for chain in found.pending] == [True, True, False]


# -- the parts


@pytest.mark.parametrize(
    ("size", "sound"), [(1, True), (2, True), (3, False), (6, False), (32768, True)]
)
def test_a_size_is_a_power_of_2(size, sound):
    ram = GuestMemory(1 << 20)
    rings = SplitRings.placed(RING, size)
    ring = Ring("split", size, rings.desc, rings.avail, rings.used, frozenset({MODERN}))
    found = examine(ram, ring)
    assert found.sound == sound
    if not sound:
        assert str(found.findings[0]) == (
            f"driver: size at 0x1000: {size} is no power of 2 ({CHAPTER})"
        )


@pytest.mark.parametrize("size", [0, -1, 32769])
def test_a_size_that_no_queue_has_is_a_mistake_of_the_caller(size):
    with pytest.raises(ValueError, match=f"1 to 32768 entries, not {size}"):
        report(made(), size=size)


def test_a_layout_that_there_is_not_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="'split' or 'packed', not 'braided'"):
        report(made(), layout="braided")


@pytest.mark.parametrize(
    ("area", "name", "odd", "align"),
    [
        ("desc", "descriptor table", 0x2008, 16),
        ("driver", "available ring", 0x2001, 2),
        ("device", "used ring", 0x2002, 4),
    ],
)
def test_each_part_begins_where_it_may(area, name, odd, align):
    finding = only(made(), **{area: odd})
    assert str(finding) == (
        f"driver: {name} at {odd:#x}: it does not begin at a multiple of {align} ({CHAPTER}.1)"
    )


@pytest.mark.parametrize(
    ("area", "name"),
    [("desc", "descriptor table"), ("driver", "available ring"), ("device", "used ring")],
)
def test_each_part_is_memory(area, name):
    finding = only(made(), **{area: MEMORY - 16})
    assert (finding.who, finding.where, finding.spec) == ("driver", name, CHAPTER)
    assert finding.why.startswith("not all of it is memory: no memory there")
    assert not finding.warning


def test_two_parts_do_not_overlap():
    raw = made()
    finding = only(raw, device=raw.rings.avail + 8)
    assert finding.where == "used ring"
    assert finding.why == f"it overlaps the available ring, which ends at {raw.rings.avail + 22:#x}"


def test_without_the_rings_nothing_is_counted():
    found = report(made(), driver=MEMORY)
    assert found[1:4] == ((), 0, 0)
    assert found.signals == ()


def test_without_the_table_chains_are_still_followed():
    """A snapshot may have a part of it."""
    raw = made()
    raw.chain(8, head=0)
    table = MEMORY - 16
    raw.ram.write(table, raw.ram.read(raw.rings.desc, 16))
    found = report(raw, desc=table, whole=False)
    assert [finding.where for finding in found.findings] == ["descriptor table"]
    assert found.sound
    assert buffers(found.pending[0]) == [(DATA, 8, False)]


def test_the_legacy_layout_has_its_places():
    raw = Raw(8)
    raw.rings = SplitRings.legacy(1, 8)
    assert report(raw).findings == ()
    raw.rings = SplitRings.placed(RING, 8)
    finding = only(raw)
    assert (finding.warning, finding.where, finding.spec) == (True, "used ring", CHAPTER + ".2")
    assert "has it at 0x2000, behind an available ring at 0x1080" in finding.why


# -- flags and counts


@pytest.mark.parametrize("features", [(), (Feature.RING_EVENT_IDX,)])
@pytest.mark.parametrize("flags", [0, 1, 2, 0x8000])
def test_flags_are_one_bit_and_none_with_event_idx(features, flags):
    raw = made(*features)
    raw.set_avail("flags", flags)
    raw.ram.store(raw.rings.used_field("flags"), 2, flags)
    found = [(each.who, each.where, each.spec) for each in report(raw).findings]
    broken = [
        ("driver", "avail.flags", CHAPTER + ".7.1"),
        ("device", "used.flags", CHAPTER + ".10.2"),
    ]
    assert found == (broken if flags > 1 - len(features) else [])


def test_an_index_that_jumps_is_the_drivers():
    raw = made()
    raw.offer(idx=9)
    finding = only(raw)
    assert str(finding) == (
        "driver: avail.idx at 0x1082: 9: 9 wait and 0 are in flight, in a queue of 8"
        " (virtio 1.3 2.7.6.1)"
    )


def test_what_is_in_flight_counts_too():
    raw = made(size=2)
    raw.chain(8, head=0)
    raw.queue.pop()
    raw.desc(1)
    raw.offer(1, 1)
    assert only(raw).why == "3: 2 wait and 1 are in flight, in a queue of 2"


def test_where_the_index_jumped_only_what_was_taken_is_pending():
    raw = made()
    raw.chain(8, head=2)
    raw.queue.pop()
    raw.set_avail("idx", 0)
    found = report(raw)
    assert [finding.where for finding in found.findings] == ["avail.idx"]
    assert [chain.head for chain in found.pending] == [2]
    assert found.waiting == 0xFFFF


def test_a_device_that_used_more_than_it_took_is_wrong():
    raw = made()
    raw.ram.store(raw.rings.used_field("idx"), 2, 3)
    finding = only(raw, used_idx=3)
    assert (finding.who, finding.where, finding.spec) == ("device", "used_idx", CHAPTER + ".8")
    assert finding.why == "3 chains used, 0 taken, in a queue of 8"
    assert report(raw, used_idx=3).pending == ()


def test_a_used_index_that_lags_is_a_warning():
    raw = made()
    raw.chain(8)
    raw.queue.push(raw.queue.pop())
    raw.ram.store(raw.rings.used_field("idx"), 2, 0)
    finding = only(raw)
    assert str(finding) == (
        f"warning: used.idx at {raw.rings.used + 2:#x}: 0: the device itself is at 1 ({CHAPTER}.8)"
    )


def test_a_used_element_has_the_head_of_a_chain():
    raw = made()
    raw.chain(8)
    raw.queue.push(raw.queue.pop())
    raw.ram.store(raw.rings.used_at(0), 4, 8)
    finding = only(raw)
    assert (finding.who, finding.where) == ("device", "used.ring[0].id")
    assert (finding.address, finding.why) == (raw.rings.used_at(0), "8 is no descriptor")


# -- chains


def test_an_entry_is_the_index_of_a_descriptor():
    raw = made()
    raw.offer(8)
    finding = only(raw)
    assert str(finding) == (
        f"driver: avail.ring[0] at {raw.rings.avail_at(0):#x}: head 8 in a queue of 8"
        " (virtio 1.3 2.7.6)"
    )
    assert report(raw).pending == (Pending(8, (), 0, False),)


def broken_next(raw):
    raw.desc(3, flags=NEXT, following=8)
    raw.offer(3)


def broken_loop(raw):
    raw.desc(3, flags=NEXT, following=4)
    raw.desc(4, flags=NEXT, following=3)
    raw.offer(3)


def broken_empty(raw):
    raw.chain(8, 0, 8, head=3)


def broken_order(raw):
    raw.desc(3, flags=WRITE | NEXT, following=4)
    raw.desc(4, flags=NEXT, following=5)
    raw.desc(5)
    raw.offer(3)


def broken_memory(raw):
    raw.chain(8, 8, head=3)
    raw.desc(4, MEMORY - 4, 8)


def broken_queue(raw):
    raw.desc(3, raw.rings.desc, 8, WRITE)
    raw.offer(3)


def broken_length(raw):
    raw.desc(3, TABLE, 24, INDIRECT)
    raw.offer(3)


def broken_both(raw):
    raw.desc(3, TABLE, 16, INDIRECT | NEXT)
    raw.offer(3)


def broken_table(raw):
    raw.desc(3, MEMORY, 16, INDIRECT)
    raw.offer(3)


def broken_inside(raw):
    raw.desc(3, TABLE, 32, INDIRECT)
    raw.desc(0, flags=NEXT, following=1, table=TABLE)
    raw.desc(1, DATA, 16, INDIRECT, table=TABLE)
    raw.offer(3)


def broken_end(raw):
    raw.desc(3, TABLE, 32, INDIRECT)
    raw.desc(0, flags=NEXT, following=1, table=TABLE)
    raw.desc(1, flags=NEXT, following=2, table=TABLE)
    raw.offer(3)


@pytest.mark.parametrize(
    ("breaks", "where", "spec", "left"),
    [
        (broken_next, "desc[3]", ".5", 1),
        (broken_loop, "desc[4]", ".5.2", 2),
        (broken_empty, "desc[4]", ".13.1", 3),
        (broken_order, "desc[4]", ".4.2", 3),
        (broken_memory, "desc[4]", ".5", 2),
        (broken_queue, "desc[3]", "", 1),
        (broken_length, "desc[3]", ".5.3", 0),
        (broken_both, "desc[3]", ".5.3.1", 0),
        (broken_table, "desc[3] table[0]", ".5", 0),
        (broken_inside, "desc[3] table[1]", ".5.3.1", 1),
        (broken_end, "desc[3] table[1]", ".5", 2),
    ],
)
def test_a_chain_that_breaks_a_rule_is_found_with_its_place(breaks, where, spec, left):
    raw = made(TABLES)
    breaks(raw)
    finding = only(raw)
    assert (finding.who, finding.where, finding.spec) == ("driver", where, CHAPTER + spec)
    slot = int(where[-2])
    base = TABLE if "table" in where else raw.rings.desc
    base = MEMORY if breaks is broken_table else base
    assert finding.address == base + slot * DESC.itemsize
    with pytest.raises(GuestError, match=finding.why.split(";")[0].split("(")[0]):
        raw.queue.pop()
    assert len(report(raw).pending[0].buffers) == (8 if breaks is broken_loop else left)


def test_a_finding_says_what_the_descriptor_holds():
    raw = made()
    raw.desc(3, 0x8000, 16, NEXT | WRITE | INDIRECT, 7)
    raw.offer(3)
    assert only(raw).why == (
        "INDIRECT without the feature; it says addr 0x8000, len 0x10, next 0x7, "
        "flags 0x7 NEXT WRITE INDIRECT"
    )


def test_two_pending_chains_share_no_descriptor():
    raw = made()
    raw.chain(8, 8, 8, head=0)
    raw.desc(5, flags=NEXT, following=2)
    raw.offer(5)
    finding = only(raw)
    assert finding.where == "avail.ring[1]"
    assert finding.why == "desc[2] is in the pending chain of head 0 as well"
    assert finding.spec == CHAPTER + ".13.1"


def test_a_head_is_pending_once():
    raw = made()
    raw.chain(8, head=1)
    raw.offer(1)
    assert only(raw).why == "desc[1] is in the pending chain of head 1 as well"


def test_where_the_entry_of_a_chain_in_flight_is_overwritten_sharing_is_only_suspected():
    """A late device uses chain 1 before chain 0; the driver's next entry lies where 0's was."""
    raw = made(size=4)
    for head in range(4):
        raw.chain(8, head=head)
    raw.queue.pop()
    raw.queue.push(raw.queue.pop())
    raw.offer(1)
    finding = only(raw)
    assert finding.warning
    assert finding.why.endswith("another chain in flight has been overwritten")


def test_of_a_part_of_memory_buffers_are_not_looked_at():
    raw = made(TABLES)
    broken_memory(raw)
    assert report(raw, whole=False).findings == ()
    raw = made(TABLES)
    broken_table(raw)
    found = report(raw, whole=False)
    assert [finding.warning for finding in found.findings] == [True]
    assert found.sound


# -- bounds


def test_a_ring_of_full_tables_is_read_up_to_the_limit(monkeypatch):
    """64 heads, each with the same table of 64 descriptors. A ring may have 32768 such heads."""
    monkeypatch.setattr(records, "MAX_DESCRIPTORS", 1000)
    raw, table = made(TABLES, size=64), 0x6000
    for index in range(64):
        raw.desc(index, DATA, 1, NEXT if index < 63 else 0, index + 1, table)
        raw.desc(index, table, 64 * 16, INDIRECT)
    raw.offer(*range(64))
    found = report(raw)
    assert len(found.pending) == 1000 // 65
    assert (found.waiting, len(found.findings)) == (64, 1)
    at = raw.rings.avail_at(len(found.pending))
    assert str(found.findings[0]) == (
        f"warning: avail.ring[15] at {at:#x}: not read from here on: 1000 descriptors were"
        " (a limit of this tool)"
    )


def test_a_ring_of_rubbish_has_no_more_findings_than_the_limit():
    raw = made(size=128)
    raw.offer(*[0xFFFF] * 128)
    found = report(raw)
    assert len(found.findings) == MAX_FINDINGS + 1
    assert found.findings[-1].why == "more is wrong than these 100 findings"
    assert len(found.pending) == 128


def test_the_memory_of_a_walk_cannot_be_written():
    from virtlab.virtio.doctor.chains import Watched
    from virtlab.virtio.doctor.records import Notes

    raw = made()
    watched = Watched(raw.ram, Notes(raw.ram))
    with pytest.raises(DmaFault, match="writes nothing"):
        watched.write(DATA, b"x")
    assert watched.view(DATA, 4).base is not None


# -- who wants to hear of what


def test_signals_without_event_idx():
    raw = made()
    assert report(raw).signals == (
        "the driver wants an interrupt for each chain",
        "the device wants a kick for each chain",
    )
    raw.chain(8)
    assert report(raw).signals[1] == (
        "the device wants a kick for each chain: a kick is due, 1 wait"
    )
    raw.set_avail("flags", 1)
    raw.queue.disable_notify()
    assert report(raw).signals == (
        "the driver wants no interrupts",
        "the device wants no kicks: no kick is due for the 1 that wait",
    )


def test_signals_with_event_idx():
    raw = made(Feature.RING_EVENT_IDX)
    raw.set_avail("used_event", 5)
    assert report(raw).signals == (
        "the driver wants an interrupt for used entry 5; the next is 0",
        "the device wants a kick for available entry 0; the next is 0",
    )
    raw.chain(8)
    assert report(raw).signals[1].endswith("entry 0; the next is 1: a kick is due, 1 wait")
    raw.queue.pop()
    raw.queue.disable_notify()
    raw.chain(8, head=1)
    assert report(raw).signals[1].endswith("the next is 2: no kick is due for the 1 that wait")


# -- the same as the queue

numbers = st.integers(0, 9)
places = st.sampled_from([0, RING, RING + 0x60, TABLE, DATA, DATA + 0x100, MEMORY - 8, 2**64 - 8])
lengths = st.sampled_from([0, 1, 8, 16, 24, 32, 48, 160, 0xFFFF_FFFF])
descriptors = st.lists(st.tuples(places, lengths, numbers, numbers), min_size=8, max_size=8)


@given(
    own=descriptors,
    table=descriptors,
    head=numbers,
    features=st.sets(st.sampled_from([TABLES, Feature.IN_ORDER])),
)
def test_the_doctor_finds_what_the_queue_refuses_and_nothing_else(own, table, head, features):
    raw = made(*features)
    for index, (addr, length, flags, following) in enumerate(table):
        raw.desc(index, addr, length, flags, following, TABLE)
    for index, (addr, length, flags, following) in enumerate(own):
        raw.desc(index, addr, length, flags, following)
    raw.offer(head)
    found = report(raw)
    try:
        chain = raw.queue.pop()
    except GuestError as error:
        refused = error
    else:
        assert found.findings == ()
        assert found.pending == (Pending(head, chain.buffers, 0, False),)
        return
    (finding,) = found.findings
    assert finding.spec == refused.spec
    assert finding.why.startswith(refused.why)


@given(st.data())
def test_whatever_the_rings_hold_the_doctor_answers(data):
    raw = made(*data.draw(st.sets(st.sampled_from(list(Feature)))))
    place = st.integers(RING, RING + 0xF8)
    for at, value in data.draw(st.lists(st.tuples(place, st.integers(0, 1 << 64)), max_size=30)):
        raw.ram.store(at, data.draw(st.sampled_from([1, 2, 8])), value)
    counts = {name: data.draw(st.integers(0, 0xFFFF)) for name in ("last_avail_idx", "used_idx")}
    found = report(raw, **counts)
    assert len(found.pending) <= raw.rings.size
    assert found.waiting == (raw.get("avail_idx") - counts["last_avail_idx"]) & 0xFFFF
