"""A class in numbers: each is counted over the right people, and nobody is named unasked."""

import dataclasses
import json
import re

import pytest

from tests.course.grading import graded
from tests.course.grading.graded import full, grades, handed_in
from tests.course.grading.reading import tree, words
from virtlab.course.checks import TASKS
from virtlab.course.grading import report
from virtlab.course.grading.result import (
    CaseResult,
    CellError,
    Cost,
    Failure,
    Flaw,
    Run,
    TaskResult,
    Unplaced,
)
from virtlab.course.grading.statistics import FAILURES, class_data


def task(share, fails="", task="ps1.q1", **more):
    """A task of four checks, of which a `share` passes, and the first that fails is `fails`."""
    names = ("one", "two", "three", "four")
    cases = tuple(CaseResult(name, n < share * 4) for n, name in enumerate(names))
    failure = Failure(fails, **more) if fails else None
    return TaskResult(task, TASKS[task].title, 8 * share, 8, 5, cases, failure)


def part(*results, **options):
    """The data of the one problem set of a class."""
    (only,) = class_data(grades(*results), **options)["assignments"]
    return only


def five():
    """Five students: two have all, two fail at one check, one at another."""
    return [
        handed_in("ann", task(1)),
        handed_in("bob", task(1)),
        handed_in("cyd", task(0.5, "three", yours="3")),
        handed_in("dan", task(0.5, "three", yours="4", look="the clause")),
        handed_in("eve", task(0, "one")),
    ]


# -- counting


