"""A look at a ring: fields as memory has them, owners as the five calls make them."""

import pytest

from virtlab.memory import GuestMemory
from virtlab.show.ring_look import MOST_SLOTS, Counts, Owner, look_packed, look_split, run_of
from virtlab.show.ring_play import look, play
from virtlab.show.ring_tape import (
    ADD,
    FIVE_CALLS,
    GET,
    KICK,
    POP,
    PUSH,
    PUSH_NEWEST,
    SEND,
    STORY,
    Setting,
    edit,
)
from virtlab.virtio.layouts import NEXT, SplitRings
from virtlab.virtio.packed_layouts import EVENT_DESC, PackedRings
from virtlab.virtio.split_chain import Descriptor

SPLIT, PACKED = Setting(), Setting("packed", 5)
BOTH = pytest.mark.parametrize("setting", [SPLIT, PACKED], ids=["split", "packed"])
LIFE = [Owner.FREE, Owner.ADDED, Owner.EXPOSED, Owner.DEVICE, Owner.USED, Owner.FREE]


def looks(setting, *tape):
    return [look(setting, frame) for frame in play(setting, tape)]


@BOTH
def test_the_five_calls_are_the_five_states_of_a_descriptor(setting):
    for seen, owner in zip(looks(setting, *FIVE_CALLS), LIFE, strict=True):
        assert seen.owners[:3] == (owner,) * 3
        assert set(seen.owners[3:]) == {Owner.FREE}


@BOTH
def test_a_sound_ring_has_no_findings_on_the_whole_tape(setting):
    for seen in looks(setting, *STORY):
        assert [finding for finding in seen.findings if not finding.warning] == []


def test_two_requests_used_out_of_order_have_different_owners():
    two = (SEND, ADD, KICK, POP, POP, PUSH_NEWEST)
    assert looks(SPLIT, *two)[-1].owners[:4] == (Owner.DEVICE, *[Owner.USED] * 3)
    assert looks(SPLIT, *two, GET)[-1].owners[:4] == (Owner.DEVICE, *[Owner.FREE] * 3)
    # In a packed ring the used one is written at the oldest slot, and takes three from there.
    assert looks(PACKED, *two)[-1].owners[:4] == (*[Owner.USED] * 3, Owner.DEVICE)


def test_one_request_may_be_with_the_device_while_the_next_waits():
    assert looks(SPLIT, SEND, SEND, KICK, POP)[-1].owners[:2] == (Owner.DEVICE, Owner.EXPOSED)
    assert looks(PACKED, SEND, KICK, SEND)[-1].owners[:2] == (Owner.EXPOSED, Owner.ADDED)


@BOTH
def test_owners_hold_over_many_laps(setting):
    tape = FIVE_CALLS * 11
    for number, seen in enumerate(looks(setting, *tape)[1:]):
        owner = LIFE[number % 5 + 1]
        assert seen.owners.count(owner) == (setting.size if owner is Owner.FREE else 3)


def test_fields_are_those_of_memory():
    before, after = looks(SPLIT, ADD, KICK, POP, PUSH)[2::2]
    assert before.descriptors[1] == Descriptor(0x1410, 32, 3, 2)
    assert (before.avail_idx, before.heads[0], before.used_idx) == (1, 0, 0)
    assert (after.used_idx, after.elements[0]) == (1, (0, 33))
    assert before.peeks[0].startswith(b"read 0")
    assert after.peeks[1].startswith(b"data 0")


def test_a_packed_ring_tells_events_and_ids():
    memory = GuestMemory(0x1000)
    rings = PackedRings.placed(0, 4)
    memory.store(rings.driver, 2, 0x8003)
    memory.store(rings.driver + 2, 2, EVENT_DESC)
    memory.write(0, bytes.fromhex("0010000000000000 20000000 0700 8000"))
    seen = look_packed(memory, rings, Counts(added=1))
    assert seen.driver_event == (0x8003, EVENT_DESC)
    assert seen.device_event == (0, 0)
    assert seen.descriptors[0] == (0x1000, 32, 7, 0x80)
    assert seen.peeks[0] == b""  # 0x1000 is behind the memory
    assert seen.owners[0] is Owner.EXPOSED


def test_a_chain_that_comes_back_is_followed_once():
    loop = (Descriptor(0, 1, NEXT, 1), Descriptor(0, 1, NEXT, 0), Descriptor(0, 1, NEXT, 9))
    assert run_of(loop, 1) == [1, 0]
    assert run_of(loop, 2) == [2]
    assert run_of(loop, 9) == []


def test_what_a_hand_changes_is_seen():
    good, bad = looks(SPLIT, ADD, KICK, edit(SPLIT, 2, "flags", 3))[-2:]
    assert good.findings == ()
    assert bad.descriptors[2].flags == 3
    assert bad.findings[0].spec == "virtio 1.3 2.7.5.2"


@pytest.mark.parametrize("size", [0, MOST_SLOTS + 1, 256])
def test_a_large_ring_is_not_drawn(size):
    memory = GuestMemory(0x10000)
    with pytest.raises(ValueError, match="1 to 8"):
        look_split(memory, SplitRings.placed(0, size), Counts())
    with pytest.raises(ValueError, match="1 to 8"):
        look_packed(memory, PackedRings.placed(0, size), Counts())


def test_indices_that_make_no_sense_are_looked_at_all_the_same():
    memory = GuestMemory(0x1000)
    rings = SplitRings.placed(0, 4)
    memory.store(rings.avail_field("idx"), 2, 0xFFF0)
    memory.store(rings.used_field("idx"), 2, 0x8000)
    for at in range(4):
        memory.store(rings.avail_at(at), 2, 0xFFFF)
        memory.store(rings.used_at(at), 4, 0xFFFFFFFF)
    seen = look_split(memory, rings, Counts(3, 2, 1, 0))
    assert set(seen.owners) == {Owner.FREE}
    assert not all(finding.warning for finding in seen.findings)


def test_push_then_get_leaves_the_last_used_behind():
    seen = looks(SPLIT, ADD, KICK, POP, PUSH, GET)[-1]
    assert seen.counts == Counts(1, 1, 1, 1)
