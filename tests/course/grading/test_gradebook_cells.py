"""The rows that nbgrader needs are made where they are missing; whom it cannot carry is named."""

import json

from tests.course.answers import RELEASED
from tests.course.grading.gradebooks import COURSE, WHOLE, everything, opened, rows
from tests.course.grading.graded import full, grades, handed_in
from tests.course.grading.test_gradebook import first_grade
from virtlab.course.grading import gradebook
from virtlab.course.submission import read_notebook

BREAKING = (
    *(
        'a"+alert(1)+"',
        "</script><script>x",
        "a/b",
        "a\\b",
        "a,b",
        "a*",
        "a:b",
        "a|b",
        "a&b",
        "a#b",
        "100%",
    ),
    *("=1+1", "@x", "-x", "..", " a", "a ", "", "x" * 129, "a\nb", "\u202ea"),
)


def test_students_whose_ids_break_nbgraders_pages_are_left_out_by_name(book):
    before = rows(book)
    whole = grades(*map(everything, BREAKING))
    skipped = gradebook.write_gradebook(whole, COURSE, book).skipped
    assert sorted(name for name, _ in skipped) == sorted(BREAKING)
    assert all(why for _, why in skipped)
    assert rows(book) == before


def test_names_of_the_world_and_sql_are_ids_like_any_other(book):
    names = ["Ada Byron", "o'brien'); drop table grade;--", "žofie_ñ", "李雷", "a.b@c.org", "{{x}}"]
    whole = grades(*map(everything, names))
    assert gradebook.write_gradebook(whole, COURSE, book) == (6, 42, 0, ())
    with opened(book) as gb:
        assert {student.id for student in gb.students} == {"ada", "ben", "cyd", *names}


def test_a_set_that_was_not_released_is_left_out(book):
    stranger = handed_in("ada", full("ps1.q1"), assignment="ps99")
    nobody = handed_in("ada", assignment="")
    skipped = gradebook.write_gradebook(grades(stranger, nobody), COURSE, book).skipped
    assert sorted(why for _, why in skipped) == [
        "no released notebook of ps99",
        "no released notebook of this submission",
    ]


def source_cells(path):
    with opened(path) as gb:
        cells = gb.find_notebook("ps01", "ps01").source_cells
        return {cell.name: (cell.source, cell.locked, cell.checksum) for cell in cells}


def test_the_cells_are_those_of_the_released_notebook(book):
    released = {cell.grade_id: cell for cell in read_notebook(RELEASED) if cell.grade_id}
    metadata = [
        cell["metadata"].get("nbgrader") for cell in json.loads(RELEASED.read_text())["cells"]
    ]
    checksums = {each["grade_id"]: each["checksum"] for each in metadata if each}
    made = source_cells(book)
    assert made.keys() == released.keys()
    for name, (source, locked, checksum) in made.items():
        assert (source, locked) == (released[name].source, released[name].locked)
        assert checksum == checksums[name]


def test_the_kernel_is_noted_as_autograde_reads_it(book):
    with opened(book) as gb:
        assert json.loads(gb.find_notebook("ps01", "ps01").kernelspec)["name"] == "python3"


def test_cells_that_nbgrader_wrote_stay(book):
    with opened(book) as gb:
        gb.update_or_create_source_cell("ps1-q1", "ps01", "ps01", source="check it, with more")
    gradebook.write_gradebook(WHOLE, COURSE, book)
    assert source_cells(book)["ps1-q1"][0] == "check it, with more"


def test_generate_assignment_may_come_after_us(book):
    """What it does with the gradebook: it would refuse if our cells were others than its own."""
    from nbformat import read
    from nbgrader.preprocessors import SaveCells

    resources = {"notebook": "ps01", "assignment": "ps01", "db_url": f"sqlite:///{book}"}
    points = rows(book)["grade"]
    SaveCells().preprocess(read(RELEASED, as_version=4), {"nbgrader": resources})
    assert rows(book)["grade"] == points


def test_a_gradebook_that_lacks_some_cells_gets_them(book):
    with opened(book) as gb:
        for row in (*gb.find_grade_cell("ps1-q1", "ps01", "ps01").grades,
                    gb.find_grade_cell("ps1-q1", "ps01", "ps01"),
                    *gb.find_solution_cell("ps1-q1-answer", "ps01", "ps01").comments,
                    gb.find_solution_cell("ps1-q1-answer", "ps01", "ps01"),
                    gb.find_source_cell("ps1-q1", "ps01", "ps01")):  # fmt: skip
            gb.db.delete(row)
        gb.db.commit()
    assert gradebook.write_gradebook(WHOLE, COURSE, book) == (3, 3, 2, ())
    assert first_grade(book)[0] == WHOLE.results[1].tasks[0].points
