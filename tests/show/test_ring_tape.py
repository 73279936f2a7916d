"""Tapes: states are values, no call raises, and each mistake meets its clause."""

import random

import pytest

from virtlab.show.ring_look import Owner, run_of
from virtlab.show.ring_play import TABLE_ENTRIES, look, play
from virtlab.show.ring_tape import (
    ADD,
    FIVE_CALLS,
    GET,
    KICK,
    MOST_CALLS,
    POP,
    PUSH,
    PUSH_NEWEST,
    SEND,
    SHAPES,
    STORY,
    Call,
    Edit,
    Setting,
    State,
    broken,
    chapters,
    do,
    edit,
    mistakes,
    undo,
)
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import INDIRECT, NEXT

SPLIT, PACKED = Setting(), Setting("packed", 5)
SETTINGS = [
    Setting(layout, size, SPLIT.features | features)
    for layout, size in (("split", 4), ("split", 8), ("packed", 3), ("packed", 5))
    for features in (
        frozenset(),
        {Feature.RING_EVENT_IDX},
        {Feature.IN_ORDER},
        {Feature.RING_INDIRECT_DESC},
    )
]
BOTH = pytest.mark.parametrize("setting", [SPLIT, PACKED], ids=["split", "packed"])

CLAUSES = {
    "split": {
        "a loop": "a chain that comes back to itself (virtio 1.3 2.7.5.2)",
        "next outside of the table": "descriptor 9 in a table of 8 (virtio 1.3 2.7.5)",
        "readable behind writable": "2.7.4.2",
        "a buffer of 0 bytes": "2.7.13.1",
        "a buffer where there is no memory": "2.7.5)",
        "a writable buffer over the ring": "over the queue: 0x10a0 (virtio 1.3 2.7)",
        "INDIRECT that nobody negotiated": "2.7.5.3.1",
    },
    "packed": {
        "a list that does not end": "slot 3 in a list is not available (virtio 1.3 2.8.17)",
        "readable behind writable": "2.8.17",
        "a buffer of 0 bytes": "2.8.4",
        "a buffer where there is no memory": "2.8.13",
        "a writable buffer over the ring": "over the queue: 0x1000 (virtio 1.3 2.8)",
        "INDIRECT that nobody negotiated": "2.8.19",
    },
}


def last(setting, *tape):
    return play(setting, tape)[-1]


@BOTH
def test_one_buffer_goes_and_comes_back(setting):
    frames = play(setting, FIVE_CALLS)
    assert [frame.signal for frame in frames] == ["", "", "bell", "", "interrupt", ""]
    assert not any(frame.refused for frame in frames)
    assert "request 0 is back, with 33 bytes written" in frames[-1].words
    assert frames[2].memory == frames[3].memory  # pop and get only read
    assert frames[4].memory == frames[5].memory


def test_pushed_in_the_other_order_they_come_back_in_that_order():
    for setting in (SPLIT, PACKED):
        words = [frame.words for frame in play(setting, STORY) if frame.call == GET]
        assert all(f"request {n} is back" in word for n, word in zip((0, 2, 1), words, strict=True))


def test_words_tell_where_the_driver_has_put_it():
    first, second = play(SPLIT, (ADD, SEND))[1:]
    assert "descriptors 0, 1, 2 and puts head 0 into `avail.ring[0]`" in first.words
    assert "descriptor 3 and puts head 3 into `avail.ring[1]`" in second.words
    packed = last(PACKED, SEND, SEND, ADD)
    assert "descriptors 2, 3, 4, buffer id 2" in packed.words


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_no_tape_raises_whatever_is_on_it(setting):
    dice = random.Random(str(setting.layout) + str(setting.size))
    fields = list(setting.fields.items())
    for _ in range(12):
        tape = []
        for _ in range(MOST_CALLS):
            field, size = dice.choice(fields)
            value = dice.choice((dice.randrange(16), 0x1000, dice.randrange(1 << 8 * size)))
            hand = edit(setting, dice.randrange(setting.size), field, value)
            add = Call("add", dice.choice(tuple(SHAPES)))
            calls = (add, add, KICK, POP, POP, PUSH, PUSH_NEWEST, GET, GET, hand)
            tape.append(dice.choice(calls))
        frames = play(setting, tuple(tape))
        assert len(frames) == MOST_CALLS + 1
        for frame in frames[::6]:
            look(setting, frame)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_without_a_hand_on_it_nothing_is_refused_but_for_want_of_room(setting):
    dice = random.Random(7)
    for _ in range(6):
        push = PUSH if Feature.IN_ORDER in setting.features else dice.choice((PUSH, PUSH_NEWEST))
        calls = (Call("add", "send"), Call("add", "receive"), ADD, KICK, POP, push, GET)
        frames = play(setting, tuple(dice.choice(calls) for _ in range(MOST_CALLS)))
        for frame in frames:
            assert not frame.refused or frame.words.startswith("`add_buf` refuses")
        check_owners(setting, frames)


def check_owners(setting, frames):
    """By another way: whose the descriptors are, from the requests themselves."""
    for frame in frames:
        seen = look(setting, frame)
        counts = frame.counts
        if setting.layout == "packed":
            assert seen.owners.count(Owner.DEVICE) == counts.last_avail - counts.used
            assert seen.owners.count(Owner.USED) == counts.used - counts.last_used
            free = setting.size - (counts.added - counts.last_used)
            assert seen.owners.count(Owner.FREE) == free
        elif not counts.added - counts.last_used:
            assert set(seen.owners) == {Owner.FREE}
        else:
            heads = [*frame.held, *seen.heads, *(ident for ident, _ in seen.elements)]
            alive = {slot for head in heads for slot in run_of(seen.descriptors, head)}
            taken = {slot for slot, owner in enumerate(seen.owners) if owner is not Owner.FREE}
            assert taken <= alive
            ends = [d for slot, d in enumerate(seen.descriptors) if slot in taken]
            ends = sum(not each.flags & NEXT for each in ends)
            # In order, a used element may stand for requests that it does not name.
            in_order = Feature.IN_ORDER in setting.features
            assert in_order or ends == counts.added - counts.last_used