def test_points_are_summed_up():
    found = part(*five())["points"]
    bins = [1, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    assert found == {
        "mean": 4.8,
        "median": 4.0,
        "lowest": 0.0,
        "highest": 8.0,
        "full": 2,
        "none": 1,
        "bins": bins,
    }


def test_a_task_is_counted_over_all_who_were_graded():
    (only,) = part(*five(), handed_in("fay", task(1), refused="no JSON"))["tasks"]
    counted = {name: only[name] for name in ("graded", "full", "none", "stopped", "mean", "share")}
    assert counted == {"graded": 5, "full": 2, "none": 1, "stopped": 0, "mean": 4.8, "share": 0.6}
    assert only["minutes"] == TASKS["ps1.q1"].minutes
    assert only["lessons"] == ["01", "02"]


def test_each_check_has_who_passes_it_and_who_fails_there_first():
    (only,) = part(*five())["tasks"]
    counted = [(check["name"], check["passed"], check["first"]) for check in only["checks"]]
    assert counted == [("one", 4, 1), ("two", 4, 0), ("three", 2, 2), ("four", 2, 0)]


def test_hidden_and_free_checks_are_marked():
    cases = (CaseResult("a", True, free=True), CaseResult("b", True, hidden=True))
    checks = part(handed_in("ann", TaskResult("ps1.q1", "t", 1.0, 1, 1, cases)))["tasks"][0][
        "checks"
    ]
    assert [(check["free"], check["hidden"]) for check in checks] == [(True, False), (False, True)]


def test_the_commonest_first_failures_come_with_the_example_most_are_like():
    clause = {"look": "the clause", "given": "7", "expected": "8"}
    failures = part(
        handed_in("ann", task(0.5, "three", yours="1", look="another")),
        handed_in("bob", task(0.5, "three", yours="2", **clause)),
        handed_in("cyd", task(0.5, "three", yours="3", **clause)),
        handed_in("dan", task(0, "one")),
    )["failures"]
    assert [(failure["case"], failure["count"]) for failure in failures] == [
        ("three", 3),
        ("one", 1),
    ]
    assert failures[0] == {
        **clause,
        "task": "ps1.q1",
        "case": "three",
        "hidden": False,
        "count": 3,
        "alike": 2,
        "yours": "2",
    }


def test_a_long_list_of_failures_is_cut():
    cases = tuple(CaseResult(f"{n}", False) for n in range(FAILURES + 3))
    results = [
        handed_in(f"s{n}", TaskResult("ps1.q1", "t", 0.0, 1, 1, cases, Failure(f"{n}")))
        for n in range(FAILURES + 3)
    ]
    assert len(part(*results)["failures"]) == FAILURES


def test_the_weakest_task_is_named_with_topics_and_lessons():
    missed = part(
        handed_in("ann", task(1), task(0.5, "three", "ps1.q5")),
        handed_in("bob", task(0.5, "two"), task(0.5, "three", "ps1.q5")),
    )["missed"]
    assert (missed["task"], missed["share"], missed["check"]) == ("ps1.q5", 0.5, "three")
    assert list(missed["topics"]) == ["S03"]
    assert missed["lessons"] == ["02"]


def test_a_class_that_missed_nothing_is_told_nothing():
    assert part(handed_in("ann", task(1)))["missed"] is None


def test_a_task_that_only_some_have_is_counted_over_these():
    """A run over one task alone, put beside one over all."""
    tasks = part(handed_in("ann", task(1), task(1, task="ps1.q2")), handed_in("bob", task(0)))[
        "tasks"
    ]
    assert [(each["task"], each["graded"]) for each in tasks] == [("ps1.q1", 2), ("ps1.q2", 1)]


def test_costs_are_set_against_the_solutions():
    def costing(student, exits):
        return handed_in(student, dataclasses.replace(task(1), costs=(Cost("exits", exits, 4),)))

    (only,) = part(costing("ann", 4), costing("bob", 9), costing("cyd", 12))["tasks"]
    found = {"what": "exits", "counted": 3, "median": 9, "reference": 4, "more": 2}
    assert only["costs"] == [found]


def test_troubles_are_counted():
    stopped = dataclasses.replace(task(0), ended="it was stopped after 20 s")
    found = part(
        handed_in("ann", stopped, flaws=(Flaw("edited", "a", (1,), "m"),) * 2),
        handed_in("bob", task(1), errors=(CellError(1, "boom"),)),
        handed_in("cyd", refused="no JSON"),
        roster=["dan", "ann"],
    )
    names = ("handed_in", "graded", "absent", "refused", "stopped", "with_flaws", "with_errors")
    assert [found[name] for name in names] == [3, 2, 1, 1, 1, 1, 1]
    assert found["flaws"] == {"edited": 2}
    assert found["limits"] == {"it was stopped after 20 s": 1}


def test_who_has_no_notebook_of_one_set_is_absent_there():
    data = class_data(grades(*five(), handed_in("ann", full("ps2.q1"), assignment="ps02")))
    assert [each["absent"] for each in data["assignments"]] == [0, 4]
    assert data["students"] == 5


def test_time_is_told_on_request_only():
    results = [handed_in(name, task(1), run=Run(seconds)) for name, seconds in (("a", 1), ("b", 3))]
    assert part(*results, run=True)["seconds"] == {"sum": 4, "median": 2, "highest": 3}
    assert "seconds" not in part(*results)


# -- not attempted


def stub(task_id="ps1.q1", names=("one", "two", "three", "four")):
    """A task that nobody wrote, with its first check as the one that fails."""
    cases = tuple(CaseResult(name, False) for name in names)
    failure = Failure(names[0], yours="you have not written put() yet")
    return TaskResult(task_id, TASKS[task_id].title, 0.0, 8, 5, cases, failure)


def test_a_stub_is_not_attempted_and_no_failure():
    found = part(
        *(handed_in(name, stub()) for name in ("ann", "bob", "cyd")),
        handed_in("dan", task(0, "two")),
        handed_in("eve", task(0.5, "three")),
    )
    (only,) = found["tasks"]
    assert (only["graded"], only["none"], only["not_attempted"]) == (5, 4, 3)
    assert [check["first"] for check in only["checks"]] == [0, 1, 1, 0]
    assert [(failure["case"], failure["count"]) for failure in found["failures"]] == [
        ("two", 1),
        ("three", 1),
    ]
    assert (found["missed"]["not_attempted"], found["missed"]["check"]) == (3, "two")


def test_a_class_that_attempted_nothing_has_no_failures():
    found = part(handed_in("ann", stub()))
    assert (found["failures"], found["missed"]["check"]) == ([], "")


@pytest.mark.parametrize("task_id", TASKS)
def test_every_released_stub_is_known_as_one(task_id):
    """And a notebook without the cell, in the words that the checks really have."""
    assert not graded.stub(task_id).attempted
    missing = graded.first_failure(TASKS[task_id], {})
    assert not missing.attempted
    assert graded.wrong(task_id).attempted
    assert graded.full(task_id).attempted


def test_half_of_an_answer_is_an_attempt():
    half = dataclasses.replace(stub(), cases=(CaseResult("one", True), CaseResult("two", False)))
    free = dataclasses.replace(stub(), cases=(CaseResult("one", True, free=True),))
    assert half.attempted
    assert not free.attempted


def test_a_cell_that_does_not_run_is_an_attempt():
    failure = Failure("one", yours="there is no put here: cell 7, which should define it, ended")
    assert dataclasses.replace(stub(), failure=failure).attempted


# -- who


def test_nobody_is_named_unasked():
    telling = Failure("one", given="ada-lovelace's", expected="8", yours="/home/Ada-Lovelace/x")
    shown = TaskResult("ps1.q1", "t", 0.0, 1, 1, (CaseResult("one", False),), telling)
    whole = grades(
        handed_in("ada-lovelace", shown),
        handed_in("grace-hopper", dataclasses.replace(shown, ended="grace-hopper's kernel")),
        handed_in("alan-turing", refused="alan-turing/ps01.ipynb: byte 3"),
        unplaced=(Unplaced("ada-lovelace.pdf", "no notebook"),),
    )
    data = class_data(whole, roster=["ada-lovelace", "barbara-liskov"], run=True)
    for text in (json.dumps(data), report.report_page(data)):
        assert not re.search("ada-lovelace|hopper|turing|liskov", text, re.I)
    assert "/home/(a student)/x" in report.report_page(data)


def test_an_id_within_another_leaves_nothing_of_it():
    failure = Failure("one", given="alan-turing and Alan")
    shown = TaskResult("ps1.q1", "t", 0.0, 1, 1, (CaseResult("one", False),), failure)
    found = part(handed_in("alan", shown), handed_in("alan-turing", shown))["failures"]
    assert found[0]["given"] == "(a student) and (a student)"


def test_ids_that_are_words_or_numbers_of_the_tasks_stay():
    failure = Failure("one", given="bob reads 2048 bytes", yours="x")
    shown = TaskResult("ps1.q1", "t", 0.0, 1, 1, (CaseResult("one", False),), failure)
    results = [handed_in(name, shown) for name in ("bob", "2048", "bytesize")]
    assert part(*results)["failures"][0]["given"] == "bob reads 2048 bytes"


def test_with_names_the_teacher_sees_who():
    stopped = dataclasses.replace(task(0), ended="too long")
    whole = grades(handed_in("ann", stopped), handed_in("bob", refused="no JSON"))
    data = class_data(whole, roster=["cyd", "ann"], names=True)
    who = {"absent": ["cyd"], "refused": ["bob"], "stopped": ["ann"]}
    assert data["assignments"][0]["who"] == who
    page = report.report_page(data)
    assert "For the teacher only: students are named." in page
    rows = [[words(cell) for cell in row] for row in tree(page).iter("tr")]
    assert ["ended by a limit", "1", "ann"] in rows
    assert ["handed in nothing", "1", "cyd"] in rows
