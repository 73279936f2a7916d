"""CSV, JSON and Gradescope's file: what stands in them, and what no spreadsheet runs."""

import csv
import io
import json

import pytest

from tests.course.grading.graded import stub
from tests.course.grading.made import FULL, GRADES, PASSED, made
from virtlab.course.grading import gradescope, tables
from virtlab.course.grading.result import Flaw, Grades, Unplaced


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_row_has_points_and_first_failures():
    first, second = rows(tables.csv_text(GRADES))
    assert first == {
        "student": "ada",
        "set": "ps01",
        "points": "5.5",
        "out of": "8",
        "q1": "2.5",
        "q1 fails": "two",
        "q2": "3.0",
        "q2 fails": "",
        "problems": "cell 3 was edited; cell 4: ZeroDivisionError: division by zero",
        "note": "",
        "seed": "7",
    }
    assert second["note"] == "two of them"


def test_where_nobody_wrote_an_answer_no_check_fails():
    (row,) = rows(tables.csv_text(Grades(7, "", (made(tasks=[stub("ps1.q1"), PASSED]),))))
    assert (row["q1 fails"], row["q2 fails"]) == ("not attempted", "")


def test_a_set_with_fewer_tasks_leaves_its_last_columns_empty():
    grades = Grades(7, "", (made(), made("ben", tasks=[PASSED])))
    assert [row["q2"] for row in rows(tables.csv_text(grades))] == ["3.0", ""]


def test_no_submission_is_a_table_of_a_head():
    assert tables.csv_text(Grades(7, "")) == "student,set,points,out of,problems,note,seed\n"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "＝1"])
def test_a_name_that_is_a_formula_is_disarmed(name):
    flaw = Flaw("unknown", "", (), name)
    (row,) = rows(tables.csv_text(Grades(7, "", (made(name, flaws=(flaw,)),))))
    assert row["student"] == row["problems"] == f"'{name}"


def test_a_name_with_a_line_end_stays_in_its_cell():
    (row,) = rows(tables.csv_text(Grades(7, "", (made('a"b,c\nd'),))))
    assert row["student"] == 'a"b,c\nd'


def test_seconds_and_sandboxes_have_a_table_of_their_own():
    assert "1.25" not in tables.csv_text(GRADES) + tables.json_text(GRADES)
    first, _ = rows(tables.times_text(GRADES))
    assert (first["seconds"], first["sandbox"]) == ("1.25", "plain")
    assert first["not held"] == "files are not hidden"


def test_json_is_read_back(tmp_path):
    tables.write(tmp_path / "new" / "grades.json", tables.json_text(GRADES))
    assert tables.read(tmp_path / "new" / "grades.json") == GRADES


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "grades.csv"
    tables.write(path, "before")
    with pytest.raises(TypeError):
        tables.write(path, None)
    assert [each.name for each in tmp_path.iterdir()] == ["grades.csv"]
    assert path.read_text() == "before"


# -- Gradescope


def test_a_task_is_a_test_and_each_hidden_case_one_more():
    data = gradescope.results(FULL, 7)
    assert (data["score"], data["stdout_visibility"]) == (5.5, "hidden")
    shown, secret, second = data["tests"]
    assert shown["name"] == "ps1.q1 Who answers?"
    assert (shown["score"], shown["max_score"], shown["status"]) == (2.5, 5, "failed")
    assert (shown["visibility"], shown["number"]) == ("visible", "1")
    assert shown["output"].startswith("ps1.q1  Who answers?")
    assert secret == {
        "number": "1.3",
        "name": "ps1.q1: x",
        "status": "passed",
        "visibility": "hidden",
    }
    assert (second["status"], second["number"]) == ("passed", "2")
    assert data["output"] == "cell 3 was edited\ncell 4: ZeroDivisionError: division by zero"


def test_one_submission_is_one_file_and_several_have_folders(tmp_path):
    one = Grades(7, "", (FULL,))
    assert gradescope.write_all(one, tmp_path / "one") == [tmp_path / "one" / "results.json"]
    paths = gradescope.write_all(GRADES, tmp_path)
    assert paths == [tmp_path / name / "ps01" / "results.json" for name in ("ada", "ben")]
    assert json.loads(paths[1].read_text())["output"] == "two of them"


def test_without_a_notebook_there_is_a_score_all_the_same(tmp_path):
    (path,) = gradescope.write_all(Grades(7, "", (), (Unplaced("a.zip", "not one"),)), tmp_path)
    assert json.loads(path.read_text()) | {"output": ""} == {
        "score": 0,
        "output": "",
        "output_format": "text",
        "tests": [],
    }
    assert "a.zip: not one" in path.read_text()
    assert gradescope.nothing(())["output"] == "there is no notebook here"


def test_a_name_cannot_lead_out_of_the_folder(tmp_path):
    grades = Grades(7, "", (made("../../ada"), made("/etc/x"), made("ADA"), made("ada")))
    paths = gradescope.write_all(grades, tmp_path / "out")
    assert len({str(path).lower() for path in paths}) == 4
    assert all(path.resolve().is_relative_to(tmp_path / "out") for path in paths)
