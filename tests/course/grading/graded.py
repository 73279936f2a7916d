"""Results made of real answers: solutions, stubs and wrong ones, judged in this process."""

from random import Random

from tests.course.answers import right
from tests.course.test_wrong_answers import WRONG
from virtlab.course.answers import Answer, own_builtins
from virtlab.course.checks import TASKS, attempt
from virtlab.course.grading.result import CaseResult, Failure, Grades, Result, TaskResult

SEED = 1841


def plain(failure):
    """A judge's failure as a result keeps it."""
    found = failure.difference
    parts = (found.expected, found.yours, found.access, found.look, failure.printed)
    return Failure(failure.case, False, failure.given, *parts)


def first_failure(task, names):
    """The task's result up to the first case that fails; what comes after it does not pass."""
    cases, first = [], None
    with own_builtins():
        for case in task.cases:
            rng = Random(f"{task.id} {case.name} {SEED}")
            failure = None if first else attempt(case, Answer(names), rng)[0]
            first = first or failure
            cases.append(CaseResult(case.name, first is None))
    share = sum(case.passed for case in cases) / len(cases)
    points = round(task.points * share, 2)
    failure = first and plain(first)
    return TaskResult(task.id, task.title, points, task.points, SEED, tuple(cases), failure)


def wrong(task_id, number=0):
    """The result of one of the wrong answers to a task."""
    names = {"__name__": "__main__"}
    exec(WRONG[task_id][number][1], names)
    return first_failure(TASKS[task_id], names)


def full(task_id):
    """The result of an answer that passes everything, without asking."""
    task = TASKS[task_id]
    cases = tuple(CaseResult(case.name, True) for case in task.cases)
    return TaskResult(task_id, task.title, float(task.points), task.points, SEED, cases)


def solved(task_id):
    """The result of the solution."""
    return first_failure(TASKS[task_id], right())


def stub(task_id):
    """The result of a function that is not written."""

    def unwritten(*arguments, **options):
        raise NotImplementedError

    task = TASKS[task_id]
    return first_failure(task, dict.fromkeys(task.names, unwritten))


def handed_in(student, *tasks, assignment="ps01", **more):
    """A student's notebook with these results."""
    file = f"{student}/{assignment}.ipynb"
    return Result(student, assignment, file, "00ff", tuple(tasks), **more)


def grades(*results, **more):
    """A run with these results, in order."""
    return Grades(77, "84b9", tuple(sorted(results, key=lambda result: result.key)), **more)
