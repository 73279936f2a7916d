# ruff: noqa
"""All the memory there is, in a list."""


# %% ps1-q1-answer
def who_answers(mappings, address, size):
    held = []
    while True:
        held.append(bytearray(1 << 24))
