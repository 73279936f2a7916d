# ruff: noqa
"""All the memory there is, in one array, and what is left in strings."""


# %% ps1-q1-answer
def who_answers(mappings, address, size):
    import numpy

    held = []
    for bits in range(40, 20, -1):
        try:
            held.append(numpy.ones(1 << bits, "u1"))
        except MemoryError:
            continue
    return "x" * (1 << 40)
