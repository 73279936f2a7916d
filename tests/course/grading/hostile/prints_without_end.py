# ruff: noqa
"""Output without end, by print and past it."""

# %% ps1-q1-answer
import os


def who_answers(mappings, address, size):
    while True:
        print("x" * 100_000)
        os.write(1, b"x" * 100_000)
