"""`virtlab serve` for tests: in this process, with a front-end in a thread, or in its own.

run_with(client, "blk", image, "--socket", path)     status, and the lines that were said
Process("blk", image, "--socket", path)              may be killed, or run out of room
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.hosts.vhost_user_threads import ROOM, new_cpu
from virtlab.course import cli, serve_command
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.guest.virtio_net import NetDriver
from virtlab.hosts.vhost_user import VhostUserDevice
from virtlab.virtio.status import DeviceId

COMMAND = next(each for each in cli.COMMANDS if each.name == "serve")

IMAGE = random.Random(8).randbytes(1 << 18)
"""The disk that is served."""

READY = "ready; Ctrl-C or SIGTERM ends it"

MAIN = """
import sys
from tests.course.serve_command import COMMAND
from virtlab.course import cli
sys.exit(cli.run(COMMAND, sys.argv[1:]))
"""

LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
"""
"""Files end there for this process: a medium with so much room."""


def run(*words):
    return cli.run(COMMAND, [str(word) for word in words])


def run_with(monkeypatch, client, *words, signals=(signal.SIGTERM,)):
    """Run the command here; `client` goes on in a thread once it is ready, then `signals` come.

    Gives the exit status, what `client` gave, and the lines that were said.
    """
    lines, result, wrong = [], [], []

    def work():
        end = time.monotonic() + 20
        while READY not in lines and time.monotonic() < end and main.is_set():
            time.sleep(0.002)
        try:
            if READY in lines:
                result.append(client())
        except BaseException as error:
            wrong.append(error)
        finally:
            for number in signals if READY in lines else ():
                os.kill(os.getpid(), number)

    main = threading.Event()
    main.set()
    monkeypatch.setattr(serve_command, "say", lines.append)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        status = run(*words)
    finally:
        main.clear()
        thread.join(30)
    if wrong:
        raise wrong[0]
    return status, result[0] if result else None, lines


class Process:
    """The command in a process of its own, ready. `room` bounds its files."""

    def __init__(self, *words, room=None):
        code = MAIN if room is None else LIMITED.format(room=room) + MAIN
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        while not self.lines or READY not in self.lines[-1]:
            line = self.process.stderr.readline()
            assert line, self.lines
            self.lines.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def end(self, number=signal.SIGTERM):
        """Its exit status, after a signal; what it said is in `lines`."""
        self.process.send_signal(number)
        out, rest = self.process.communicate(timeout=30)
        self.lines += rest.splitlines(keepends=True)
        self.out = out
        return self.process.returncode

    def said(self, text):
        return [line for line in self.lines if text in line]


@contextlib.contextmanager
def disk_at(path, **how):
    """Our driver, started, on the disk that is served at `path`."""
    cpu = new_cpu()
    with VhostUserDevice(str(path), cpu, DeviceId.BLOCK, queue_size=64) as device:
        disk = BlkDriver(cpu, device, Room(*ROOM), **how)
        disk.start()
        yield disk


@contextlib.contextmanager
def card_at(path, **how):
    """Our driver, started, on the network card that is served at `path`."""
    cpu = new_cpu()
    with VhostUserDevice(str(path), cpu, DeviceId.NETWORK, queue_size=64) as device:
        card = NetDriver(cpu, device, Room(*ROOM), **how)
        card.start()
        yield card


def thin_image(folder):
    """An image of a MiB that is one hole."""
    path = folder / "thin.img"
    with path.open("wb") as file:
        file.truncate(1 << 20)
    return path


def write_one(path):
    """A client that writes one sector."""

    def client():
        with disk_at(path) as disk:
            disk.write(9, bytes(512))

    return client


def fails(capfd, *words):
    """The one line that it ends with, status 1."""
    assert run(*words) == 1
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err.removeprefix("virtlab serve: ").rstrip()
