"""What a Linux is asked to do with a disk: from its first look to a file system found whole.

    driver    firmware and Linux have found the disk     sums      their SHA-256, from the disk
    mkfs      mke2fs makes an ext4 file system           unmount   the journal is written out
    mount     Linux mounts it                            fsck      e2fsck finds it clean
    files     four files, written and synced

The idea: seven commands, always in this order, are a whole life of a disk. Each says one thing
about the device under it: `sums` reads what `files` wrote, after Linux has forgotten it.

The rule that keeps it simple: of a `Work`, `name`, `command` and `status` are the same in every run
on every machine. So is `text`, but for that of `fsck`, which has the version of the program and
counts of blocks. The numbers are those of one run: of a recorded one they never change.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from typing import NamedTuple

from virtlab.hosts.tape_moments import Counts, Said

WORKS: Mapping[str, str] = {
    "driver": "dmesg | grep -o 'virtio_blk.*vda.*'",
    "mkfs": "mke2fs -q -t ext4 /dev/vda",
    "mount": "mount -t ext4 /dev/vda /mnt && grep vda /proc/mounts",
    "files": "for n in 1 2 3 4; do seq ${n}0000 ${n}5000 > /mnt/numbers$n; done; sync; "
    "wc -c /mnt/numbers*",
    "sums": "echo 3 > /proc/sys/vm/drop_caches; sha256sum /mnt/numbers*",
    "unmount": "umount /mnt",
    "fsck": "e2fsck -f -n /dev/vda",
}
"""The command of each work, in order."""

DISK = 16 << 20
"""Bytes of the disk."""

SLOTS = 8
"""Entries of its ring: so few that all of it is seen in one picture."""

PROMPT = "linux# "
"""What the console's shell says when it waits for a command."""

CONSOLE = "/dev/ttyS0"


class Work(NamedTuple):
    """A command that was done: how it ended, and what the back-end counted meanwhile.

    `requests` came with `kicks` of the driver's bell and were taken in `batches`; the driver was
    told by `calls`, and did not want to hear `quiet` times. `bytes` are those of all buffers.
    """

    name: str
    command: str
    status: int
    text: str
    requests: int
    kicks: int
    calls: int
    quiet: int
    batches: int
    bytes: int

    @classmethod
    def of(cls, said: Said, counts: Counts | None = None) -> Work:
        """What was said, with its own counts or with others."""
        return cls(said.name, said.command, said.status, said.text, *(counts or said.counts))


def shown(command: str) -> str:
    """`command` for `LinuxGuest.run`, so that the console shows it and what it prints, too."""
    line = shlex.quote(command)
    return (
        f"set -o pipefail; printf '%s\\n' {line} > {CONSOLE}; "
        f"{{ eval {line}; }} 2>&1 | tee {CONSOLE}; status=$?; "
        f"printf '%s' {shlex.quote(PROMPT)} > {CONSOLE}; exit $status"
    )


def content(number: int) -> bytes:
    r"""What `files` writes into `/mnt/numbersN`, made by this machine.

    >>> content(1)[:12], len(content(1))
    (b'10000\n10001\n', 30006)
    """
    numbers = range(number * 10000, number * 10000 + 5001)
    return "".join(f"{each}\n" for each in numbers).encode()


def sums() -> str:
    """What `sums` prints if the disk has lost nothing."""
    return "".join(
        f"{hashlib.sha256(content(n)).hexdigest()}  /mnt/numbers{n}\n" for n in range(1, 5)
    )
