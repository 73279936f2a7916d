"""Functions that are no answers, given to every task: what can they earn?

    constants            True for every question, 0, an empty list ...
    emptied arguments    the same, after every list and dict that was given has been emptied
    arguments            what was given is given back

The idea: some constant is right now and then. Together such cases must stay a small part of a task,
and an answer that damages what it is given must not make a judge forget what is right.
"""

import pytest

from tests.course.answers import ROOT
from virtlab.course import checks
from virtlab.course.answers import Answer
from virtlab.course.grading import hidden

CONSTANTS = (0, 1, True, False, b"", "", (), [], -1, {}, 0xFFFFFFFF)


def emptied(arguments):
    """Every list, dict, set and bytearray is emptied, also in records."""
    for thing in [*arguments, *(part for one in arguments for part in parts(one))]:
        if isinstance(thing, (list, dict, set, bytearray)):
            thing.clear()


def parts(thing):
    """What a record holds."""
    return list(vars(thing).values()) if hasattr(thing, "__dataclass_fields__") else []


def tricks():
    """Functions that are no answers."""
    yield from ((f"gives {value!r}", lambda *_, value=value: value) for value in CONSTANTS)
    for value in (0, False, [], b""):
        yield (
            f"empties what it is given, and gives {value!r}",
            lambda *given, value=value: (emptied(given), value)[1],
        )
    for place in range(3):
        yield f"gives argument {place} back", lambda *given, i=place: dict(enumerate(given)).get(i)


def answering(task, function):
    """A notebook in which each function, and each method of each class, is this one."""
    kind = type("Any", (), {"__getattr__": lambda self, name: function})
    return {name: kind if name[0].isupper() else function for name in task.names}


@pytest.mark.parametrize("name", ["ps1.q7", "ps3.q8", "ps4.q6"])
def test_no_trick_earns_a_quarter_of_the_tasks_that_are_easiest_for_it(name):
    assert earned(checks.TASKS[name]) <= checks.TASKS[name].points / 4


@pytest.mark.long
@pytest.mark.parametrize("task", checks.TASKS.values(), ids=list(checks.TASKS))
def test_no_trick_earns_a_quarter_of_any_task(task):
    assert earned(task) <= task.points / 4


def earned(task):
    """The most that a trick earns, with the hidden cases."""
    cases = (*task.cases, *hidden.cases_of(task.id, ROOT / "solutions" / "hidden"))
    return max(
        checks.points(checks.examine(task, Answer(answering(task, trick)), 5, cases), cases)
        for _, trick in tricks()
    )
