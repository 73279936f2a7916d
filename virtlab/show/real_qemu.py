"""Our driver on a disk of QEMU's own: for real, or, with no QEMU, on what it once answered.

    with qemu_disk(tier) as cpu:        a `Cpu`: QEMU behind its test protocol, or a transcript
        BlkDriver(cpu, ...).start()

The idea: a driver of ours is a program over a `Cpu`. Given the same answers it makes the same
accesses. So a transcript of all of them, with the answers, is a QEMU for this one driver: it is
played back, and the driver runs all the same.

The rule that keeps it simple: a transcript follows only who asks exactly what was asked then.
Anything else is a `Strayed`, which names the access.

`python -m virtlab.show.real_qemu FILE` makes a new transcript. The disk is a file of 1 MiB.
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from virtlab.cpu import Cpu
from virtlab.guest.pci import PortAccess
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.virtio.pci_layouts import VENDOR

FILE = ("data", "linux", "qemu_disk.jsonl.gz")
"""Where in the package the transcript is."""

DISK = 1 << 20
SERIAL = "a disk of QEMU"
"""Bytes of the disk, and what it calls itself."""

ROOM = (0x10_0000, 1 << 20)
"""RAM for the driver's ring and buffers."""

Call = tuple[str, list[Any], Any]
"""A verb, its arguments, and the answer. Bytes are base64."""


class Strayed(Exception):
    """Something else was asked than when the transcript was made: `why` says what."""


class Scribe:
    """A `Cpu` around `cpu` that keeps each verb and its answer in `calls`."""

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu
        self.calls: list[Call] = []

    def _do(self, verb: str, *arguments: Any) -> Any:
        answer = getattr(self.cpu, verb)(*arguments)
        self.calls.append((verb, [_plain(each) for each in arguments], _plain(answer)))
        return answer

    def inp(self, port: int, size: int = 1) -> int:
        """See `Cpu`."""
        return int(self._do("inp", port, size))

    def out(self, port: int, value: int, size: int = 1) -> None:
        """See `Cpu`."""
        self._do("out", port, value, size)

    def load(self, gpa: int, size: int = 4) -> int:
        """See `Cpu`."""
        return int(self._do("load", gpa, size))

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """See `Cpu`."""
        self._do("store", gpa, value, size)

    def read(self, gpa: int, length: int) -> bytes:
        """See `Cpu`."""
        return bytes(self._do("read", gpa, length))

    def write(self, gpa: int, data: bytes) -> None:
        """See `Cpu`."""
        self._do("write", gpa, data)

    def wait(self, timeout: int = 1_000_000_000) -> int | None:
        """See `Cpu`."""
        vector: int | None = self._do("wait", timeout)
        return vector


class Transcript:
    """What a `Scribe` kept, played back: the inside of a `Scribe` again."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = calls
        self.done = 0

    def __getattr__(self, verb: str) -> Any:
        return lambda *arguments: self._answer(verb, [_plain(each) for each in arguments])

    def _answer(self, verb: str, arguments: list[Any]) -> Any:
        known = self.calls[self.done] if self.done < len(self.calls) else ("the end", [], None)
        if known[:2] != (verb, arguments):
            asked, was = (
                f"{name}({', '.join(map(str, given))})"
                for name, given in ((verb, arguments), known[:2])
            )
            raise Strayed(f"call {self.done}: {asked[:80]}, where it was {was[:80]}")
        self.done += 1
        return base64.b64decode(str(known[2])) if verb == "read" else known[2]


def _plain(value: Any) -> Any:
    """Bytes as base64, whatever else as it is."""
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


# -- where it comes from


def transcript() -> list[Call]:
    """What QEMU answered when the transcript of the library was made."""
    raw = resources.files("virtlab").joinpath(*FILE).read_bytes()
    lines = gzip.decompress(raw).decode().splitlines()
    return [(verb, arguments, answer) for verb, arguments, answer in map(json.loads, lines)]


@contextmanager
def qemu_disk(tier: str) -> Iterator[Cpu]:
    """A machine with a virtio disk of QEMU's own; in the tier "recorded" its transcript."""
    if tier == "recorded":
        yield Scribe(Transcript(transcript()))
        return
    from virtlab.hosts.remote import QtestMachine

    with tempfile.NamedTemporaryFile(suffix=".img") as file:
        file.truncate(DISK)
        words = ["-drive", f"file={file.name},format=raw,if=none,id=disk"]
        words += ["-device", f"virtio-blk-pci,disable-legacy=on,drive=disk,serial={SERIAL}"]
        with QtestMachine("pc", words) as machine:
            yield machine


def find_disk(cpu: Cpu) -> BlkDriver:
    """Our driver for the only virtio function of a machine, not started."""
    (function,) = (found for found in enumerate_pci(cpu) if found.vendor == VENDOR)
    return BlkDriver(cpu, ModernPci(cpu, PortAccess(cpu), function), Room(*ROOM), slots=4)


def greet(cpu: Cpu) -> tuple[int, str, bytes]:
    """What the lesson does: the disk's capacity (sectors), its name, and what we wrote there."""
    disk = find_disk(cpu)
    disk.start()
    disk.write(7, b"from a driver in Python".ljust(512, b"."))
    return disk.capacity, disk.get_id(), disk.read(7)[:23]


def record(path: str) -> int:
    """Make a transcript of `greet` with a real QEMU, and give how many calls it has."""
    with qemu_disk("qtest") as cpu:
        scribe = Scribe(cpu)
        greet(scribe)
    text = "".join(f"{json.dumps(call)}\n" for call in scribe.calls)
    Path(path).write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    return len(scribe.calls)


if __name__ == "__main__":
    print(record(sys.argv[1]), "calls")
