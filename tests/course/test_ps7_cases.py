"""Each case of problem set 7 stands alone: it refuses a wrong answer though no other has run."""

from random import Random

import pytest

from tests.course.answers import right
from tests.course.wrong import ps7
from virtlab.course.answers import Answer
from virtlab.course.checks import TASKS, attempt


@pytest.mark.parametrize("task", ps7.WRONG)
def test_the_case_that_names_a_mistake_refuses_it_alone(task):
    cases = {case.name: case for case in TASKS[task].cases}
    for mistake, source, names in ps7.WRONG[task]:
        namespace = {"__name__": "__main__"}
        exec(source, namespace)
        answer = Answer(namespace)
        rng = Random(f"{task} {names[0]} 1")
        failure, _ = attempt(cases[names[0]], answer, rng)
        assert failure is not None, mistake
        assert failure.difference.look or failure.difference.yours, mistake
        assert answer.given, mistake
        if mistake == "nothing is served":
            assert failure.difference.expected == "status 0"


ENDS = (
    ("ps7.q3", "any turn", "turn"),
    ("ps7.q3", "turn after turn", "turn"),
    ("ps7.q3", "the next one rings", "turn"),
    ("ps7.q4", "any life", "start"),
    ("ps7.q4", "any life", "taken"),
    ("ps7.q4", "any notes", "start"),
    ("ps7.q4", "the clock goes on", "start"),
    ("ps7.q4", "killed while it gives back", "start"),
    ("ps7.q4", "killed while it gives back", "taken"),
)


def test_a_case_ends_at_the_first_thing_that_is_wrong():
    """Whatever the function gives is wrong: no case goes on as if it were not."""
    for task, case, name in ENDS:
        names = right() | {name: lambda *_: None}
        found = next(each for each in TASKS[task].cases if each.name == case)
        failure, _ = attempt(found, Answer(names), Random(3))
        assert failure is not None


def test_a_back_end_that_cannot_be_set_up_is_not_kicked():
    names = right()

    class Mute(names["BackEnd"]):
        def handle(self, *_):
            return None

    found = next(case for case in TASKS["ps7.q5"].cases if case.name == "not enabled")
    failure, _ = attempt(found, Answer(names | {"BackEnd": Mute}), Random(3))
    assert failure.given.endswith("GET_FEATURES")


SLY = """
class Sly:
    def __eq__(self, other):
        raise ValueError("not to be compared")
    __hash__ = None
sly = Sly()
class SlyEnd(BackEnd):
    def kicked(self):
        return True, sly
class SlyHandle(BackEnd):
    def handle(self, *_):
        return sly
"""
SLY_ANSWERS = (
    ("ps7.q1", "split_stream", "lambda d: sly"),
    ("ps7.q1", "split_stream", "lambda d: ([sly], b'')"),
    ("ps7.q1", "split_stream", "lambda d: ([], sly)"),
    ("ps7.q1", "split_stream", "lambda d: ([(1, 1, sly)], b'')"),
    ("ps7.q1", "reply", "lambda m, a, h: (h(m[0], m[2]), sly)[1]"),
    ("ps7.q2", "read_table", "lambda p, s: sly"),
    ("ps7.q2", "read_table", "lambda p, s: [(sly, 0, 0, 0)]"),
    ("ps7.q2", "gpa_of", "lambda r, u, n: sly"),
    ("ps7.q2", "place", "lambda r, g, n: [sly]"),
    ("ps7.q3", "turn", "lambda q, s: (True, sly)"),
    ("ps7.q4", "stop", "lambda q: sly"),
    ("ps7.q4", "start", "lambda q, b: [sly]"),
    ("ps7.q4", "taken", "lambda q, h: setattr(q, 'clock', sly)"),
    ("ps7.q5", "BackEnd", "SlyEnd"),
    ("ps7.q5", "BackEnd", "SlyHandle"),
)


def test_an_object_that_cannot_be_compared_is_refused():
    for task, name, source in SLY_ANSWERS:
        names = right()
        exec(SLY, names)
        names[name] = eval(source, names)
        failures = [
            attempt(case, Answer(names), Random(1))[0]
            for case in TASKS[task].cases
            if not case.name.startswith("Linux")
        ]
        assert any(failures), source
        for failure in filter(None, failures):
            assert "not to be compared" not in failure.difference.yours, source
