# ruff: noqa
"""Tells the outside by a name that is looked up."""

# %% ps1-q1-answer
import socket


def who_answers(mappings, address, size):
    try:
        print("LEAKED", socket.getaddrinfo("localhost", 80))
    except OSError:
        pass