def test_a_chain_that_is_very_late_is_still_the_devices():
    # The driver goes on, and its fifth entry takes the place of the first in the ring of four.
    send = Call("add", "send")
    tape = (*[send] * 4, KICK, POP, POP, PUSH_NEWEST, GET, send, KICK)
    frame = last(Setting(size=4), *tape)
    assert frame.held == (0,)
    seen = look(Setting(size=4), frame)
    assert seen.heads == (1, 1, 2, 3)
    assert seen.owners == (Owner.DEVICE, *[Owner.EXPOSED] * 3)


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_queue_too_small_for_a_request_is_an_error(layout):
    with pytest.raises(ValueError, match="3 or more"):
        play(Setting(layout, 2), ())


@BOTH
def test_each_mistake_is_refused_with_its_clause(setting):
    named = mistakes(setting)
    for name, clause in CLAUSES[setting.layout].items():
        frame = last(setting, *do(broken(named.pop(name)), POP).tape)
        assert frame.refused
        assert clause in frame.words, name
        assert frame.counts.last_avail == 0
    assert [*named] == ([] if setting is SPLIT else ["flags that say used"])


def test_flags_that_say_used_are_no_mistake_of_syntax_and_nothing_is_found():
    frame = last(PACKED, *do(broken(mistakes(PACKED)["flags that say used"]), POP).tape)
    assert not frame.refused
    assert "finds nothing that is available" in frame.words


@BOTH
def test_a_refused_pop_can_be_mended_by_hand(setting):
    spoilt = broken((Edit(1, "len", 0),))
    tape = (*spoilt.tape, POP, edit(setting, 1, "len", 32), POP, PUSH, GET)
    frames = play(setting, tape)
    assert [frame.refused for frame in frames] == [False] * 4 + [True] + [False] * 4
    assert "request 0 is back" in frames[-1].words


def test_a_device_that_pushes_what_the_driver_never_gave_is_refused():
    tape = (SEND, KICK, edit(PACKED, 0, "id", 4), POP, PUSH, GET)
    assert last(PACKED, *tape).words.startswith("The driver refuses: used id 4")


@BOTH
def test_calls_with_nothing_to_do_say_so(setting):
    words = [frame.words for frame in play(setting, (KICK, POP, PUSH, GET))[1:]]
    assert "nothing to expose" in words[0]
    assert "finds nothing" in words[1]
    assert "has no chain" in words[2]
    assert "finds nothing" in words[3]


@BOTH
def test_a_full_ring_refuses_one_more(setting):
    frame = last(setting, *[ADD] * 3)
    assert frame.refused
    assert "are needed" in frame.words


def test_with_a_table_a_request_takes_one_descriptor():
    setting = Setting(features=SPLIT.features | {Feature.RING_INDIRECT_DESC})
    frames = play(setting, FIVE_CALLS)
    seen = look(setting, frames[1])
    assert seen.descriptors[0].flags == INDIRECT
    assert seen.descriptors[0].len == 3 * 16 <= TABLE_ENTRIES * 16
    assert "r 16 @0x1400, w 32 @0x1410, w 1 @0x1430" in frames[3].words


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_in_order_the_newest_stands_for_all_that_the_device_has(layout):
    setting = Setting(layout, 8, SPLIT.features | {Feature.IN_ORDER})
    frames = play(setting, (SEND, ADD, KICK, POP, POP, PUSH_NEWEST, GET, GET))
    assert "for all 2" in frames[6].words
    assert "request 0 is back" in frames[7].words
    assert "request 1 is back, with 33 bytes" in frames[8].words


def test_suppressed_signals_are_said():
    setting = Setting(features=SPLIT.features | {Feature.RING_EVENT_IDX})
    frames = play(setting, (SEND, KICK, SEND, KICK, POP, POP, PUSH, PUSH))
    assert [frame.signal for frame in frames[2::2]] == ["bell", "", "", ""]
    assert "no bell" in frames[4].words
    assert frames[7].signal == "interrupt"
    assert "no interrupt" in frames[8].words


# -- states


def test_a_call_takes_the_place_of_what_came_after():
    state = do(State(STORY, 3), POP)
    assert state == State((*STORY[:3], POP), 4)
    assert undo(state) == State(STORY[:3], 3)
    assert undo(State(STORY, 0)) == State((), 0)


def test_a_full_tape_stays():
    full = State((KICK,) * MOST_CALLS, MOST_CALLS)
    assert do(full, POP) is full


def test_chapters_are_where_a_call_is_made_first():
    assert chapters(STORY) == {"add": 1, "kick": 2, "pop": 3, "push": 4, "get": 5}
    assert chapters((KICK, ADD)) == {"add": 2, "kick": 1}


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ((8, "len", 0), "0 to 7"),
        ((-1, "len", 0), "0 to 7"),
        ((0, "id", 0), "addr, len, flags, next"),
        ((0, "len", 1 << 32), "4 bytes"),
        ((0, "flags", -1), "2 bytes"),
    ],
)
def test_an_edit_of_nothing_is_an_error(place, words):
    with pytest.raises(ValueError, match=words):
        edit(SPLIT, *place)
    assert edit(PACKED, 4, "id", 0xFFFF).edits == (Edit(4, "id", 0xFFFF),)
