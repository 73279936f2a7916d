"""Plausible wrong answers to tasks 4 to 6 of problem set 6."""

from tests.course.wrong.ps6_functions import WRONG_Q5
from tests.course.wrong.ps6_interrupts import WRONG_Q4
from tests.course.wrong.ps6_plan import WRONG_Q6

__all__ = ["WRONG_Q4", "WRONG_Q5", "WRONG_Q6"]
