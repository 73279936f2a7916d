"""Plausible wrong answers to problem set 4: what is wrong, the code, where the report must point.

`WRONG[task]` is a list of `(mistake, source, cases)`: the first case that fails is one of `cases`.
"""

from tests.course.wrong.ps4_events import WRONG_Q6
from tests.course.wrong.ps4_many import WRONG_Q7, WRONG_Q8
from tests.course.wrong.ps4_rings import WRONG_Q3, WRONG_Q4, WRONG_Q5
from tests.course.wrong.ps4_tables import WRONG_Q1, WRONG_Q2

WRONG = {
    "ps4.q1": WRONG_Q1,
    "ps4.q2": WRONG_Q2,
    "ps4.q3": WRONG_Q3,
    "ps4.q4": WRONG_Q4,
    "ps4.q5": WRONG_Q5,
    "ps4.q6": WRONG_Q6,
    "ps4.q7": WRONG_Q7,
    "ps4.q8": WRONG_Q8,
}
