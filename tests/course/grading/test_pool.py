"""The pool: whatever happens to a worker costs one submission, and the run goes on."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.course.answers import ROOT
from tests.course.grading.made import made
from virtlab.course.grading import course_files, grader, pool, worker
from virtlab.course.grading.limits import Limits
from virtlab.course.grading.pool import Failed, Pool, grade_all
from virtlab.course.grading.result import Result
from virtlab.course.grading.sandbox import Sandbox
from virtlab.course.grading.submissions import Submission
from virtlab.course.grading.worker import Setup, work

FAKE = Path(__file__).with_name("fake_worker.py")


@pytest.fixture(scope="module")
def setup():
    return Setup(course_files.load(ROOT / "exercises"), 7, Limits(), Sandbox("plain", ("a", "b")))


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Pools start fake workers, whose log this is."""
    path = tmp_path / "log"
    path.touch()
    monkeypatch.setattr(pool, "COMMAND", (sys.executable, "-S", str(FAKE), str(path)))
    return path


def named(*students):
    return [Submission(student, "ps01", "", "") for student in students]


def run(setup, students, workers=2):
    """What becomes of each student."""
    found = {}
    for each in grade_all(named(*students), setup, workers):
        student = each.submission.student if isinstance(each, Failed) else each.student
        assert student not in found
        found[student] = each
    return found


def started(log):
    return [line for line in log.read_text().splitlines() if line.startswith("start ")]


def gone(log):
    """Whether every worker that was started has ended."""
    for line in started(log):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(line.split()[1]), 0)
            return False
    return True


def test_every_submission_is_graded_once_by_as_many_workers_as_asked(setup, log):
    students = [f"s{number}" for number in range(20)]
    found = run(setup, students, workers=3)
    assert sorted(found) == sorted(students)
    assert all(isinstance(each, Result) for each in found.values())
    assert len(started(log)) == 3
    assert gone(log)


def test_few_submissions_need_few_workers(setup, log):
    assert len(run(setup, ["ada"], workers=8)) == 1
    assert len(started(log)) == 1
    assert run(setup, [], workers=8) == {}


@pytest.mark.parametrize(
    ("student", "why"),
    [
        ("dies", "the process that graded it ended (status -9)"),
        ("exits", "the process that graded it ended (status 3)"),
        ("babbles", "what the grader's process said is no result"),
        ("fails", "the grader failed: KeyError: 7"),
    ],
)
def test_a_worker_that_fails_costs_one_submission(setup, log, student, why):
    found = run(setup, ["ada", student, "ben", "eve"], workers=1)
    assert found[student] == Failed(named(student)[0], why)
    assert [name for name, each in found.items() if isinstance(each, Result)] == [
        "ada",
        "ben",
        "eve",
    ]
    assert len(started(log)) == (2 if "status" in why else 1)
    assert gone(log)


def test_workers_that_always_die_end_the_run_all_the_same(setup, log):
    found = run(setup, [f"dies{number}" for number in range(6)])
    assert all(isinstance(each, Failed) for each in found.values())
    assert gone(log)


def test_a_worker_that_is_stuck_is_ended(setup, log, monkeypatch):
    monkeypatch.setattr(Pool, "_seconds", lambda self, submission: 0.5)
    found = run(setup, ["sleeps", "ada"], workers=1)
    assert "ended" in found["sleeps"].why
    assert isinstance(found["ada"], Result)


def test_a_submission_has_as_long_as_its_children_may_live(setup):
    seconds = Pool(setup, 1)._seconds(named("ada")[0])
    assert seconds == (1 + 7) * Limits().wall + pool.MARGIN


@pytest.mark.parametrize("sleeper", ["sleeps", "deaf"])
def test_closing_ends_the_workers_and_what_they_do(setup, log, monkeypatch, sleeper):
    monkeypatch.setattr(pool, "GRACE", 0.3)
    outcomes = grade_all(named("ada", sleeper, "ben", "eve"), setup, 1)
    assert next(outcomes).student == "ada"
    until = time.monotonic() + 60
    while sleeper not in log.read_text() and time.monotonic() < until:
        time.sleep(0.01)
    outcomes.close()
    assert gone(log)
    assert "ben" not in log.read_text()


def test_a_worker_that_cannot_be_started_is_said(setup, monkeypatch):
    monkeypatch.setattr(pool, "COMMAND", ("/nowhere/python",))
    found = run(setup, ["ada", "ben"])
    assert {each.why for each in found.values()} == {
        "no process to grade it: No such file or directory"
    }


def test_workers_that_end_at_once_end_the_run_too(setup, monkeypatch):
    monkeypatch.setattr(pool, "COMMAND", (sys.executable, "-S", "-c", ""))
    found = run(setup, ["ada", "ben"])
    assert {each.why for each in found.values()} == {"the process that graded it ended (status 0)"}


def test_a_pool_that_is_closed_starts_nothing(setup):
    closed = Pool(setup, 1)
    closed._close()
    with pytest.raises(OSError, match="the run has ended"):
        closed._start()


def test_there_is_at_least_one_core(monkeypatch):
    assert pool.cores() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert pool.cores() >= 1


@pytest.mark.skipif(os.name != "posix", reason="groups of processes are Unix's")
def test_a_worker_does_not_hear_the_terminals_ctrl_c(setup):
    worker = pool.Worker(setup.as_text())
    group = os.getpgid(worker.process.pid)
    worker.close()
    assert group == worker.process.pid != os.getpgrp()


def test_as_many_workers_as_processors_have_one_each_and_more_have_any(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5, 2, 3}, raising=False)
    assert pool.places(2) == [2, 3]
    assert pool.places(3) == [2, 3, 5]
    assert pool.places(4) == [None] * 4
    monkeypatch.delattr(os, "sched_getaffinity")
    assert pool.places(1) == [None]


# -- the worker itself


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors are not told apart")
def test_a_worker_and_its_children_stay_where_they_are_told_to():
    code = (
        "import os, subprocess, sys; from virtlab.course.grading.worker import stay\n"
        "stay(sys.argv[1:]); stay([]); stay(['100000'])\n"  # that one does not exist
        "subprocess.run([sys.executable, '-c', 'import os; print(os.sched_getaffinity(0))'])"
    )
    last = max(os.sched_getaffinity(0))
    told = [sys.executable, "-c", code, str(last)]
    said = subprocess.run(told, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.strip() == str({last})


def test_the_setup_travels_as_text(setup):
    found = worker._setup(setup.as_text())
    assert found.course.digest == setup.course.digest
    assert (found.seed, found.limits, found.sandbox) == (7, setup.limits, setup.sandbox)


def test_a_course_with_chosen_tasks_travels_too(setup):
    course = setup.course.only(["ps4.q3"])
    found = worker._setup(setup._replace(course=course).as_text()).course
    assert found.sets["ps04"].tasks == ["ps4.q3"]
    assert found.digest == setup.course.digest


def test_a_worker_without_a_sandbox_of_the_setup_finds_its_own(setup, monkeypatch):
    monkeypatch.setattr(worker, "available", lambda: Sandbox("mine", ()))
    found = worker._setup(setup._replace(sandbox=None, seed=8).as_text())
    assert found.sandbox == Sandbox("mine", ())


def ask(setup, submission):
    return json.loads(work(setup.as_text(), json.dumps(submission.as_data())))


def test_a_worker_serves_lines_and_keeps_what_is_printed_out_of_its_answers(setup, tmp_path):
    refused = named("ada")[0]._replace(refused="cut off")
    lines = [json.dumps({"setup": setup.as_text()}), json.dumps(refused.as_data())]
    command = [*pool.COMMAND[:2], "-c", "print('x'); from virtlab.course.grading import worker\n"]
    command[3] += "worker.main()"
    told = subprocess.run(
        command, input="\n".join([*lines, lines[1]]) + "\n", capture_output=True, text=True
    )
    first, *answers = told.stdout.splitlines()
    assert (first, told.returncode, told.stderr) == ("x", 0, "")
    assert len(answers) == 2
    assert answers[0] == answers[1]
    assert Result.from_data(json.loads(answers[0])["result"]).refused == "cut off"


@pytest.mark.skipif(sys.platform == "win32", reason="such signals need Unix")
def test_a_worker_that_is_told_to_end_says_nothing(setup):
    process = subprocess.Popen(pool.COMMAND, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(json.dumps({"setup": setup.as_text()}).encode() + b"\n{}\n")
    process.stdin.flush()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)
    assert b"Traceback" not in said


def test_work_gives_a_result_with_how_it_was_found(setup, monkeypatch):
    monkeypatch.setattr(grader, "grade", lambda *given: made(given[0].student))
    data = ask(setup, named("ada")[0])
    assert Result.from_data(data["result"]) == made("ada")
    assert "run" in data["result"]


def test_a_failure_of_the_grader_is_told_with_its_place(setup, monkeypatch):
    def broken(*given):
        raise KeyError("a\nb")

    monkeypatch.setattr(grader, "grade", broken)
    failed = ask(setup, named("ada")[0])["failed"]
    assert failed.startswith("KeyError: 'a\\nb' (test_pool.py, line ")


def test_another_version_of_the_library_is_refused(setup, monkeypatch):
    text = setup.as_text().replace(course_files.library_digest(), "0" * 64)
    failed = json.loads(work(text, json.dumps(named("ada")[0].as_data())))["failed"]
    assert "this worker has another version of virtlab" in failed
