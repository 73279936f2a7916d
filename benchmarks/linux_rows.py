"""Our disk beside QEMU's own, in one Linux and in one run.

    /dev/vda    QEMU's virtio-blk, in QEMU            cache=writeback, the host's page cache
    /dev/vdb    ours: virtlab serve blk               the image mapped, the same page cache
    /dev/vdc    ours: virtlab serve blk --poll        the same

The idea: three equal images, each one queue, and the same program in the guest asks all of them for
the same random places with direct I/O. What differs is who answers. Under TCG the guest's own work
is slow, and both sides wait for it; on a fast guest ours would look worse.

The rule that keeps it simple: a batch of these rows is how many requests are under way at a time.
Each block has its number in it and is checked, so a wrong answer ends the run.

They start a virtual machine, so they are measured only where `--rows` names them: --rows linux.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import compiler
from benchmarks.harness import Row
from virtlab.hosts.linux import LinuxGuest
from virtlab.hosts.linux_cpio import archive, file
from virtlab.hosts.linux_devices import blk, disk
from virtlab.hosts.linux_initrd import linux_image

MIB, BLOCK = 64, 4096
"""MiB of each disk; bytes that have a number."""

POLL = 200
"""Microseconds for which the second of our disks looks before it sleeps."""

LOAD = 0.15
"""Seconds that one run of the program shall take, about."""

GOAL = 0.8
ONE = ",num-queues=1"
NOTES: list[str] = []
"""What was measured, in requests and bytes a second; it grows with each row."""


class Machine:
    """A Linux with the three disks. It is started by the first `load`, and ended by `close`."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._guest: LinuxGuest | None = None

    def close(self) -> None:
        """End it, and whoever served its disks. Closing twice does nothing."""
        self._stack.close()
        self._guest = None

    def load(self, device: str, kind: str, size: int, depth: int, count: int, seed: int) -> int:
        """The nanoseconds that `count` requests take. `AssertionError` for a wrong answer."""
        if self._guest is None:
            self._guest = self._start()
        command = f"blk_load /dev/{device} {kind} {size} {depth} {count} {seed}"
        status, text = self._guest.run(command)
        assert status == 0, f"{command}: {text}"
        return int(text)

    def _start(self) -> LinuxGuest:
        usual = linux_image()
        program = file("bin/blk_load", compiler.program("blk_load.c"), program=True)
        image = usual._replace(initrd=usual.initrd + archive([program]))
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        own, ours, polled = (numbered(folder / name) for name in ("own", "ours", "polled"))
        with processors():
            devices = [
                *disk(own, "own", ONE),
                *blk(self._serve(ours), "ours", ONE),
                *blk(self._serve(polled, "--poll", str(POLL)), "polled", ONE),
            ]
            guest = self._stack.enter_context(LinuxGuest(devices, image=image))
            guest.boot()
        return guest

    def _serve(self, image: Path, *more: str) -> Path:
        """The socket of a process that serves `image`."""
        path = image.with_suffix(".sock")
        words = ["-m", "virtlab.course.cli", "serve", "blk", image, "--socket", path, *more]
        process = subprocess.Popen([sys.executable, *words], stderr=subprocess.DEVNULL)
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        while not path.exists():
            if process.poll() is not None:
                raise ChildProcessError("virtlab serve ended before it was ready")
            time.sleep(0.01)
        return path


def numbered(path: Path) -> Path:
    """An image whose blocks begin with their numbers."""
    blocks = np.zeros((MIB * 2**20 // BLOCK, BLOCK // 8), np.uint64)
    blocks[:, 0] = np.arange(len(blocks))
    path.write_bytes(blocks.tobytes())
    return path


@contextmanager
def processors(chosen: Iterable[int] | None = None) -> Iterator[None]:
    """Whoever is started inside may use these, or all, though the benchmark keeps to one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1) if chosen is None else chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class LinuxDuel:
    """Requests of `size` bytes, `depth` at a time, to our disk `device` and to QEMU's."""

    def __init__(self, machine: Machine, device: str, kind: str, size: int, depth: int) -> None:
        self.machine, self.device = machine, device
        self.what = kind, size, depth
        self.count, self.seed = 0, 0
        self.times: dict[str, list[float]] = {"vda": [], device: []}

    def prepare(self) -> None:
        """Other places."""
        self.seed += 1

    def python(self) -> int:
        """Ours."""
        return self._run(self.device)

    def twin(self) -> int:
        """QEMU's."""
        return self._run("vda")

    def check(self) -> None:
        """At first: how many requests are enough. At last: what was measured."""
        if self.times["vda"]:
            NOTES.append(self._figures())
            return
        probes = [
            self.machine.load(device, *self.what, 8 * self.what[2], 0)
            for device in ("vda", self.device)
            for _ in range(3)
        ]
        once = min(probes) / (8 * self.what[2])
        self.count = max(self.what[2], int(LOAD * 1e9 / once))

    def _run(self, device: str) -> int:
        """Nanoseconds of as many requests as are under way."""
        spent = self.machine.load(device, *self.what, self.count, self.seed)
        spent = spent * self.what[2] / self.count
        self.times[device].append(spent)
        return round(spent)

    def _figures(self) -> str:
        kind, size, depth = self.what
        rates = [depth * 1e9 / median(self.times[device]) for device in (self.device, "vda")]
        told = [f"{rate:.0f} IOPS, {rate * size / 1e6:.1f} MB/s" for rate in rates]
        return (
            f"{name_of(self.device, kind, size)}, {depth} at a time: {told[0]}; QEMU's: {told[1]}"
        )


def name_of(device: str, kind: str, size: int) -> str:
    """What a row is called."""
    polled = " polled" if device == "vdc" else ""
    return f"linux{polled}, {size // 1024} KiB {'reads' if kind == 'r' else 'writes'}"


def rows(flags: tuple[str, ...]) -> list[Row]:
    """All rows; the program in the guest is compiled as it is, so `flags` are not looked at."""
    machine = Machine()
    atexit.register(machine.close)
    return rows_of(machine)


def rows_of(machine: Machine) -> list[Row]:
    """All rows on one machine, which is the caller's to close."""
    return [
        Row(
            name_of(device, kind, size),
            depth,
            partial(LinuxDuel, machine, device, kind, size, depth),
            GOAL,
            least=True,
            against="QEMU's",
        )
        for size in (4096, 65536)
        for depth in (1, 32)
        for kind in "rw"
        for device in ("vdb", "vdc")
    ]
