# ruff: noqa
"""Gives, prints and raises texts with half a character: no file in UTF-8 can hold them."""

# %% ps1-q1-answer
HALF = "\ud800 \udfff \x00 \x85 \u2028"


def who_answers(mappings, address, size):
    print(HALF)
    return HALF


# %% ps1-q2-answer
def put(cpu, text):
    raise ValueError(HALF)
