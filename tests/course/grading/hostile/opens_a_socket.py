# ruff: noqa
"""Sends the task to the outside, and waits for the answer."""

# %% ps1-q1-answer
import socket


def who_answers(mappings, address, size):
    for family, place in ((socket.AF_INET, ("127.0.0.1", 80)), (socket.AF_UNIX, "/run/x")):
        try:
            with socket.socket(family) as line:
                print("LEAKED: a socket")
                line.connect(place)
        except OSError:
            pass
