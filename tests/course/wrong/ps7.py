"""Plausible wrong answers to problem set 7: what is wrong, the code, where the report must point.

`WRONG[task]` is a list of `(mistake, source, cases)`: the first case that fails is one of `cases`.
"""

from tests.course.wrong.ps7_back_end import WRONG_Q5
from tests.course.wrong.ps7_crash import WRONG_Q4
from tests.course.wrong.ps7_stream import WRONG_Q1
from tests.course.wrong.ps7_table import WRONG_Q2
from tests.course.wrong.ps7_turn import WRONG_Q3

WRONG = {
    "ps7.q1": WRONG_Q1,
    "ps7.q2": WRONG_Q2,
    "ps7.q3": WRONG_Q3,
    "ps7.q4": WRONG_Q4,
    "ps7.q5": WRONG_Q5,
}
"""Wrong answers that learners give, task by task."""
