# ruff: noqa
"""Raises what does harm when it is shown: no text, a text of megabytes, a chain in a ring."""


# %% ps1-q1-answer
class Odd(BaseException):
    def __str__(self):
        raise self

    __repr__ = __str__


def who_answers(mappings, address, size):
    first, second = Odd("\ud800" * (1 << 22)), Odd()
    first.__cause__, second.__cause__ = second, first
    raise first
