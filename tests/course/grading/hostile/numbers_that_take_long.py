# ruff: noqa
"""Numbers of millions of digits, and dicts whose keys all collide."""


# %% ps1-q1-answer
def who_answers(mappings, address, size):
    return {number * ((1 << 61) - 1): number for number in range(100_000)}


# %% ps1-q2-answer
def put(cpu, text):
    cpu.out(10**2_000_000, 1)
