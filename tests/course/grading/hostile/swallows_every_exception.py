# ruff: noqa
"""A loop that catches whatever would stop it, and goes on."""


# %% ps1-q1-answer
def who_answers(mappings, address, size):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue
