"""Linux under load, while the process that serves its disk is killed again and again.

QEMU connects to the next one, which takes up what the last one had in flight. The guest must see no
error, and find in its files what it wrote.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.needs import needs_linux
from tests.oracles.linux_guest import BOOT, clean, empty_image, linux
from virtlab.hosts.linux import LinuxGuest
from virtlab.hosts.linux_devices import blk

ROUND = """
set -e
cd /mnt
dd if=/dev/urandom of=file$(({number} % 8)) bs=64k count=32 conv=fsync 2>/dev/null
sha256sum file* > /sums
sync
echo 3 > /proc/sys/vm/drop_caches
sha256sum -c -s /sums
"""
"""Writes one of eight files, and reads all of them again from the disk itself."""

AFTER = "umount /mnt && e2fsck -fn /dev/vda"


class Killed:
    """A disk server that is killed `times` times, each time a random while after its start."""

    def __init__(self, image, path, times, seed=1):
        self.image, self.path, self.times = image, path, times
        self.random = random.Random(seed)
        self.kills = 0
        self.over = threading.Event()
        self.start()

    def start(self):
        self.path.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.oracles.disk_server", self.image, self.path],
            cwd=Path(__file__).parents[2],
        )
        while not self.path.exists() and self.process.poll() is None:
            self.over.wait(0.01)

    def run(self):
        """Kill it `times` times; QEMU looks for the next one once a second."""
        while self.kills < self.times and not self.over.wait(self.random.uniform(1.5, 3)):
            self.kill()
            self.kills += 1
            self.start()

    def kill(self):
        self.process.kill()
        self.process.wait()


def work(tmp_path, times, seconds=100):
    """Rounds of load until all kills are done. Each must end well, however long it takes."""
    image, path = empty_image(tmp_path / "disk.img", 64), tmp_path / "blk.sock"
    server = Killed(image, path, times)
    killer = threading.Thread(target=server.run, daemon=True)
    try:
        with LinuxGuest(blk(path), image=linux()) as guest:
            guest.boot(BOOT)
            assert guest.run("mke2fs -q -t ext4 /dev/vda && mount /dev/vda /mnt") == (0, "")
            killer.start()
            rounds = 0
            while killer.is_alive() or rounds < 4:
                assert guest.run(ROUND.format(number=rounds), seconds) == (0, "")
                rounds += 1
            status, text = guest.run(AFTER, seconds)
            assert status == 0, text
            assert "error" not in guest.run("dmesg | grep -i -e I/O -e ext4 || true").text.lower()
            guest.power_off()
    finally:
        server.over.set()
        server.kill()
    assert server.kills == times
    fine, said = clean(image)
    assert fine, said


@needs_linux
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_three_kills(tmp_path):
    work(tmp_path, 3)


@needs_linux
@pytest.mark.timeout(600)
def test_fifty_kills(tmp_path):
    work(tmp_path, 50)
