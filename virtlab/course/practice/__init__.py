"""Fresh problems for practice: each with one answer, worked step by step.

    p = problem("vtd-walk", seed=7)     p               what is given, and the question
                                        p.check(...)    is it right? If not, which step went wrong?
                                        p.answer        the steps, as on a board

The idea: a problem is a small piece of the machine with random numbers in it. The library itself
is asked what happens, by the real walker, the real ring, the real register. The steps of the
answer are read from what it did.

The rule that keeps it simple: kind, level and seed decide a problem, on any machine. Nothing is
kept, so a problem is named by three words.

In reading order: `problem` (what a problem is), `answers` (how an answer is read and judged),
`board` (how one is written), `kinds` (the list), `sheet` (paper). Then a module for each topic.
"""

from virtlab.course.practice.answers import Verdict
from virtlab.course.practice.kinds import KINDS, LEVELS, Kind, problem
from virtlab.course.practice.problem import Problem, Step, Worked

__all__ = ["KINDS", "LEVELS", "Kind", "Problem", "Step", "Verdict", "Worked", "problem"]
