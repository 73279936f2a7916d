"""An unmodified Linux for tests: found or skipped by name, and what a file system goes through.

    @needs_linux                         (tests/needs.py)
    def test_with_linux(tmp_path):
        with LinuxGuest(disk(image), image=linux()) as guest: ...

A test can only write where nothing is lost: a disk is a file of its own folder.
"""

from __future__ import annotations

import functools
import socket
import subprocess
import threading

from tests.needs import require
from virtlab.hosts.linux_find import find_program
from virtlab.hosts.linux_initrd import linux_image
from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.loop import Loop
from virtlab.virtio.vhost_user.session import RING_FEATURES

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


class Served:
    """A device of ours behind the socket `path`, in a thread.

    `statistics` has what each session counted, `errors` how those that are over ended.
    """

    def __init__(self, device, path, ring=RING_FEATURES):
        self.path = path
        self.statistics, self.errors = [], []
        self._device, self._ring = device, ring
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        self._loop = Loop(ended=lambda _, error: self.errors.append(error))
        self._loop.listen(listener, self._make)
        self._thread = threading.Thread(target=self._loop.run, daemon=True)

    def _make(self, sock):
        back_end = BackEnd(self._device, sock, self._ring)
        self.statistics.append(back_end.statistics)
        return back_end

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._loop.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._loop.close()
