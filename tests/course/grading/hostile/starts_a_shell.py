# ruff: noqa
"""Runs other programs, by every way that Python has."""

# %% ps1-q1-answer
import os
import subprocess


def who_answers(mappings, address, size):
    for start in (
        lambda: subprocess.run(["/bin/sh", "-c", "id"], check=True),
        lambda: os.posix_spawn("/bin/sh", ["sh", "-c", "id"], {}),
        lambda: os.execv("/bin/sh", ["sh", "-c", "id"]),
    ):
        try:
            print("LEAKED", start())
        except OSError:
            pass
