"""A trace opened: rows, lives of chains, filters, figures, and a widget that stays quick."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from tests.show.looks import check_picture, words_of
from tests.show.real_tapes import STORY, event, printed, request, said
from virtlab.hosts.tape import Tape
from virtlab.show.real_figures import doubling, figures, figures_picture, squeezed, turns
from virtlab.show.real_index import KINDS, NONE, Index
from virtlab.show.real_list import ROWS, Filter, chosen, life_of, life_words, list_picture
from virtlab.show.real_requests import head_words, request_table, request_words
from virtlab.show.real_trace import State, TraceView, explain, moved
from virtlab.virtio.blk_layouts import BlkType


def press(widget, words):
    next(each for each in widget.controls if each.description == words).click()


def rows_of(index, kind):
    return np.flatnonzero(index.of_kind(kind)).tolist()


@pytest.fixture
def index():
    return Index(STORY)


# -- rows and lives


def test_each_moment_that_says_something_is_a_row(index):
    assert [row.kind for row in index.rows] == [
        *("start", "kick", "pop", "request", "push", "call", "command"),
        *("kick", "pop", "push", "push", "quiet", "pop", "command"),
    ]
    assert index.rows[3].note == "write 8 sectors at 8, OK"
    assert index.rows[6].note == "run one -> status 0"
    assert index.rings == [0]
    assert repr(index) == "Index(14 rows, 4 chains)"


def test_a_chain_lives_from_kick_to_call(index):
    steps = life_of(index, rows_of(index, "push")[0])
    assert [(step.what, step.after) for step in steps] == [
        ("kick", 0),
        ("pop", 12_000),
        ("push", 68_000),
        ("call", 3_000),
    ]
    assert life_words(index, 2) == (
        "Chain 3: `kick` at 0.000010 s, `pop` 12.0 us later, `push` 68.0 us later, "
        "`call` 3.0 us later."
    )


def test_every_row_of_a_life_leads_to_it(index):
    assert life_of(index, 0) == []
    assert {at: index.of_row.get(at) for at in range(7)} == {
        **{0: None, 6: None},
        **dict.fromkeys((1, 2, 3, 4, 5), 0),
    }


def test_a_head_that_is_used_again_is_another_chain(index):
    assert index.lives.head == [3, 1, 3, 1]
    first, second, third, last = (rows_of(index, "push")[n] for n in (0, 2, 1, 2))
    assert index.lives.push == [first, second, third, NONE]
    assert last == second


def test_a_quiet_ring_is_no_call_and_what_is_never_given_back_ends_at_its_pop(index):
    assert index.lives.call == [rows_of(index, "call")[0], NONE, NONE, NONE]
    assert [step.what for step in life_of(index, rows_of(index, "pop")[2])] == ["pop"]


def test_rings_and_devices_do_not_mix():
    index = Index(
        [
            event(1, "pop", [5], ring=0, device="a"),
            event(2, "pop", [5], ring=1, device="a"),
            event(3, "pop", [5], ring=0, device="b"),
            event(4, "push", [5], ring=1, device="a"),
            event(5, "call", ring=0, device="a"),
            event(6, "call", ring=1, device="a"),
        ]
    )
    assert index.lives.push == [NONE, 3, NONE]
    assert index.lives.call == [NONE, 5, NONE]
    assert index.rings == [0, 1]


def test_a_push_that_nothing_was_taken_for_is_a_row_and_no_life():
    index = Index([event(1, "push", [9], [1])])
    assert (len(index), index.lives.head, index.of_row) == (1, [], {})
    assert life_words(index, 0) == ""


def test_a_chain_is_given_back_once():
    index = Index([event(1, "pop", [9]), event(2, "push", [9]), event(3, "push", [9])])
    assert index.lives.push == [1]
    assert index.of_row == {0: 0, 1: 0}


def test_a_request_of_a_chain_that_nobody_took_is_alone():
    index = Index([request(1, 9)])
    assert (index.of_row, index.rows[0].heads) == ({}, [9])


def test_the_console_is_text_in_one_line():
    index = Index([printed(5, "one\r\ntwo\n")])
    assert index.rows[0].text == "console one / two"


# -- filters


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        (Filter(), [row.kind for row in Index(STORY).rows]),
        (Filter(kind="pop"), ["pop", "pop", "pop"]),
        (Filter(head=3), ["pop", "request", "push", "pop", "push"]),
        (Filter(kind="push", head=1), ["push"]),
        (Filter(ring=1), []),
        (Filter(ring=0, text="KICK"), ["kick", "kick"]),
        (Filter(text="4113"), ["pop"]),
        (Filter(text="write 8"), ["request"]),
    ],
)
def test_a_filter_leaves_what_it_says(index, wanted, kinds):
    assert [index.rows[at].kind for at in chosen(index, wanted)] == kinds


def test_no_kind_that_does_not_exist(index):
    with pytest.raises(ValueError, match="poop"):
        chosen(index, Filter(kind="poop"))


# -- drawing


def test_every_place_of_the_list_can_be_drawn(index):
    rows = chosen(index, Filter())
    for at in range(len(rows)):
        drawn = list_picture(index, rows, at)
        check_picture(drawn)
        assert index.rows[at].kind in words_of(drawn)
        assert f"row {at + 1} of 14" in drawn.text


def test_a_batch_is_drawn_by_its_first_chains():
    index = Index([event(1, "pop", range(200), [4096] * 200)])
    drawn = list_picture(index, chosen(index, Filter()), 0)
    check_picture(drawn)
    assert "5:4096 ... 200 chains" in " ".join(drawn.text.split())


def test_an_empty_list_says_so(index):
    drawn = list_picture(index, chosen(index, Filter(ring=7)), 0)
    check_picture(drawn)
    assert "No row is left" in drawn.text


def test_a_long_trace_draws_no_more_than_a_short_one():
    many = [event(n, "kick") for n in range(2000)]
    index = Index(many)
    drawn = list_picture(index, chosen(index, Filter()), 1000)
    check_picture(drawn)
    assert words_of(drawn).count("kick") == ROWS


# -- figures


def test_figures_count_what_the_tape_has(index):
    found = figures(index)
    assert found[:5] == (4, 3, 2, 1, 1)
    assert found.saved == 8 - 3
    assert (found.median, found.slowest) == (50.0, 68.0)
    assert found.latency == (("< 64 us", 2), ("< 128 us", 1))
    assert found.turns == (("1", 1), ("2 to 3", 1))
    assert str(found).endswith("5 of 8 notifications saved")
    check_picture(figures_picture(found))


def test_figures_of_a_part(index):
    late = figures(index, since=rows_of(index, "command")[0])
    assert late[:5] == (3, 2, 1, 0, 1)
    assert figures(index, ring=3)[:5] == (0,) * 5


def test_figures_of_nothing_are_nothing():
    found = figures(Index([]))
    assert found[:5] == (0,) * 5
    assert (found.seconds, found.median, found.latency, found.turns) == (0.0, 0.0, (), ())
    drawn = figures_picture(found)
    check_picture(drawn)
    assert words_of(drawn).count("none") == 2


def test_a_turn_is_what_one_kick_brought(index):
    assert turns(index, np.ones(len(index), bool)).tolist() == [1, 3]


def test_many_bars_become_ten():
    bins = doubling(np.array([1.0, 5000.0]), "{}")
    assert len(bins) == 13
    shown = squeezed(bins)
    assert len(shown) == 10
    assert shown[-1] == ("more", 1)
    assert squeezed(bins[:3]) == list(bins[:3])


# -- the widget


def test_it_starts_where_it_is_told_and_walks_to_both_ends():
    widget = TraceView(STORY, start=2)
    assert repr(widget) == "TraceView: the events of the rings"
    assert all(control.description for control in widget.controls)
    seen = []
    for words in ("Step", "Back", "Step 10", "Back 10", "First", "Back", "Last", "Step", "Reset"):
        press(widget, words)
        seen.append(widget.state.at)
    assert seen == [3, 2, 12, 2, 0, 0, 13, 13, 2]
    assert "Row 3 of 14: <code>pop</code> ring 0  3:4113. Chain 3:" in widget._says.value


def test_its_filters_keep_the_place_and_reset_takes_them_away():
    widget = TraceView(STORY, start=9)
    widget._kind.value = "pop"
    assert (len(widget.rows), widget.state.at) == (3, 2)
    widget._head.value = "3"
    assert len(widget.rows) == 2
    widget._head.value = "head"
    assert "is no head" in widget._says.value
    assert len(widget.rows) == 2
    widget._text.value = "nowhere"
    assert "No row is left" in widget._says.value
    press(widget, "This chain only")
    press(widget, "Step")
    press(widget, "Reset")
    assert widget.state == State(at=9)
    assert (widget._kind.value, widget._head.value, widget._text.value) == ("", "", "")
    widget._ring.value = 0
    assert len(widget.rows) == 12


def test_one_chain_is_followed():
    widget = TraceView(STORY)
    press(widget, "This chain only")
    assert "belongs to no chain" in widget._says.value
    widget._go.value = 4
    press(widget, "This chain only")
    assert widget.state.wanted == Filter(life=0)
    assert [widget.index.rows[at].kind for at in widget.rows] == [
        *("kick", "pop", "request", "push", "call")
    ]
    assert "Row 3 of 5 of those that the filter leaves" in widget._says.value
    press(widget, "This chain only")
    assert (len(widget.rows), widget.state.at) == (14, 3)


def test_a_chain_is_not_the_next_one_with_its_head():
    """Head 3 is used twice; the second time in a batch, where it is not the first."""
    widget = TraceView(STORY, start=9)
    press(widget, "This chain only")
    assert widget.index.lives.head[widget.state.wanted.life] == 3
    assert [widget.index.rows[at].kind for at in widget.rows] == ["kick", "pop", "push"]
    for words in ("First", "Step", "Last"):
        press(widget, words)
        assert "Chain 3: <code>kick</code> at 0.000100 s" in widget._says.value
        assert "the life of chain 3" in widget._picture.value


def test_another_filter_ends_a_chain():
    widget = TraceView(STORY, start=2)
    press(widget, "This chain only")
    widget._kind.value = "pop"
    assert widget.state.wanted == Filter(kind="pop")
    assert len(widget.rows) == 3


def test_the_figures_are_those_of_the_ring_that_is_chosen():
    widget = TraceView(STORY)
    widget._what.value = True
    assert "4 requests in 3 batches" in widget._says.value
    widget._ring.value = 0
    assert "What the rings did" not in widget._picture.value
    assert "5 of 8 notifications saved" in widget._says.value


def test_a_tape_and_a_file_of_serve_are_opened_alike(tmp_path):
    tape = Tape({}, [moment for moment in STORY if moment.kind == "event"])
    tape.write(tmp_path / "trace.jsonl")
    opened = TraceView.of_file(tmp_path / "trace.jsonl")
    assert [row.text for row in opened.index.rows] == [
        row.text for row in TraceView(tape).index.rows
    ]


def test_a_session_is_read_again_at_the_same_place():
    real = SimpleNamespace(tape=Tape({}, STORY[:7]))
    widget = TraceView(real, start=2)
    widget._kind.value = "pop"
    assert len(widget.rows) == 1
    real.tape.moments += [*STORY[7:], event(300, "pop", [7], ring=1)]
    press(widget, "Read again")
    assert (len(widget.rows), widget.state) == (4, State(Filter(kind="pop"), 0))
    assert widget._kind.value == "pop"
    widget._ring.value = 1
    assert len(widget.rows) == 1
    press(widget, "Reset")
    press(widget, "Last")
    assert widget._go.value == 15
    assert "Read again" not in [each.description for each in TraceView(STORY).controls]


def test_a_filter_for_what_is_not_there_any_more_is_taken_away():
    real = SimpleNamespace(tape=Tape({}, [event(1, "start", ring=3), *STORY]))
    widget = TraceView(real)
    widget.filter(Filter(kind="start", ring=3, text="ring"))
    real.tape = Tape({}, STORY[1:])
    press(widget, "Read again")
    assert widget.state.wanted == Filter(text="ring")
    assert (widget._kind.value, widget._ring.value) == ("", NONE)


def test_an_empty_tape_can_be_opened():
    widget = TraceView([])
    for words in ("Step", "Last", "This chain only", "Reset"):
        press(widget, words)
    assert "No row is left" in widget._says.value


def test_no_place_beyond_the_rows():
    assert moved(State(at=3), 5, 99).at == 4
    assert moved(State(), 0, 1).at == 0
    assert explain(Index([]), np.zeros(0, int), State()).startswith("No row")


def test_a_step_in_a_long_trace_costs_no_more_than_in_a_short_one():
    """What is drawn is bounded, so 100,000 rows are stepped through as quickly as a thousand."""

    def step(count):
        widget = TraceView([event(n, "kick") for n in range(count)], start=count // 2)
        times = []
        for _ in range(9):
            begin = time.perf_counter()
            widget.go(1)
            times.append(time.perf_counter() - begin)
        return sorted(times)[4]

    assert step(30_000) < 10 * step(300)


# -- requests


def test_requests_are_read_by_their_heads():
    words = [
        request_words(request(0, 1, kind, 8, length, status).what)
        for kind, length, status in (
            *((BlkType.IN, 4096, 0), (BlkType.OUT, 512, 1), (BlkType.FLUSH, 0, 2)),
            *((99, 0, 7), (BlkType.SECURE_ERASE, 16, 0)),
        )
    ]
    assert words == [
        *("read 8 sectors at 8, OK", "write 1 sector at 8, IOERR", "flush, UNSUPP"),
        *("type 99, status 7", "type 14, OK"),
    ]
    assert head_words(bytes(15)) == "no request"
    assert head_words(bytes(16)) == "read at 0"


def test_a_table_of_requests_adds_up():
    chains = [request(0, 1).what, request(0, 2).what, request(0, 3, BlkType.FLUSH, 0, 0).what]
    odd = chains[0]._replace(data=b"")
    table = request_table([*chains, odd])
    assert table.rows == (*(("flush", "1", "17"), ("others", "1", "4113"), ("write", "2", "8226")),)


def test_every_kind_has_a_place():
    assert len(set(KINDS)) == len(KINDS)
    assert [row.kind for row in Index([said(1, "x"), event(2, "error", note="!")]).rows] == [
        "command",
        "error",
    ]
