# ruff: noqa
"""A thread that goes on after its answer, and writes to every descriptor."""

# %% ps1-q1-answer
import os
import threading
import time


def scribble():
    while True:
        for number in range(64):
            try:
                os.write(number, b'{"ok": true}\n')
            except OSError:
                pass
        time.sleep(0.001)


def who_answers(mappings, address, size):
    threading.Thread(target=scribble, daemon=True).start()
    time.sleep(0.1)
