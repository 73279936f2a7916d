# ruff: noqa
"""Recursion until the C stack is at its end."""

# %% ps1-q1-answer
import sys


def who_answers(mappings, address, size):
    sys.setrecursionlimit(1 << 30)
    deep = ()
    for _ in range(1 << 20):
        deep = (deep,)
    return hash(deep) or who_answers(mappings, address, size)
