# ruff: noqa
"""An answer that uses no processor time, and never comes back."""

# %% ps1-q1-answer
import time


def who_answers(mappings, address, size):
    while True:
        time.sleep(1000)
