"""One submission graded: what runs, what it earns, what is said, and that it is the same again.

Most tests run the answers in this process, in place of a sandboxed child: they are about what is
done with a report. The last ones use the child itself.
"""

import copy
import json

import pytest

from tests.course.answers import ROOT, grade_id
from tests.course.grading import classroom
from tests.course.grading.classroom import answered, released, right
from virtlab.course import checks
from virtlab.course.answers import Answer
from virtlab.course.grading import course_files, grader
from virtlab.course.grading.child import run_cell
from virtlab.course.grading.limits import NOTHING_RUN, Limits
from virtlab.course.grading.result import CellError, Result
from virtlab.course.grading.sandbox import NotStarted, Sandbox
from virtlab.course.grading.submissions import Submission
from virtlab.course.submission import read_notebook

SANDBOX = Sandbox("plain", ("nothing is held",))

COUNTER = """
from virtlab.course.tasks import Case
def never(answer, rng):
    from virtlab.course.tasks import Difference
    return Difference("8", "<f at 0x7f12345678>", "the data sheet")
HIDDEN = {"ps1.q1": (Case("a secret", never),)}
"""


class Here:
    """A student whose code runs in this process."""

    def __init__(self, cells, limits, sandbox):
        self.names = {"__name__": "__main__"}
        self.errors = [(n, error) for n, source in cells if (error := self.run(n, source))]
        self.sandbox, self.seconds, self.ended = sandbox, 0.25, ""

    def run(self, number, source):
        return run_cell(number, source, self.names)

    def __enter__(self):
        return self

    def __exit__(self, *why):
        pass

    def examine(self, task, seed, cases):
        if "stop" in self.names:
            self.ended = f"stopped in {task.id}"
        return checks.examine(task, Answer(self.names), seed, cases)


@pytest.fixture(scope="module")
def course():
    return course_files.load(ROOT / "exercises")


@pytest.fixture
def grade(tmp_path, course, monkeypatch):
    """Grade a notebook's data."""
    monkeypatch.setattr(grader, "Student", Here)

    def run(data, student="ada", seed=7, course=course):
        return grader.grade(submission(tmp_path, data, student), course, seed, Limits(), SANDBOX)

    return run


def submission(tmp_path, data, student="ada", name="ps01"):
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(data), encoding="utf-8")
    return Submission(student, name, "ada/x.ipynb", "00ff", tuple(read_notebook(path)))


def with_answer(task, source):
    return answered("ps01", {**right("ps01"), task: source})


def points(result):
    return {task.task: task.points for task in result.tasks}


def test_solutions_get_all_points_and_have_nothing_to_say(grade, course):
    result = grade(answered("ps01", right("ps01")))
    assert result.points == result.out_of == 24
    assert all(task.ok and task.failure is None and not task.ended for task in result.tasks)
    assert (result.flaws, result.errors, result.refused) == ((), (), "")
    assert (result.student, result.assignment, result.file) == ("ada", "ps01", "ada/x.ipynb")
    assert result.run == (0.25, "plain", ("nothing is held",))
    assert [task.task for task in result.tasks] == course.sets["ps01"].tasks


def test_stubs_get_nothing(grade):
    result = grade(released("ps01"))
    assert set(points(result).values()) == {0.0}
    assert all(not case.passed for task in result.tasks for case in task.cases)


def test_an_answer_that_is_not_there_gets_nothing(grade):
    data = answered("ps01", right("ps01"))
    data["cells"] = [cell for cell in data["cells"] if grade_id(cell) != "ps1-q1-answer"]
    result = grade(data)
    assert points(result)["ps1.q1"] == 0
    assert result.points == 22
    assert [flaw.kind for flaw in result.flaws] == ["missing"]
    assert "there is no who_answers here yet" in result.tasks[0].report


def test_an_empty_function_gets_nothing_though_cases_pass(grade):
    result = grade(with_answer("ps1.q1", "def who_answers(*a): pass"))
    (task, *_) = result.tasks
    assert any(case.passed for case in task.cases)
    assert all(case.free for case in task.cases if case.passed)
    assert task.points == 0


def test_a_part_of_the_cases_is_a_part_of_the_points(grade):
    source = right("ps01")["ps1.q1"].replace("<=", "<", 1)
    task = grade(with_answer("ps1.q1", source)).tasks[0]
    passed, free = (sum(getattr(case, what) for case in task.cases) for what in ("passed", "free"))
    assert 0 < task.points < task.out_of
    assert task.points == round(task.out_of * (passed - free) / (len(task.cases) - free), 2)


def test_a_failure_is_told_as_check_tells_it(grade):
    task = grade(with_answer("ps1.q1", "def who_answers(*a): print('x'); return 7")).tasks[0]
    failure = task.failure
    assert (failure.hidden, failure.printed, failure.yours[:1]) == (False, "x\n", "7")
    assert failure.case in task.report
    assert failure.expected in task.report
    names = {"who_answers": lambda *a: print("x") or 7}
    with pytest.raises(checks.CheckFailed) as failed:
        checks.check("ps1.q1", seed=task.seed, namespace=names)
    assert str(failed.value) == task.report


