# ruff: noqa
"""Reads where no memory is."""

# %% ps1-q1-answer
import ctypes


def who_answers(mappings, address, size):
    return ctypes.string_at(0)
