"""Lessons 00 to 21 ask for nothing that a browser's Python lacks; lesson 07 says what it misses."""

import json
import subprocess
import sys

import pytest

from tests.other_python import ROOT, run_module

ALONE = [f"{number:02}" for number in range(22) if number != 7]
"""Lessons that run to their end. The services of lesson 07 are real processes."""


def in_a_browser(*arguments):
    """What `tests.browser_python` says, line by line."""
    done = run_module("browser_python", *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    "lessons", [ALONE[at::4] for at in range(4)], ids=lambda lessons: " ".join(lessons)
)
def test_lessons_ask_for_nothing_that_a_browser_lacks(lessons):
    for said in in_a_browser(*lessons):
        assert said["stopped"] == 0, said
        assert said["cells"] > 20


def test_lesson_07_says_what_its_services_need():
    (said,) = in_a_browser("07")
    assert said["stopped"]
    assert said["why"].startswith("OSError: no process with shared descriptors can be started")


@pytest.mark.parametrize(
    "program",
    [
        "import subprocess; subprocess.run(['true'])",
        "import os; os.fork()",
        "import threading; threading.Thread(target=print).start()",
        "import socket; socket.socketpair()",
        "import ctypes; ctypes.CDLL(None)",
        "import fcntl",
        "import signal; signal.setitimer(signal.ITIMER_PROF, 1)",
    ],
)
def test_what_a_browser_lacks_is_refused(program):
    """The guard is no formality."""
    code = f"from tests import browser_python; browser_python.refuse()\n{program}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert done.returncode
    assert done.stderr.splitlines()[-1].startswith(
        (b"tests.browser_python.Refused", b"ModuleNotFoundError", b"AttributeError", b"OSError")
    )
