"""``virtlab serve blk``: what it serves, how it ends, and that no write is lost."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.course.serve_command import (
    IMAGE,
    MAIN,
    READY,
    Process,
    disk_at,
    run_with,
    write_one,
)
from virtlab.course import serve_command
from virtlab.guest.calls import BlocksFailed
from virtlab.virtio.blk_layouts import BlkFeature
from virtlab.virtio.features import Feature
from virtlab.virtio.vhost_user.loop import Loop

SECTORS = len(IMAGE) // 512


class Sleeper(Loop):
    """A loop that only what is written to `wake_fd` wakes: as if each signal came too early."""

    slept = False

    def run(self):
        self.after(10, self.overslept)
        super().run()

    def overslept(self):
        Sleeper.slept = True
        self.stop()

    def _awake(self):
        """No handler wakes it."""


def test_no_signal_is_slept_through(path, image, monkeypatch):
    """One that comes between the last look at signals and the sleep interrupts nothing."""
    monkeypatch.setattr(serve_command, "Loop", Sleeper)
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    assert run_with(monkeypatch, lambda: None, "blk", image, "--socket", path)[0] == 0
    assert not Sleeper.slept
    assert signal.set_wakeup_fd(before) == before


# -- a disk


@pytest.mark.parametrize("packed", [False, True])
def test_a_disk_is_served_and_its_file_holds_what_was_written(image, path, packed, monkeypatch):
    def client():
        with disk_at(path) as disk:
            assert disk.read(0, SECTORS) == IMAGE
            disk.write(3, b"\x33" * 1024)
            return disk.get_id(), disk.virtio.features

    words = ("blk", image, "--socket", path, "--serial", "A-1", *["--packed"] * packed)
    status, (name, features), lines = run_with(monkeypatch, client, *words)
    assert (status, name) == (0, "A-1")
    assert (Feature.RING_PACKED in features) == packed
    # It takes all of its room, and keeps it.
    assert BlkFeature.DISCARD not in features
    assert image.read_bytes() == IMAGE[:1536] + b"\x33" * 1024 + IMAGE[2560:]
    assert lines[:2] == [f"{path}: {image}, {SECTORS} sectors, all of its room there", READY]
    assert lines[2].startswith(f"{path}: {SECTORS // 8 + 2} requests in ")
    assert not path.exists()


def test_an_image_with_holes_stays_one(thin, path, monkeypatch):
    def client():
        with disk_at(path) as disk:
            disk.write(16, b"\x44" * 8192)
            assert disk.read(0, disk.capacity)[8192:16384] == b"\x44" * 8192
            disk.discard(16, 8)
            disk.write_zeroes(30, 1)
            disk.flush()

    assert run_with(monkeypatch, client, "blk", thin, "--socket", path)[0] == 0
    assert (
        thin.read_bytes()[8192:16384] == bytes(4096) + b"\x44" * 3072 + bytes(512) + b"\x44" * 512
    )
    assert thin.stat().st_blocks * 512 < 1 << 16


def test_several_queues_and_polling(image, path, monkeypatch):
    def client():
        with disk_at(path, queues=3) as disk:
            for sector in range(40):
                disk.write(
                    sector,
                    bytes([sector]) * 512,
                )
            assert BlkFeature.MQ in disk.virtio.features
            return disk.config["num_queues"]

    words = ("blk", image, "--socket", path, "--queues", 3, "--poll", 50)
    status, queues, _ = run_with(monkeypatch, client, *words)
    assert (status, queues) == (0, 3)
    assert image.read_bytes()[: 40 * 512] == b"".join(bytes([n]) * 512 for n in range(40))


@pytest.mark.parametrize("kind", ["image", "thin"])
def test_a_disk_to_read_only_refuses_each_write(kind, path, request, monkeypatch):
    file = request.getfixturevalue(kind)
    before = file.read_bytes()
    file.chmod(0o400)

    def client():
        with disk_at(path) as disk:
            assert BlkFeature.RO in disk.virtio.features
            assert disk.read(5, 2) == before[2560:3584]
            with pytest.raises(BlocksFailed):
                disk.write(0, bytes(512))

    status, _, lines = run_with(monkeypatch, client, "blk", file, "--socket", path, "--read-only")
    assert status == 0
    assert "read only" in lines[0]
    assert file.read_bytes() == before


def test_the_next_front_end_finds_the_same_disk_and_the_counts_go_on(image, path, monkeypatch):
    def client():
        for number in range(3):
            with disk_at(path) as disk:
                disk.write(number, bytes([number]) * 512)
                assert disk.read(0, number + 1) == b"".join(
                    bytes([n]) * 512 for n in range(number + 1)
                )

    _, _, lines = run_with(monkeypatch, client, "blk", image, "--socket", path)
    assert lines[-1].startswith(f"{path}: 6 requests in 6 batches, ")


def test_several_devices_in_one_process(image, thin, tmp_path, monkeypatch):
    one, two = tmp_path / "one.sock", tmp_path / "two.sock"

    def client():
        with disk_at(one) as disk, disk_at(two) as other:
            disk.write(0, b"\x01" * 512)
            other.write(0, b"\x02" * 512)
            return disk.capacity, other.capacity

    words = ("blk", image, "--socket", one, "+", "blk", thin, "--socket", two)
    status, capacities, lines = run_with(monkeypatch, client, *words)
    assert (status, capacities) == (0, (SECTORS, 2048))
    assert (image.read_bytes()[0], thin.read_bytes()[0]) == (1, 2)
    assert [line.split(":")[0] for line in lines[-2:]] == [str(one), str(two)]


def test_a_front_end_that_talks_nonsense_is_hung_up_on_in_one_line(image, path, monkeypatch):
    def client():
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.send(b"\xff" * 12)
            assert sock.recv(1) == b""
        with disk_at(path) as disk:
            return disk.capacity

    _, capacity, lines = run_with(monkeypatch, client, "blk", image, "--socket", path)
    assert capacity == SECTORS
    assert [line for line in lines if "hung up on" in line] == lines[2:3]


# -- how it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_with_status_0_and_the_image_on_the_medium(
    thin, path, number, monkeypatch
):
    synced, sync = [], os.fdatasync

    def fdatasync(fd):
        synced.append(fd)
        # The next is ignored: the first is being obeyed.
        os.kill(os.getpid(), number)
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    before = [signal.getsignal(each) for each in serve_command.ENDS]
    status, _, lines = run_with(
        monkeypatch, path.exists, "blk", thin, "--socket", path, signals=(number, number)
    )
    assert (status, len(synced)) == (0, 1)
    assert lines[-1].startswith(f"{path}: 0 requests")
    assert [signal.getsignal(each) for each in serve_command.ENDS] == before


@pytest.mark.parametrize("kind", ["image", "thin"])
def test_sigterm_under_load_loses_no_write_that_was_acknowledged(kind, path, request):
    file = request.getfixturevalue(kind)
    content = bytearray(file.read_bytes())
    sectors, enough = len(content) // 512, threading.Event()
    done, maybe = [], []

    def load():
        random_ = random.Random(5)
        with contextlib.suppress(ConnectionError), disk_at(path) as disk:
            while True:
                sector, data = random_.randrange(sectors - 8), random_.randbytes(4096)
                maybe[:] = [(sector, data)]
                disk.write(sector, data)
                done.append((sector, data))
                maybe.clear()
                if len(done) == 300:
                    enough.set()

    with Process("blk", file, "--socket", path) as command:
        thread = threading.Thread(target=load, daemon=True)
        thread.start()
        assert enough.wait(20)
        assert command.end() == 0
        thread.join(20)
    assert not thread.is_alive()
    assert len(done) >= 300
    for sector, data in done:
        content[sector * 512 : sector * 512 + 4096] = data
    found = {bytes(content)}
    for sector, data in maybe:
        content[sector * 512 : sector * 512 + 4096] = data
        found.add(bytes(content))
    assert file.read_bytes() in found
    assert not path.exists()


def test_what_cannot_be_flushed_at_the_end_is_said_and_status_1(thin, path, monkeypatch, capfd):
    def fdatasync(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    status, _, _ = run_with(monkeypatch, lambda: None, "blk", thin, "--socket", path)
    assert status == 1
    assert capfd.readouterr().err == (
        f"virtlab serve: {thin}: Input/output error: what was written last may be lost\n"
    )
    assert not path.exists()


# -- a full disk


def test_a_full_disk_is_an_error_of_the_request_and_one_line(thin, path):
    with Process("blk", thin, "--socket", path, room=512 << 10) as command, disk_at(path) as disk:
        disk.write(0, b"\x01" * 4096)
        for sector in (1024, 1500, 2040):
            with pytest.raises(BlocksFailed):
                disk.write(sector, b"\x02" * 4096)
        disk.write(1016, b"\x03" * 4096)
        disk.flush()
        assert disk.read(1016, 16) == b"\x03" * 4096 + bytes(4096)
        assert not disk.virtio.needs_reset
        assert command.end() == 0
    assert len(command.said("requests end with an error")) == 1
    assert command.said(f"{thin}: File too large")
    data = thin.read_bytes()
    assert data[:4096] == b"\x01" * 4096
    assert data[1016 * 512 : 1024 * 512] == b"\x03" * 4096
    assert not any(data[1024 * 512 :])


def test_what_it_says_needs_no_reader(image, path):
    """Standard error is closed: it serves all the same."""
    words = [sys.executable, "-c", MAIN, "blk", str(image), "--socket", str(path)]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        try:
            process.stderr.close()
            write_one(path)()
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert image.read_bytes()[9 * 512 : 10 * 512] == bytes(512)
