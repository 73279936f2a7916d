"""Plausible wrong answers to problem set 3: what is wrong, the code, where the report must point.

`WRONG[task]` is a list of `(mistake, source, cases)`: the first case that fails is one of `cases`.
"""

from tests.course.wrong.ps3_devices import WRONG_Q7, WRONG_Q8, WRONG_Q9
from tests.course.wrong.ps3_interception import WRONG_Q4, WRONG_Q5, WRONG_Q6
from tests.course.wrong.ps3_layers import WRONG_Q1, WRONG_Q2, WRONG_Q3

WRONG = {
    "ps3.q1": WRONG_Q1,
    "ps3.q2": WRONG_Q2,
    "ps3.q3": WRONG_Q3,
    "ps3.q4": WRONG_Q4,
    "ps3.q5": WRONG_Q5,
    "ps3.q6": WRONG_Q6,
    "ps3.q7": WRONG_Q7,
    "ps3.q8": WRONG_Q8,
    "ps3.q9": WRONG_Q9,
}
