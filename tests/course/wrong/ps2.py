"""Plausible wrong answers to problem set 2: what is wrong, the code, where the report must point.

`WRONG[task]` is a list of `(mistake, source, cases)`: the first case that fails is one of `cases`.
"""

from tests.course.wrong.ps2_dma import WRONG_Q5, WRONG_Q6, WRONG_Q7
from tests.course.wrong.ps2_pci import WRONG_Q1, WRONG_Q2, WRONG_Q3, WRONG_Q4

WRONG = {
    "ps2.q1": WRONG_Q1,
    "ps2.q2": WRONG_Q2,
    "ps2.q3": WRONG_Q3,
    "ps2.q4": WRONG_Q4,
    "ps2.q5": WRONG_Q5,
    "ps2.q6": WRONG_Q6,
    "ps2.q7": WRONG_Q7,
}
