"""An unmodified Linux for tests: found or skipped by name, and what a file system goes through.

    @needs_linux                         (tests/needs.py)
    def test_with_linux(tmp_path):
        with LinuxGuest(disk(image), image=linux()) as guest: ...

A test can only write where nothing is lost: a disk is a file of its own folder.
"""

from __future__ import annotations

import functools
import subprocess

from tests.needs import require
from virtlab.hosts.linux_find import find_program
from virtlab.hosts.linux_initrd import linux_image

BOOT = 60
"""Seconds in which Linux boots under TCG."""

WORK = """
set -e
mke2fs -q -t ext4 /dev/vda
mount -t ext4 /dev/vda /mnt
for n in $(seq {files}); do
    dd if=/dev/urandom of=/mnt/file$n bs=64k count={blocks} 2>/dev/null
done
sha256sum /mnt/file* > /sums
sync
echo 3 > /proc/sys/vm/drop_caches
sha256sum -c -s /sums
umount /mnt
e2fsck -fn /dev/vda
"""
"""Makes a file system, fills it, and reads all of it again from the disk itself."""


@functools.cache
def linux():
    """What is booted: one image for all tests."""
    require("Linux")
    return linux_image()


def empty_image(path, mib):
    """A disk image of zeros, with no room taken."""
    with path.open("wb") as image:
        image.truncate(mib << 20)
    return path


def clean(image):
    """Whether this machine's own `e2fsck` finds nothing wrong with the file system on `image`."""
    done = subprocess.run(
        [find_program("e2fsck"), "-fn", image], capture_output=True, text=True, timeout=60
    )
    return done.returncode == 0, done.stdout + done.stderr
