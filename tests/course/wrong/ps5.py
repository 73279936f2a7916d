"""Plausible wrong answers to problem set 5: what is wrong, the code, where the report must point.

`WRONG[task]` is a list of `(mistake, source, cases)`: the first case that fails is one of `cases`.
"""

from tests.course.wrong.ps5_devices import WRONG_Q5, WRONG_Q6
from tests.course.wrong.ps5_drivers import WRONG_Q1, WRONG_Q2
from tests.course.wrong.ps5_random import WRONG_Q3, WRONG_Q4

WRONG = {
    "ps5.q1": WRONG_Q1,
    "ps5.q2": WRONG_Q2,
    "ps5.q3": WRONG_Q3,
    "ps5.q4": WRONG_Q4,
    "ps5.q5": WRONG_Q5,
    "ps5.q6": WRONG_Q6,
}
