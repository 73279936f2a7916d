"""A back-end dies with requests in its hands: each is answered once, and nothing is lost."""

import pytest

from tests.descriptors import fd_count
from virtlab.show import real_lives
from virtlab.show.real_crash import Note, crash


@pytest.mark.parametrize(("requests", "answers"), [(8, 3), (8, 0), (8, 7), (1, 0), (4, 4)])
def test_what_was_taken_and_not_given_back_is_served_again(requests, answers):
    end = crash(requests, answers)
    left = tuple(range(answers, requests))
    assert end.answered == tuple(range(answers))
    assert tuple(note.head for note in end.notes) == left
    assert end.again == len(left)
    assert end.statuses == (0,) * requests
    assert end.kept


def test_the_notes_say_in_which_order_they_were_taken():
    end = crash(6, 2)
    assert end.notes == tuple(Note(head, head) for head in range(2, 6))
    assert [row[2] for row in end.table.rows] == ["the first"] * 2 + ["the second"] * 4
    assert end.lost == 1


def test_nothing_stays_open():
    crash()
    before = fd_count()
    crash()
    assert fd_count() == before


def test_a_driver_that_gives_up_ends_the_thread(monkeypatch):
    """Whatever happens to the driver, the socket and the thread go with the folder."""

    def broken(*_args, **_more):
        raise ValueError("no driver today")

    monkeypatch.setattr(real_lives, "BlkDriver", broken)
    before = fd_count()
    with pytest.raises(ValueError, match="no driver today"):
        crash()
    assert fd_count() == before
