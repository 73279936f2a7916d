"""A student's page: it says what happened and how to go on, gives nothing away, and is safe."""

import dataclasses
import re

import pytest

from tests.course.answers import ROOT
from tests.course.grading.graded import SEED, full, grades, handed_in, solved, stub, wrong
from tests.course.grading.reading import Seen, assert_accessible, assert_harmless, tree, words
from virtlab.course.checks import TASKS
from virtlab.course.grading import feedback, feedback_task, pages
from virtlab.course.grading.result import (
    CaseResult,
    CellError,
    Cost,
    Failure,
    Flaw,
    TaskResult,
    Unplaced,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "</code></section><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "'><svg/onload=alert(1)>",
    "--><!--<![CDATA[ &lt;script&gt;",
    "\x1b]0;title\x07\x00\ud800 \u202egnp.exe \u2028",
)


def page_of(*tasks, **more):
    return feedback.feedback_page(handed_in("ada", *tasks, **more))


def task_of(page, task_id):
    """The words of one task's section."""
    wanted = task_id.replace(".", "-")
    sections = [each for each in tree(page).iter("section") if each.get("id") == wanted]
    return words(sections[0])


# -- what it says


def test_a_page_says_of_the_first_failure_what_check_says():
    result = wrong("ps1.q1")
    said, failure = task_of(page_of(result), "ps1.q1"), result.failure
    for text in (failure.case, failure.given, failure.expected, failure.yours, failure.look):
        assert " ".join(text.split()) in said


def test_it_names_the_next_step():
    said = task_of(page_of(wrong("ps1.q1")), "ps1.q1")
    assert f'Hint: {TASKS["ps1.q1"].hints[1]} (hint("ps1.q1", 2))' in said
    assert "Read again: lesson 01, “Port-mapped I/O” and lesson 02, “Memory-mapped I/O”." in said
    assert f'check("ps1.q1", seed={SEED}) in your notebook gives your code the same numbers' in said


def test_it_repeats_what_was_asked():
    said = task_of(page_of(stub("ps4.q3"), assignment="ps04"), "ps4.q3")
    assert "to writeadd_buf and kick, about 18 linesabout" in said
    assert "the virtqueue as a data structure: two sides of one ring; the calls:" in said


def test_what_passes_has_nothing_to_go_on_with():
    said = task_of(page_of(solved("ps1.q1")), "ps1.q1")
    assert said.startswith(
        "ps1.q1. who answers at an address ✓ passes. 9 of 9 checks pass. 2 of 2 points."
    )
    assert "How to go on" not in said


def test_a_stub_is_told_so():
    said = task_of(page_of(stub("ps1.q2")), "ps1.q2")
    assert "○ not attempted. 0 of" in said
    assert "you have not written" in said


def test_of_a_hidden_check_no_seed_is_promised():
    result = wrong("ps1.q1")
    hidden = dataclasses.replace(result, failure=result.failure._replace(hidden=True))
    said = task_of(page_of(hidden), "ps1.q1")
    assert f"{result.failure.case} (a hidden check)" in said
    assert "it is not in your notebook, and no seed replays it" in said
    assert "seed=" not in said
    assert result.failure.expected in said


def test_all_checks_are_listed_with_their_kind():
    cases = (CaseResult("one", True, free=True), CaseResult("two", False, hidden=True))
    result = TaskResult("ps1.q1", "t", 0.0, 2, 1, cases, Failure("two", True))
    root = tree(page_of(result))
    rows = [[words(cell) for cell in row] for row in root.findall(".//details//tbody/tr")]
    assert rows == [
        ["one", "✓ passes", "an empty answer passes it; only failing it counts"],
        ["two", "✗ does not pass", "hidden"],
    ]


def test_the_list_is_open_where_some_pass_and_some_do_not():
    def is_open(*passed):
        cases = tuple(CaseResult(f"{n}", each) for n, each in enumerate(passed))
        root = tree(page_of(TaskResult("ps1.q1", "t", 0.0, 2, 1, cases)))
        return root.find(".//details").get("open") == "open"

    assert [is_open(True, False), is_open(True, True), is_open(False)] == [True, False, False]


@pytest.mark.parametrize(
    ("passed", "free", "stage"),
    [(0, 0, 1), (2, 0, 1), (3, 0, 2), (5, 0, 2), (6, 0, 3), (9, 0, 3), (4, 4, 1), (6, 3, 2)],
)
def test_the_nearer_an_answer_is_the_more_exact_is_its_hint(passed, free, stage):
    """Checks that pass without an answer bring nobody nearer."""
    cases = [CaseResult(f"{n}", n < passed, free=n < free) for n in range(9)]
    assert feedback_task.hint_stage(TaskResult("x", "x", 0.0, 1, 1, tuple(cases))) == stage


def test_without_any_check_the_first_hint_is_given():
    assert feedback_task.hint_stage(TaskResult("x", "x", 0.0, 1, 1)) == 1


def test_costs_stand_beside_the_solutions():
    costs = (Cost("exits", 1200, 4), Cost("kicks", 3, 3), Cost("notes", 1, 2))
    root = tree(page_of(dataclasses.replace(full("ps1.q1"), costs=costs)))
    rows = [[words(cell) for cell in row] for row in root.findall(".//section//tbody/tr")][:3]
    assert rows == [
        ["exits", "1,200", "4", "1,196 more"],
        ["kicks", "3", "3", "the same"],
        ["notes", "1", "2", "1 fewer"],
    ]


