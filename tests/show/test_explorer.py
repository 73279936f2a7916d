"""The exit explorer: its counts are the closed forms, and its words say them."""

import pytest

from virtlab.show.explorer import LONGEST, ExitExplorer, Plan, in_words, run


@pytest.mark.parametrize("n", [1, 5, 16, 17, 32])
@pytest.mark.parametrize(
    ("fifo", "formula"), [(False, lambda n: 2 * n), (True, lambda n: n + -(-n // 16))]
)
def test_exits_follow_the_formula(n, fifo, formula):
    plan = Plan("x" * n, fifo=fifo)
    outcome = run(plan)
    assert outcome.exits == formula(n)
    assert (outcome.virtual, outcome.physical) == ("x" * n, "")
    assert f"{formula(n)} exits" in in_words(plan, outcome)


def test_open_ports_do_not_exit_and_reach_the_hardware():
    plan = Plan("hi", open=True)
    outcome = run(plan)
    assert (outcome.exits, outcome.virtual, outcome.physical) == (0, "", "hi")
    assert "none of them exits" in in_words(plan, outcome)


def test_nothing_and_too_much_are_fine():
    assert run(Plan("")).exits == 0
    assert "Nothing to print" in in_words(Plan(""), run(Plan("")))
    assert run(Plan("é" * 99)).virtual == "?" * LONGEST


def test_the_widget_follows_its_fields():
    widget = ExitExplorer()
    before = widget._picture.value
    widget._ports.value = True
    assert "physical terminal" in widget._says.value
    assert widget._picture.value != before
    widget._text.value = "longer"
    widget.reset()
    assert widget.plan == Plan()
    assert widget._picture.value == before
    assert repr(widget) == "ExitExplorer"
