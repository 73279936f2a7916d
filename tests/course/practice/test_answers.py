"""How an answer is read and judged."""

from __future__ import annotations

import pytest

from virtlab.course.practice.answers import Key, Slip, distinct, judge, read

KEY = Key(
    answer=("03:00.1", 0x10),
    form="a function and a number, as “02:00.0 0x4”",
    words=frozenset({"none"}),
    slips=(Slip("carry", ("02:00.1", 0x10), "the sum carries."),),
    results=(("sum", (0x301,)), ("carry", ("03:00.1", 0x10))),
    parts=("carry", "sum"),
)


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        (7, (7,)),
        ("0x1F", (31,)),
        ("1_000", (1000,)),
        ("007", (7,)),
        ("0b101", (5,)),
        ("-3", (-3,)),
        ("Fault, 0x5", ("fault", 5)),
        (["com1", 5], ("com1", 5)),
        (("a", (1, 2)), ("a", 1, 2)),
        (False, ("no",)),
        ("3:1.2", ("03:01.2",)),
        ("  ", ()),
        (None, ("none",)),
        (2.5, ("2.5",)),
    ],
)
def test_an_answer_is_read_however_it_is_written(given: object, tokens: tuple[object, ...]) -> None:
    assert read(given) == tokens


def test_the_right_answer_is_right_and_nothing_else_is() -> None:
    assert judge("03:00.1 16", KEY)
    assert repr(judge("3:0.1, 0x10", KEY)) == "Right."
    assert not judge("03:00.1 17", KEY)
    assert not judge("03:00.1", KEY)


def test_a_known_slip_names_its_step_and_why() -> None:
    verdict = judge("02:00.1 0x10", KEY)
    assert (bool(verdict), verdict.step) == (False, "carry")
    assert "the sum carries." in verdict.said


def test_the_result_of_an_earlier_step_says_to_go_on() -> None:
    verdict = judge(0x301, KEY)
    assert verdict.step == "carry"
    assert "That is what the step “sum” gives" in verdict.said


def test_else_the_first_part_that_differs_names_its_step() -> None:
    assert judge("03:00.1 0x11", KEY).step == "sum"
    assert judge("07:00.1 0x11", KEY).step == "carry"
    assert "has 2 parts, yours 3" in judge("1 2 3", KEY).said


def test_what_nothing_fits_is_wrong_and_no_place_is_guessed() -> None:
    verdict = judge("none none", KEY._replace(parts=()))
    assert (verdict.right, verdict.step) == (False, "")
    assert "“sum”, “carry”" in verdict.said


@pytest.mark.parametrize("given", ["", "1F 2", "three 0x10", "x" * 5000, object()])
def test_what_cannot_be_read_is_told_how_to_write(given: object) -> None:
    verdict = judge(given, KEY)
    assert not verdict
    assert verdict.said.endswith("Write a function and a number, as “02:00.0 0x4”.")
    assert len(verdict.said) < 300


def test_slips_that_lead_to_the_right_answer_or_to_the_same_are_left_out() -> None:
    one, same, right = Slip("a", (1,), ""), Slip("b", (1,), ""), Slip("c", (2,), "")
    assert distinct((2,), [one, same, right]) == (one,)
