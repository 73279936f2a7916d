"""Our network back-end beside DPDK's own vhost: packets a second that arrive, by DPDK's count.

    testpmd, flowgen                    back-end, on another processor
    virtio-user 0 -- vhost-user ------> ours: virtlab serve net --poll, two cards on a switch
    virtio-user 1 <- vhost-user ------- theirs: testpmd, two vhost ports, each frame to the other

The idea: the front-end is the same program in both cases. It sends as fast as it can on both ports,
64-byte frames with the other port's address, and counts what it receives. It polls, and so do we.

The rule that keeps it simple: a measurement is one run of the front-end, and its figure the median
of what it says each second. A batch of this row is 100,000 packets. No huge pages are needed.

Only where DPDK is: `VIRTLAB_TESTPMD` names its program, and --rows dpdk asks for the row.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from subprocess import PIPE, STDOUT

from benchmarks.harness import Row
from benchmarks.linux_rows import POLL, processors

PROGRAM = os.environ.get("VIRTLAB_TESTPMD", "dpdk-testpmd")
GET = "sudo apt install dpdk-dev librte-net-vhost23 librte-net-virtio23 librte-mempool-ring23"

BATCH = 100_000
MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02")
SECONDS, WARM = 2, 1
"""How many reports of a front-end, one a second, are looked at, and how many before are not."""

LONGEST = 30
"""Seconds that a front-end gets to start, and to end."""

NOTES: list[str] = []
"""What was measured, in packets a second."""


class Silent(RuntimeError):
    """DPDK has said nothing that can be used: its last line."""


def cpus() -> tuple[int, int]:
    """The processors of back-end and front-end."""
    known = range(os.cpu_count() or 1)
    return known[0], known[-1]


def testpmd(name: str, cpu: int, ports: Sequence[str], *words: str) -> list[str]:
    """The words that start a testpmd whose packets go through processor `cpu`."""
    if shutil.which(PROGRAM) is None:
        raise FileNotFoundError(f"{PROGRAM} is not here: {GET}")
    common = ["--no-huge", "-m", "256", "--no-pci", "--no-shconf", "--no-telemetry"]
    common += [
        "--file-prefix",
        f"virtlab-{os.getpid()}-{name}",
        "--lcores",
        f"0@{cpus()[0]},1@{cpu}",
    ]
    common += [word for port in ports for word in ("--vdev", port)]
    usual = ["--auto-start", "--no-mlockall", "--total-num-mbufs=4096", "--stats-period=1"]
    return [PROGRAM, *common, "--", *usual, *words]


@contextlib.contextmanager
def running(words: Sequence[str], sockets: Sequence[Path]) -> Iterator[None]:
    """A back-end that listens on `sockets`."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(words, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        end = time.monotonic() + 30
        while not all(path.exists() for path in sockets):
            if process.poll() is not None or time.monotonic() > end:
                raise Silent(f"{words[0]} does not listen")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def ours(sockets: Sequence[Path]) -> list[str]:
    """The words that start our back-end."""
    words = [sys.executable, "-m", "virtlab.course.cli", "serve", "net", "--mac", MACS[0]]
    words += [word for path in sockets for word in ("--socket", str(path))]
    return [*words, "--poll", str(POLL)]


def theirs(sockets: Sequence[Path]) -> list[str]:
    """The words that start DPDK's."""
    ports = [f"net_vhost{number},iface={path},queues=1" for number, path in enumerate(sockets)]
    return testpmd("back", cpus()[0], ports, "--forward-mode=io")


def received(sockets: Sequence[Path]) -> float:
    """Packets a second that a front-end on `sockets` receives, on both ports together."""
    ports = [
        f"net_virtio_user{number},path={path},mac={MACS[number]},queue_size=256"
        for number, path in enumerate(sockets)
    ]
    peers = [f"--eth-peer={number},{MACS[1 - number]}" for number in range(2)]
    words = testpmd("front", cpus()[1], ports, "--forward-mode=flowgen", *peers)
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(words, stdin=quiet, stdout=PIPE, stderr=STDOUT, text=True)
    bound = threading.Timer(LONGEST, process.kill)
    bound.start()
    try:
        return rate_of(enough_of(process.stdout or []))
    finally:
        bound.cancel()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LONGEST)


def enough_of(lines: Iterable[str]) -> str:
    """What a testpmd says until it has told `SECONDS` and `WARM` times of both ports."""
    said, reports = "", 2 * (SECONDS + WARM)
    for line in lines:
        said += line
        reports -= "Rx-pps:" in line
        if not reports:
            break
    return said


def rate_of(said: str) -> float:
    """The median of the reports of a testpmd with two ports. `Silent` if there are too few."""
    rates = [int(number) for number in re.findall(r"Rx-pps:\s+(\d+)", said)]
    both = [sum(pair) for pair in zip(rates[::2], rates[1::2], strict=False)][WARM:]
    if not both or not median(both):
        lines = said.strip().splitlines()
        raise Silent(lines[-1] if lines else "testpmd said nothing")
    return median(both)


class DpdkDuel:
    """`BATCH` packets, by either back-end."""

    def __init__(self) -> None:
        self.rates: dict[str, list[float]] = {"ours": [], "theirs": []}

    def prepare(self) -> None:
        """Nothing: each run starts its own processes."""

    def python(self) -> int:
        """Ours."""
        return self._run("ours")

    def twin(self) -> int:
        """DPDK's."""
        return self._run("theirs")

    def check(self) -> None:
        """At last: what was measured. What arrives is counted, and was addressed to who counts."""
        if self.rates["ours"]:
            told = [f"{median(self.rates[side]) / 1e6:.2f}" for side in ("ours", "theirs")]
            NOTES.append(f"dpdk: {told[0]} million packets a second; DPDK's vhost: {told[1]}")

    def _run(self, side: str) -> int:
        """Nanoseconds of so many packets."""
        with tempfile.TemporaryDirectory() as folder:
            sockets = [Path(folder, name) for name in ("one.sock", "two.sock")]
            words = ours(sockets) if side == "ours" else theirs(sockets)
            where = [cpus()[0]] if side == "ours" else None
            with processors(where), running(words, sockets), processors():
                rate = received(sockets)
        self.rates[side].append(rate)
        return round(BATCH * 1e9 / rate)


def rows(flags: tuple[str, ...]) -> list[Row]:
    """The row; nothing is compiled, so `flags` are not looked at."""
    return [Row("dpdk, 64-byte packets", BATCH, DpdkDuel, least=True, against="its vhost")]