def test_an_answer_that_was_stopped_is_told_why():
    result = dataclasses.replace(stub("ps1.q1"), ended="it used more than 2 GiB of memory")
    said = task_of(page_of(result), "ps1.q1")
    assert "■ stopped" in said
    assert "Your code was stopped: it used more than 2 GiB of memory." in said


def test_what_was_printed_is_shown():
    result = stub("ps1.q1")
    printed = dataclasses.replace(result, failure=result.failure._replace(printed="here\nI am"))
    assert "your code printedhere I am" in task_of(page_of(printed), "ps1.q1")


def test_the_notebooks_own_flaws_come_first_each_with_what_to_do():
    flaws = tuple(Flaw(kind, "ps1-q1", (3,), f"cell 3 is {kind}") for kind in feedback.ADVICE)
    errors = (CellError(7, "NameError: x"), CellError(0, "boom"))
    page = page_of(full("ps1.q1"), flaws=flaws, errors=errors)
    for flaw in flaws:
        assert f"Cell 3 is {flaw.kind}. {feedback.ADVICE[flaw.kind]}" in words(tree(page))
    assert page.index("Your notebook") < page.index("All tasks")
    rows = [[words(cell) for cell in row] for row in tree(page).find(".//tbody")]
    assert rows == [["cell 7", "NameError: x"], ["set-up", "boom"]]


def test_there_is_advice_for_every_kind_of_flaw():
    source = (ROOT / "virtlab" / "course" / "submission.py").read_text("utf-8")
    kinds = re.search(r"Kinds: (.*?)\.", source)[1]
    assert set(re.findall(r"`(\w+)`", kinds)) == set(feedback.ADVICE)


def test_a_notebook_that_could_not_be_graded_says_why():
    page = page_of(refused="byte 12: not a notebook")
    assert "This notebook could not be graded byte 12: not a notebook" in words(tree(page))
    assert_accessible(page)


def test_a_task_of_another_course_has_no_hint_and_no_lesson():
    result = TaskResult("ps9.q1", "t", 0.0, 2, 5, (CaseResult("a", False),), Failure("a"))
    said = task_of(page_of(result, assignment="ps09"), "ps9.q1")
    assert "Hint" not in said
    assert "Read again" not in said
    assert 'check("ps9.q1", seed=5)' in said


# -- whom it is safe from, and for


def hostile_result(text):
    """A result in which whatever a student can choose is `text`."""
    failure = Failure("two", False, *[text] * 6)
    task = TaskResult("ps1.q1", "t", 0.0, 2, 1, (CaseResult("two", False),), failure, ended=text)
    flaws, errors = (Flaw("unknown", text, (1,), text),), (CellError(1, text),)
    return handed_in(text, task, flaws=flaws, errors=errors, refused=text)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_a_student_wrote_is_markup(text):
    whole = grades(hostile_result(text), unplaced=(Unplaced(text, text),))
    for page in feedback.pages(whole).values():
        assert_harmless(page)
        assert_accessible(page)
        assert page.encode()
        assert pages.visible(text) in Seen(page).text


def test_the_page_is_accessible():
    page = page_of(wrong("ps1.q1"), solved("ps1.q2"), stub("ps1.q3"))
    assert_accessible(page)
    assert_harmless(page)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert "px" not in re.sub(r"\d+px solid|outline-offset: \d+px", "", page.split("</style>")[0])


def test_how_a_task_went_is_said_in_words_too():
    each = (full("ps1.q1"), wrong("ps1.q1"), stub("ps1.q1"))
    signs = {feedback_task.verdict(result)[0] for result in each}
    assert signs == {"✓", "◐", "○"}
    none = dataclasses.replace(wrong("ps1.q1"), points=0.0)
    assert feedback_task.verdict(none) == "✗ not yet"


# -- files


def test_the_same_grades_give_the_same_bytes(tmp_path):
    whole = grades(handed_in("ada", wrong("ps1.q1")), handed_in("Ben", full("ps1.q1")))
    written = feedback.write_pages(whole, tmp_path / "a")
    again = feedback.write_pages(whole, tmp_path / "b")
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in again]
    names = [path.relative_to(tmp_path / "a").as_posix() for path in written]
    assert names == ["ben-030d7562/ps01.html", "ada/ps01.html", "index.html"]


def test_the_index_links_every_page(tmp_path):
    whole = grades(
        handed_in("ada", full("ps1.q1")),
        handed_in("ada", full("ps2.q1"), assignment="ps02"),
        handed_in("ben", refused="two notebooks"),
        unplaced=(Unplaced("notes.txt", "not a notebook"),),
    )
    written = feedback.write_pages(whole, tmp_path)
    index = (tmp_path / "index.html").read_text("utf-8")
    root = tree(index)
    links = [link.get("href") for link in root.iter("a")]
    assert sorted(tmp_path / link for link in links) == sorted(written[:-1])
    rows = [[words(cell) for cell in row] for row in root.findall(".//tbody/tr")]
    assert rows == [
        ["ada", "2 of 2", "2 of 2"],
        ["ben", "not graded", "nothing"],
        ["notes.txt", "not a notebook"],
    ]
    assert_accessible(index)
    assert_harmless(index)


def test_an_index_of_nothing_says_so():
    page = feedback.index_page(grades())
    assert "Nothing was graded." in page
    assert_accessible(page)
