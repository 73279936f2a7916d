"""The class report as a page: each bar has its number, anybody can read it, nothing in it runs."""

import dataclasses
import json
import re

import pytest

from tests.course.grading.graded import grades, handed_in, stub, wrong
from tests.course.grading.reading import Seen, assert_accessible, assert_harmless, tree, words
from tests.course.grading.test_feedback import HOSTILE, hostile_result
from tests.course.grading.test_statistics import five, part, task
from tests.course.grading.test_statistics import stub as unwritten
from virtlab.course.grading import pages, report
from virtlab.course.grading.distribution import distribution
from virtlab.course.grading.result import (
    CaseResult,
    Cost,
    Failure,
    Run,
    TaskResult,
)
from virtlab.course.grading.statistics import class_data

# -- the page


def test_every_bar_has_its_number_in_text():
    page = report.report_page(class_data(grades(*five())))
    rows = [row for row in tree(page).iter("tr") if row.find(".//{*}svg") is not None]
    for row in rows:
        assert re.search(r"\d", words(row).removeprefix(words(row[0])))
    (two,) = [row for row in rows if words(row[0]) == "two"]
    assert [words(cell) for cell in two] == ["two", "80 %", "4 of 5", "0", "open"]
    assert two.find(".//{*}rect[@class='value']").get("width") == "94.4"


@pytest.mark.parametrize(
    ("share", "width"), [(-1, "0"), (0, "0"), (0.5, "59"), (1, "118"), (7, "118")]
)
def test_a_bar_is_as_long_as_its_share(share, width):
    assert f'width="{width}" height="12"' in pages.bar(share)


def test_the_distribution_is_a_picture_with_words_and_a_table():
    heading, picture, table = distribution([0, 3, 0, 0, 0, 0, 0, 0, 0, 6], "ps04")
    seen = Seen(picture)
    assert seen.elements[0][1]["aria-label"] == (
        "Students by their share of the points of ps04. 10-19 %: 3, 90-100 %: 6."
    )
    heights = [float(a["height"]) for tag, a in seen.elements if tag == "rect"]
    assert heights == [0, 75, 0, 0, 0, 0, 0, 0, 0, 150]
    assert {float(a["y"]) + float(a["height"]) for tag, a in seen.elements if tag == "rect"} == {
        180
    }
    assert "10-19 %" in Seen(table).text
    assert "How the points lie" in heading


def test_the_page_is_accessible_and_harmless():
    results = [*five(), handed_in("fay", wrong("ps2.q1"), stub("ps2.q2"), assignment="ps02")]
    costly = dataclasses.replace(task(1), costs=(Cost("exits", 5, 4), Cost("notes", 2, 4)))
    results.append(handed_in("gus", costly))
    page = report.report_page(class_data(grades(*results), names=True, run=True))
    assert_accessible(page)
    assert_harmless(page)
    assert "Problem set 2: find what is on the buses" in page
    assert 'class="big"' in page
    assert "ps1.q1 exits" in page
    assert "How long students worked on it is not known" in page


def test_what_nobody_attempted_has_a_column_of_its_own():
    results = [*five(), handed_in("fay", unwritten()), handed_in("gus", unwritten())]
    page = report.report_page(class_data(grades(*results)))
    (row,) = [row for row in tree(page).iter("tr") if words(row).startswith("ps1.q1 ")]
    assert [words(cell) for cell in row][2:5] == ["2 of 7", "1", "2"]
    assert "2 of 7 did not attempt it." in words(tree(page))
    assert "Of each attempt only the first check that fails" in page
    assert "you have not written" not in page


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("names", [False, True])
def test_nothing_a_student_wrote_is_markup(text, names):
    whole = grades(
        dataclasses.replace(hostile_result(text), refused=""), handed_in("x", refused=text)
    )
    page = report.report_page(class_data(whole, names=names))
    assert_harmless(page)
    assert_accessible(page)
    assert (pages.visible(text) in Seen(page).text) is names


def test_nothing_graded_is_said():
    page = report.report_page(class_data(grades()))
    assert "Nothing was graded." in page
    assert_accessible(page)


def test_a_set_where_nobody_could_be_graded_has_no_numbers():
    found = part(handed_in("ann", refused="no JSON"))
    assert found["points"] is None
    assert found["tasks"] == found["failures"] == []
    page = report.report_page(class_data(grades(handed_in("ann", refused="no JSON"))))
    assert "handed in" in page
    assert "How the points lie" not in page


def test_a_task_that_is_not_in_this_course_is_counted_all_the_same():
    strange = TaskResult("ps9.q1", "t", 1.0, 2, 1, (CaseResult("a", False),), Failure("a"))
    data = class_data(grades(handed_in("ann", strange, assignment="ps09")))
    assert data["assignments"][0]["tasks"][0]["minutes"] is None
    assert_accessible(report.report_page(data))


def test_one_student_is_a_class_too():
    page = report.report_page(class_data(grades(handed_in("ann", task(0.5, "three")))))
    assert_accessible(page)
    assert "1 answer" in page


def test_it_is_written_as_a_page_or_as_data(tmp_path):
    whole = grades(*[dataclasses.replace(each, run=Run(1.5)) for each in five()])
    page = report.write_report(whole, tmp_path / "class.html").read_text("utf-8")
    assert "1.5 s for a notebook (median)" in page
    timeless = report.write_report(whole, tmp_path / "x.html", run=False).read_text("utf-8")
    assert "processor time" not in timeless
    data = json.loads(report.write_report(whole, tmp_path / "class.json").read_text("utf-8"))
    assert data == class_data(whole)


def test_two_hundred_students_fit_on_a_page():
    results = [
        handed_in(f"s{n:03}", task(n % 5 / 4, "one" if n % 5 == 0 else "")) for n in range(200)
    ]
    page = report.report_page(class_data(grades(*results)))
    assert "200 of 200" in page
    assert len(page) < 30_000
