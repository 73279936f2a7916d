# ruff: noqa
"""Files without number, none of them large."""

# %% ps1-q1-answer
import itertools


def who_answers(mappings, address, size):
    for number in itertools.count():
        with open(f"file{number}", "wb") as file:
            file.write(bytes(1 << 18))
