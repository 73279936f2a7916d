# ruff: noqa
"""An answer that closes every descriptor, and lives on."""

# %% ps1-q1-answer
import os
import time


def who_answers(mappings, address, size):
    os.closerange(0, 1024)
    time.sleep(1000)
