"""Plausible wrong answers to problem set 6: what is wrong, the code, where the report must point.

`WRONG[task]` is a list of `(mistake, source, cases)`: the first case that fails is one of `cases`.
"""

from tests.course.wrong.ps6_faults import WRONG_Q3
from tests.course.wrong.ps6_functions import WRONG_Q5
from tests.course.wrong.ps6_interrupts import WRONG_Q4
from tests.course.wrong.ps6_mapping import WRONG_Q2
from tests.course.wrong.ps6_plan import WRONG_Q6
from tests.course.wrong.ps6_walk import WRONG_Q1

WRONG = {
    "ps6.q1": WRONG_Q1,
    "ps6.q2": WRONG_Q2,
    "ps6.q3": WRONG_Q3,
    "ps6.q4": WRONG_Q4,
    "ps6.q5": WRONG_Q5,
    "ps6.q6": WRONG_Q6,
}
"""Wrong answers that learners give, task by task."""
