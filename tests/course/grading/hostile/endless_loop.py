# ruff: noqa
"""An answer that never ends."""


# %% ps1-q1-answer
def who_answers(mappings, address, size):
    while True:
        pass