def test_hidden_cases_count_and_are_named_as_hidden(grade, course):
    secret = course_files.Course(course.sets, {"ps01.py": COUNTER})
    task = grade(answered("ps01", right("ps01")), course=secret).tasks[0]
    assert task.failure.case == "a secret"
    assert task.failure.hidden
    assert [case.name for case in task.cases if case.hidden] == ["a secret"]
    assert 0 < task.points < task.out_of
    assert task.failure.yours == "<f at 0x...>"
    assert "<f at 0x...>" in task.report
    assert "replays" not in task.report


def test_what_a_cell_raises_is_kept_and_costs_nothing(grade):
    data = answered("ps01", right("ps01"))
    data["cells"].insert(3, {"cell_type": "code", "metadata": {}, "source": "1 / 0"})
    result = grade(data)
    assert result.errors == (CellError(4, "ZeroDivisionError: division by zero, in line 1: 1 / 0"),)
    assert result.points == result.out_of


def test_a_word_on_the_end_of_a_child_stands_at_its_task(grade):
    result = grade(with_answer("ps1.q7", right("ps01")["ps1.q7"] + "\nstop = 1"))
    assert result.tasks[0].ended == "stopped in ps1.q1"


def test_a_sandbox_that_could_not_begin_is_no_grade(grade, monkeypatch):
    def examine(self, *how):
        raise NotStarted(f"{NOTHING_RUN}: no module")

    monkeypatch.setattr(Here, "examine", examine)
    with pytest.raises(NotStarted, match="could not begin"):
        grade(released("ps01"))


def test_a_copied_answer_runs_in_order_and_the_last_definition_counts(grade):
    data = answered("ps01", right("ps01"))
    at = next(i for i, cell in enumerate(data["cells"]) if grade_id(cell) == "ps1-q1-answer")
    copied = copy.deepcopy(data["cells"][at])
    copied["source"] = "def who_answers(*a): return 7"
    before, after = copy.deepcopy(data), copy.deepcopy(data)
    before["cells"].insert(at, copied)
    after["cells"].insert(at + 1, copied)
    assert grade(before).points == 24
    assert grade(after).points < 24
    assert [flaw.kind for flaw in grade(after).flaws] == ["duplicated"]


def test_edited_check_cells_are_not_run(grade):
    data = released("ps01")
    for cell in data["cells"]:
        if grade_id(cell).endswith("-setup") or cell["metadata"].get("editable") is False:
            cell["source"] = "import nonsense\ncheck = print"
    result = grade(data)
    assert result.points == 0
    assert result.errors == ()
    assert {flaw.kind for flaw in result.flaws} == {"edited"}


def test_many_flaws_and_errors_are_bounded(grade):
    data = released("ps01")
    for number in range(200):
        metadata = {"nbgrader": {"grade_id": f"ps9-q{number}" + "x" * 10_000}}
        data["cells"].append({"cell_type": "code", "metadata": metadata, "source": "1 / 0"})
    result = grade(data)
    assert len(result.flaws) == len(result.errors) == grader.FLAWS
    assert len(json.dumps(result.as_data())) < 150_000


def test_what_is_refused_has_no_points_and_says_why(course):
    given = Submission("ada", "ps01", "ada/x.ipynb", "00ff", refused="cut off")
    result = grader.grade(given, course, 7)
    assert (result.refused, result.points, result.out_of) == ("cut off", 0, 24)
    assert all(task.cases == () and not task.ok for task in result.tasks)


# -- seeds


def test_the_same_seed_gives_the_same_bytes(grade):
    data = with_answer("ps1.q7", "")
    first, second = (json.dumps(grade(data).as_data()) for _ in range(2))
    assert first == second


def test_seeds_differ_by_run_student_and_task(course):
    seeds = {
        grader.seed_of(seed, student, task)
        for seed in (7, 8)
        for student in ("ada", "ben")
        for task in ("ps1.q1", "ps1.q2")
    }
    assert len(seeds) == 8
    assert all(0 <= seed < 1_000_000 for seed in seeds)
    assert grader.seed_of(7, "ada", "ps1.q1") == 787_106


def test_a_result_survives_as_json(grade):
    result = grade(with_answer("ps1.q3", "def set_line(*a): return 7"))
    assert Result.from_data(json.loads(json.dumps(result.as_data()))) == result


# -- a real child


def test_the_childs_answers_earn_what_they_earn_here(tmp_path, course, monkeypatch):
    data = answered("ps05", {**right("ps05"), "ps5.q1": "raise SystemExit(object())"})
    given = submission(tmp_path, data, name="ps05")
    there = grader.grade(given, course, 7)
    monkeypatch.setattr(grader, "Student", Here)
    here = grader.grade(given, course, 7, Limits(), SANDBOX)
    assert there == here
    assert there.run.seconds > 0
    assert there.run.sandbox in ("bubblewrap", "plain")
    assert 0 < there.points < there.out_of
    assert classroom.HIDDEN.is_dir()
