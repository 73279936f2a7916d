"""Runs a few lines in a sandbox of either kind, as the tests of the sandbox need it.

The lines run where a student's would: after `confine`, with descriptors 0 and 1 for the grader.
They print what they find, and the test reads it.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

from virtlab.course.grading import sandbox
from virtlab.course.grading.confine import ANY_LOSS
from virtlab.course.grading.limits import Limits
from virtlab.course.grading.view import view

INSIDE = Path(__file__).with_name("inside")
KINDS = ("bubblewrap", "plain")
SMALL = Limits(cpu=5, memory=512 << 20, file=1 << 20, folder=4 << 20, wall=60)


@contextmanager
def running(source: str, kind: str, limits: Limits = SMALL, known=ANY_LOSS):
    """A child of that kind that runs these lines, for as long as the `with` lasts."""
    seen = view()
    wider = seen._replace(trees=(*seen.trees, str(INSIDE)), path=(*seen.path, str(INSIDE)))
    before = sandbox.view
    sandbox.view = lambda: wider
    try:
        child = sandbox._start(kind, limits, "bare_child", known)
    finally:
        sandbox.view = before
    with child:
        send(child, dedent(source))
        yield child


def send(child, text: str) -> None:
    """Give it its source, and close the pipe."""
    data = text.encode()
    while data:
        data = data[child.stdin.write(data) :]
    child.stdin.close()


def read_all(child, most: int = 1 << 20) -> str:
    """What it prints until its end; more than `most` bytes are left unread."""
    said = b""
    while len(said) < most and (piece := child.stdout.read(65536)):
        said += piece
    return said.decode(errors="replace")


def said(source: str, kind: str, limits: Limits = SMALL) -> tuple[str, str]:
    """What these lines print, and why their process ended."""
    with running(source, kind, limits) as child:
        return read_all(child).strip(), child.ended(5.0)


if __name__ == "__main__":
    print(said(sys.stdin.read(), sys.argv[1]))
