"""Problems: the library's answer is that of pencil and paper, and a seed decides all of it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from random import Random
from typing import Any

import pytest

from tests.course.practice.paper import WORK
from virtlab.course.practice import KINDS, Problem, problem
from virtlab.course.practice.answers import read
from virtlab.course.practice.board import Board, bits_of, hex_of
from virtlab.course.practice.kinds import find
from virtlab.course.syllabus import TOPICS

SEEDS = 200
NAMES = [kind.name for kind in KINDS if kind.name != "vhost-memory" or sys.platform == "linux"]
each_kind = pytest.mark.parametrize("name", NAMES)


@cache
def some(name: str) -> list[Problem]:
    """`SEEDS` problems of a kind, the levels in turn."""
    return [problem(name, seed, seed % 3 + 1) for seed in range(SEEDS)]


def at_level(name: str, level: int) -> list[Problem]:
    return [one for one in some(name) if one.level == level]


# -- the answer


@each_kind
def test_the_librarys_answer_is_that_of_pencil_and_paper(name: str) -> None:
    for one in some(name):
        worked = WORK[name](one.data, one.level)
        assert worked == one.key.answer, one.text


@each_kind
def test_the_worked_answer_ends_at_the_answer_and_that_is_accepted(name: str) -> None:
    for one in some(name):
        assert read(one.answer.steps[-1].result) == read(one.answer.answer)
        assert one.check(one.answer.answer)
        assert one.check(list(one.key.answer))
        assert one.answer.answer in one.answer.text


@each_kind
def test_every_slip_is_refused_with_the_step_it_was_made_in(name: str) -> None:
    for one in some(name):
        steps = {step.name for step in one.answer.steps}
        assert one.key.slips
        for slip in one.key.slips:
            verdict = one.check(slip.answer)
            assert not verdict
            assert verdict.step == slip.step
            assert slip.step in steps
            assert slip.why in verdict.said


@each_kind
def test_a_refusal_never_has_the_answers_numbers_in_it(name: str) -> None:
    for one in some(name)[:30]:
        for slip in one.key.slips:
            if len(one.answer.answer) > 5 and any(c.isdigit() for c in one.answer.answer):
                assert one.answer.answer not in one.check(slip.answer).said


@each_kind
def test_the_question_shows_all_that_paper_needs_and_not_the_answer(name: str) -> None:
    for one in some(name)[:30]:
        shown = one.text
        assert one.question in shown
        assert all(table.text in shown for table in one.tables)
        assert f"Answer: {one.answer.answer}" not in shown


# -- the seed


@each_kind
def test_problems_of_a_kind_differ(name: str) -> None:
    shown = {(one.given, one.question, *(table.text for table in one.tables)) for one in some(name)}
    assert len(shown) > SEEDS * 0.9


@each_kind
def test_the_same_seed_gives_the_same_problem(name: str) -> None:
    for level in (1, 2, 3):
        one, other = problem(name, 7, level), problem(name, 7, level)
        assert one.text == other.text
        assert one.answer.text == other.answer.text


@each_kind
def test_a_level_is_another_problem(name: str) -> None:
    assert len({problem(name, 7, level).text.split(")", 1)[1] for level in (1, 2, 3)}) == 3


def digest(name: str) -> str:
    """The numbers of ten problems of each level, and their answers."""
    numbers: list[Any] = [
        [one.data, one.answer.answer]
        for level in (1, 2, 3)
        for one in (problem(name, seed, level) for seed in range(10))
    ]
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()[:12]


DIGESTS: dict[str, str] = {
    "port-decode": "8f402ea2b333",
    "uart-line": "5fa11cc4f997",
    "prd-table": "be1648b922cc",
    "config-address": "695658a9922f",
    "bar-size": "d43e92b4992d",
    "bridge-window": "e433b2db6298",
    "bus-number": "cba387588c45",
    "io-bitmap": "9b1a893f83ad",
    "ept-walk": "6da85798337c",
    "scatter": "6c84a45bd91b",
    "vring-layout": "125d67211f9c",
    "ring-state": "fc96064f6b89",
    "chain-walk": "b50b036a17a0",
    "event-idx": "8ebe9627bf00",
    "packed-wrap": "da6522f6d93e",
    "vhost-memory": "7993f66465fa",
    "vtd-walk": "29dd72ff4102",
    "irq-remap": "702c45359cd4",
    "posted-interrupt": "de62a8c1cd31",
    "vf-routing-id": "8c1ef3cf17b4",
    "ari": "94e7b25f8ce9",
}
"""What the numbers were when the kinds were made: on every machine they stay so."""


@each_kind
def test_problems_are_the_same_on_every_machine(name: str) -> None:
    assert digest(name) == DIGESTS[name]


def test_problems_do_not_depend_on_the_order_of_sets() -> None:
    code = (
        "from tests.course.practice.test_problems import digest, NAMES;"
        "print(*[digest(name) for name in NAMES])"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert said[0].split() == [digest(name) for name in NAMES]


# -- levels


TROUBLE = {
    "port-decode": "nobody",
    "prd-table": "nowhere",
    "scatter": "refused",
    "ring-state": "broken",
    "chain-walk": "refused",
    "vhost-memory": "refused",
    "vtd-walk": "fault",
    "irq-remap": "fault",
}
"""What only level 3 has, or has more often: word of the answer by kind."""


@pytest.mark.parametrize("name", [name for name in TROUBLE if name in NAMES])
def test_level_3_has_what_goes_wrong(name: str) -> None:
    def share(level: int) -> float:
        ones = at_level(name, level)
        return sum(TROUBLE[name] in one.key.answer for one in ones) / len(ones)

    assert share(3) > 0.15
    assert share(1) < share(3) / 2 or name == "port-decode"
    assert name == "port-decode" or share(1) == 0


def test_level_3_of_an_ept_walk_has_violations_and_misconfigurations() -> None:
    ends = {level: {one.key.answer[0] for one in at_level("ept-walk", level)} for level in (1, 3)}
    assert {"violation", "misconfiguration"} <= ends[3]
    assert not {"violation", "misconfiguration"} & ends[1]


HARDER = {
    "uart-line": lambda one: len(one.data.get("writes", ())) > 4,
    "config-address": lambda one: "byte" in one.data,
    "bar-size": lambda one: len(one.data["after"]) == 2,
    "bridge-window": lambda one: any(int(b[2], 16) > int(b[3], 16) for b in one.data["bridges"]),
    "bus-number": lambda one: one.key.answer == ("none",),
    "io-bitmap": lambda one: one.data["size"] > 1,
    "vring-layout": lambda one: "position" in one.data,
    "event-idx": lambda one: one.data["new"] < one.data["old"],
    "packed-wrap": lambda one: any(flags & 1 for flags in one.data["flags"]),
    "posted-interrupt": lambda one: ["suppress", 0] in one.data["events"],
    "vf-routing-id": lambda one: len(one.key.answer) == 2,
}


@pytest.mark.parametrize("name", HARDER)
def test_only_level_3_has_what_its_row_says(name: str) -> None:
    assert any(HARDER[name](one) for one in at_level(name, 3))
    assert not any(HARDER[name](one) for one in at_level(name, 1))


def test_ari_is_asked_both_ways_at_level_3() -> None:
    assert {one.data["ari"] for one in at_level("ari", 3)} == {True, False}


def test_the_steps_of_a_table_of_regions_stop_at_its_last_entry() -> None:
    for one in some("prd-table"):
        ends = next(n for n, row in enumerate(one.data["rows"]) if row[2])
        lines = one.answer.steps[0].work.splitlines()
        assert len(lines) == ends + 1
        assert [line.endswith(", the last") for line in lines] == [
            n == ends for n in range(ends + 1)
        ]


# -- the table of kinds


def test_there_are_twelve_kinds_or_more_and_each_trains_a_topic_of_the_syllabus() -> None:
    assert len(KINDS) >= 12
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        assert set(kind.topics.split()) <= set(TOPICS)
        assert len(set(kind.levels)) == 3


def test_a_kind_a_level_or_a_seed_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no kind 'walk'; there are: port-decode, uart-line"):
        problem("walk")
    with pytest.raises(ValueError, match="a level is 1, 2 or 3, not 4"):
        problem("ari", 1, 4)
    for seed in (-1, 1 << 64):
        with pytest.raises(ValueError, match="a seed is 0 or more"):
            problem("ari", seed)


def test_without_a_seed_the_problem_names_its_own() -> None:
    one = problem("ari")
    assert problem("ari", one.seed).text == one.text


def test_the_vhost_kind_says_in_one_line_that_it_needs_linux(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ValueError, match="needs Linux"):
        find("vhost-memory").writer()(Board(Random(1), 1))


# -- the board


def test_a_board_that_is_not_whole_is_refused() -> None:
    board = Board(Random(1), 1)
    board.ask("How many?", "a number")
    board.step("count", "1 + 1", "2")
    board.answer("3")
    with pytest.raises(ValueError, match="the last step ends at '2'"):
        board.finish("sum", "A sum", 1)
    board.answer("2")
    board.slip("add", 3, "one too many")
    with pytest.raises(ValueError, match=r"no step is called \['add'\]"):
        board.finish("sum", "A sum", 1)
    with pytest.raises(ValueError, match="a question, an answer"):
        Board(Random(1), 1).finish("sum", "A sum", 1)


def test_numbers_are_written_as_the_course_writes_them() -> None:
    assert (hex_of(10), hex_of(10, 4)) == ("0xa", "0x000a")
    assert (bits_of(0x2A, 8), bits_of(5, 3), bits_of(0x15, 6)) == ("0010 1010", "101", "01 0101")
