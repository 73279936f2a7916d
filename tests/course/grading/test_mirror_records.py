"""Records and other objects of a book: kept alike, at rest, dropped, or refused."""

import json

import pytest

from virtlab.course.grading import mirror
from virtlab.course.grading.kinds import KINDS, Broken, Record


class Thing:
    """A record: `a` and `b` are kept alike, other attributes are not."""

    def __init__(self, a=None, b=None):
        self.a, self.b = a, b


RECORD = Record(["a", "b"])


def both(judge, child, mine):
    theirs = Thing()
    entry = judge.book.add(mine, RECORD)
    child.book.take(theirs, RECORD, entry.number)
    entry.before = (None, None)
    child.hear(judge.say())
    return theirs


def test_fields_are_kept_alike_and_other_attributes_stay(judge, child):
    mine = Thing(1, [2])
    theirs = both(judge, child, mine)
    theirs.b.append(3)
    theirs.a, theirs.mine = 9, "kept"
    judge.hear(child.say())
    assert (mine.a, mine.b) == (9, [2, 3])
    assert not hasattr(mine, "mine")


def test_a_record_of_one_field_or_with_one_deleted_is_no_trouble(judge, child):
    single = Record(["a"])
    assert single.parts(Thing(4)) == (4,)
    mine = Thing(1, 2)
    theirs = both(judge, child, mine)
    del theirs.a
    theirs.b = 5
    judge.hear(child.say())
    assert (mine.a, mine.b) == (None, 5)


def test_a_record_rests_from_call_to_call_and_brings_its_changes_when_it_comes_up(judge, child):
    mine = Thing(1, 2)
    theirs = both(judge, child, mine)
    for side in (judge, child):
        side.book.rest()
    mine.a, theirs.b = 10, 20
    assert json.loads(judge.say()[0])[0] == []
    child.hear(judge.say(mine))
    assert (theirs.a, theirs.b) == (10, 20)
    judge.hear(child.say())
    assert (mine.a, mine.b) == (10, 20)


def test_a_rested_record_may_be_brought_up_by_either_side(judge, child):
    mine = Thing(1, 2)
    theirs = both(judge, child, mine)
    for side in (judge, child):
        side.book.rest()
    theirs.a = 7
    assert judge.hear(child.say(theirs)) == [mine]
    assert mine.a == 7


# -- out of the book


def test_what_nobody_holds_is_dropped_on_both_sides(judge, child):
    child.hear(judge.say([1], bytearray(9)))
    assert len(judge.book.entries) == 2
    child.hear(judge.say())
    assert judge.book.entries == child.book.entries == {}
    assert judge.book.weight == child.book.weight == 0


def test_what_one_side_holds_is_dropped_by_the_other_and_given_anew(judge, child):
    mine = [1]
    child.hear(judge.say(mine))
    judge.hear(child.say())  # nobody there has kept it
    assert judge.book.entries == {}
    assert child.hear(judge.say(mine)) == [[1]]


def test_what_is_in_something_that_is_held_stays(judge, child):
    mine = [[1]]
    theirs = child.hear(judge.say(mine))
    child.hear(judge.say())
    judge.hear(child.say())
    mine[0].append(2)
    child.hear(judge.say())
    assert theirs == [[[1, 2]]]


def test_a_judge_drops_a_record_that_he_alone_holds_and_a_child_does_not(judge, child):
    theirs = both(judge, child, mine := Thing(1, 2))
    del theirs
    judge.hear(child.say())
    assert len(child.book.entries) == 1
    del mine
    child.hear(judge.say())
    assert child.book.entries == {}


def test_a_case_that_is_over_is_forgotten(judge, child):
    child.hear(judge.say([1]))
    for side in (judge, child):
        side.book.forget()
        assert not side.book.entries
        assert not side.book.numbers
        assert side.book.weight == 0


# -- what is refused


def test_numbers_of_the_other_side_are_odd_new_and_whole(judge):
    judge.book.new_list(["l", 1])
    for number in (1, 2, True, None, "3", 2.0):
        with pytest.raises(Broken):
            judge.book.new_list(["l", number])


@pytest.mark.parametrize(
    "updates",
    [[[7, []]], [["1", []]], [[1, [0, 99, 0]]], [[1, [-1, 0, 0]]], [[1, [0, 0, 1 << 40]]]],
)
def test_changes_of_what_is_not_there_are_refused(judge, updates):
    judge.codec.raw = memoryview(b"abc")
    judge.codec.at = 0
    judge.book.new_bytes(["y", 1, 3])
    with pytest.raises(Broken):
        judge.book.apply(updates, [])


@pytest.mark.parametrize(
    "change", [[], [0], [-1, 0], [0, -1], [4, 0], [0, 4], [2, 2], [True, 0], ["0", 0], [0, None]]
)
def test_a_change_of_a_part_that_a_list_does_not_have_is_refused(judge, change):
    thing = judge.book.new_list(["l", 1, 7, 8, 9])
    with pytest.raises((Broken, ValueError)):
        judge.book.apply([[1, change]], [])
    assert thing == [7, 8, 9]


def test_a_change_of_a_field_that_is_none_is_refused(judge):
    judge.book.take(Thing(), RECORD, 1)
    for index in (-1, 2, "a", None):
        with pytest.raises(Broken):
            judge.book.apply([[1, [[index, 0]]]], [])


def test_what_is_dropped_and_unknown_is_no_matter(judge):
    judge.book.apply([], [5, "x", None, [1]])


def test_objects_bytes_and_keys_are_bounded(judge, monkeypatch):
    monkeypatch.setattr(mirror, "MAX_OBJECTS", 3)
    for number in (1, 3, 5):
        judge.book.new_list(["l", number])
    with pytest.raises(Broken, match="too much"):
        judge.book.new_list(["l", 7])
    monkeypatch.setattr(mirror, "MAX_WEIGHT", 20)
    with pytest.raises(Broken, match="too much"):
        judge.book.apply([[1, [0, 0, *range(30)]]], [])
    with pytest.raises(Broken, match="keys"):
        judge.book.hashed(mirror.MAX_HASHED + 1)


def test_every_builtin_that_can_change_has_a_kind():
    assert set(KINDS) == {list, dict, set, bytearray}
