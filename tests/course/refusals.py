"""What a student reads when an answer is refused."""

import pytest

from tests.course.answers import solutions
from virtlab.course.checks import TASKS, CheckFailed, check


def refusal(task, source, seed=1):
    """The report that refuses the answer `source`, its lines joined to one.

    Beside it stand the solutions; that of the task's last function is also called `right`.
    """
    names = solutions()
    names["right"] = names[TASKS[task].names[-1]]
    exec(source, names)
    with pytest.raises(CheckFailed) as failed:
        check(task, seed=seed, namespace=names)
    return " ".join(str(failed.value).split())
