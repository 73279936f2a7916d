# ruff: noqa
"""Threads without number, each with a small stack so that many fit."""

# %% ps1-q1-answer
import threading


def who_answers(mappings, address, size):
    threading.stack_size(32768)
    while True:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
