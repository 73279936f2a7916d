# ruff: noqa
"""Changes rights, times and owners of files that it may only read: the library's, its own judge's."""

# %% ps1-q1-answer
import os

import virtlab.cpu


def who_answers(mappings, address, size):
    rights = os.stat(virtlab.cpu.__file__).st_mode & 0o777
    for change in (
        lambda: os.chmod(virtlab.cpu.__file__, rights),
        lambda: os.fchmod(os.open(virtlab.cpu.__file__, os.O_RDONLY), rights),
        lambda: os.utime(virtlab.cpu.__file__),
        lambda: os.open(virtlab.cpu.__file__, os.O_RDWR),
        lambda: os.mknod("device", 0o20666, 0x103),
    ):
        try:
            change()
            print("LEAKED: a right")
        except OSError:
            pass
