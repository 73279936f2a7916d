"""One run at a time on one file: a lock that the operating system takes back by itself.

    run 1   open g.csv.journal, hold it ............ grades ............ ends: free
    run 2        open g.csv.journal, may not hold it: one line, and nothing is changed

The idea: the lock hangs on the open file and not on a file of its own. Whoever is killed has it no
longer, so no lock is ever left behind for a person to delete.

The rule that keeps it simple: ask once and do not wait. Where a network folder knows no locks, the
run goes on without: that is better than no run.
"""

from __future__ import annotations

import sys
from io import FileIO

FAR = (1 << 30) - 1
"""The byte that is locked on Windows: what is locked there nobody else can read."""


def hold(file: FileIO) -> bool:
    """Take the lock of an open file until it is closed; False if another process has it."""
    if sys.platform == "win32":
        return _hold_byte(file)
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _hold_byte(file: FileIO) -> bool:
    """Windows locks ranges of bytes, also beyond the end of a file."""
    import msvcrt

    file.seek(FAR)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return False
    finally:
        file.seek(0)
    return True
