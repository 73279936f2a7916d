"""The command line of bubblewrap: namespaces in which there is only what a child needs.

    --unshare-user --unshare-all    no host processes, no network, no shared memory, no names
    --ro-bind                       what `view` lists, for reading
    --tmpfs over virtlab/course     the judges are not there
    --size --tmpfs /tmp             the only folder to write in
    --remount-ro /                  the root itself is a tmpfs: nothing may be put there

The idea: what is not there need not be forbidden.

The rule that keeps it simple: the child is process 1 of its namespace (`--as-pid-1`). No process of
bubblewrap's own is in there with it, none that it could trace, and when it ends all is gone.

What it leaves out: `/proc` and `/sys`. Python and NumPy do without, and each would tell or offer
something. Sources: bwrap(1), and its `bubblewrap.c` for what root keeps (`--cap-drop ALL`).
"""

from __future__ import annotations

import functools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from typing import Any

from virtlab.course.grading.limits import Limits
from virtlab.course.grading.view import DEVICES, SETTINGS, View

FOLDER = "/tmp"
"""The one folder that a child may write to, inside."""

UNSHARED = (
    "--unshare-user", "--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1",
    "--cap-drop", "ALL", "--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--clearenv",
)  # fmt: skip


@functools.cache
def program() -> str | None:
    """Where bubblewrap is, if it is installed."""
    return shutil.which("bwrap") if sys.platform == "linux" else None


@functools.cache
def sized() -> bool:
    """Whether this bubblewrap can bound a tmpfs: from 0.7 on."""
    asked = [program() or "bwrap", "--help"]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
    return "--size" in told.stdout + told.stderr


def command(seen: View, limits: Limits, environment: dict[str, str], report: int) -> list[str]:
    """The words before the child's own; on descriptor `report` it says the child's number."""
    words = [program() or "bwrap", *UNSHARED, "--json-status-fd", str(report)]
    for name, value in environment.items():
        words += ["--setenv", name, value]
    if sized():
        words += ["--size", str(limits.folder)]
    words += ["--tmpfs", FOLDER]  # first: what is shown may lie in it
    for tree in seen.trees:
        words += ["--ro-bind", tree, tree]
    for link in seen.links:
        words += ["--symlink", os.readlink(link), link]
    for folder in seen.hidden:
        words += ["--tmpfs", folder]
    for file in (*seen.files, seen.python):
        words += ["--ro-bind", file, file]
    for file in SETTINGS:
        words += ["--ro-bind-try", file, file]
    for folder in seen.hidden:
        words += ["--remount-ro", folder]
    for device in DEVICES:
        words += ["--dev-bind", device, device]
    return [*words, "--chdir", FOLDER, "--remount-ro", "/"]


def number_of(report: int, seconds: float) -> int:
    """The child's number in this process's namespace, as bubblewrap says it; 0 if it says none."""
    said, until = b"", time.monotonic() + seconds
    while b"\n" not in said and len(said) < 4096:
        left = until - time.monotonic()
        if left <= 0 or not select.select([report], [], [], left)[0]:
            return 0
        piece = os.read(report, 4096)
        if not piece:
            return 0
        said += piece
    line: dict[str, Any] = json.loads(said.split(b"\n")[0])
    return int(line.get("child-pid", 0))
