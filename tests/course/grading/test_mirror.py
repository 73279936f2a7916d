"""What both sides hold stays alike, however it changes, and what nobody holds is dropped."""

import json
import random

import pytest

from virtlab.course.grading.kinds import span


def test_the_same_object_comes_back_as_the_same_object(judge, child):
    mine = [1, 2]
    (theirs,) = child.hear(judge.say(mine))
    assert judge.hear(child.say(theirs))[0] is mine
    assert child.hear(judge.say(mine))[0] is theirs


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda thing: thing.append(9), [300, 0, 9]),
        (lambda thing: thing.insert(0, 9), [0, 300, 9]),
        (lambda thing: thing.pop(250), [250, 49]),
        (lambda thing: thing.__setitem__(7, True), [7, 292, True]),
        (lambda thing: thing.clear(), [0, 0]),
    ],
)
def test_of_a_long_list_only_what_changed_is_said(judge, child, change, said):
    mine = [*range(300)]
    (theirs,) = child.hear(judge.say(mine))
    change(mine)
    frame = judge.say()
    assert json.loads(frame[0])[0] == [[2, said]]
    child.hear(frame)
    assert list(map(repr, theirs)) == list(map(repr, mine))


def test_what_is_in_two_places_is_one_object_there_too(judge, child):
    inner = [1]
    (found,) = child.hear(judge.say([inner, inner, {"a": inner}]))
    assert found[0] is found[1] is found[2]["a"]


def test_a_list_in_itself_is_one_there_too(judge, child):
    mine = []
    mine.append(mine)
    (found,) = child.hear(judge.say(mine))
    assert found[0] is found


CHANGES = [
    ([1], lambda a: a.append(2)),
    ([1, 2], lambda a: a.clear()),
    ([1, 2], lambda a: a.__setitem__(0, True)),
    ({1: 2}, lambda a: a.update({3: [4]})),
    ({1: 2, 3: 4}, lambda a: a.pop(1)),
    ({1: 2}, lambda a: a.__setitem__(1, True)),
    ({1: 1, 2: 2}, lambda a: a.update({1: a.pop(1)})),
    ({1, 2}, lambda a: a.add(3)),
    ({1, 2}, lambda a: a.discard(1)),
    (bytearray(b"abcdef"), lambda a: a.__setitem__(2, 0)),
    (bytearray(b"abcdef"), lambda a: a.extend(b"gh")),
    (bytearray(b"abcdef"), lambda a: a.__delitem__(slice(1, 3))),
    (bytearray(b"abcdef"), lambda a: a.__setitem__(slice(2, 2), b"xyz")),
    (bytearray(b"abc"), lambda a: a.clear()),
]


@pytest.mark.parametrize(("mine", "change"), CHANGES)
@pytest.mark.parametrize("there", [False, True])
def test_a_change_on_either_side_is_there_with_the_next_frame(judge, child, mine, change, there):
    mine = type(mine)(mine)
    (theirs,) = child.hear(judge.say(mine))
    keep = theirs
    if there:
        change(theirs)
        judge.hear(child.say())
    else:
        change(mine)
        child.hear(judge.say())
    assert repr(mine) == repr(keep)


def test_nothing_is_said_of_what_did_not_change(judge, child):
    mine = [[1], {2: 3}, bytearray(b"ab"), {4}]
    kept = child.hear(judge.say(mine))
    assert json.loads(judge.say()[0]) == [[], [], []]
    assert json.loads(child.say()[0]) == [[], [], []]
    assert kept


def test_of_many_bytes_only_those_that_differ_are_sent(judge, child):
    mine = bytearray(100_000)
    (theirs,) = child.hear(judge.say(mine))
    mine[70_000:70_003] = b"abc"
    text, raw = judge.say()
    assert (len(text) < 100, raw) == (True, b"abc")
    child.hear((text, raw))
    assert theirs == mine
    theirs[70_001] = 0
    judge.hear(child.say())
    assert mine == theirs


@pytest.mark.parametrize("seed", range(20))
def test_any_changes_in_turn_keep_both_alike(seed, judge, child):
    rng = random.Random(seed)
    mine = [bytearray(50), [], {}, set()]
    (theirs,) = child.hear(judge.say(mine))
    for _ in range(40):
        side, other, things = rng.choice(((judge, child, mine), (child, judge, theirs)))
        for _ in range(rng.randrange(3)):
            raw, items, table, few = things
            at = rng.randrange(len(raw) + 1)
            raw[at : at + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
            items.insert(rng.randrange(len(items) + 1), rng.choice((1, (2,), [3], raw, items)))
            del items[5:]
            table[rng.randrange(4)] = rng.choice((4, [5], raw))
            few ^= {rng.randrange(9)}
        other.hear(side.say())
        assert repr(mine[:3]) == repr(theirs[:3])  # one of them may hold itself
        assert mine[3] == theirs[3]


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (b"", b""),
        (b"a", b""),
        (b"", b"a"),
        (b"aaa", b"aaaa"),
        (b"abcabc", b"abc"),
        (b"xbz", b"abc"),
    ],
)
def test_the_span_is_all_that_differs(now, before):
    start, end = span(now, before)
    assert now[:start] == before[:start]
    assert now[len(now) - end :] == before[len(before) - end :]
    patched = before[:start] + now[start : len(now) - end] + before[len(before) - end :]
    assert patched == now
    assert start + end <= min(len(now), len(before))
