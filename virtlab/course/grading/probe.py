"""What runs in the child that `sandbox.available` starts: it tries to do what no answer may.

It says one line of JSON: the sentences of `confine`, and one for each thing that it could do though
it should not. A sandbox is believed when it has been tried, not when its program is installed.
"""

from __future__ import annotations

import json
import os
import sys

from virtlab.course.grading.confine import NO_FILES, NO_FILTER

CHECKS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "checks.py")
"""A file that exists, and that no answer may read."""


def main(losses: tuple[str, ...]) -> None:
    """Say what is not held here."""
    found = [*losses]
    if could_fork():
        found.append(NO_FILTER)
    if could_read(CHECKS):
        found.append(NO_FILES)
    print(json.dumps(list(dict.fromkeys(found))), flush=True)
    sys.stdout.close()


def could_fork() -> bool:
    """Whether a new process can be made; it ends at once."""
    if not hasattr(os, "fork"):
        return True
    try:
        child = os.fork()
    except OSError:
        return False
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return True


def could_read(name: str) -> bool:
    """Whether a file can be opened."""
    try:
        with open(name, "rb"):
            return True
    except OSError:
        return False
