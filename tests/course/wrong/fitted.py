"""Answers fitted to what can be seen: they pass every visible case, and a hidden one refuses them.

`FITTED[task]` is a list of `(mistake, source, cases)`: the first case that fails is one of `cases`,
which are hidden. Most of them rely on the range of the visible inputs, or keep something between
two calls. Of the tasks in `AT_RANDOM` there is none: their visible cases draw from all that can be
asked, so that what passes them is right, but for a value or two that nobody draws.
"""

from tests.course.wrong import fitted_early, fitted_late
from tests.course.wrong.slips import slipped

AT_RANDOM = {"ps2.q1", "ps6.q4"}

FITTED = {
    task: slipped(f"ps{int(task[2 : task.index('.')]):02}", task, slips)
    for task, slips in (fitted_early.SLIPS | fitted_late.SLIPS).items()
}
