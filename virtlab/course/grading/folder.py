"""A child's temporary folder: how full it is, and how it is removed.

    bubblewrap   a tmpfs of the child's own        the kernel counts, and bounds it
    plain        a folder of this file system      it is walked, and removed at the end

The idea: a stranger wrote there. So no link is followed, nothing recurses, and a walk stops soon.

What it leaves out: what the child may write at all (`confine`, `bubblewrap`).
"""

from __future__ import annotations

import contextlib
import os

from virtlab.course.grading.limits import ENTRIES, Limits, too_full

LOCAL = "/tmp"
"""The folder of this process at whose place a wrapped child has its own."""


def contents(folder: str) -> tuple[int, int]:
    """Bytes and entries below a folder; it stops to count a little above `ENTRIES`."""
    total = entries = 0
    below = [folder]
    while below and entries <= ENTRIES:
        try:
            with os.scandir(below.pop()) as found:
                for entry in found:
                    entries += 1
                    about = entry.stat(follow_symlinks=False)
                    total += about.st_blocks * 512 if hasattr(about, "st_blocks") else about.st_size
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.path)
                    if entries > ENTRIES:
                        break
        except OSError:
            continue
    return total, entries


def file_system(folder: str) -> tuple[int, int] | None:
    """Bytes and entries of the file system that a folder is the root of; None if nobody can tell.

    A folder of this process's own file system is not looked at: the child is still on its way.
    """
    try:
        if os.stat(folder).st_dev == os.stat(LOCAL).st_dev:
            return None
        about = os.statvfs(folder)
    except (AttributeError, OSError):
        return None
    used = (about.f_blocks - about.f_bfree) * about.f_frsize
    return used, about.f_files - about.f_ffree


def full(folder: str, whole: bool, limits: Limits) -> str:
    """Why a child must end for what it wrote, or an empty text.

    `folder` is the child's as this process sees it; `whole`: it is a file system of its own.
    """
    total, entries = (file_system(folder) or (0, 0)) if whole else contents(folder)
    if total > limits.folder:
        return too_full(limits)
    if entries > ENTRIES:
        return f"it made more than {ENTRIES:,} files"
    return ""


def remove(folder: str) -> None:
    """Remove a folder in which a stranger wrote: any depth, any rights, no link followed.

    A folder within is moved up before it is emptied, so no path becomes long and nothing recurses.
    """
    below, count = [folder], 0
    while below:
        current = below.pop()
        with contextlib.suppress(OSError):
            os.chmod(current, 0o700)
            for entry in os.scandir(current):
                if entry.is_dir(follow_symlinks=False):
                    count += 1
                    raised = os.path.join(folder, f"{os.path.basename(folder)}-{count}")
                    os.chmod(entry.path, 0o700)
                    os.rename(entry.path, raised)
                    below.append(raised)
                else:
                    os.unlink(entry.path)
            if current != folder:
                os.rmdir(current)
    with contextlib.suppress(OSError):
        os.rmdir(folder)
