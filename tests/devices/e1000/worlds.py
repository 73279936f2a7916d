"""The cards that one driver drives: ours on the lesson PC and in a VM on it, and QEMU's on a q35.

A `World` is all that a test may know of them: a Cpu, the address of BAR 0, the interrupt, and the
far end of the wire. `arrive(frame)` puts a frame on the wire towards the card; `sent()` is every
frame that came out since it was asked last.
"""

from __future__ import annotations

import socket
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

from tests.needs import require
from tests.wires import wait_until_connected
from virtlab.devices.e1000 import DEFAULT_MAC
from virtlab.devices.e1000.function import IDENTITY
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.hosts.remote import QtestMachine
from virtlab.machine import Pc, PcVm, lesson_pc, lesson_vm

TIMEOUT = 20.0
"""Real seconds that a receive on a socket may take."""

LENGTH = 4
"""Bytes before each frame on QEMU's socket: its length, big-endian."""


class OurWorld:
    """The card of a lesson PC, or of a virtual machine on one."""

    def __init__(self, machine: Pc | PcVm | None = None, name: str = "conventional") -> None:
        machine = machine or lesson_pc()
        self.name = name
        self.cpu = machine.cpu
        self.link = machine.cable
        self.function = machine.cards.e1000
        self._frames: deque[bytes] = deque()
        self.link.b.listener = self._frames.append
        found = find(enumerate_pci(self.cpu), IDENTITY.vendor, IDENTITY.device)
        self.base, self.ports, self.irq = found.bar(0), found.bar(1), found.line

    def arrive(self, frame: bytes) -> None:
        """A frame comes along the wire."""
        assert self.link.b.send(frame)

    def sent(self) -> list[bytes]:
        """What came out of the card."""
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def pull(self, up: bool) -> None:
        """Pull the cable, or plug it in."""
        self.link.set_up(up)

    def close(self) -> None:
        """Nothing to end."""


class QemuWorld:
    """QEMU's e1000. Its wire is a stream, and every frame on it has its length before it."""

    name = "qemu"

    def __init__(self, options: str = "") -> None:
        require("QEMU")
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as door:
            path = Path(folder) / "wire"
            door.bind(str(path))
            door.listen(1)
            door.settimeout(TIMEOUT)
            self.cpu = QtestMachine("q35", _arguments(path, options))
            self.wire, _ = door.accept()
        wait_until_connected(self.cpu)
        self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.wire.setblocking(False)
        self._bytes = bytearray()
        found = find(enumerate_pci(self.cpu), IDENTITY.vendor, IDENTITY.device)
        self.base, self.ports, self.irq = found.bar(0), found.bar(1), found.line

    def arrive(self, frame: bytes) -> None:
        """A frame comes along the wire: QEMU's main loop has read it when this returns."""
        self.wire.setblocking(True)
        self.wire.settimeout(TIMEOUT)
        self.wire.sendall(len(frame).to_bytes(LENGTH, "big") + frame)
        self.wire.setblocking(False)
        self.cpu.settle()

    def sent(self) -> list[bytes]:
        """What came out of the card."""
        while self._take():
            self.cpu.settle()
        frames = []
        while (end := self._end()) is not None:
            frames.append(bytes(self._bytes[LENGTH:end]))
            del self._bytes[:end]
        assert not self._bytes, "half a frame came"
        return frames

    def _take(self) -> bool:
        try:
            data = self.wire.recv(1 << 22)
        except BlockingIOError:
            return False
        self._bytes += data
        return bool(data)

    def _end(self) -> int | None:
        """Where the first frame ends, if all of it is there."""
        end = LENGTH + int.from_bytes(self._bytes[:LENGTH], "big")
        return end if LENGTH <= end <= len(self._bytes) and len(self._bytes) >= LENGTH else None

    def pull(self, up: bool) -> None:
        """Pull the cable, or plug it in."""
        self.cpu.qmp("set_link", name="nic", up=up)

    def close(self) -> None:
        """End QEMU."""
        self.cpu.close()
        self.wire.close()


def _arguments(path: Path, options: str) -> list[str]:
    mac = ":".join(f"{byte:02x}" for byte in DEFAULT_MAC)
    device = f"e1000,id=nic,netdev=wire,mac={mac},addr=5,romfile={options}"
    wire = f"stream,id=wire,server=off,addr.type=unix,addr.path={path}"
    return ["-nodefaults", "-netdev", wire, "-device", device]


WORLDS: dict[str, Callable[[], OurWorld | QemuWorld]] = {
    "conventional": OurWorld,
    "express": lambda: OurWorld(lesson_pc(pci="express"), "express"),
    "vm": lambda: OurWorld(lesson_vm(), "vm"),
    "qemu": QemuWorld,
}
