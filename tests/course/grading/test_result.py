"""Results are plain data: what is written as JSON comes back the same."""

import json

import pytest

from tests.course.grading.made import FAILED, FULL, GRADES, PASSED, made
from virtlab.course.grading.result import Grades, Result, Run, TaskResult


def through_json(data):
    return json.loads(json.dumps(data))


def test_grades_come_back_from_json_the_same():
    assert Grades.from_data(through_json(GRADES.as_data())) == GRADES


def test_how_a_result_was_found_out_takes_no_part_in_it():
    plain = Result.from_data(through_json(FULL.as_data()))
    assert plain == FULL
    assert plain.run == Run()
    assert "run" not in json.dumps(GRADES.as_data()).replace("running", "")
    assert Result.from_data(through_json(FULL.as_data(run=True))).run == FULL.run


def test_points_are_added_up():
    assert (FULL.points, FULL.out_of, FULL.key) == (5.5, 8, ("ada", "ps01"))
    assert made(tasks=[FAILED] * 3).points == 7.5


def test_a_task_is_right_if_all_its_cases_pass():
    assert PASSED.ok
    assert not FAILED.ok
    assert not TaskResult("ps1.q1", "", 0.0, 5, 1).ok


@pytest.mark.parametrize("data", [{}, {"format": "virtlab grades 0"}])
def test_another_format_is_refused(data):
    with pytest.raises(ValueError, match="not 'virtlab grades 1'"):
        Grades.from_data(data)
