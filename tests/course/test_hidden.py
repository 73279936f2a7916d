"""Hidden cases: solutions pass them, fitted answers do not, and no learner finds them."""

import os
import subprocess
import sys

import pytest

from tests.course.answers import ROOT, right, source_of
from tests.course.wrong.fitted import AT_RANDOM, FITTED
from virtlab.course import checks
from virtlab.course.answers import Answer
from virtlab.course.checks import TASKS, examine, free_cases
from virtlab.course.grading import hidden
from virtlab.errors import FileError

SOLUTIONS = ROOT / "solutions"


def cases(task_id):
    """All cases that whoever grades asks: the task's own, then the hidden ones."""
    return *TASKS[task_id].cases, *hidden.cases_of(task_id, SOLUTIONS)


def graded(task_id, names, seed):
    """The report of a task's own cases and its hidden ones."""
    return examine(TASKS[task_id], Answer(names), seed, cases(task_id))


# -- solutions, and answers that are none


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(3, id="3 seeds"),
        pytest.param(100, marks=[pytest.mark.volume, pytest.mark.long], id="100 seeds"),
    ],
)
def test_a_solution_passes_all_hidden_cases_with_any_seed(task, seeds):
    own = hidden.cases_of(task, SOLUTIONS)
    for seed in range(seeds):
        report = examine(TASKS[task], Answer(right()), seed, own)
        assert report.ok, str(report)
        assert len(report.passed) == len(own)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_hidden_cases_that_an_empty_answer_does_not_pass(task):
    own = hidden.cases_of(task, SOLUTIONS)
    assert len(own) >= 2
    assert not free_cases(TASKS[task], own)


def test_hidden_cases_stay_out_of_the_registry_and_of_a_learners_report():
    before = {task: len(TASKS[task].cases) for task in TASKS}
    report = graded("ps1.q1", right(), 1)
    assert before == {task: len(TASKS[task].cases) for task in TASKS}
    assert report.hidden == ("a map of memory", "the same question, another map")
    assert "9 of 9" in str(checks.check("ps1.q1", 1, right()))


# -- fitted answers

FITS = [
    pytest.param(task, source, where, id=f"{task} {mistake}")
    for task, mistakes in FITTED.items()
    for mistake, source, where in mistakes
]


@pytest.mark.parametrize(("task", "source", "where"), FITS)
def test_a_fitted_answer_passes_what_can_be_seen_and_a_hidden_case_refuses_it(task, source, where):
    names = right()
    exec(source, names)
    report = graded(task, names, 1)
    own = [case.name for case in TASKS[task].cases]
    assert report.passed[: len(own)] == own, str(report)
    assert report.failure.case in where, str(report)
    assert where <= set(report.hidden)
    assert "a hidden case, not in your notebook (seed 1)" in str(report)
    assert not [line for line in source_of(task) if line.strip() in str(report)]
    assert 0 < checks.points(report, cases(task)) < TASKS[task].points


def test_there_is_a_fitted_answer_to_every_task_that_has_a_range():
    assert FITTED.keys() | AT_RANDOM == TASKS.keys()
    assert not FITTED.keys() & AT_RANDOM
    assert all(FITTED.values())


# -- where they are found


def test_they_are_found_upward_from_the_current_folder(monkeypatch):
    for folder in (ROOT, SOLUTIONS, SOLUTIONS / "ps01", ROOT / "tests" / "course"):
        monkeypatch.chdir(folder)
        assert hidden.cases_of("ps1.q1") == hidden.cases_of("ps1.q1", SOLUTIONS / "hidden")


def test_where_there_are_none_that_is_said(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match="no folder solutions/hidden here, nor in a folder above"):
        hidden.cases_of("ps1.q1")
    with pytest.raises(FileError, match=r"ps01\.py.*there is no such file of hidden cases"):
        hidden.cases_of("ps1.q1", tmp_path)


GOOD = """
from virtlab.course.tasks import Case
HIDDEN = {"ps1.q1": (Case("one more", lambda answer, rng: None),)}
"""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("HIDDEN = {", "cannot be run: SyntaxError"),
        ("1 / 0", "cannot be run: ZeroDivisionError"),
        ("raise OSError", "cannot be run: OSError"),
        ("HIDDEN = []", "no dictionary HIDDEN"),
        ("", "no dictionary HIDDEN"),
        ("HIDDEN = {'ps1.q99': ()}", "there is no task 'ps1.q99'"),
        ("HIDDEN = {'ps1.q1': []}", "are not a tuple of Case"),
        ("HIDDEN = {'ps1.q1': (1,)}", "are not a tuple of Case"),
        (GOOD.replace("one more", "nobody there"), "two cases of the name 'nobody there'"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_one_line_with_its_name(tmp_path, text, why):
    path = tmp_path / "ps01.py"
    path.write_text(text)
    with pytest.raises(FileError) as error:
        hidden.cases_of("ps1.q1", tmp_path)
    assert str(path) in str(error.value)
    assert why in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "ps01.py"
    path.write_text(GOOD)
    os.utime(path, ns=(1, 1))
    assert [case.name for case in hidden.cases_of("ps1.q1", tmp_path)] == ["one more"]
    path.write_text(GOOD.replace("one more", "another"))
    os.utime(path, ns=(2, 2))
    assert [case.name for case in hidden.cases_of("ps1.q1", tmp_path)] == ["another"]
    assert hidden.cases_of("ps1.q2", tmp_path) == ()


def test_an_unknown_task_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="there is no task"):
        hidden.cases_of("ps1.q99", SOLUTIONS)


def test_the_library_holds_none_of_them():
    """Whoever has only the package and exercises/ has no hidden case, and cannot import one."""
    source = "\n".join(path.read_text() for path in (ROOT / "virtlab").rglob("*.py"))
    names = [case.name for task in TASKS for case in hidden.cases_of(task, SOLUTIONS)]
    assert len(names) >= 2 * len(TASKS)
    assert not [name for name in names if f'Case("{name}"' in source]
    code = "import importlib.util as u; print(u.find_spec('hidden'), u.find_spec('ps01'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "exercises" / "ps01",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None None\n"


# -- what nbgrader calls


def test_in_an_nbgrader_cell_the_value_is_the_points_and_the_report_is_shown(monkeypatch):
    monkeypatch.chdir(SOLUTIONS)
    names = right()
    exec(FITTED["ps1.q1"][0][1], names)
    exec("from virtlab.course.grading.hidden import check\nvalue = check('ps1.q1', 3)", names)
    value = names["value"]
    assert repr(value) == "1.71"
    assert value._repr_html_().startswith("<pre>ps1.q1  who answers at an address")
    assert "FAILS   a map of memory" in value._repr_html_()
    assert "&#x27;lapic&#x27;" in value._repr_html_()


def test_it_finds_names_where_it_is_called_and_gives_no_points_for_none(monkeypatch):
    monkeypatch.chdir(SOLUTIONS)
    who_answers = right()["who_answers"]
    assert who_answers
    assert repr(hidden.check("ps1.q1")) == "2.0"
    assert repr(hidden.check("ps1.q2")) == "0.0"
