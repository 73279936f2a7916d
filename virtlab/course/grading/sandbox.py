"""A child for other people's answers: started in the best sandbox that this machine has.

    bubblewrap   namespaces: nothing of the machine but Python and the library
    plain        a process of this account, which gives its rights away itself (`confine`)

The idea: the better way is used where it works, and it is *tried*, not looked up. What the other
one does not hold is said, each loss in one sentence, to whoever grades.

The rule that keeps it simple: both run the same lines (`boot`), with the same limits, and give the
same `Child`. So a grade does not depend on the sandbox.

What it leaves out: a machine of its own for each answer. Both share the host's kernel, and a hole
in that is a hole in this. `docs/grading.md` says what else does not hold.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from virtlab.course.grading import bubblewrap
from virtlab.course.grading.confine import ANY_LOSS, NO_FILES, NO_FILTER
from virtlab.course.grading.folder import remove
from virtlab.course.grading.limits import Limits
from virtlab.course.grading.process import Child, Started
from virtlab.course.grading.view import View, view

BOOT = str(Path(__file__).resolve().with_name("boot.py"))
MODULE = "virtlab.course.grading.child"
PROBE = "virtlab.course.grading.probe"
SECONDS = 20.0
"""The longest that the start of a child, or a probe, may take."""

NO_BUBBLEWRAP = "bubblewrap is not there or not permitted: answers run as a process of this account"
NO_SIZE = "the files of an answer are measured all the time, but not bounded beforehand"
NO_ANSWER = "the sandbox did not answer when it was tried"


Module = tuple[str, tuple[str, ...]]
"""What runs in a child, and what may be lost there."""


class Sandbox(NamedTuple):
    """What holds an answer: `kind` is "bubblewrap" or "plain"; `losses`: what it does not hold."""

    kind: str
    losses: tuple[str, ...] = ()


class NotStarted(Exception):
    """A child could not be started; the message says why, in one line."""


@functools.cache
def available() -> Sandbox:
    """The best sandbox of this machine: tried once, by a child that attempts what it may not."""
    if bubblewrap.program():
        with contextlib.suppress(NotStarted):
            losses = tried("bubblewrap")
            if NO_FILES not in losses:
                return Sandbox("bubblewrap", losses if bubblewrap.sized() else (*losses, NO_SIZE))
    return Sandbox("plain", plain_losses())


def plain_losses() -> tuple[str, ...]:
    """What the plain way does not hold here."""
    try:
        return (NO_BUBBLEWRAP, NO_SIZE, *by_plain())
    except NotStarted:
        return (NO_BUBBLEWRAP, NO_SIZE, NO_ANSWER, NO_FILTER, NO_FILES)


@functools.cache
def by_plain() -> tuple[str, ...]:
    """What the plain way says of itself here, tried once."""
    return tried("plain")


def tried(kind: str) -> tuple[str, ...]:
    """What a child of that kind says it could not give away, or could do; or `NotStarted`."""
    limits = Limits(cpu=10, wall=SECONDS)
    with _start(kind, limits, PROBE, ANY_LOSS) as child:
        said = b""
        while piece := child.stdout.read(4096):
            said += piece
        if not said.startswith(b"["):
            raise NotStarted(f"the sandbox does not work: {child.ended(1.0) or NO_ANSWER}")
    return tuple(map(str, json.loads(said)))


def start(limits: Limits | None = None, sandbox: Sandbox | None = None) -> Child:
    """Start a child that serves `child.main`, confined; `NotStarted` if it cannot be.

    A child that holds less than was found when its kind was tried runs nothing, and says so.
    The child dies with the thread that started it: start it from one that outlives it.
    """
    used = sandbox or available()
    known = used.losses if used.kind == "bubblewrap" else (*used.losses, *by_plain())
    return _start(used.kind, limits or Limits(), MODULE, known)


def _start(kind: str, limits: Limits, module: str, known: tuple[str, ...]) -> Child:
    """A child of that kind, in which nothing may be lost but what is known."""
    begin = _wrapped if kind == "bubblewrap" else _plain
    try:
        return Child(begin(limits, (module, known)), limits)
    except OSError as error:
        raise NotStarted(f"a child could not be started: {error.strerror or error}") from error


def _wrapped(limits: Limits, module: Module) -> Started:
    """A child inside bubblewrap."""
    seen = view()
    report, theirs = os.pipe()
    try:
        around = bubblewrap.command(seen, limits, environment(bubblewrap.FOLDER), theirs)
        process = _popen([*around, *words(seen, limits, module, None)], "/", {}, theirs)
    except OSError:
        os.close(report)
        raise
    finally:
        os.close(theirs)
    pid = bubblewrap.number_of(report, SECONDS)
    if not pid:
        process.kill()
        process.communicate()
        os.close(report)
        raise NotStarted("bubblewrap could not make a sandbox")
    return Started(process, pid, f"/proc/{pid}/root{bubblewrap.FOLDER}", report)


def _plain(limits: Limits, module: Module) -> Started:
    """A child that is a process of this account, in a session and a folder of its own."""
    folder = os.path.realpath(tempfile.mkdtemp(prefix="virtlab-answer-"))
    try:
        argv = words(view(), limits, module, folder)
        process = _popen(argv, folder, environment(folder))
    except OSError:
        remove(folder)
        raise
    return Started(process, process.pid, folder)


def _popen(
    argv: list[str], folder: str, environment: dict[str, str], *kept: int
) -> subprocess.Popen[bytes]:
    """Start a process with two pipes, and no other descriptor but those that are `kept`."""
    options: dict[str, Any] = {"start_new_session": True, "pass_fds": kept}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd=folder,
        env=environment,
        **options,
    )


def words(seen: View, limits: Limits, module: Module, folder: str | None) -> list[str]:
    """The child's own command line. `folder` is its temporary one in the plain way."""
    said = {
        "path": seen.path,
        "limits": limits,
        "readable": seen.readable() if folder and sys.platform == "linux" else [],
        "writable": [folder, "/dev/null"] if folder else [],
        "alone": folder is None,
        "module": module[0],
        "expected": module[1],
    }
    return [seen.python, "-P", "-s", "-S", "-B", BOOT, json.dumps(said)]


def environment(folder: str) -> dict[str, str]:
    """All that a child learns from its environment: no token, no proxy, no name of a user.

    Hashes are the same in every run, so that a set's order cannot change a grade.
    """
    kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        **kept,
        "PATH": "/usr/bin:/bin",
        "HOME": folder,
        "TMPDIR": folder,
        "TEMP": folder,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": folder,
        **dict.fromkeys(threads, "1"),
    }
